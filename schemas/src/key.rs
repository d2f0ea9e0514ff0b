//! Object keys: built and parsed here and nowhere else.

use std::fmt;

use crate::digest::Digest;
use crate::id::{Epoch, Offset, Partition, SessionKey, Topic};

/// The key of an object that belongs to one partition's chain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKey {
    /// `epochs/<topic>/<partition>/<epoch>`
    Epoch(Topic, Partition, Epoch),
    /// `segments/<topic>/<partition>/<epoch>/<start>.parquet`
    Segment(Topic, Partition, Epoch, Offset),
    /// `records/<topic>/<partition>/<epoch>/<start>.record`
    Record(Topic, Partition, Epoch, Offset),
}

impl ObjectKey {
    /// Parses a key; `None` for anything this type would not print.
    #[must_use]
    pub fn parse(key: &str) -> Option<Self> {
        let mut parts = key.split('/');
        let (folder, topic) = (parts.next()?, Topic::new(parts.next()?).ok()?);
        let partition = Partition(parts.next()?.parse().ok()?);
        let (epoch, file) = (Epoch(parts.next()?.parse().ok()?), parts.next());
        let start = |file: &str, ending| file.strip_suffix(ending)?.parse().ok().map(Offset);
        let parsed = match (folder, file) {
            ("epochs", None) => Self::Epoch(topic, partition, epoch),
            ("segments", Some(file)) => {
                Self::Segment(topic, partition, epoch, start(file, ".parquet")?)
            }
            ("records", Some(file)) => {
                Self::Record(topic, partition, epoch, start(file, ".record")?)
            }
            _ => return None,
        };
        (parsed.to_string() == key).then_some(parsed)
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Epoch(topic, partition, epoch) => {
                write!(f, "epochs/{topic}/{:05}/{:010}", partition.0, epoch.0)
            }
            Self::Segment(topic, partition, epoch, start) => {
                write!(
                    f,
                    "segments/{topic}/{:05}/{:010}/{:020}.parquet",
                    partition.0, epoch.0, start.0
                )
            }
            Self::Record(topic, partition, epoch, start) => {
                write!(
                    f,
                    "records/{topic}/{:05}/{:010}/{:020}.record",
                    partition.0, epoch.0, start.0
                )
            }
        }
    }
}

/// The key of a claim-checked body.
#[must_use]
pub fn body_key(session: &SessionKey, digest: &Digest) -> String {
    format!("bodies/{session}/{digest}")
}
