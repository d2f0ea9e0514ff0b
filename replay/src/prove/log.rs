//! SHELL. The log as whoever makes a bundle needs it: which entries are links of which chain, and the paths from them to a
//! checkpoint. Every path is followed to the checkpoint's root before it is given away.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use schemas::tlog::{
    BUNDLE_BYTES_MAX, Entry, Heartbeat, LogKey, NOTE_BYTES_MAX, SignedCheckpoint, TILE_WIDTH, Tile,
    TlogProof, fold, inclusion_ranges, nodes, split_bundle,
};
use schemas::{Digest, Partition, Topic};

use crate::error::Error;
use crate::fetch::Store;

/// Entry bundles read at once.
const JOBS: usize = 8;
const TILE_BYTES_MAX: u64 = TILE_WIDTH * 32;

/// An entry that is a link of a chain.
#[derive(Clone, Debug)]
pub(crate) struct Enrolled {
    pub(crate) index: u64,
    pub(crate) entry: Entry,
}

/// The links of one partition, in the order of its chain.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    pub(crate) links: Vec<Enrolled>,
    /// Leaf hash of each link.
    leaves: Vec<Digest>,
    /// The newest heartbeat that tells of the partition.
    pub(crate) heartbeat: Option<(u64, Arc<Heartbeat>)>,
}

impl Chain {
    /// Takes an entry up where it is the next link; the first that goes on from a link counts, save where an opening sets
    /// the ones after it aside.
    fn push(&mut self, index: u64, entry: Entry) {
        let Some(at) = self.place(&entry) else { return };
        self.links.truncate(at);
        self.leaves.truncate(at);
        self.leaves.push(entry.leaf_hash());
        self.links.push(Enrolled { index, entry });
    }

    /// How many links stand before the entry; `None` where it is none.
    fn place(&self, entry: &Entry) -> Option<usize> {
        if self.links.is_empty() {
            let Entry::Opening(opening) = entry else { return None };
            return (opening.chain.epoch.0 == 0 && opening.prev.is_none()).then_some(0);
        }
        let prev = entry.prev()?;
        let at = self.leaves.iter().rposition(|leaf| *leaf == prev)? + 1;
        let Some(after) = self.links.get(at) else { return Some(at) };
        let (Entry::Opening(opening), Entry::Record(aside)) = (entry, &after.entry) else {
            return None;
        };
        opening.abandoned.iter().any(|(key, _, _)| *key == aside.key).then_some(at)
    }

    /// The newest heartbeat, where it tells of the last link.
    pub(crate) fn last_heartbeat(&self) -> Option<(u64, Arc<Heartbeat>)> {
        let (index, heartbeat) = self.heartbeat.clone()?;
        let leaf = self.leaves.last();
        let last = heartbeat.beats.iter().any(|beat| Some(&beat.leaf) == leaf);
        last.then_some((index, heartbeat))
    }
}

/// The log of a store, as its newest checkpoint has it.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) checkpoint: SignedCheckpoint,
    pub(crate) chains: BTreeMap<(Topic, Partition), Chain>,
}

impl Log {
    /// Reads the log's entries.
    pub(crate) async fn read(store: &Store) -> Result<Self, Error> {
        let none = || Error::NotEnrolled { what: "this store".to_owned() };
        let checkpoint = checkpoint(store, &LogKey::Checkpoint).await?.ok_or_else(none)?;
        let size = checkpoint.checkpoint.size;
        let mut log = Self { checkpoint, chains: BTreeMap::new() };
        let mut read = stream::iter(0..size.div_ceil(TILE_WIDTH))
            .map(|index| entries(store, index, (size - index * TILE_WIDTH).min(TILE_WIDTH)))
            .buffered(JOBS);
        let mut at = 0;
        while let Some(entries) = read.try_next().await? {
            for entry in entries {
                log.push(at, entry);
                at += 1;
            }
        }
        drop(read);
        Ok(log)
    }

    fn push(&mut self, index: u64, entry: Entry) {
        if let Entry::Heartbeat(heartbeat) = entry {
            let heartbeat = Arc::new(heartbeat);
            for beat in &heartbeat.beats {
                let key = (heartbeat.topic.clone(), beat.partition);
                if let Some(chain) = self.chains.get_mut(&key) {
                    chain.heartbeat = Some((index, heartbeat.clone()));
                }
            }
            return;
        }
        let Some((topic, partition)) = entry.partition() else { return };
        let key = (topic.clone(), partition);
        self.chains.entry(key).or_default().push(index, entry);
    }
}

