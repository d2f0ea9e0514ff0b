//! CORE. What [`crate::verify`] tells of the log of segments.

use schemas::Seconds;
use serde::Serialize;

/// What was found of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LogReport {
    /// Whether nothing is wrong with the log itself. What it says of segments is compared with them apart from that.
    pub ok: bool,
    /// The log's name.
    pub origin: String,
    /// Entries of its newest checkpoint.
    pub size: u64,
    /// The root of the tree of these.
    pub root: String,
    /// The newest checkpoint, as it is signed; empty where there is none that is right.
    pub checkpoint: String,
    /// Entries that are committed, those that no checkpoint has yet included.
    pub committed: u64,
    /// Commits read.
    pub commits: u64,
    /// Tiles and entry bundles read.
    pub tiles: u64,
    /// Checkpoints read.
    pub checkpoints: u64,
    /// Entries that are records of segments.
    pub records: u64,
    /// Entries that are openings of epochs.
    pub openings: u64,
    /// Entries that are heartbeats.
    pub heartbeats: u64,
    /// Entries that change the log's key.
    pub key_changes: u64,
    /// Segments and openings in the store that come after the last one enrolled of their chain: they wait for that.
    pub pending: u64,
    /// Enrolled links that a later epoch set aside, by their place in the log.
    pub abandoned: Vec<u64>,
    /// Who vouches for it.
    pub trust: LogTrust,
    /// When the newest of each kind of sign of life was, and how old it is.
    pub newest: Newest,
    /// The size that an earlier run remembered, of which this log is a continuation.
    pub remembered: Option<u64>,
    /// What is no breach, and somebody should know.
    pub warnings: Vec<String>,
}

/// Who vouches for a log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LogTrust {
    /// Whether the user said whom to trust.
    pub given: bool,
    /// The key that was given and that signs the log, or leads by key changes to the one that does.
    pub key: Option<String>,
    /// Cosignatures of witnesses that were given.
    pub cosignatures: u64,
    /// Cosignatures of others.
    pub cosignatures_of_others: u64,
    /// The largest size that as many witnesses cosigned as were asked for.
    pub quorum_size: Option<u64>,
    /// Time-stamps that authorities which were given have signed.
    pub timestamps: u64,
    /// Time-stamps that could not be judged.
    pub timestamps_not_checked: u64,
}

/// The newest signs of life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Newest {
    /// The newest heartbeat, by the sealer's clock.
    pub heartbeat: Option<Sign>,
    /// The newest cosignature of a witness that was given, by its clock.
    pub cosignature: Option<Sign>,
    /// The newest time-stamp of an authority that was given.
    pub timestamp: Option<Sign>,
}

/// A sign of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Sign {
    /// The size of the log that it is of.
    pub size: u64,
    /// When, in seconds since 1970.
    pub at: i64,
    /// How old it is, in seconds; none where the time is not known.
    pub age: Option<u64>,
}

impl Sign {
    pub(crate) fn new(size: u64, at: Seconds, now: Option<Seconds>) -> Self {
        let age = now.map(|now| u64::try_from(now.0.saturating_sub(at.0)).unwrap_or(0));
        Self { size, at: at.0, age }
    }

    /// Whether it is older than so many hours.
    pub(crate) fn is_older(&self, hours: u64) -> bool {
        self.age.is_some_and(|age| age > hours.saturating_mul(3600))
    }
}
