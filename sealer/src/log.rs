//! CORE: the end of the log of segments, as a writer needs it: the tree's edge, the key in force, and the last enrolled link of
//! each partition of one topic. Commits go in; what must be written for each comes out.

use std::collections::BTreeMap;

use schemas::tlog::{
    Checkpoint, Commit, Edge, Entry, HEARTBEAT_PARTITIONS_MAX, KeyName, LogKey, TILE_WIDTH,
    VerifierKey, bundle,
};
use schemas::{Digest, Epoch, Offset, Partition, Seconds, Topic};

/// The last enrolled link of a partition's chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Enrolled {
    pub(crate) epoch: Epoch,
    pub(crate) next: Offset,
    pub(crate) leaf: Digest,
}

impl Enrolled {
    /// Where a chain stands after `entry`, where that is a link of one.
    pub(crate) fn after(entry: &Entry) -> Option<Self> {
        let epoch = match entry {
            Entry::Record(record) => record.segment.chain.epoch,
            Entry::Opening(opening) => opening.chain.epoch,
            Entry::Heartbeat(_) | Entry::KeyChange(_) => return None,
        };
        Some(Self { epoch, next: entry.next()?, leaf: entry.leaf_hash() })
    }
}

/// The log as far as its commits were followed.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    origin: KeyName,
    topic: Topic,
    edge: Edge,
    /// Entries of the last bundle, where it is partial.
    bundle: Vec<String>,
    /// The key in force.
    key: VerifierKey,
    links: BTreeMap<Partition, Enrolled>,
    /// When the last heartbeat was, by the first partition that it told of.
    beats: BTreeMap<u32, Seconds>,
}

/// What a commit makes necessary.
#[derive(Clone, Debug)]
pub(crate) struct Appended {
    /// Bundles and tiles: each is what every writer would write there.
    pub(crate) derived: Vec<(LogKey, Vec<u8>)>,
    pub(crate) checkpoint: Checkpoint,
    /// Who must sign it, in this order.
    pub(crate) keys: Vec<VerifierKey>,
}

impl Log {
    /// An empty log, whose first key is `key`.
    pub(crate) fn new(topic: Topic, key: VerifierKey) -> Self {
        Self {
            origin: key.name().clone(),
            topic,
            edge: Edge::default(),
            bundle: Vec::new(),
            key,
            links: BTreeMap::new(),
            beats: BTreeMap::new(),
        }
    }

    /// A log with this edge, after these entries of its last bundle. Links are to be learned from entries before it.
    pub(crate) fn at(self, edge: Edge, bundle: Vec<String>) -> Self {
        Self { edge, bundle, ..self }
    }

    /// Learns from an entry before the edge, the newest first, until it returns false: all partitions are known then.
    pub(crate) fn learn(&mut self, entry: &Entry, partitions: u32) -> bool {
        match entry {
            Entry::Heartbeat(beat) if beat.topic == self.topic => {
                self.beats.entry(beat.range.start).or_insert(beat.at);
                for one in &beat.beats {
                    let link = Enrolled { epoch: one.epoch, next: one.next, leaf: one.leaf };
                    self.links.entry(one.partition).or_insert(link);
                }
            }
            Entry::Heartbeat(_) | Entry::KeyChange(_) => {}
            Entry::Record(_) | Entry::Opening(_) => {
                if let Some((partition, link)) = self.link(entry) {
                    self.links.entry(partition).or_insert(link);
                }
            }
        }
        let told = |partition: &u32| {
            self.links.contains_key(&Partition(*partition))
                || self.beats.contains_key(&(partition - partition % HEARTBEAT_PARTITIONS_MAX))
        };
        !(0..partitions).all(|partition| told(&partition))
    }

    fn link(&self, entry: &Entry) -> Option<(Partition, Enrolled)> {
        let (_, partition) = entry.partition().filter(|(topic, _)| **topic == self.topic)?;
        Some((partition, Enrolled::after(entry)?))
    }

