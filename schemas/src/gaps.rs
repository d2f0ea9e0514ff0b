//! Offset ranges without a message, and the summaries of footer texts that a segment record carries.

use std::ops::Range;

use crate::digest::{Digest, Hasher};

/// A segment is cut when it has so many gap ranges.
pub const GAPS_MAX: usize = 1000;

/// Offset ranges that Kafka skipped: ascending, not touching, none empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gaps(Vec<Range<u64>>);

impl Gaps {
    /// Adds a range after all others, joining it to the last where they touch. An empty one adds nothing.
    pub fn push(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        match self.0.last_mut().filter(|last| last.end == range.start) {
            Some(last) => last.end = range.end,
            None => self.0.push(range),
        }
    }

    /// The ranges.
    #[must_use]
    pub fn ranges(&self) -> &[Range<u64>] {
        &self.0
    }

    /// Offsets in all of them.
    #[must_use]
    pub fn offsets(&self) -> u64 {
        self.0.iter().map(|range| range.end - range.start).sum()
    }

    /// The text in the footer; `None` where there are none.
    #[must_use]
    pub fn to_text(&self) -> Option<String> {
        let lines = self.0.iter().map(|range| format!("{} {}\n", range.start, range.end));
        (!self.0.is_empty()).then(|| lines.collect())
    }

    /// The inverse of [`Self::to_text`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut gaps = Self::default();
        for line in text.lines() {
            let (first, next) = line.split_once(' ')?;
            let range = first.parse().ok()?..next.parse().ok()?;
            let after = gaps.0.last().is_none_or(|last| last.end < range.start);
            if !after || range.is_empty() {
                return None;
            }
            gaps.0.push(range);
        }
        (gaps.to_text()? == text).then_some(gaps)
    }

    /// Number of ranges and digest of their text, as a segment record carries them.
    #[must_use]
    pub fn summary(&self) -> Counted {
        Counted::of("gaps", self.to_text().as_deref())
    }
}

/// Number of lines of a footer text and their digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Lines.
    pub count: u64,
    /// `H(domain, text)`, `None` without lines.
    pub digest: Option<Digest>,
}

impl Counted {
    /// Summary of a footer text; `domain` is `gaps` or `claims`.
    #[must_use]
    pub fn of(domain: &str, text: Option<&str>) -> Self {
        let Some(text) = text else { return Self::default() };
        let count = u64::try_from(text.lines().count()).unwrap_or(u64::MAX);
        Self { count, digest: Some(Hasher::new(domain).bytes(text.as_bytes()).finish()) }
    }
}
