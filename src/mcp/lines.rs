//! A stream of bytes as lines, each within a bound. Core.

use bytes::Bytes;

/// Bytes of a line that are kept for the record: half of the largest event. What is beyond is counted.
pub(super) const LINE_BYTES_MAX: usize = 8 << 20;

/// The line that has not ended yet.
#[derive(Debug, Default)]
pub(super) struct Lines {
    line: Vec<u8>,
    dropped: u64,
}

/// A line without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) text: Bytes,
    /// Bytes that came after `text`.
    pub(super) dropped: u64,
}

impl Lines {
    /// Takes bytes as they come; the lines that end in them go `to`.
    pub(super) fn push(&mut self, mut bytes: &[u8], mut to: impl FnMut(Line)) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = bytes.split_at(end);
            self.extend(line);
            to(self.take());
            bytes = rest.get(1..).unwrap_or_default();
        }
        self.extend(bytes);
    }

    /// What came after the last line's end, if anything did.
    pub(super) fn end(mut self) -> Option<Line> {
        (!self.line.is_empty()).then(|| self.take())
    }

    fn extend(&mut self, bytes: &[u8]) {
        let room = LINE_BYTES_MAX.saturating_sub(self.line.len());
        let (kept, dropped) = bytes.split_at(room.min(bytes.len()));
        self.line.extend_from_slice(kept);
        let dropped = u64::try_from(dropped.len()).unwrap_or(u64::MAX);
        self.dropped = self.dropped.saturating_add(dropped);
    }

    fn take(&mut self) -> Line {
        let (text, dropped) = (std::mem::take(&mut self.line), std::mem::take(&mut self.dropped));
        Line { text: text.into(), dropped }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<Line> {
        let (mut lines, mut all) = (Lines::default(), Vec::new());
        chunks.iter().for_each(|chunk| lines.push(chunk, |line| all.push(line)));
        all.extend(lines.end());
        all
    }

    #[test]
    fn a_line_is_whole_however_it_comes() {
        let line = |text: &'static str| Line { text: text.into(), dropped: 0 };
        let expected = [line("a"), line(""), line("bcd\r"), line("e")];
        assert_eq!(lines(&[b"a\n\nb", b"c", b"d\r\n", b"e"]), expected);
        assert_eq!(lines(&[b"a\n\nbcd\r\ne"]), expected);
        assert_eq!(lines(&[b"", b""]), []);
    }

    #[test]
    fn of_a_line_that_is_too_long_the_rest_is_counted() {
        let chunk = vec![b'x'; 1 << 20];
        let chunks = [vec![&chunk[..]; 100], vec![b"\n{}\n"]].concat();
        let all = lines(&chunks);
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].text.len(), all[0].dropped), (LINE_BYTES_MAX, 92 << 20));
        assert_eq!(all[1], Line { text: "{}".into(), dropped: 0 });
    }
}
