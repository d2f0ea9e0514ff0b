//! CORE: the log of segments, as the audit sees it: every commit, tile and checkpoint when it appears, against a tree over all
//! leaves that is put together anew.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use schemas::tlog::{
    Commit, Entry, KeyName, LogKey, LogSigner, SignedCheckpoint, TILE_WIDTH, bundle,
};
use schemas::{Digest, Epoch, Offset};

use crate::simulator::audit::Violation;

macro_rules! ensure {
    ($holds:expr, $($why:tt)+) => {
        if !$holds {
            return Err(format!($($why)+));
        }
    };
}

/// The key that all sealers of a run have.
pub(super) fn signer() -> LogSigner {
    let key = schemas::signature::SigningKey::from_bytes(&[7; 32]);
    LogSigner::new(KeyName::new("simulator/log").unwrap(), key)
}

/// What is committed.
#[derive(Debug, Default)]
pub(super) struct Enrolled {
    leaves: Vec<Digest>,
    entries: Vec<String>,
    /// Roots by size.
    roots: BTreeMap<u64, Digest>,
    links: BTreeSet<(Epoch, Option<Offset>)>,
    known: BTreeSet<Digest>,
    tip: Option<(Epoch, Offset)>,
    /// Size that `log/checkpoint` has reached.
    newest: u64,
}

impl Enrolled {
    /// The end of the chain as it is enrolled, where all that is committed is published.
    pub(super) fn tip(&self) -> Option<(Epoch, Offset)> {
        self.tip.filter(|_| self.newest == u64::try_from(self.leaves.len()).unwrap())
    }

    /// Takes in an object under `log/`; `linked` says whether the store holds a link with this text.
    pub(super) fn created(
        &mut self,
        key: &str,
        bytes: &Bytes,
        linked: impl Fn(&Entry) -> bool,
    ) -> Result<(), Violation> {
        let part = key.split('/').nth(1).unwrap_or_default();
        match part {
            "commits" => self.committed(key, bytes, linked),
            "checkpoints" | "checkpoint" => self.signed(key, bytes),
            "tile" => self.derived(key, bytes),
            _ => Err(format!("{key} is no key of the log")),
        }
    }

    fn committed(
        &mut self,
        key: &str,
        bytes: &Bytes,
        linked: impl Fn(&Entry) -> bool,
    ) -> Result<(), Violation> {
        let commit = Commit::parse(bytes).map_err(|error| format!("{key}: {error}"))?;
        let size = u64::try_from(self.leaves.len()).unwrap();
        ensure!(key == LogKey::Commit(size).to_string(), "{key}: the log has {size} entries");
        ensure!(commit.start == size, "{key} says that it begins at {}", commit.start);
        for entry in &commit.entries {
            self.entry(key, entry, &linked)?;
        }
        let size = u64::try_from(self.leaves.len()).unwrap();
        ensure!(schemas::root(&self.leaves) == commit.root, "{key}: its root is another");
        self.roots.insert(size, commit.root);
        Ok(())
    }

    fn entry(
        &mut self,
        key: &str,
        entry: &Entry,
        linked: impl Fn(&Entry) -> bool,
    ) -> Result<(), Violation> {
        let link = match entry {
            Entry::Record(record) => Some((record.segment.chain.epoch, Some(record.segment.start))),
            Entry::Opening(opening) => Some((opening.chain.epoch, None)),
            Entry::Heartbeat(_) | Entry::KeyChange(_) => None,
        };
        if let Some(link) = link {
            ensure!(linked(entry), "{key}: {link:?} is no link that the store holds");
            ensure!(self.links.insert(link), "{key}: {link:?} is enrolled again");
            let prev = entry.prev();
            let follows = prev.is_none_or(|prev| self.known.contains(&prev));
            ensure!(follows, "{key}: {link:?} is enrolled before the link that it continues");
            ensure!(
                prev.is_some() == (link != (Epoch(0), None)),
                "{key}: {link:?} continues nothing"
            );
            self.tip = Some((link.0, entry.next().unwrap()));
        }
        if let Entry::Heartbeat(heartbeat) = entry {
            let told: Vec<_> = heartbeat.beats.iter().map(|beat| (beat.epoch, beat.next)).collect();
            let tip: Vec<_> = self.tip.into_iter().collect();
            ensure!(told == tip, "{key}: a heartbeat says {told:?} where {tip:?} is enrolled");
        }
        self.known.insert(entry.leaf_hash());
        self.leaves.push(entry.leaf_hash());
        self.entries.push(entry.to_string());
        Ok(())
    }

    /// No checkpoint is ever signed but of what is committed, and `log/checkpoint` goes forward only.
    fn signed(&mut self, key: &str, bytes: &Bytes) -> Result<(), Violation> {
        let signed = SignedCheckpoint::parse(bytes).map_err(|error| format!("{key}: {error}"))?;
        signed.check(&signer().verifier()).map_err(|error| format!("{key}: {error}"))?;
        let size = signed.checkpoint.size;
        let committed = self.roots.get(&size) == Some(&signed.checkpoint.root);
        ensure!(committed, "{key}: a tree of {size} entries that was never committed is signed");
        if key == LogKey::Checkpoint.to_string() {
            ensure!(size > self.newest, "{key} goes from {} back to {size}", self.newest);
            self.newest = size;
        } else {
            ensure!(key == LogKey::CheckpointAt(size).to_string(), "{key} is of size {size}");
        }
        Ok(())
    }

    /// The runs are too short for a second tile.
    fn derived(&self, key: &str, bytes: &Bytes) -> Result<(), Violation> {
        let width: u64 = key.rsplit('/').next().unwrap_or_default().parse().unwrap_or(TILE_WIDTH);
        let count = usize::try_from(width).unwrap();
        ensure!(count <= self.leaves.len(), "{key} is of more than is committed");
        let (hashes, entries) = (&self.leaves[..count], &self.entries[..count]);
        let expected = if key == LogKey::Bundle(0, width).to_string() {
            bundle(entries.iter().map(String::as_str))
        } else {
            hashes.iter().flat_map(|hash| hash.0).collect()
        };
        ensure!(*bytes == expected, "{key} is not what is committed");
        Ok(())
    }
}
