//! SHELL: what the figures were taken on.

use std::fs::File;
use std::io::Write;

use crate::clock::{Of, timed};
use crate::corpus::Corpus;
use crate::figure::{median, megabytes};
use crate::table;
use crate::traffic::SESSIONS_LIVE;

/// Small synced writes that tell what an fsync costs.
const SYNCS: usize = 200;

pub(crate) fn report(corpus: &Corpus, copies: usize, full_bytes: u64) -> anyhow::Result<()> {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = info.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':')).map_or("unknown", |(_, value)| value.trim())
    };
    let flags = field("flags");
    let has = |flag| if flags.split(' ').any(|found| found == flag) { "yes" } else { "no" };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (sessions, events) = (corpus.sessions.len(), corpus.events());
    table::head("Machine and data", &["", ""])?;
    let row = |name: &str, value: String| table::row(&[name.to_owned(), value]);
    row("processor", format!("{}, {cores} cores", field("model name")))?;
    row("SHA-NI, AVX2, AVX-512", [has("sha_ni"), has("avx2"), has("avx512f")].join(", "))?;
    row("fdatasync of 4 KB in the temporary folder", format!("{:.2} ms", sync_ms()?))?;
    row("commit", commit())?;
    row(
        "data",
        format!(
            "tau-bench airline, {sessions} recorded sessions, {events} events, {copies} copies"
        ),
    )?;
    row(
        "traffic",
        format!(
            "{} sessions, {} events, {:.0} MB with every body in full, {SESSIONS_LIVE} sessions live at a time",
            sessions * copies,
            events * copies,
            megabytes(full_bytes),
        ),
    )
}

fn sync_ms() -> anyhow::Result<f64> {
    let mut file: File = tempfile::tempfile()?;
    let mut times = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let (written, spent) =
            timed(Of::Thread, || file.write_all(&[1; 4096]).and_then(|()| file.sync_data()))?;
        written?;
        times.push(spent.wall.as_secs_f64() * 1e3);
    }
    Ok(median(times))
}

fn commit() -> String {
    let git = |args: &[&str]| {
        let output = std::process::Command::new("git").args(args).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    match git(&["status", "--porcelain", "--untracked-files=no"]) {
        Some(changes) if changes.is_empty() => commit,
        _ => format!("{commit}, with changes"),
    }
}
