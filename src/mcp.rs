//! `chancery mcp`: runs a server that speaks MCP on standard input and output, and records what is said.
//!
//! Nothing that is said waits for the record: a thread for each direction copies, and hands what it copied to a third one, or
//! counts what that has no room for.

mod copy;
mod lines;
mod record;

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context;
use capture::mcp::Side;
use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::cli;
use crate::exit::{Exit, OrExit};
use copy::Copy;
use record::Record;

/// What the server wrote before it ended is copied for so long after it: another process may hold its output open.
const OUTPUT_TIME_MAX: Duration = Duration::from_secs(2);
/// Signals that the server gets.
const SIGNALS: [Signal; 5] = [Signal::TERM, Signal::INT, Signal::HUP, Signal::USR1, Signal::USR2];
/// Signals that wait to be passed on.
const SIGNALS_MAX: usize = 16;

/// Runs the server until it ends.
pub(crate) async fn run(args: cli::Mcp) -> anyhow::Result<Exit> {
    let name = args.name.clone().unwrap_or_else(|| file_name(&args.command));
    let record = Record::start(&args, &name)?;
    let mut signals = signals()?;
    let mut server = start(&args.command)?;
    let output = copy(&mut server, &record)?;
    let pid = Pid::from_child(&server);
    let mut ended = tokio::task::spawn_blocking(move || server.wait());
    let status = loop {
        tokio::select! {
            status = &mut ended => break status?,
            Some(signal) = signals.recv() => {
                // It may have ended just now.
                let _sent = kill_process(pid, signal);
            }
        }
    };
    let status = status.context("cannot wait for the server")?;
    let _late = tokio::time::timeout(OUTPUT_TIME_MAX, output.done()).await;
    record.end(status.success()).await;
    Ok(Exit::Of(code(status)))
}

/// The server, with its standard input and output in our hands. It does not get our key.
fn start(command: &[OsString]) -> anyhow::Result<Child> {
    let (program, arguments) = command.split_first().context("there is no command")?;
    let started = Command::new(program)
        .args(arguments)
        .env_remove(record::KEY)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    started.or_exit(Exit::Usage, format!("cannot run {}", Path::new(program).display()))
}

/// Copies both ways; the copy of what the server says.
fn copy(server: &mut Child, record: &Record) -> anyhow::Result<Copy> {
    let input = server.stdin.take().context("the server has no input")?;
    let output = server.stdout.take().context("the server has no output")?;
    // Standard input may stay open for as long as nobody writes: its thread is not waited for.
    let _unawaited = Copy::start(io::stdin(), input, record.ear(Side::Client))?;
    Copy::start(output, io::stdout(), record.ear(Side::Server))
}

/// The signals that come, from now on.
fn signals() -> anyhow::Result<mpsc::Receiver<Signal>> {
    let (into, signals) = mpsc::channel(SIGNALS_MAX);
    for passed in SIGNALS {
        let mut coming =
            signal(SignalKind::from_raw(passed.as_raw())).context("cannot listen for signals")?;
        let into = into.clone();
        tokio::spawn(async move {
            while coming.recv().await.is_some() && into.send(passed).await.is_ok() {}
        });
    }
    Ok(signals)
}

fn file_name(command: &[OsString]) -> String {
    let name = command.first().map(Path::new).and_then(Path::file_name);
    name.map_or_else(|| "server".to_owned(), |name| name.to_string_lossy().into_owned())
}

fn code(status: ExitStatus) -> u8 {
    let signal = status.signal().map(|signal| signal.saturating_add(128));
    let code = status.code().or(signal).unwrap_or(1);
    u8::try_from(code).unwrap_or(u8::MAX)
}
