//! `chancery hold`: legal holds on everything that a session's trace rests on.

use std::io::{self, Write};

use replay::{Hold, Object};

use crate::cli;
use crate::exit::Exit;
use crate::output::{notice, printable, stdout};
use crate::read::{failure, open, tenant};

/// Adds, removes or lists holds. Whatever could not be done is told object by object, and ends the command as a failure.
pub(crate) async fn run(args: cli::Hold) -> anyhow::Result<Exit> {
    let (hold, args) = match args {
        cli::Hold::Add(args) => (Hold::Add, args),
        cli::Hold::Remove(args) => (Hold::Remove, args),
        cli::Hold::List(args) => (Hold::List, args),
    };
    let store = open(&args.store.store)?;
    let tenant = tenant(&args.store)?;
    let done = replay::hold(&store, tenant.as_ref(), &args.session, hold).await.map_err(failure)?;
    let failed = done.iter().filter(|object| object.error.is_some()).count();
    stdout(|out| {
        done.iter().try_for_each(|object| {
            if args.store.json.json {
                serde_json::to_writer(&mut *out, object)?;
                writeln!(out)
            } else {
                line(out, object)
            }
        })
    })?;
    notice(format_args!("{}", sum(hold, &done, failed)));
    Ok(if failed > 0 { Exit::Infrastructure } else { Exit::Good })
}

fn line(out: &mut dyn Write, object: &Object) -> io::Result<()> {
    let state = match (object.held, object.changed) {
        (Some(true), true) => "held now",
        (Some(true), false) => "held",
        (Some(false), true) => "released",
        (Some(false), false) => "not held",
        (None, _) => "unknown",
    };
    let version = printable(object.version.as_deref().unwrap_or("-"));
    write!(out, "{state:9} {} version {version}", printable(&object.object))?;
    match &object.error {
        Some(error) => writeln!(out, ": {}", printable(error)),
        None => writeln!(out),
    }
}

fn sum(hold: Hold, done: &[Object], failed: usize) -> String {
    let count = |held| done.iter().filter(|object| object.held == Some(held)).count();
    let all = done.len();
    match (hold, failed) {
        (_, 1..) => format!(
            "{failed} of {all} objects are not as asked for; the same command tries them again"
        ),
        (Hold::Add, 0) => format!("all {all} objects are held"),
        (Hold::Remove, 0) => {
            format!("none of {all} objects is held, also not for other sessions that share them")
        }
        (Hold::List, 0) => format!("{} of {all} objects are held", count(true)),
    }
}
