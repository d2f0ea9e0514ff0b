//! `chancery verify`: everything that a store by itself can show.
#![expect(clippy::disallowed_methods, reason = "a shell: retention is judged by the clock")]

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use indicatif::{ProgressBar, ProgressStyle};
use replay::{Progress, Report, VerifyOptions};
use schemas::Seconds;

use crate::cli;
use crate::exit::Exit;
use crate::output::{notice, stdout};
use crate::read::{failure, open};

/// Partitions verified at once.
const JOBS: usize = 4;

/// Checks everything that was sealed.
pub(crate) async fn run(args: cli::Verify) -> anyhow::Result<Exit> {
    let store = open(&args.store)?;
    let bar = bar();
    let told = |read: Progress| bar.inc(read.bytes);
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let now = Some(Seconds(i64::try_from(now)?));
    let options = VerifyOptions { jobs: JOBS, now, progress: Some(&told) };
    let verified = replay::verify(&store, options).await;
    bar.finish_and_clear();
    let report = verified.map_err(failure)?;
    let exit = match (report.ok, report.partitions) {
        // Nothing was looked at, most likely because the address is another than was meant: that is not good.
        (true, 0) => Exit::Incomplete,
        (true, _) => Exit::Good,
        (false, _) => Exit::Evidence,
    };
    let written = stdout(|out| {
        if args.json.json {
            serde_json::to_writer(&mut *out, &report)?;
            writeln!(out)
        } else {
            tell(out, &report)
        }
    });
    if exit == Exit::Incomplete {
        notice("there is no chain here, and so nothing to verify; is it the right store?");
    }
    // The verdict stands, whether or not somebody reads all of it.
    match written.map_err(anyhow::Error::from) {
        Err(error) if !crate::output::is_closed(&error) => Err(error),
        _ => Ok(exit),
    }
}

fn tell(out: &mut dyn Write, report: &Report) -> std::io::Result<()> {
    let Report { segments, events, raw, sessions, expired, findings_omitted, .. } = report;
    for finding in &report.findings {
        writeln!(out, "{finding}")?;
    }
    if *findings_omitted > 0 {
        writeln!(out, "and {findings_omitted} findings more")?;
    }
    let verdict = match (report.ok, report.partitions) {
        (true, 0) => "NOTHING VERIFIED",
        (true, _) => "good",
        (false, _) => "NOT GOOD",
    };
    let count = format!("{sessions} sessions, {events} events, {raw} undecodable messages");
    writeln!(out, "{verdict}: {segments} segments with {count}")?;
    if *expired > 0 {
        writeln!(out, "gone, their retention having passed: {expired} segments")?;
    }
    report.not_checked.iter().try_for_each(|what| writeln!(out, "not checked: {what}"))
}

/// Shown on a terminal only.
fn bar() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    match ProgressStyle::with_template("{spinner} {bytes} verified, {bytes_per_sec}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
