//! CORE. How the log grows: commits in, one after the other; out comes what each makes of tree, bundles and keys.

use bytes::Bytes;
use schemas::tlog::{Commit, Edge, Entry, KeyName, LogKey, TILE_WIDTH, Tile, VerifierKey, bundle};
use schemas::{Digest, Seconds};
use store::Lock;

use crate::lock::{self, OPENING_SECONDS_MIN};
use crate::log::enrolments::Enrolments;
use crate::log::keys::Keys;

/// The log as far as its commits were followed.
#[derive(Debug, Default)]
pub(crate) struct Growth {
    edge: Edge,
    /// Entries of the bundle that is not full yet.
    bundle: Vec<String>,
    origin: Option<KeyName>,
    /// Every size that a commit led to, ascending.
    sizes: Vec<Size>,
    pub(crate) keys: Keys,
    pub(crate) enrolments: Enrolments,
    pub(crate) counts: EntryCounts,
    /// The time of the newest heartbeat, and the entry that it is.
    pub(crate) heartbeat: Option<(Seconds, u64)>,
    /// The lock of the newest record that has one.
    lock: Option<Lock>,
    /// Sizes from before any record with a lock, by their place, and until when they must be locked if the store locks.
    early: Vec<(usize, Seconds)>,
}

/// A size of the log, and what is known of the log as it was then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) size: u64,
    pub(crate) root: Digest,
    /// The lock that the objects of this size must have.
    pub(crate) lock: Option<Lock>,
}

/// Entries by kind.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct EntryCounts {
    pub(crate) records: u64,
    pub(crate) openings: u64,
    pub(crate) heartbeats: u64,
    pub(crate) key_changes: u64,
}

/// What a commit makes.
#[derive(Debug, Default)]
pub(crate) struct Grown {
    /// Every tile and bundle that it changes, as it must be.
    pub(crate) due: Vec<(LogKey, Bytes)>,
    /// What is wrong with its entries, by their place in the log.
    pub(crate) wrong: Vec<(u64, String)>,
}

impl Growth {
    /// Of a log some of whose checkpoints are signed with keys that were given: it has their name.
    pub(crate) fn of(seen: Vec<(u64, VerifierKey)>) -> Self {
        let origin = seen.first().map(|(_, key)| key.name().clone());
        Self { origin, keys: Keys::of(seen), ..Self::default() }
    }

    /// Entries.
    pub(crate) fn size(&self) -> u64 {
        self.edge.size()
    }

    pub(crate) fn origin(&self) -> Option<&KeyName> {
        self.origin.as_ref()
    }

    /// What is known of a size; `None` where no commit ends there.
    pub(crate) fn at(&self, size: u64) -> Option<&Size> {
        let at = self.sizes.binary_search_by_key(&size, |one| one.size).ok()?;
        self.sizes.get(at)
    }

    pub(crate) fn sizes(&self) -> impl Iterator<Item = &Size> {
        self.sizes.iter()
    }