/// A checkpoint; `None` where there is none under the key.
pub(crate) async fn checkpoint(
    store: &Store,
    key: &LogKey,
) -> Result<Option<SignedCheckpoint>, Error> {
    let key = key.to_string();
    let most = u64::try_from(NOTE_BYTES_MAX).unwrap_or(u64::MAX);
    let Some(bytes) = store.get(&key, most).await? else { return Ok(None) };
    let parsed = SignedCheckpoint::parse(&bytes);
    parsed.map(Some).map_err(|error| Error::Damaged { key, why: error.to_string() })
}

async fn entries(store: &Store, index: u64, width: u64) -> Result<Vec<Entry>, Error> {
    let key = LogKey::Bundle(index, width).to_string();
    let damaged = |why: String| Error::Damaged { key: key.clone(), why };
    let bytes = store.get(&key, BUNDLE_BYTES_MAX).await?;
    let bytes = bytes.ok_or_else(|| damaged("it is gone".to_owned()))?;
    let texts = split_bundle(&bytes, width).map_err(|error| damaged(error.to_string()))?;
    let parsed =
        texts.into_iter().map(|text| Entry::parse(text).map_err(|e| damaged(e.to_string())));
    parsed.collect()
}

/// Paths to one checkpoint; each tile is read once.
pub(crate) struct Paths<'s> {
    store: &'s Store,
    checkpoint: SignedCheckpoint,
    tiles: HashMap<Tile, Vec<Digest>>,
}

impl<'s> Paths<'s> {
    /// To this checkpoint, which the proofs carry as it is.
    pub(crate) fn new(store: &'s Store, checkpoint: SignedCheckpoint) -> Self {
        Self { store, checkpoint, tiles: HashMap::new() }
    }

    /// The proof of an entry.
    pub(crate) async fn proof(&mut self, index: u64, leaf: &Digest) -> Result<TlogProof, Error> {
        let size = self.checkpoint.checkpoint.size;
        let mut hashes = Vec::new();
        for range in inclusion_ranges(index, size) {
            let mut roots = Vec::new();
            for node in nodes(&range) {
                let hash = match node.tile(size) {
                    Some(tile) => node.root(self.tile(tile).await?),
                    None => None,
                };
                roots.push(
                    hash.ok_or_else(|| self.damaged("its tiles do not fit its size".into()))?,
                );
            }
            hashes.extend(fold(&roots));
        }
        let proof = TlogProof { index, hashes, checkpoint: self.checkpoint.clone() };
        proof.check(leaf).map_err(|error| self.damaged(format!("entry {index}: {error}")))?;
        Ok(proof)
    }

    fn damaged(&self, why: String) -> Error {
        let key = LogKey::CheckpointAt(self.checkpoint.checkpoint.size).to_string();
        Error::Damaged { key, why }
    }

    /// A tile's hashes. Where the partial tile is gone, the full one that came after it has them.
    async fn tile(&mut self, tile: Tile) -> Result<&[Digest], Error> {
        if !self.tiles.contains_key(&tile) {
            let hashes = self.read(tile).await?;
            self.tiles.insert(tile, hashes);
        }
        Ok(self.tiles.get(&tile).map(Vec::as_slice).unwrap_or_default())
    }

    async fn read(&self, tile: Tile) -> Result<Vec<Digest>, Error> {
        let key = LogKey::Tile(tile).to_string();
        let damaged = |why: &str| Error::Damaged { key: key.clone(), why: why.to_owned() };
        if let Some(bytes) = self.store.get(&key, TILE_BYTES_MAX).await? {
            return tile.hashes(&bytes).ok_or_else(|| damaged("it is not of its width"));
        }
        let full = Tile { width: TILE_WIDTH, ..tile };
        let bytes = self.store.get(&LogKey::Tile(full).to_string(), TILE_BYTES_MAX).await?;
        let hashes = bytes.and_then(|bytes| full.hashes(&bytes));
        let mut hashes = hashes.ok_or_else(|| damaged("it is gone"))?;
        hashes.truncate(usize::try_from(tile.width).unwrap_or(usize::MAX));
        Ok(hashes)
    }
}
