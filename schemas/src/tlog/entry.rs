//! What the log's entries are, and the keys of its objects (`docs/format.md`, section 10).

use std::fmt;

use crate::epoch::EpochOpening;
use crate::id::{Partition, Topic};
use crate::lines::RecordError;
use crate::record::{EnrolledRecord, leaf_hash};
use crate::tlog::heartbeat::Heartbeat;
use crate::tlog::key_change::KeyChange;
use crate::tlog::tile::{TILE_WIDTH, Tile, bundle_key};
use crate::{Digest, Offset, text};

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

impl LogKey {
    /// Parses a key; `None` for anything this type would not print.
    #[must_use]
    pub fn parse(key: &str) -> Option<Self> {
        let rest = key.strip_prefix("log/")?;
        let (folder, name) = rest.split_once('/').unwrap_or((rest, ""));
        let of_size = || name.split_once('/').and_then(|(n, file)| Some((n.parse().ok()?, file)));
        let parsed = match folder {
            "checkpoint" => Self::Checkpoint,
            "checkpoints" => Self::CheckpointAt(name.parse().ok()?),
            "commits" => Self::Commit(name.parse().ok()?),
            "cosignatures" => {
                let (size, id) = of_size()?;
                Self::Cosignature(size, text::unhex(id)?)
            }
            "timestamps" => {
                let (size, file) = of_size()?;
                Self::Timestamp(size, authority(file.strip_suffix(".tsr")?)?.to_owned())
            }
            "tile" => match name.split_once('/')? {
                ("entries", path) => {
                    let (index, width) = index_and_width(path)?;
                    Self::Bundle(index, width)
                }
                (level, path) => {
                    let level = level.parse().ok().filter(|level| *level < 64)?;
                    let (index, width) = index_and_width(path)?;
                    Self::Tile(Tile { level, index, width })
                }
            },
            _ => return None,
        };
        (parsed.to_string() == key).then_some(parsed)
    }
}

fn authority(name: &str) -> Option<&str> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    ((1..=64).contains(&name.len()) && name.chars().all(fits)).then_some(name)
}

/// Of `x001/x234/067` or `067.p/8`; whether it is spelled so is told by printing it.
fn index_and_width(path: &str) -> Option<(u64, u64)> {
    let (path, width) = match path.split_once(".p/") {
        Some((path, width)) => (path, width.parse().ok().filter(|width| *width > 0)?),
        None => (path, TILE_WIDTH),
    };
    let digits = |part: &str| part.trim_start_matches('x').parse::<u16>().ok();
    let index = path.split('/').try_fold(0_u64, |index, part| {
        index.checked_mul(1000)?.checked_add(u64::from(digits(part)?))
    })?;
    Some((index, width))
}

impl fmt::Display for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checkpoint => write!(f, "log/checkpoint"),
            Self::CheckpointAt(size) => write!(f, "log/checkpoints/{size:020}"),
            Self::Commit(size) => write!(f, "log/commits/{size:020}"),
            Self::Cosignature(size, id) => {
                write!(f, "log/cosignatures/{size:020}/{}", text::hex(id))
            }
            Self::Timestamp(size, name) => write!(f, "log/timestamps/{size:020}/{name}.tsr"),
            Self::Tile(tile) => write!(f, "log/{tile}"),
            Self::Bundle(index, width) => write!(f, "log/{}", bundle_key(*index, *width)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_only_as_it_is_printed() {
        let tile = |level, index, width| LogKey::Tile(Tile { level, index, width });
        for key in [
            LogKey::Checkpoint,
            LogKey::CheckpointAt(7),
            LogKey::Commit(u64::MAX),
            LogKey::Cosignature(9, [0xab, 0, 1, 2]),
            LogKey::Timestamp(9, "tsa-1".to_owned()),
            LogKey::Bundle(1_234_067, 256),
            LogKey::Bundle(3, 255),
            tile(0, 1_000_000, 256),
            tile(1, 0, 1),
        ] {
            assert_eq!(LogKey::parse(&key.to_string()), Some(key));
        }
        for wrong in [
            "log/checkpoint/",
            "log/checkpoints/7",
            "log/cosignatures/00000000000000000009/AB000102",
            "log/timestamps/00000000000000000009/A.tsr",
            "log/tile/0/067.p/0",
            "log/tile/0/067.p/256",
            "log/tile/0/67",
            "log/tile/0/x000/067",
            "log/tile/0/xx01/067",
            "log/tile/64/000",
            "log/tile/0/x999/x999/x999/x999/x999/x999/x999/x999/999",
            "log/other",
            "checkpoint",
        ] {
            assert_eq!(LogKey::parse(wrong), None, "{wrong}");
        }
    }
}