    /// Takes a commit in.
    ///
    /// # Errors
    /// It does not continue the log, which then ends before it.
    pub(crate) fn push(&mut self, commit: &Commit) -> Result<Grown, &'static str> {
        if self.origin.as_ref().is_some_and(|origin| *origin != commit.origin) {
            return Err("it is of another log");
        }
        if commit.start != self.size() {
            return Err("it does not begin where the one before ends");
        }
        let mut edge = self.edge.clone();
        let leaves: Vec<Digest> = commit.entries.iter().map(Entry::leaf_hash).collect();
        let tiles = edge.append(leaves.iter().copied());
        if edge.root() != commit.root {
            return Err("its root does not follow from its entries and those before");
        }
        let mut grown = Grown { due: self.bundles(commit), wrong: Vec::new() };
        let tiles = tiles.into_iter().map(|(tile, bytes)| (LogKey::Tile(tile), bytes.into()));
        grown.due.extend(tiles);
        for ((index, entry), leaf) in (commit.start..).zip(&commit.entries).zip(leaves) {
            for why in self.entry(index, entry, leaf) {
                grown.wrong.push((index, why));
            }
        }
        let (size, root, lock) = (edge.size(), edge.root(), self.lock_due(&commit.entries));
        match (lock, self.lock) {
            (None, None) => {
                let days = commit.entries.iter().filter_map(day_after);
                self.early.extend(days.max().map(|until| (self.sizes.len(), until)));
            }
            (_, Some(first)) => self.lock_early(first),
            _ => {}
        }
        self.sizes.push(Size { size, root, lock });
        self.edge = edge;
        self.origin.get_or_insert_with(|| commit.origin.clone());
        Ok(grown)
    }

    /// The bundles that a commit fills or begins.
    fn bundles(&mut self, commit: &Commit) -> Vec<(LogKey, Bytes)> {
        let (mut index, mut due) = (commit.start / TILE_WIDTH, Vec::new());
        let bytes = |entries: &[String]| Bytes::from(bundle(entries.iter().map(String::as_str)));
        for entry in &commit.entries {
            self.bundle.push(entry.to_string());
            if u64::try_from(self.bundle.len()) == Ok(TILE_WIDTH) {
                due.push((LogKey::Bundle(index, TILE_WIDTH), bytes(&self.bundle)));
                self.bundle.clear();
                index += 1;
            }
        }
        match u64::try_from(self.bundle.len()) {
            Ok(width) if width > 0 => due.push((LogKey::Bundle(index, width), bytes(&self.bundle))),
            _ => {}
        }
        due
    }

    fn entry(&mut self, index: u64, entry: &Entry, leaf: Digest) -> Vec<String> {
        match entry {
            Entry::Record(record) => {
                self.counts.records += 1;
                self.lock = lock::stated(&record.segment).or(self.lock);
                self.enrolments.push(index, entry, leaf).into_iter().collect()
            }
            Entry::Opening(_) => {
                self.counts.openings += 1;
                self.enrolments.push(index, entry, leaf).into_iter().collect()
            }
            Entry::Heartbeat(heartbeat) => {
                self.counts.heartbeats += 1;
                self.heartbeat = Some((heartbeat.at, index));
                self.enrolments.beat(heartbeat)
            }
            Entry::KeyChange(change) => {
                self.counts.key_changes += 1;
                self.keys.change(index + 1, change).err().into_iter().collect()
            }
        }
    }

    /// The first record with a lock tells how the store locks, and so what was due before it.
    fn lock_early(&mut self, first: Lock) {
        for (at, until) in std::mem::take(&mut self.early) {
            if let Some(size) = self.sizes.get_mut(at) {
                size.lock = Some(Lock { until, ..first });
            }
        }
    }

    /// As records are locked, so are the commits that hold them. One without records tells of a time and no period: in no
    /// weaker mode, for at least a day.
    fn lock_due(&self, entries: &[Entry]) -> Option<Lock> {
        let due = entries.iter().map(|entry| match entry {
            Entry::Record(record) => lock::stated(&record.segment),
            other => {
                day_after(other).and_then(|until| self.lock.map(|lock| Lock { until, ..lock }))
            }
        });
        due.fold(None, lock::longer)
    }
}

/// A day after the time that an entry tells; records tell their own.
fn day_after(entry: &Entry) -> Option<Seconds> {
    let at = match entry {
        Entry::Record(_) => return None,
        Entry::Opening(opening) => opening.opened_at,
        Entry::Heartbeat(heartbeat) => heartbeat.at,
        Entry::KeyChange(change) => change.at,
    };
    Some(Seconds(at.0.saturating_add(OPENING_SECONDS_MIN)))
}

/// Whether a tile or bundle must be there once a checkpoint of `published` is: a partial one may go when it has become full.
pub(crate) fn is_needed(key: &LogKey, published: u64) -> bool {
    let tile = match *key {
        LogKey::Tile(tile) => tile,
        LogKey::Bundle(index, width) => Tile { level: 0, index, width },
        _ => return false,
    };
    let there = Tile::in_tree(tile.level, tile.index, published).map_or(0, |there| there.width);
    if there == TILE_WIDTH { tile.width == TILE_WIDTH } else { tile.width <= there }
}
