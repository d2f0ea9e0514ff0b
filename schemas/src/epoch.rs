//! The first object of an epoch and the one that ends it (`docs/format.md`, sections 6.3 and 6.4).

use std::fmt;
use std::ops::Range;

use crate::digest::Digest;
use crate::id::{Epoch, Offset, Partition, Topic};
use crate::lines::{Lines, RecordError, Seconds, canonical, dash};
use crate::record::{Chain, leaf_hash};

/// Section 6.3: the first object of an epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochOpening {
    /// The chain it begins.
    pub chain: Chain,
    /// First offset.
    pub start: Offset,
    /// Rows of the partition in all earlier epochs.
    pub total: u64,
    /// Why it was opened.
    pub reason: String,
    /// When, by the sealer's clock.
    pub opened_at: Seconds,
    /// Leaf hash of the last record of the epoch before.
    pub prev: Option<Digest>,
    /// Offsets that were lost before they could be sealed.
    pub missing: Vec<Range<u64>>,
    /// Objects of the epoch before that are not part of the chain: key, version, SHA-256.
    pub abandoned: Vec<(String, Option<String>, Digest)>,
}

impl EpochOpening {
    const KIND: &'static str = "chancery/epoch@v1";

    /// Parses the text of an opening.
    ///
    /// # Errors
    /// Anything that is not exactly such a text.
    pub fn parse(text: &str) -> Result<Self, RecordError> {
        let mut lines = Lines::new(Self::KIND, text)?;
        let mut opening = Self {
            chain: Chain::parse(&mut lines)?,
            start: Offset(lines.value("start")?),
            total: lines.value("total")?,
            reason: lines.value("reason")?,
            opened_at: lines.value("opened_at")?,
            prev: lines.optional("prev")?,
            missing: Vec::new(),
            abandoned: Vec::new(),
        };
        for line in lines.lines.by_ref() {
            let parsed = opening.read_line(line);
            parsed.ok_or_else(|| RecordError {
                kind: Self::KIND,
                why: "an unknown line".to_owned(),
            })?;
        }
        canonical(Self::KIND, opening, text)
    }

    fn read_line(&mut self, line: &str) -> Option<()> {
        let mut words = line.split(' ');
        match (words.next()?, words.next()?, words.next()?, words.next()) {
            ("missing", first, next, None) => {
                self.missing.push(first.parse().ok()?..next.parse().ok()?);
            }
            ("abandoned", key, version, Some(digest)) => {
                let version = (version != "-").then(|| version.to_owned());
                self.abandoned.push((key.to_owned(), version, digest.parse().ok()?));
            }
            _ => return None,
        }
        Some(())
    }

    /// Leaf hash of its text: `prev` of the epoch's first segment.
    #[must_use]
    pub fn leaf_hash(&self) -> Digest {
        leaf_hash(&self.to_string())
    }
}

impl fmt::Display for EpochOpening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", Self::KIND)?;
        write!(f, "{}", self.chain)?;
        writeln!(f, "start {}\ntotal {}", self.start, self.total)?;
        writeln!(f, "reason {}\nopened_at {}", self.reason, self.opened_at)?;
        writeln!(f, "prev {}", dash(self.prev.as_ref()))?;
        for range in &self.missing {
            writeln!(f, "missing {} {}", range.start, range.end)?;
        }
        for (key, version, digest) in &self.abandoned {
            writeln!(f, "abandoned {key} {} {digest}", dash(version.as_ref()))?;
        }
        Ok(())
    }
}

/// Section 6.4: takes the key that an ended epoch's next segment would have had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TerminalObject {
    /// The topic.
    pub topic: Topic,
    /// The partition.
    pub partition: Partition,
    /// The epoch that ended.
    pub epoch: Epoch,
    /// The offset in the key.
    pub start: Offset,
    /// Leaf hash of the epoch's last record.
    pub prev: Digest,
}

impl TerminalObject {
    const KIND: &'static str = "chancery/terminal@v1";

    /// Whether an object under `segments/` is one of these and no Parquet file.
    #[must_use]
    pub fn is_at_head_of(bytes: &[u8]) -> bool {
        bytes.starts_with(Self::KIND.as_bytes())
    }

    /// Parses the text of a terminal object.
    ///
    /// # Errors
    /// Anything that is not exactly such a text.
    pub fn parse(text: &str) -> Result<Self, RecordError> {
        let mut lines = Lines::new(Self::KIND, text)?;
        let terminal = Self {
            topic: lines.value("topic")?,
            partition: Partition(lines.value("partition")?),
            epoch: Epoch(lines.value("epoch")?),
            start: Offset(lines.value("start")?),
            prev: lines.value("prev")?,
        };
        canonical(Self::KIND, terminal, text)
    }
}

impl fmt::Display for TerminalObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\ntopic {}\npartition {}", Self::KIND, self.topic, self.partition)?;
        writeln!(f, "epoch {}\nstart {}\nprev {}", self.epoch, self.start, self.prev)
    }
}
