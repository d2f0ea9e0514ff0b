//! Lines of a JSONL input, one at a time and never longer than the limit.

use std::io::{BufRead, Read};

use anyhow::Context;

use crate::exit::Exit;

/// Longest line, in bytes: memory for one session.
pub(crate) const LINE_BYTES_MAX: usize = 64 << 20;

/// A line that is not blank.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// From 1.
    pub(crate) number: usize,
    pub(crate) text: String,
    /// Bytes of the input up to and with this line.
    pub(crate) end: u64,
}

/// Reads lines; an iterator.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    from: R,
    number: usize,
    end: u64,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(from: R) -> Self {
        Self { from, number: 0, end: 0 }
    }

    fn read(&mut self) -> anyhow::Result<Option<Line>> {
        let number = self.number + 1;
        let max = u64::try_from(LINE_BYTES_MAX)?;
        let mut bytes = Vec::new();
        let read = self.from.by_ref().take(max + 1).read_until(b'\n', &mut bytes);
        let read = read.with_context(|| format!("cannot read line {number}"))?;
        if read == 0 {
            return Ok(None);
        }
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
        }
        if bytes.len() > LINE_BYTES_MAX {
            let why = format!("line {number} is longer than {} MiB", LINE_BYTES_MAX >> 20);
            return Err(Exit::Usage.error(why));
        }
        self.number = number;
        self.end += u64::try_from(read)?;
        let text = String::from_utf8(bytes)
            .map_err(|error| Exit::Usage.error(format!("line {number} is not UTF-8: {error}")))?;
        Ok(Some(Line { number, text, end: self.end }))
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = anyhow::Result<Line>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.read().transpose()? {
                Ok(line) if line.text.trim().is_empty() => {}
                other => return Some(other),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_lines_are_counted_and_passed_over() {
        let lines: Vec<_> = Lines::new(&b"a\n\n \r\nb"[..]).map(Result::unwrap).collect();
        let line = |number, text: &str, end| Line { number, text: text.to_owned(), end };
        assert_eq!(lines, [line(1, "a", 2), line(4, "b", 7)]);
    }

    #[test]
    fn a_line_over_the_limit_is_refused_and_no_more_of_it_is_held() {
        let endless = std::io::BufReader::new(std::io::repeat(b'x'));
        let error = Lines::new(endless).next().unwrap().unwrap_err();
        assert!(error.to_string().contains("longer than 64 MiB"), "{error}");
    }

    #[test]
    fn a_line_that_is_not_utf8_is_refused() {
        let error = Lines::new(&b"ok\n\xff\n"[..]).nth(1).unwrap().unwrap_err();
        assert!(error.to_string().starts_with("line 2 is not UTF-8"), "{error}");
    }
}
