//! What the log's entries are, and the keys of its objects (`docs/format.md`, section 10).

use std::fmt;

use crate::epoch::EpochOpening;
use crate::id::{Partition, Topic};
use crate::lines::RecordError;
use crate::record::{EnrolledRecord, leaf_hash};
use crate::tlog::heartbeat::Heartbeat;
use crate::tlog::key_change::KeyChange;
use crate::tlog::tile::{Tile, bundle_key};
use crate::{Digest, Offset};

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A segment's record.
    Record(Box<EnrolledRecord>),
    /// An epoch's opening.
    Opening(Box<EpochOpening>),
    /// How far each partition was.
    Heartbeat(Heartbeat),
    /// The log's next key.
    KeyChange(Box<KeyChange>),
}

impl Entry {
    /// Reads an entry; its first line tells which it is.
    ///
    /// # Errors
    /// It is none of them, or not exactly as it would be printed.
    pub fn parse(text: &str) -> Result<Self, RecordError> {
        match text.lines().next() {
            Some("chancery/segment@v1") => {
                EnrolledRecord::parse(text).map(|record| Self::Record(Box::new(record)))
            }
            Some("chancery/epoch@v1") => {
                EpochOpening::parse(text).map(|opening| Self::Opening(Box::new(opening)))
            }
            Some(Heartbeat::KIND) => Heartbeat::parse(text).map(Self::Heartbeat),
            Some(KeyChange::KIND) => {
                KeyChange::parse(text).map(|change| Self::KeyChange(Box::new(change)))
            }
            _ => Err(RecordError {
                kind: "log entry",
                why: "its first line is none of the known ones".to_owned(),
            }),
        }
    }

    /// The chain that the entry is a link of.
    #[must_use]
    pub fn partition(&self) -> Option<(&Topic, Partition)> {
        let chain = match self {
            Self::Record(record) => &record.segment.chain,
            Self::Opening(opening) => &opening.chain,
            Self::Heartbeat(_) | Self::KeyChange(_) => return None,
        };
        Some((&chain.topic, chain.partition))
    }

    /// The leaf hash of the link before it in its chain, where it is one.
    #[must_use]
    pub fn prev(&self) -> Option<Digest> {
        match self {
            Self::Record(record) => Some(record.segment.prev),
            Self::Opening(opening) => opening.prev,
            Self::Heartbeat(_) | Self::KeyChange(_) => None,
        }
    }

    /// Where its chain goes on after it.
    #[must_use]
    pub fn next(&self) -> Option<Offset> {
        match self {
            Self::Record(record) => Some(record.segment.next),
            Self::Opening(opening) => Some(opening.start),
            Self::Heartbeat(_) | Self::KeyChange(_) => None,
        }
    }

    /// Its leaf hash in the log.
    #[must_use]
    pub fn leaf_hash(&self) -> Digest {
        leaf_hash(&self.to_string())
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record(record) => record.fmt(f),
            Self::Opening(opening) => opening.fmt(f),
            Self::Heartbeat(heartbeat) => heartbeat.fmt(f),
            Self::KeyChange(change) => change.fmt(f),
        }
    }
}

/// The key of an object of the log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogKey {
    /// `log/checkpoint`: the newest. It alone is ever overwritten.
    Checkpoint,
    /// `log/checkpoints/<size>`
    CheckpointAt(u64),
    /// `log/commits/<size before>`
    Commit(u64),
    /// `log/cosignatures/<size>/<hex id of the witness's key>`
    Cosignature(u64, [u8; 4]),
    /// `log/timestamps/<size>/<name of the authority>.tsr`
    Timestamp(u64, String),
    /// `log/tile/<level>/…`
    Tile(Tile),
    /// `log/tile/entries/…`: index and width.
    Bundle(u64, u64),
}

impl fmt::Display for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checkpoint => write!(f, "log/checkpoint"),
            Self::CheckpointAt(size) => write!(f, "log/checkpoints/{size:020}"),
            Self::Commit(size) => write!(f, "log/commits/{size:020}"),
            Self::Cosignature(size, id) => {
                write!(f, "log/cosignatures/{size:020}/{}", crate::text::hex(id))
            }
            Self::Timestamp(size, name) => write!(f, "log/timestamps/{size:020}/{name}.tsr"),
            Self::Tile(tile) => write!(f, "log/{tile}"),
            Self::Bundle(index, width) => write!(f, "log/{}", bundle_key(*index, *width)),
        }
    }
}
