//! `chancery verify BUNDLE`: what an evidence bundle proves, by whose word. Needs no network and no store.

use std::io::Write;
use std::path::Path;

use anchor::timestamp::{self, Roots};
use replay::emit::statement;
use replay::{Fault, Stamped, Statement, Trust, check_bundle};
use schemas::Digest;
use schemas::tlog::{Checkpoint, Policy, SignedCheckpoint};
use serde_json::json;

use crate::cli;
use crate::exit::{Exit, OrExit};
use crate::output::{notice, stdout};

/// Largest bundle that is read.
const BYTES_MAX: u64 = 2 << 30;

/// Checks a bundle.
pub(crate) fn verify(args: &cli::Verify) -> anyhow::Result<Exit> {
    if args.watch || args.how.is_for_stores() {
        let why =
            "of the options for stores only --trust and --roots are for bundles, and this is one";
        return Err(Exit::Usage.error(why));
    }
    let bytes = read(Path::new(&args.store))?;
    let policy = args.how.trust.as_deref().map(trust).transpose()?;
    let known = args.checkpoint.as_deref().map(checkpoint).transpose()?;
    let roots = args.how.roots.as_deref().map(roots).transpose()?;
    let stamped = |response: &[u8], data: &Digest| stamped(response, data, roots.as_ref());
    let trust = Trust { policy: policy.as_ref(), known: known.as_ref(), stamped: Some(&stamped) };
    let checked = check_bundle(&bytes, &trust);
    let exit = match &checked {
        Err(_) => Exit::Evidence,
        // Whoever made the bundle may have made the log.
        Ok(statement) if !statement.vouched => Exit::Incomplete,
        Ok(_) => Exit::Good,
    };
    let written = stdout(|out| tell(&checked, args.json.json, out));
    if exit == Exit::Incomplete {
        notice("nobody outside vouches for the log's key; --trust names whom you trust");
    }
    // The verdict stands, whether or not somebody reads all of it.
    match written.map_err(anyhow::Error::from) {
        Err(error) if !crate::output::is_closed(&error) => Err(error),
        _ => Ok(exit),
    }
}

fn tell(
    checked: &Result<Statement, Vec<Fault>>,
    as_json: bool,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    match (checked, as_json) {
        (Ok(found), false) => statement::statement(found, out),
        (Err(faults), false) => statement::faults(faults, out),
        (Ok(found), true) => writeln!(out, "{}", json!({"ok": true, "statement": found})),
        (Err(faults), true) => writeln!(out, "{}", json!({"ok": false, "faults": faults})),
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let what = || format!("cannot read {}", path.display());
    let size = std::fs::metadata(path).or_exit(Exit::Usage, what())?.len();
    if size > BYTES_MAX {
        return Err(Exit::Usage.error(format!("{} is too large to be a bundle", path.display())));
    }
    std::fs::read(path).or_exit(Exit::Usage, what())
}

/// Whom the user trusts.
pub(crate) fn trust(path: &Path) -> anyhow::Result<Policy> {
    let what = || format!("cannot take whom to trust from {}", path.display());
    let text = std::fs::read_to_string(path).or_exit(Exit::Usage, what())?;
    let policy = Policy::parse(&text).or_exit(Exit::Usage, what())?;
    if policy.logs.is_empty() {
        return Err(Exit::Usage.error(format!("{}: it names no log's key", what())));
    }
    Ok(policy)
}

/// Time-stamp authorities that the user trusts.
pub(crate) fn roots(path: &Path) -> anyhow::Result<Roots> {
    let what = || format!("cannot take roots from {}", path.display());
    let text = std::fs::read(path).or_exit(Exit::Usage, what())?;
    Roots::from_pem(&text).or_exit(Exit::Usage, what())
}

/// What a time-stamp shows.
pub(crate) fn stamped(
    response: &[u8],
    data: &Digest,
    roots: Option<&Roots>,
) -> Result<Stamped, String> {
    let stamped = timestamp::check(response, data, roots);
    let stamped = stamped.map_err(|why| format!("{:#}", anyhow::Error::from(why)))?;
    let root = match stamped.trust {
        timestamp::Trust::Chained { root } => Some(root),
        timestamp::Trust::Unchecked => None,
    };
    Ok(Stamped { at: stamped.time, authority: stamped.authority, root })
}

/// A checkpoint that the user holds.
fn checkpoint(path: &Path) -> anyhow::Result<Checkpoint> {
    let what = || format!("cannot take a checkpoint from {}", path.display());
    let bytes = std::fs::read(path).or_exit(Exit::Usage, what())?;
    Ok(SignedCheckpoint::parse(&bytes).or_exit(Exit::Usage, what())?.checkpoint)
}
