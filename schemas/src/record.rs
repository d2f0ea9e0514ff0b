//! The texts that chain segments: segment and enrolled records (`docs/format.md`, sections 6.1 and 6.2).

use std::fmt;

use crate::digest::{Digest, Hasher};
use crate::gaps::Counted;
use crate::id::{Epoch, Offset, Partition, Topic};
use crate::lines::{Framing, Lines, LockMode, RecordError, Seconds, canonical, dash};

/// Leaf hash of a record or opening in the log: `SHA-256(00 ‖ text)`.
#[must_use]
pub fn leaf_hash(text: &str) -> Digest {
    Hasher::plain().u8(0).bytes(text.as_bytes()).finish()
}

/// Section 6.1: what a segment says of itself, in its footer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentRecord {
    /// The chain it belongs to.
    pub chain: Chain,
    /// First offset it covers.
    pub start: Offset,
    /// First offset after it.
    pub next: Offset,
    /// Rows.
    pub rows: u64,
    /// Gap ranges.
    pub gaps: Counted,
    /// Claim-checked bodies.
    pub claims: Counted,
    /// `offset:epoch`, joined by commas.
    pub leader_epochs: Option<String>,
    /// Least timestamp of a row, in milliseconds.
    pub time_min: Option<i64>,
    /// Greatest.
    pub time_max: Option<i64>,
    /// The topic's retention class.
    pub retention_class: String,
    /// Lock mode.
    pub lock: Option<LockMode>,
    /// Until when it is locked.
    pub retain_until: Option<Seconds>,
    /// Root of its tree.
    pub root: Digest,
    /// Rows of the partition up to and including this segment.
    pub total: u64,
    /// Name and version of the writer.
    pub writer: String,
    /// Leaf hash of the record before.
    pub prev: Digest,
}

/// What every object of one chain has in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Kafka's cluster id.
    pub cluster: Option<String>,
    /// Kafka's topic id.
    pub topic_id: Option<String>,
    /// The topic.
    pub topic: Topic,
    /// The partition.
    pub partition: Partition,
    /// Partitions of the topic.
    pub partitions: u32,
    /// How the topic's values are framed.
    pub framing: Framing,
    /// The epoch.
    pub epoch: Epoch,
}

impl Chain {
    pub(crate) fn parse(lines: &mut Lines<'_>) -> Result<Self, RecordError> {
        Ok(Self {
            cluster: lines.optional("cluster")?,
            topic_id: lines.optional("topic_id")?,
            topic: lines.value("topic")?,
            partition: Partition(lines.value("partition")?),
            partitions: lines.value("partitions")?,
            framing: lines.value("framing")?,
            epoch: Epoch(lines.value("epoch")?),
        })
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "cluster {}", dash(self.cluster.as_ref()))?;
        writeln!(f, "topic_id {}", dash(self.topic_id.as_ref()))?;
        writeln!(f, "topic {}\npartition {}", self.topic, self.partition)?;
        writeln!(f, "partitions {}\nframing {}", self.partitions, self.framing)?;
        writeln!(f, "epoch {}", self.epoch)
    }
}

impl SegmentRecord {
    const KIND: &'static str = "chancery/segment@v1";

    /// Parses the text of a segment record.
    ///
    /// # Errors
    /// Anything that is not exactly such a text.
    pub fn parse(text: &str) -> Result<Self, RecordError> {
        let record = Self::read(&mut Lines::new(Self::KIND, text)?)?;
        canonical(Self::KIND, record, text)
    }

    fn read(lines: &mut Lines<'_>) -> Result<Self, RecordError> {
        Ok(Self {
            chain: Chain::parse(lines)?,
            start: Offset(lines.value("start")?),
            next: Offset(lines.value("next")?),
            rows: lines.value("rows")?,
            gaps: lines.counted("gaps")?,
            claims: lines.counted("claims")?,
            leader_epochs: lines.optional("leader_epochs")?,
            time_min: lines.optional("time_min")?,
            time_max: lines.optional("time_max")?,
            retention_class: lines.value("retention_class")?,
            lock: lines.optional("lock")?,
            retain_until: lines.optional("retain_until")?,
            root: lines.value("root")?,
            total: lines.value("total")?,
            writer: lines.value("writer")?,
            prev: lines.value("prev")?,
        })
    }
}

impl fmt::Display for SegmentRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", Self::KIND)?;
        write!(f, "{}", self.chain)?;
        writeln!(f, "start {}\nnext {}\nrows {}", self.start, self.next, self.rows)?;
        writeln!(f, "gaps {} {}", self.gaps.count, dash(self.gaps.digest.as_ref()))?;
        writeln!(f, "claims {} {}", self.claims.count, dash(self.claims.digest.as_ref()))?;
        writeln!(f, "leader_epochs {}", dash(self.leader_epochs.as_ref()))?;
        writeln!(f, "time_min {}", dash(self.time_min.as_ref()))?;
        writeln!(f, "time_max {}", dash(self.time_max.as_ref()))?;
        writeln!(f, "retention_class {}", self.retention_class)?;
        writeln!(f, "lock {}", dash(self.lock.as_ref()))?;
        writeln!(f, "retain_until {}", dash(self.retain_until.as_ref()))?;
        writeln!(f, "root {}\ntotal {}", self.root, self.total)?;
        writeln!(f, "writer {}\nprev {}", self.writer, self.prev)
    }
}

/// Section 6.2: a segment record and the object it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrolledRecord {
    /// What the segment says.
    pub segment: SegmentRecord,
    /// The object's key.
    pub key: String,
    /// The object's size in bytes.
    pub size: u64,
    /// SHA-256 of the object.
    pub sha256: Digest,
}

impl EnrolledRecord {
    /// Parses the text of an enrolled record.
    ///
    /// # Errors
    /// Anything that is not exactly such a text.
    pub fn parse(text: &str) -> Result<Self, RecordError> {
        let mut lines = Lines::new(SegmentRecord::KIND, text)?;
        let record = Self {
            segment: SegmentRecord::read(&mut lines)?,
            key: lines.value("key")?,
            size: lines.value("size")?,
            sha256: lines.value("sha256")?,
        };
        canonical(SegmentRecord::KIND, record, text)
    }

    /// Leaf hash of its text: the next record's `prev`.
    #[must_use]
    pub fn leaf_hash(&self) -> Digest {
        leaf_hash(&self.to_string())
    }
}

impl fmt::Display for EnrolledRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.segment)?;
        writeln!(f, "key {}\nsize {}\nsha256 {}", self.key, self.size, self.sha256)
    }
}
