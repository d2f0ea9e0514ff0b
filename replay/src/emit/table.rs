//! A report and a list of sessions for people, one line each.

use std::io::{Result, Write};

use super::escape::escaped;
use crate::report::Report;
use crate::sessions::SessionSummary;

/// Writes a report: every finding, the verdict and sums, history that is lost, then what the report does not show.
///
/// # Errors
/// What writing fails with.
pub fn report(report: &Report, out: &mut dyn Write) -> Result<()> {
    let Report { segments, events, raw, sessions, expired, findings_omitted, .. } = report;
    for finding in &report.findings {
        writeln!(out, "{}", escaped(&finding.to_string()))?;
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
    if let Some(log) = &report.log {
        for line in super::log::words(log) {
            writeln!(out, "{}", escaped(&line))?;
        }
    }
    for loss in &report.losses {
        writeln!(out, "LOST: {}: {}", loss.partition, escaped(&loss.words))?;
    }
    for gone in &report.abandoned {
        let version = gone.version.as_deref().unwrap_or("-");
        let what = format!("{} (version {version}, SHA-256 {})", gone.object, gone.sha256);
        writeln!(out, "abandoned, says epoch {}: {}", gone.epoch, escaped(&what))?;
    }
    if let Some(storage) = &report.storage {
        let (versions, locks) = (storage.versions, storage.locks);
        writeln!(out, "looked at: {versions} versions and delete markers, {locks} locks")?;
    }
    if let Some(signatures) = &report.signatures {
        let (right, unsigned) = (signatures.right, signatures.unsigned);
        writeln!(out, "signatures: {right} right; {unsigned} events are not signed")?;
    }
    report.not_checked.iter().try_for_each(|what| writeln!(out, "not checked: {}", escaped(what)))
}

/// Writes sessions under a line of headings.
///
/// # Errors
/// What writing fails with.
pub fn sessions(sessions: &[SessionSummary], out: &mut impl Write) -> Result<()> {
    let headings = [
        "SESSION", "TENANT", "AGENT", "LAST", "EVENTS", "CALLS", "TOOLS", "TOKENS", "STATUS",
        "HOLES",
    ];
    let mut rows = vec![headings.map(str::to_owned)];
    rows.extend(sessions.iter().map(cells));
    let mut widths = [0; 10];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    for row in rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

fn cells(session: &SessionSummary) -> [String; 10] {
    let text = |text: &str| escaped(text).into_owned();
    let last = session.last.as_deref().and_then(|last| last.get(..19)).unwrap_or("-");
    let status =
        if session.ended { session.status.clone() } else { format!("{} …", session.status) };
    [
        text(&session.session_id),
        text(&session.tenant),
        text(session.agent.as_deref().unwrap_or("-")),
        text(last),
        session.events.to_string(),
        session.model_calls.to_string(),
        session.tool_calls.to_string(),
        session.input_tokens.saturating_add(session.output_tokens).to_string(),
        text(&status),
        session.holes.to_string(),
    ]
}
