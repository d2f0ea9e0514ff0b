//! A report and a list of sessions for people, one line each.

use std::io::{Result, Write};

use super::escape::escaped;
use crate::finding::Report;
use crate::sessions::SessionSummary;

/// Writes a report: every finding, then sums, then what the report does not show.
///
/// # Errors
/// What writing fails with.
pub fn report(report: &Report, out: &mut impl Write) -> Result<()> {
    for finding in &report.findings {
        writeln!(out, "{}", escaped(&finding.to_string()))?;
    }
    if report.findings_omitted > 0 {
        writeln!(out, "and {} more findings", report.findings_omitted)?;
    }
    let expired = match report.expired {
        0 => String::new(),
        count => format!(", {count} expired"),
    };
    writeln!(
        out,
        "{}: {} segments{expired}, {} events, {} raw, {} sessions, {} bytes, {} findings",
        if report.ok { "ok" } else { "NOT OK" },
        report.segments,
        report.events,
        report.raw,
        report.sessions,
        report.bytes,
        u64::try_from(report.findings.len()).unwrap_or(u64::MAX) + report.findings_omitted,
    )?;
    for what in &report.not_checked {
        writeln!(out, "not checked: {what}")?;
    }
    Ok(())
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
