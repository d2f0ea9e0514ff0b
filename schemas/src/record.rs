//! The texts that chain segments: segment and enrolled records, epoch openings, terminal objects (`docs/format.md`, section 6).
//!
//! Parsing is strict: a text that printing would not give back byte for byte is refused.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use crate::digest::{Digest, Hasher};
use crate::id::{Epoch, Offset, Partition, Topic};
use crate::text;

/// A segment is cut when it has so many gap ranges.
pub const GAPS_MAX: usize = 1000;

/// A text that is not the record it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a {kind}: {why}")]
pub struct RecordError {
    /// First line of the record that was expected.
    pub kind: &'static str,
    /// What is wrong.
    pub why: String,
}

/// Leaf hash of a record or opening in the log: `SHA-256(00 ‖ text)`.
#[must_use]
pub fn leaf_hash(text: &str) -> Digest {
    Hasher::plain().u8(0).bytes(text.as_bytes()).finish()
}

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

/// The lines of a text, taken in order.
struct Lines<'a> {
    kind: &'static str,
    lines: std::str::Lines<'a>,
}

impl<'a> Lines<'a> {
    fn new(kind: &'static str, text: &'a str) -> Result<Self, RecordError> {
        let mut lines = text.lines();
        if lines.next() != Some(kind) {
            return Err(RecordError { kind, why: "the first line is another".to_owned() });
        }
        Ok(Self { kind, lines })
    }

    fn text(&mut self, name: &str) -> Result<&'a str, RecordError> {
        let line = self.lines.next().and_then(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.ok_or_else(|| self.wrong(name))
    }

    fn value<T: FromStr>(&mut self, name: &str) -> Result<T, RecordError> {
        self.text(name)?.parse().map_err(|_| self.wrong(name))
    }

    /// A value that `-` stands for where there is none.
    fn optional<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, RecordError> {
        let text = self.text(name)?;
        if text == "-" {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| self.wrong(name))
    }

    fn counted(&mut self, name: &str) -> Result<Counted, RecordError> {
        let parsed = self.text(name)?.split_once(' ').and_then(|(count, digest)| {
            let digest = if digest == "-" { None } else { Some(digest.parse().ok()?) };
            Some(Counted { count: count.parse().ok()?, digest })
        });
        parsed.ok_or_else(|| self.wrong(name))
    }

    fn wrong(&self, name: &str) -> RecordError {
        RecordError { kind: self.kind, why: format!("line `{name}` is missing or wrong") }
    }
}

/// Refuses a text that printing would not give back.
fn canonical<T: fmt::Display>(kind: &'static str, record: T, text: &str) -> Result<T, RecordError> {
    if record.to_string() == text {
        return Ok(record);
    }
    Err(RecordError { kind, why: "it is not spelled as it must be".to_owned() })
}

fn dash<T: fmt::Display>(value: Option<&T>) -> String {
    value.map_or_else(|| "-".to_owned(), T::to_string)
}

/// A UTC time of whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds(pub i64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::rfc3339_seconds(self.0).unwrap_or_else(|| "-".to_owned()))
    }
}

impl FromStr for Seconds {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        text::seconds_of_rfc3339(text).map(Self).ok_or(())
    }
}

/// How a topic's values are framed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// Avro single-object encoding.
    #[default]
    SingleObject,
    /// Confluent's, its ids resolved by a registry.
    Confluent,
}

impl fmt::Display for Framing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SingleObject => "single_object",
            Self::Confluent => "confluent",
        })
    }
}

impl FromStr for Framing {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::SingleObject, Self::Confluent]
            .into_iter()
            .find(|one| one.to_string() == text)
            .ok_or(())
    }
}

impl FromStr for Topic {
    type Err = crate::id::Invalid;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
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
    pub lock: Option<String>,
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
    fn parse(lines: &mut Lines<'_>) -> Result<Self, RecordError> {
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
