//! Writes the log of segments by the letter of `docs/format.md`, section 9, sharing nothing with the sealer.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use schemas::tlog::{
    Beat, Checkpoint, Commit, Edge, Entry, Heartbeat, KeyChange, KeyName, LogKey, LogSigner,
    Policy, VerifierKey, VerifierKind, bundle,
};
use schemas::{Digest, EnrolledRecord, EpochOpening, Offset, Partition, Seconds, Topic};

use super::{Objects, get, keys, put};

/// The time of everything that has one.
pub(crate) const AT: i64 = 1_790_000_200;

/// The log of a store.
pub(crate) struct Log {
    objects: Objects,
    edge: Edge,
    /// Texts of all entries.
    entries: Vec<String>,
    signer: LogSigner,
    /// The key before it, where the last entry is the change.
    old: Option<LogSigner>,
    links: BTreeMap<Partition, Beat>,
}

/// A log's key.
pub(crate) fn signer(seed: u8) -> LogSigner {
    LogSigner::new(KeyName::new("example.org/log").unwrap(), SigningKey::from_bytes(&[seed; 32]))
}

/// Trust in the log's key of this seed, and in what else these lines say.
pub(crate) fn policy(seed: u8, more: &str) -> Policy {
    Policy::parse(&format!("{}\n{more}", signer(seed).verifier())).unwrap()
}

/// A witness: its key, as a policy names it.
pub(crate) fn witness(seed: u8) -> VerifierKey {
    let name = KeyName::new(&format!("w{seed}")).unwrap();
    let key = SigningKey::from_bytes(&[seed; 32]).verifying_key();
    VerifierKey::new(name, VerifierKind::Cosignature, key)
}

impl Log {
    pub(crate) fn new(objects: &Objects) -> Self {
        let (edge, entries, old, links) = Default::default();
        Self { objects: objects.clone(), edge, entries, signer: signer(1), old, links }
    }

    /// A log of everything that the store holds, and a heartbeat.
    pub(crate) async fn of(objects: &Objects) -> Self {
        let mut log = Self::new(objects);
        log.enrol().await;
        let beat = log.heartbeat();
        log.commit(vec![beat]).await;
        log
    }

    pub(crate) fn size(&self) -> u64 {
        self.edge.size()
    }

    pub(crate) fn checkpoint(&self) -> Checkpoint {
        let origin = self.signer.verifier().name().clone();
        Checkpoint { origin, size: self.size(), root: self.edge.root() }
    }

    /// Commits what the store holds and the log has not yet, each link in a commit of its own.
    pub(crate) async fn enrol(&mut self) {
        for link in self.links_in_store().await {
            if !self.entries.contains(&link.to_string()) {
                self.commit(vec![link]).await;
            }
        }
    }

    /// All links in the order of their chains.
    pub(crate) async fn links_in_store(&self) -> Vec<Entry> {
        let mut links = Vec::new();
        for key in keys(&self.objects).await {
            let text = || async { String::from_utf8(get(&self.objects, &key).await).unwrap() };
            let (link, epoch, start) = if key.starts_with("epochs/") {
                let opening = EpochOpening::parse(&text().await).unwrap();
                let epoch = opening.chain.epoch;
                (Entry::Opening(Box::new(opening)), epoch, None)
            } else if key.starts_with("records/") {
                let record = EnrolledRecord::parse(&text().await).unwrap();
                let (epoch, start) = (record.segment.chain.epoch, record.segment.start);
                (Entry::Record(Box::new(record)), epoch, Some(start))
            } else {
                continue;
            };
            links.push((link.partition().unwrap().1, epoch, start, link));
        }
        links.sort_by_key(|(partition, epoch, start, _)| (*partition, *epoch, *start));
        links.into_iter().map(|(.., link)| link).collect()
    }

    pub(crate) fn heartbeat(&self) -> Entry {
        Entry::Heartbeat(Heartbeat {
            topic: Topic::new("events").unwrap(),
            range: 0..2,
            at: Seconds(AT),
            beats: self.links.values().copied().collect(),
        })
    }

