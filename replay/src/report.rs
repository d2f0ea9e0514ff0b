//! CORE. What [`crate::verify`] tells: sums, findings, history that is known to be lost, and what was not checked.

use schemas::{Digest, EpochOpening};
use serde::Serialize;

use crate::finding::Finding;
use crate::log::LogReport;

/// What [`crate::verify`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether there are no findings. History that is said to be lost is none.
    pub ok: bool,
    /// Partitions of which there is anything.
    pub partitions: u64,
    /// Segments read.
    pub segments: u64,
    /// Rows that are events; one that was sent twice counts twice.
    pub events: u64,
    /// Rows that are kept raw.
    pub raw: u64,
    /// Sessions that have events, by partition.
    pub sessions: u64,
    /// Bytes of the segments read.
    pub bytes: u64,
    /// Segments that are gone because their retention has passed.
    pub expired: u64,
    /// Segments of which only the record was compared with the log, as was asked for.
    pub unread: u64,
    /// Everything that is wrong, up to [`crate::FINDINGS_MAX`].
    pub findings: Vec<Finding>,
    /// Findings beyond those.
    pub findings_omitted: u64,
    /// Breaks in the history that later epochs tell of.
    pub losses: Vec<Loss>,
    /// Objects that later epochs say are no part of their chain.
    pub abandoned: Vec<Abandoned>,
    /// The log of segments, where the store has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<LogReport>,
    /// Versions and locks, where they were looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage: Option<StorageCounts>,
    /// Signatures of sources, where their keys were given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signatures: Option<SignatureCounts>,
    /// What this does not show, in words.
    pub not_checked: Vec<String>,
}

/// A break in a partition's history, told by the opening of the epoch after it: no breach, since nothing hides it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Loss {
    /// `topic/partition`.
    pub partition: String,
    /// The epoch whose opening tells of it.
    pub epoch: u32,
    /// Why that epoch was opened.
    pub reason: String,
    /// When, by the sealer's clock.
    pub opened_at: String,
    /// First offset that was lost; none where it is not known what was.
    pub first: Option<u64>,
    /// First offset after those.
    pub next: Option<u64>,
    /// All of it in words.
    pub words: String,
}

/// An object that an opening says is no part of the chain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Abandoned {
    /// `topic/partition`.
    pub partition: String,
    /// The epoch whose opening says so.
    pub epoch: u32,
    /// Its key.
    pub object: String,
    /// Its version, where the store has versions.
    pub version: Option<String>,
    /// SHA-256 of its bytes.
    pub sha256: String,
}

/// What was looked at of an object store's versions and locks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StorageCounts {
    /// Versions and delete markers.
    pub versions: u64,
    /// Objects whose lock was compared with what it must be.
    pub locks: u64,
    /// Segments that say of themselves that they were sealed without lock.
    pub unlocked: u64,
    /// Bodies that no segment lists.
    pub unlisted_bodies: u64,
}

/// What was found of the signatures of sources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SignatureCounts {
    /// Events whose signature is right.
    pub right: u64,
    /// Signed events whose key is not among those given.
    pub unknown_keys: u64,
    /// Events without a signature.
    pub unsigned: u64,
}

impl SignatureCounts {
    pub(crate) fn add(&mut self, other: Self) {
        self.right += other.right;
        self.unknown_keys += other.unknown_keys;
        self.unsigned += other.unsigned;
    }
}

impl StorageCounts {
    pub(crate) fn add(&mut self, other: Self) {
        self.versions += other.versions;
        self.locks += other.locks;
        self.unlocked += other.unlocked;
        self.unlisted_bodies += other.unlisted_bodies;
    }
}

/// What an opening tells of lost: ranges it names, offsets that come again, a log that was made anew. `end` is where the
/// epoch before ended, where that is known.
pub(crate) fn losses(partition: &str, opening: &EpochOpening, end: Option<u64>) -> Vec<Loss> {
    let EpochOpening { reason, start, chain, missing, .. } = opening;
    let (epoch, opened_at) = (chain.epoch.0, opening.opened_at.to_string());
    let told = format!("epoch {epoch} ({reason}, opened {opened_at})");
    let loss = |range: Option<(u64, u64)>, words| Loss {
        partition: partition.to_owned(),
        epoch,
        reason: reason.clone(),
        opened_at: opened_at.clone(),
        first: range.map(|(first, _)| first),
        next: range.map(|(_, next)| next),
        words,
    };
    let mut losses: Vec<Loss> = missing
        .iter()
        .map(|range| {
            let offsets = offsets(range.start, range.end);
            let words = format!("{offsets} lost before they could be sealed, says {told}");
            loss(Some((range.start, range.end)), words)
        })
        .collect();
    if reason == "recreated" {
        let words = format!(
            "{told}: the topic was made anew, and what the old one held unsealed is not known"
        );
        losses.push(loss(None, words));
    } else if let Some(end) = end.filter(|end| start.0 < *end) {
        let words = format!(
            "{told} begins at {start}, where the epoch before went on to {end}: {} in both, for other messages",
            offsets(start.0, end)
        );
        losses.push(loss(None, words));
    }
    losses
}

fn offsets(first: u64, next: u64) -> String {
    match next.saturating_sub(1) {
        last if last <= first => format!("offset {first}"),
        last => format!("offsets {first} to {last}"),
    }
}

/// What an opening says was abandoned.
pub(crate) fn abandoned(partition: &str, opening: &EpochOpening) -> Vec<Abandoned> {
    let object = |(key, version, sha256): &(String, Option<String>, Digest)| Abandoned {
        partition: partition.to_owned(),
        epoch: opening.chain.epoch.0,
        object: key.clone(),
        version: version.clone(),
        sha256: sha256.to_string(),
    };
    opening.abandoned.iter().map(object).collect()
}
