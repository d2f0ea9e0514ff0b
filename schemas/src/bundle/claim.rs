//! What a bundle claims (`docs/format.md`, section 10.1).

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use crate::digest::Digest;
use crate::id::{KafkaKey, Partition, Topic};
use crate::lines::{Base64, Lines, RecordError, Seconds, canonical, dash};
use crate::tlog::KeyName;

/// Longest name and version of a writer.
const WRITER_BYTES_MAX: usize = 100;

/// What is claimed, and of which session in which partition of which log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The claim itself.
    pub what: Claimed,
    /// The log.
    pub origin: KeyName,
    /// Size of the checkpoint.
    pub size: u64,
    /// The topic.
    pub topic: Topic,
    /// The partition.
    pub partition: Partition,
    /// Tenant and session.
    pub key: KafkaKey,
    /// Links that are shown.
    pub links: u64,
    /// Bodies that are disclosed.
    pub disclosed: u64,
    /// Distinct bodies that shown events name and that are not.
    pub withheld: u64,
    /// What the maker says of its own last run of `verify` over the log.
    pub monitor: Option<Monitor>,
    /// When it was made, by the maker's clock.
    pub made_at: Seconds,
    /// Name and version of what made it.
    pub writer: String,
}

/// What a bundle shows of its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// That this event was sealed.
    Event(Digest),
    /// That these are all its messages in a run of segments.
    Session,
    /// That none of its messages in a run of segments has a time in this range, in milliseconds; it is not empty.
    Absent(Range<i64>),
}

impl Claimed {
    /// Its word.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Event(_) => "event",
            Self::Session => "session",
            Self::Absent(_) => "absent",
        }
    }
}

/// A run of `verify`: over how many entries, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Monitor {
    /// Size of the log then.
    pub size: u64,
    /// When, by the maker's clock.
    pub at: Seconds,
}

impl fmt::Display for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.size, self.at)
    }
}

impl FromStr for Monitor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (size, at) = text.split_once(' ').ok_or(())?;
        Ok(Self { size: size.parse().map_err(drop)?, at: at.parse()? })
    }
}

impl Claim {
    const KIND: &'static str = "chancery/bundle@v1";

    /// Parses the text of a claim.
    ///
    /// # Errors
    /// Anything that is not exactly such a text.
    pub fn parse(text: &str) -> Result<Self, RecordError> {
        let wrong = |why: &str| RecordError { kind: Self::KIND, why: why.to_owned() };
        let mut lines = Lines::new(Self::KIND, text)?;
        let kind: String = lines.value("claim")?;
        let (origin, size) = (lines.value("origin")?, lines.value("size")?);
        let (topic, partition) = (lines.value("topic")?, Partition(lines.value("partition")?));
        let Base64(key) = lines.value("key")?;
        let key = KafkaKey::parse(&key).map_err(|error| wrong(error.why))?;
        let event = lines.optional("event")?;
        let (from, to) = (lines.optional("from")?, lines.optional("to")?);
        let what = match (kind.as_str(), event, from, to) {
            ("event", Some(event), None, None) => Claimed::Event(event),
            ("session", None, None, None) => Claimed::Session,
            ("absent", None, Some(from), Some(to)) if from < to => Claimed::Absent(from..to),
            _ => return Err(wrong("its claim is none, or lacks what it is about")),
        };
        let claim = Self {
            what,
            origin,
            size,
            topic,
            partition,
            key,
            links: lines.value("links")?,
            disclosed: lines.value("disclosed")?,
            withheld: lines.value("withheld")?,
            monitor: lines.optional("monitor")?,
            made_at: lines.value("made_at")?,
            writer: lines.value("writer")?,
        };
        let printable = claim.writer.bytes().all(|byte| byte.is_ascii_graphic());
        if !printable || !(1..=WRITER_BYTES_MAX).contains(&claim.writer.len()) {
            return Err(wrong("its writer is not a name and version"));
        }
        canonical(Self::KIND, claim, text)
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (event, from, to) = match &self.what {
            Claimed::Event(event) => (Some(event), None, None),
            Claimed::Session => (None, None, None),
            Claimed::Absent(range) => (None, Some(&range.start), Some(&range.end)),
        };
        writeln!(f, "{}\nclaim {}", Self::KIND, self.what.as_str())?;
        writeln!(f, "origin {}\nsize {}", self.origin, self.size)?;
        writeln!(f, "topic {}\npartition {}", self.topic, self.partition)?;
        writeln!(f, "key {}\nevent {}", Base64(self.key.to_bytes()), dash(event))?;
        writeln!(f, "from {}\nto {}\nlinks {}", dash(from), dash(to), self.links)?;
        writeln!(f, "disclosed {}\nwithheld {}", self.disclosed, self.withheld)?;
        writeln!(f, "monitor {}\nmade_at {}", dash(self.monitor.as_ref()), self.made_at)?;
        writeln!(f, "writer {}", self.writer)
    }
}