    pub(crate) fn size(&self) -> u64 {
        self.edge.size()
    }

    /// The key in force.
    pub(crate) fn key(&self) -> &VerifierKey {
        &self.key
    }

    pub(crate) fn topic(&self) -> &Topic {
        &self.topic
    }

    /// The last enrolled link of a partition.
    pub(crate) fn enrolled(&self, partition: Partition) -> Option<Enrolled> {
        self.links.get(&partition).copied()
    }

    /// The partitions of which anything is enrolled.
    pub(crate) fn links(&self) -> &BTreeMap<Partition, Enrolled> {
        &self.links
    }

    /// When the last heartbeat was that told of the partitions from `first` on.
    pub(crate) fn last_beat(&self, first: u32) -> Option<Seconds> {
        self.beats.get(&first).copied()
    }

    /// The log with `entry` enrolled, as far as links and heartbeats go: for what is said of entries not yet committed.
    pub(crate) fn note(&mut self, entry: &Entry) {
        if let Some((partition, link)) = self.link(entry) {
            self.links.insert(partition, link);
        }
        if let Entry::Heartbeat(beat) = entry
            && beat.topic == self.topic
        {
            self.beats.insert(beat.range.start, beat.at);
        }
    }

    /// The commit that appends `entries`.
    pub(crate) fn plan(&self, entries: Vec<Entry>) -> Commit {
        let mut edge = self.edge.clone();
        let _derived_when_committed = edge.append(entries.iter().map(Entry::leaf_hash));
        Commit { origin: self.origin.clone(), start: self.size(), root: edge.root(), entries }
    }

    /// Takes in a commit, this writer's or another's.
    ///
    /// # Errors
    /// Why it does not continue the log.
    pub(crate) fn append(&mut self, commit: &Commit) -> Result<Appended, &'static str> {
        if commit.origin != self.origin {
            return Err("it is of another log");
        }
        if commit.start != self.size() {
            return Err("it does not begin where the log ends");
        }
        let mut edge = self.edge.clone();
        let tiles = edge.append(commit.entries.iter().map(Entry::leaf_hash));
        if edge.root() != commit.root {
            return Err("its root is not that of its entries after the tree before");
        }
        let mut keys = Vec::new();
        if let Some(Entry::KeyChange(change)) = commit.entries.last() {
            if change.old != self.key {
                return Err("it changes another key than the one in force");
            }
            keys.push(std::mem::replace(&mut self.key, change.new.clone()));
        }
        keys.push(self.key.clone());
        self.edge = edge;
        commit.entries.iter().for_each(|entry| self.note(entry));
        let tiles = tiles.into_iter().map(|(tile, bytes)| (LogKey::Tile(tile), bytes));
        let derived = self.bundles(commit).into_iter().chain(tiles).collect();
        let (origin, root) = (self.origin.clone(), self.edge.root());
        let checkpoint = Checkpoint { origin, size: self.size(), root };
        Ok(Appended { derived, checkpoint, keys })
    }

    /// The bundles that a commit fills or begins; the partial one is kept.
    fn bundles(&mut self, commit: &Commit) -> Vec<(LogKey, Vec<u8>)> {
        let (mut index, mut bundles) = (commit.start / TILE_WIDTH, Vec::new());
        let mut put = |entries: &[String], index| {
            let width = u64::try_from(entries.len()).unwrap_or(TILE_WIDTH);
            let bytes = bundle(entries.iter().map(String::as_str));
            bundles.push((LogKey::Bundle(index, width), bytes));
        };
        for entry in &commit.entries {
            self.bundle.push(entry.to_string());
            if u64::try_from(self.bundle.len()) == Ok(TILE_WIDTH) {
                put(&self.bundle, index);
                self.bundle.clear();
                index += 1;
            }
        }
        if !self.bundle.is_empty() {
            put(&self.bundle, index);
        }
        bundles
    }
}
