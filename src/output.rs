//! Standard output, which is data, and the reader that may stop reading it; standard error, for all else.

use std::fmt;
use std::io::{self, BufWriter, ErrorKind, Write};

/// Whoever read standard output stopped; not a failure.
#[derive(Debug, thiserror::Error)]
#[error("standard output was closed")]
struct Closed;

/// Standard output whose closing can be told from any other broken pipe.
#[derive(Debug)]
pub(crate) struct Stdout(io::Stdout);

impl Stdout {
    /// The process's own.
    pub(crate) fn new() -> Self {
        Self(io::stdout())
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(mark)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(mark)
    }
}

/// Writes data through `write` to standard output, buffered.
pub(crate) fn stdout<E: From<io::Error>>(
    write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<(), E> {
    let mut out = BufWriter::new(Stdout::new());
    write(&mut out)?;
    Ok(out.flush()?)
}

/// Tells the user something, a line or more, on standard error.
pub(crate) fn notice(text: impl fmt::Display) {
    // Nobody is left to be told that standard error cannot be written.
    let _told = writeln!(io::stderr(), "{text}");
}

/// The text without what could deceive at a terminal: control characters, changes of direction.
pub(crate) fn printable(text: &str) -> String {
    let escaped = |c: char| match c {
        '"' | '\'' | '\\' => c.to_string(),
        c => c.escape_debug().to_string(),
    };
    text.chars().map(escaped).collect()
}

/// Whether the error is only that nobody reads standard output any more.
pub(crate) fn is_closed(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let inner = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        inner.is_some_and(|inner| inner.is::<Closed>())
    })
}

fn mark(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::BrokenPipe => io::Error::new(ErrorKind::BrokenPipe, Closed),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_deceive_at_a_terminal_is_escaped() {
        assert_eq!(printable("plain \"é\" 日本 שלום 😀"), "plain \"é\" 日本 שלום 😀");
        assert_eq!(printable("a\x1b[2Jb\n\u{202e}c"), "a\\u{1b}[2Jb\\n\\u{202e}c");
    }

    #[test]
    fn only_standard_output_can_be_closed_quietly() {
        let broken = || io::Error::from(ErrorKind::BrokenPipe);
        assert!(!is_closed(&broken().into()));
        assert!(is_closed(&anyhow::Error::from(mark(broken())).context("writing")));
    }
}
