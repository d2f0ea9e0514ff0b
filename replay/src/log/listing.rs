//! SHELL. What lies under `log/`, by kind. It knows keys, not their contents.

use std::collections::{BTreeSet, HashSet};

use bytes::Bytes;
use schemas::tlog::{LogKey, NOTE_BYTES_MAX};

use crate::error::Error;
use crate::fetch::{Store, read};
use crate::finding::{Findings, Kind};
use crate::version::{ByKey, Pinned, Versions, oldest_first, put};

/// The folders of a log. Each is listed before what its objects follow from: so nothing is found of which the cause is not, though
/// sealers go on writing.
const FOLDERS: [&str; 5] =
    ["log/timestamps", "log/cosignatures", "log/checkpoints", "log/tile", "log/commits"];

/// What lies there. Grows by some 100 bytes for each object.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// The newest checkpoint, as it was before all else was listed.
    pub(crate) checkpoint: Option<Bytes>,
    pub(crate) checkpoints: BTreeSet<u64>,
    pub(crate) commits: BTreeSet<u64>,
    /// Tiles and bundles.
    pub(crate) tiles: HashSet<LogKey>,
    pub(crate) cosignatures: Vec<(u64, [u8; 4])>,
    pub(crate) timestamps: Vec<(u64, String)>,
    pub(crate) versions: Option<ByKey>,
}

impl Listing {
    /// Lists it; versions too, where those are to be looked at.
    pub(crate) async fn new(
        store: &Store,
        storage: bool,
        findings: &mut Findings,
    ) -> Result<Self, Error> {
        let mut listing = Self::default();
        let key = LogKey::Checkpoint.to_string();
        let newest = store
            .get(&key, note_bytes_max())
            .await
            .map(|bytes| Pinned { bytes, ..Pinned::default() });
        listing.checkpoint = store.readable(&key, newest, findings).await?.and_then(|it| it.bytes);
        listing.versions = storage.then(ByKey::new);
        for folder in FOLDERS {
            if storage {
                listing.list_versions(store, folder, findings).await?;
            } else {
                listing.list(store, folder, findings).await?;
            }
        }
        let top = store.objects().children("log").await.map_err(read("log"))?;
        let strange = |folder: &&String| !FOLDERS.contains(&folder.as_str());
        let others = top.objects.iter().filter(|object| **object != key);
        for junk in others.chain(top.folders.iter().filter(strange)) {
            findings.add(Kind::Junk, junk, "nothing accounts for it");
        }
        Ok(listing)
    }

    /// Whether there is any log.
    pub(crate) fn is_empty(&self) -> bool {
        self.checkpoint.is_none()
            && self.checkpoints.is_empty()
            && self.commits.is_empty()
            && self.tiles.is_empty()
    }

    async fn list(
        &mut self,
        store: &Store,
        folder: &str,
        findings: &mut Findings,
    ) -> Result<(), Error> {
        let mut after = None;
        loop {
            let page =
                store.objects().page(folder, after.as_deref()).await.map_err(read(folder))?;
            for key in &page.keys {
                self.put(key, findings);
            }
            after = page.keys.last().cloned();
            if !page.full || after.is_none() {
                return Ok(());
            }
        }
    }

    async fn list_versions(
        &mut self,
        store: &Store,
        folder: &str,
        findings: &mut Findings,
    ) -> Result<(), Error> {
        let mut found = ByKey::new();
        let take = |version: store::Version| {
            let key = version.key.clone();
            put(found.entry(key).or_default(), version);
        };
        store.each_version(&format!("{folder}/"), take).await?;
        found.values_mut().for_each(oldest_first);
        for key in found.keys() {
            self.put(key, findings);
        }
        self.versions.get_or_insert_default().extend(found);
        Ok(())
    }

    fn put(&mut self, key: &str, findings: &mut Findings) {
        match LogKey::parse(key) {
            Some(LogKey::CheckpointAt(size)) => {
                self.checkpoints.insert(size);
            }
            Some(LogKey::Commit(start)) => {
                self.commits.insert(start);
            }
            Some(tile @ (LogKey::Tile(_) | LogKey::Bundle(..))) => {
                self.tiles.insert(tile);
            }
            Some(LogKey::Cosignature(size, id)) => self.cosignatures.push((size, id)),
            Some(LogKey::Timestamp(size, name)) => self.timestamps.push((size, name)),
            Some(LogKey::Checkpoint) | None => {
                findings.add(Kind::Junk, key, "nothing accounts for it");
            }
        }
    }

    /// The newest size that a checkpoint is known to be of: all that it stands on was written before.
    pub(crate) fn checkpoints_last(&self) -> u64 {
        self.checkpoints.last().copied().unwrap_or(0)
    }

    /// Delete markers over the newest checkpoint: its versions are what it is made of, and nobody deletes it.
    pub(crate) async fn checkpoint_markers(store: &Store) -> Result<Versions, Error> {
        let (key, mut markers) = (LogKey::Checkpoint.to_string(), Versions::default());
        let take = |version: store::Version| {
            if version.key == key && version.is_delete_marker {
                put(&mut markers, version);
            }
        };
        store.each_version(&key, take).await?;
        Ok(markers)
    }
}

/// Largest checkpoint that is read.
pub(crate) fn note_bytes_max() -> u64 {
    u64::try_from(NOTE_BYTES_MAX).unwrap_or(u64::MAX)
}
