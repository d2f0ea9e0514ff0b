//! A sparse index: where in a file some of its offsets are.
//!
//! It lives in memory only and is made again when a spool opens: one entry for about 64 KiB of
//! file.

/// At least this many bytes lie between two entries.
const STRIDE_BYTES: u64 = 64 << 10;

/// A record's offset and where its frame begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) offset: u64,
    pub(crate) position: u64,
}

/// Marks in ascending order; the first is the file's first offset.
#[derive(Debug)]
pub(crate) struct Index {
    first: Mark,
    marks: Vec<Mark>,
}

impl Index {
    pub(crate) fn new(first: Mark) -> Self {
        Self { first, marks: Vec::new() }
    }

    /// Adds a mark, unless the last one is near enough. Marks must come in ascending order.
    pub(crate) fn add(&mut self, mark: Mark) {
        let last = self.marks.last().copied().unwrap_or(self.first);
        if mark.position >= last.position + STRIDE_BYTES {
            self.marks.push(mark);
        }
    }

    /// The last mark at or before `offset`, which must not be below the file's first.
    pub(crate) fn floor(&self, offset: u64) -> Mark {
        let after = self.marks.partition_point(|mark| mark.offset <= offset);
        let found = after.checked_sub(1).and_then(|at| self.marks.get(at));
        found.copied().unwrap_or(self.first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_is_the_last_mark_not_above() {
        let mark = |offset: u64| Mark { offset, position: 24 + (offset - 5) * 40_000 };
        let mut index = Index::new(mark(5));
        (5..100).map(mark).for_each(|mark| index.add(mark));
        assert_eq!(index.floor(5), mark(5));
        assert_eq!(index.floor(6), mark(5));
        assert_eq!(index.floor(7), mark(7));
        assert_eq!(index.floor(98), mark(97));
        assert_eq!(index.floor(1000), mark(99));
    }
}