    /// A commit of a heartbeat by which each source held something that was not sealed.
    pub(crate) async fn beat_behind(&mut self) {
        let Entry::Heartbeat(mut beat) = self.heartbeat() else { return };
        for beat in &mut beat.beats {
            beat.end = Some(Offset(beat.next.0 + 1));
        }
        self.commit(vec![Entry::Heartbeat(beat)]).await;
    }

    /// A commit of a change to another key.
    pub(crate) async fn change_key(&mut self, seed: u8) {
        let new = signer(seed);
        let change = KeyChange::new(&self.signer, &new, Seconds(AT));
        self.old = Some(std::mem::replace(&mut self.signer, new));
        self.commit_signed(vec![Entry::KeyChange(Box::new(change))]).await;
        self.old = None;
    }

    /// From now on signs with another key, which no key change leads to.
    pub(crate) fn sign_with(&mut self, seed: u8) {
        self.signer = signer(seed);
    }

    pub(crate) async fn commit(&mut self, entries: Vec<Entry>) {
        self.commit_signed(entries).await;
    }

    async fn commit_signed(&mut self, entries: Vec<Entry>) {
        self.commit_only(entries).await;
        let signers: Vec<&LogSigner> = self.old.iter().chain([&self.signer]).collect();
        let note = self.checkpoint().sign(&signers).to_string().into_bytes();
        self.put(&LogKey::CheckpointAt(self.size()), note.clone()).await;
        self.put(&LogKey::Checkpoint, note).await;
    }

    /// A commit, its tiles and bundles, and no checkpoint.
    pub(crate) async fn commit_only(&mut self, entries: Vec<Entry>) {
        let start = self.size();
        let tiles = self.edge.append(entries.iter().map(Entry::leaf_hash));
        let origin = self.signer.verifier().name().clone();
        for entry in &entries {
            self.entries.push(entry.to_string());
            if let Some((_, partition)) = entry.partition() {
                self.links.insert(partition, beat(partition, entry));
            }
        }
        let commit = Commit { origin, start, root: self.edge.root(), entries };
        self.put(&LogKey::Commit(start), commit.to_bytes()).await;
        for (tile, bytes) in tiles {
            self.put(&LogKey::Tile(tile), bytes).await;
        }
        for index in start / 256..self.size().div_ceil(256) {
            let from = usize::try_from(index * 256).unwrap();
            let texts = self.entries[from..].iter().take(256).map(String::as_str);
            let width = u64::try_from(texts.len()).unwrap();
            self.put(&LogKey::Bundle(index, width), bundle(texts)).await;
        }
    }

    /// A witness's cosignature over the newest checkpoint.
    pub(crate) async fn cosign(&self, seed: u8, at: u64) {
        let (key, text) = (witness(seed), self.checkpoint().to_string());
        let message = format!("cosignature/v1\ntime {at}\n{text}");
        let signature = SigningKey::from_bytes(&[seed; 32]).sign(message.as_bytes());
        let bytes = [&key.id()[..], &at.to_be_bytes(), &signature.to_bytes()].concat();
        let line = format!("— {} {}\n", key.name(), BASE64_STANDARD.encode(bytes));
        self.put(&LogKey::Cosignature(self.size(), key.id()), line.into_bytes()).await;
    }

    async fn put(&self, key: &LogKey, bytes: Vec<u8>) {
        put(&self.objects, &key.to_string(), bytes).await;
    }
}

fn beat(partition: Partition, entry: &Entry) -> Beat {
    let chain = match entry {
        Entry::Record(record) => &record.segment.chain,
        Entry::Opening(opening) => &opening.chain,
        _ => unreachable!("it is no link"),
    };
    let (next, leaf): (Offset, Digest) = (entry.next().unwrap(), entry.leaf_hash());
    Beat { partition, epoch: chain.epoch, next, leaf, end: Some(next) }
}
