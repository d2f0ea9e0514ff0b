//! SHELL: Markdown on standard output, progress on standard error.

use std::fmt::Display;
use std::io::{self, Write};

pub(crate) fn line(text: impl Display) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

/// A heading and the head of a table; the first column is of names, the others of figures.
pub(crate) fn head(title: &str, columns: &[&str]) -> anyhow::Result<()> {
    line(format_args!("\n### {title}\n"))?;
    row(columns)?;
    let align = columns.iter().enumerate().map(|(at, _)| if at == 0 { "---" } else { "---:" });
    row(&align.collect::<Vec<_>>())
}

pub(crate) fn row<T: AsRef<str>>(cells: &[T]) -> anyhow::Result<()> {
    let cells: Vec<&str> = cells.iter().map(AsRef::as_ref).collect();
    line(format_args!("| {} |", cells.join(" | ")))
}

/// Says what goes on. That nobody listens is no reason to stop.
pub(crate) fn progress(text: impl Display) {
    let _unheard = writeln!(io::stderr().lock(), "{text}");
}
