//! Commits of records whose segments are not there: a log as long as one likes. They are of another partition than the
//! real ones, and look as records of a locked bucket and a Kafka topic do. A sealer that follows the log writes the rest.

use anyhow::Context;
use bytes::Bytes;
use schemas::tlog::{COMMIT_BYTES_MAX, Commit, Edge, Entry, KeyName, LogKey};
use schemas::{
    Chain, Counted, Digest, EnrolledRecord, Epoch, Framing, LockMode, ObjectKey, Offset, Partition,
    Seconds, SegmentRecord, Topic,
};
use store::{Created, Store};

use crate::deployment::{ROWS, signer};
use crate::figure::wide;

/// The log of a store, as far as it is committed, and the synthetic chain in it.
#[derive(Debug)]
pub(crate) struct Synthetic {
    store: Store,
    origin: KeyName,
    edge: Edge,
    prev: Digest,
    records: u64,
}

impl Synthetic {
    /// Goes on from the log that is there; `records` of it are synthetic.
    pub(crate) async fn after(store: Store, records: u64) -> anyhow::Result<Self> {
        let (mut edge, mut prev) = (Edge::default(), Digest::of(b"none"));
        let key = |size| LogKey::Commit(size).to_string();
        while let Some(bytes) = store.get(&key(edge.size()), COMMIT_BYTES_MAX).await? {
            let commit = Commit::parse(&bytes)?;
            let leaves = commit.entries.iter().map(Entry::leaf_hash);
            let _in_the_store = edge.append(leaves);
            let last = commit.entries.iter().rfind(|entry| is_synthetic(entry));
            prev = last.map_or(prev, Entry::leaf_hash);
        }
        Ok(Self { store, origin: signer()?.verifier().name().clone(), edge, prev, records })
    }

    /// Commits so many more records, so many at a time.
    pub(crate) async fn grow(&mut self, records: u64, at_a_time: u64) -> anyhow::Result<()> {
        let end = self.records + records;
        while self.records < end {
            let mut entries = Vec::new();
            for _ in 0..at_a_time.min(end - self.records) {
                let entry = Entry::Record(Box::new(self.record()?));
                (self.prev, self.records) = (entry.leaf_hash(), self.records + 1);
                entries.push(entry);
            }
            self.commit(entries).await?;
        }
        Ok(())
    }

    async fn commit(&mut self, entries: Vec<Entry>) -> anyhow::Result<()> {
        let start = self.edge.size();
        let _written_by_who_follows = self.edge.append(entries.iter().map(Entry::leaf_hash));
        let origin = self.origin.clone();
        let commit = Commit { origin, start, root: self.edge.root(), entries };
        let (key, bytes) = (LogKey::Commit(start).to_string(), Bytes::from(commit.to_bytes()));
        let created = self.store.create(&key, bytes, None).await?;
        anyhow::ensure!(created == Created::New, "{key} is taken");
        Ok(())
    }

    fn record(&self) -> anyhow::Result<EnrolledRecord> {
        let (rows, number) = (wide(ROWS), self.records);
        let (start, next) = (Offset(number * rows), Offset((number + 1) * rows));
        let (topic, partition, epoch) = (Topic::new("events")?, Partition(1), Epoch(0));
        let chain = Chain {
            cluster: Some("5L6g3nShT-eMCtK--X86sw".to_owned()),
            topic_id: Some("Zm9vYmFyYmF6cXV4MTIzNA".to_owned()),
            topic: topic.clone(),
            partition,
            partitions: 2,
            framing: Framing::SingleObject,
            epoch,
        };
        let time = 1_790_000_000_000 + i64::try_from(start.0)?;
        let segment = SegmentRecord {
            chain,
            start,
            next,
            rows,
            gaps: Counted { count: 0, digest: None },
            claims: Counted { count: 0, digest: None },
            leader_epochs: Some(format!("{start}:0")),
            time_min: Some(time),
            time_max: Some(time + 999),
            retention_class: "standard".to_owned(),
            lock: Some(LockMode::Compliance),
            retain_until: Some(Seconds(1_830_000_000)),
            root: digest(number, 1),
            total: next.0,
            writer: "chancery-sealer/0.2.0".to_owned(),
            prev: self.prev,
        };
        let key = ObjectKey::Segment(topic, partition, epoch, start).to_string();
        Ok(EnrolledRecord { segment, key, size: 235_000, sha256: digest(number, 2) })
    }
}

fn is_synthetic(entry: &Entry) -> bool {
    entry.partition().is_some_and(|(_, partition)| partition == Partition(1))
}

fn digest(number: u64, what: u64) -> Digest {
    Digest::of(&[number.to_be_bytes(), what.to_be_bytes()].concat())
}

/// All commits of a log, in order.
pub(crate) async fn commits(store: &Store) -> anyhow::Result<Vec<Commit>> {
    let mut commits: Vec<Commit> = Vec::new();
    loop {
        let key = LogKey::Commit(commits.last().map_or(0, Commit::next)).to_string();
        let Some(bytes) = store.get(&key, COMMIT_BYTES_MAX).await? else { break };
        commits.push(Commit::parse(&bytes).with_context(|| key)?);
    }
    Ok(commits)
}
