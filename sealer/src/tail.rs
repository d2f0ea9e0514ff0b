//! The end of the log in the store: where it is found after a start, and how the commits of others are followed.
//!
//! How much is read does not grow with the log: the tree's edge, and entries back to the last heartbeat.

use bytes::Bytes;
use schemas::tlog::{
    BUNDLE_BYTES_MAX, COMMIT_BYTES_MAX, Commit, Edge, Entry, LogKey, NOTE_BYTES_MAX,
    SignedCheckpoint, TILE_WIDTH, Tile, split_bundle,
};
use tracing::warn;

use crate::enrol::Desk;
use crate::error::Error;
use crate::log::{Appended, Log};

/// Bytes of a tile of hashes.
const TILE_BYTES_MAX: u64 = 256 * 32;
pub(crate) const CHECKPOINT_BYTES_MAX: u64 = 64 << 10;
const _: () = assert!(NOTE_BYTES_MAX == 64 << 10);

impl Desk {
    /// The log as its newest checkpoint says; an empty one, where there is none that is ours.
    pub(crate) async fn load(&self, partitions: u32) -> Result<Log, Error> {
        let first = self.signers.first().ok_or_else(|| wrong("log.keys", "there is none"))?;
        let empty = Log::new(self.topic.clone(), first.verifier());
        let key = LogKey::Checkpoint.to_string();
        let Some(bytes) = self.store.get(&key, CHECKPOINT_BYTES_MAX).await? else {
            return Ok(empty);
        };
        let signed = SignedCheckpoint::parse(&bytes).ok().and_then(|signed| {
            // After a change of keys the newer one is in force; both have signed, the newer one last.
            let ours = self.signers.iter().rev().map(|signer| signer.verifier());
            let by = ours.into_iter().find(|key| signed.check(key).is_ok())?;
            Some((signed.checkpoint, by))
        });
        let Some((checkpoint, by)) = signed else {
            warn!(%key, "it is not signed with a key of this sealer; the log is followed from its beginning");
            return Ok(empty);
        };
        let size = checkpoint.size;
        let edge = self.edge(size).await?;
        if edge.root() != checkpoint.root {
            let why = format!("the tiles of {size} entries do not have its root");
            return Err(wrong(&key, &why));
        }
        let Some(newest) = size.checked_sub(1) else { return Ok(empty) };
        let (bundle, width) = (newest / TILE_WIDTH, newest % TILE_WIDTH + 1);
        let last = self.entries(bundle, width).await?;
        let by = match last.last() {
            Some(Entry::KeyChange(change)) => change.new.clone(),
            _ => by,
        };
        let partial = if width == TILE_WIDTH { &[] } else { last.as_slice() };
        let partial = partial.iter().map(Entry::to_string).collect();
        let log = Log::new(self.topic.clone(), by).at(edge, partial);
        self.learn(log, bundle, last, partitions).await
    }

    async fn edge(&self, size: u64) -> Result<Edge, Error> {
        let mut levels = Vec::new();
        for tile in Edge::tiles(size) {
            levels.push(match tile {
                Some(tile) => self.tile(tile).await?,
                None => Vec::new(),
            });
        }
        Edge::new(size, levels).ok_or_else(|| wrong("log/tile", "its tiles do not fit"))
    }

    pub(crate) async fn tile(&self, tile: Tile) -> Result<Vec<schemas::Digest>, Error> {
        let key = LogKey::Tile(tile).to_string();
        let bytes = self.store.get(&key, TILE_BYTES_MAX).await?;
        let hashes = bytes.and_then(|bytes| tile.hashes(&bytes));
        hashes.ok_or_else(|| wrong(&key, "it is missing or has a wrong length"))
    }

    /// Goes back from the edge until every partition's last link is known, or the log begins.
    async fn learn(
        &self,
        mut log: Log,
        mut bundle: u64,
        mut entries: Vec<Entry>,
        partitions: u32,
    ) -> Result<Log, Error> {
        loop {
            for entry in entries.iter().rev() {
                if !log.learn(entry, partitions) {
                    return Ok(log);
                }
            }
            let Some(before) = bundle.checked_sub(1) else { return Ok(log) };
            bundle = before;
            entries = self.entries(bundle, TILE_WIDTH).await?;
        }
    }

    async fn entries(&self, index: u64, width: u64) -> Result<Vec<Entry>, Error> {
        let key = LogKey::Bundle(index, width).to_string();
        let bytes = self.store.get(&key, BUNDLE_BYTES_MAX).await?;
        let bytes = bytes.ok_or_else(|| wrong(&key, "it is missing"))?;
        let texts = split_bundle(&bytes, width).map_err(|error| wrong(&key, error.0))?;
        let parse =
            |text: &&str| Entry::parse(text).map_err(|error| wrong(&key, &error.to_string()));
        texts.iter().map(parse).collect()
    }

    /// Takes in the commits of others, and writes nothing.
    pub(crate) async fn catch_up(&self, log: &mut Log) -> Result<(), Error> {
        while let Some(commit) = self.commit_at(log.size()).await? {
            let _whoever_enrols_publishes = self.append(log, &commit)?;
        }
        Ok(())
    }

    /// Takes in the commits of others, and publishes what they left unpublished.
    pub(crate) async fn follow(&self, log: &mut Log) -> Result<(), Error> {
        let mut newest = None;
        while let Some(commit) = self.commit_at(log.size()).await? {
            let appended = self.append(log, &commit)?;
            newest = self.published(&appended).await?;
            if newest.is_none() {
                self.publish(appended).await?;
            }
        }
        // Whoever published it may have ended before it moved the newest checkpoint.
        match newest {
            Some(note) => self.advance(log.size(), note).await,
            None => Ok(()),
        }
    }

    pub(crate) async fn commit_at(&self, start: u64) -> Result<Option<Commit>, Error> {
        let key = LogKey::Commit(start).to_string();
        let bytes = self.store.get(&key, COMMIT_BYTES_MAX).await?;
        let parse = |bytes: Bytes| Commit::parse(&bytes);
        bytes.map(parse).transpose().map_err(|error| wrong(&key, &error.to_string()))
    }

    pub(crate) fn append(&self, log: &mut Log, commit: &Commit) -> Result<Appended, Error> {
        let key = LogKey::Commit(commit.start).to_string();
        log.append(commit).map_err(|why| wrong(&key, why))
    }

    /// The checkpoint of a commit, where it is there: it is written after all else.
    async fn published(&self, appended: &Appended) -> Result<Option<Bytes>, Error> {
        let key = LogKey::CheckpointAt(appended.checkpoint.size).to_string();
        let Some(bytes) = self.store.get(&key, CHECKPOINT_BYTES_MAX).await? else {
            return Ok(None);
        };
        let signed = SignedCheckpoint::parse(&bytes).map_err(|error| wrong(&key, error.0))?;
        if signed.checkpoint != appended.checkpoint {
            return Err(wrong(&key, "it is not the checkpoint of what is committed"));
        }
        for by in &appended.keys {
            signed.check(by).map_err(|error| wrong(&key, error.0))?;
        }
        Ok(Some(bytes))
    }
}

/// An object of the log that is not what it must be.
pub(crate) fn wrong(key: &str, why: &str) -> Error {
    Error::Log { key: key.to_owned(), why: why.to_owned() }
}
