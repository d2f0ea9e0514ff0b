//! What a bundle proves, for people.

use std::io::{self, Write};

use crate::bundle::{Fault, Statement};
use crate::emit::escape::wrapped;

const WIDTH: usize = 100;

/// Writes all of it: the verdict, what is proven, by whom, and what is not.
///
/// # Errors
/// What writing fails with.
pub fn statement(statement: &Statement, out: &mut dyn Write) -> io::Result<()> {
    let verdict = if statement.vouched {
        "GOOD: the bundle proves what it claims."
    } else {
        "IT HOLDS TOGETHER, AND NOBODY VOUCHES FOR IT."
    };
    writeln!(out, "{verdict}")?;
    section("proven", &statement.proven, out)?;
    section("by", &statement.by, out)?;
    section("not proven", &statement.not_proven, out)?;
    let Statement { disclosed, withheld, made_at, writer, .. } = statement;
    let made = format!("{disclosed} disclosed, {withheld} withheld; made at {made_at} by {writer}");
    section("bodies", &[made], out)
}

/// Writes what is claimed, and what is not.
///
/// # Errors
/// What writing fails with.
pub fn claim(statement: &Statement, out: &mut dyn Write) -> io::Result<()> {
    section("claimed", &statement.proven, out)?;
    section("not claimed", &statement.not_proven, out)
}

/// Writes why a bundle is not to be believed.
///
/// # Errors
/// What writing fails with.
pub fn faults(faults: &[Fault], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "NOT GOOD: this bundle proves nothing.")?;
    let faults: Vec<String> = faults.iter().map(Fault::to_string).collect();
    section("faults", &faults, out)
}

fn section(name: &str, lines: &[String], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{name}")?;
    lines
        .iter()
        .flat_map(|line| wrapped(line, WIDTH))
        .try_for_each(|line| writeln!(out, "  {line}"))
}
