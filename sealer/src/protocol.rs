//! The protocol as a whole, over a log in memory and a store in a folder: what is adopted, what stops a partition, and what a
//! resumption writes.

mod adoption;
mod enrolment;
mod resumption;

use std::path::Path;

use bytes::Bytes;
use schemas::{EpochOpening, Offset, Partition, Seconds, TerminalObject, Timestamp, Topic};
use store::Store;
use tempfile::TempDir;

use crate::batch::Batch;
use crate::chain::Head;
use crate::draft::Draft;
use crate::error::Error;
use crate::head::load;
use crate::lane::{Keeping, Lane};
use crate::memory::{Held, Log};
use crate::message::Message;
use crate::resume::{Resumed, Resumption};
use crate::seal::{Sealed, seal};
use crate::source::Source;
use crate::stop::Stop;

const NOW: Seconds = Seconds(1_790_000_000);
const P0: Partition = Partition(0);

/// A topic and a store.
struct Stage {
    folder: TempDir,
    log: Log,
}

fn message(text: &str) -> Message {
    Message {
        offset: Offset(0),
        timestamp: Timestamp { kind: schemas::TimestampType::LogAppendTime, millis: 7 },
        key: Some(b"acme/s".to_vec()),
        headers: vec![("h".to_owned(), None)],
        value: Some(text.as_bytes().to_vec()),
        leader_epoch: Some(3),
    }
}

impl Stage {
    fn new(messages: u64) -> Self {
        let stage = Self { folder: TempDir::new().unwrap(), log: topic() };
        stage.append(messages);
        stage
    }

    fn append(&self, messages: u64) {
        self.log.held(P0, |held| fill(held, messages));
    }

    fn store(&self) -> Store {
        Store::open(self.folder.path().to_str().unwrap()).unwrap()
    }

    fn lane(&self) -> Lane {
        self.lane_of(P0)
    }

    fn lane_of(&self, partition: Partition) -> Lane {
        Lane::of_memory(self.store(), &self.log, partition)
    }

    /// Starts a sealer, which seals all there is in segments of so many messages.
    async fn seal(&self, rows: usize) -> Result<Head, Error> {
        let lane = self.lane();
        let mut head = load(&lane, NOW).await?;
        while head.next < lane.source.extent(&lane.origin).await?.end {
            let batch = self.batch(head.next, rows);
            if batch.is_empty() {
                break;
            }
            head = sealed(&lane, head, batch, [1; 32]).await?.head;
        }
        Ok(head)
    }

    fn batch(&self, from: Offset, rows: usize) -> Batch {
        let mut batch = Batch::new(from);
        for message in self.log.chunk(P0, from..Offset(u64::MAX)).messages.into_iter().take(rows) {
            batch.push(message, 0).unwrap();
        }
        batch
    }

    async fn stop(&self) -> Stop {
        match self.seal(100).await.unwrap_err() {
            Error::Stopped { stop, .. } => stop,
            other => panic!("{other}"),
        }
    }

    async fn plan(&self) -> Option<Resumption> {
        let source = Source::Memory(self.log.clone());
        let plan = Resumption::plan(source, self.store(), P0, "standard", None, None, NOW).await;
        plan.unwrap()
    }

    /// Resumes, and gives what the opening says.
    async fn resume(&self) -> EpochOpening {
        let plan = self.plan().await.unwrap();
        assert!(matches!(plan.write().await.unwrap(), Resumed::Opened(_)));
        self.opening(1)
    }

    fn opening(&self, epoch: u32) -> EpochOpening {
        let text = std::fs::read_to_string(self.path(&format!("epochs/t/00000/{epoch:010}")));
        EpochOpening::parse(&text.unwrap()).unwrap()
    }

    fn path(&self, key: &str) -> std::path::PathBuf {
        self.folder.path().join(key)
    }

    fn object(&self, key: &str) -> Bytes {
        std::fs::read(self.path(key)).unwrap().into()
    }

    async fn put(&self, key: &str, bytes: Bytes) {
        self.store().create(key, bytes, None).await.unwrap();
    }

    /// The segment that a sealer would write next if the log were as `change` makes it.
    async fn forged(&self, rows: usize, change: impl FnOnce(&mut Held)) -> (String, Bytes) {
        let forger = Self { folder: TempDir::new().unwrap(), log: topic() };
        copy(self.folder.path(), forger.folder.path());
        let held = self.log.held(P0, |held| held.clone());
        forger.log.held(P0, |forged| *forged = held);
        let lane = forger.lane();
        let head = load(&lane, NOW).await.unwrap();
        forger.log.held(P0, change);
        let key = head.segment_key().to_string();
        sealed(&lane, head.clone(), forger.batch(head.next, rows), [2; 32]).await.unwrap();
        let bytes = forger.object(&key);
        (key, bytes)
    }
}

/// Encodes and seals `batch` after `head`.
async fn sealed(lane: &Lane, head: Head, batch: Batch, seed: [u8; 32]) -> Result<Sealed, Error> {
    let draft = Draft::new(lane, head.clone(), batch, seed, NOW).await?;
    seal(lane, head, draft).await
}

fn topic() -> Log {
    Log::new(&Topic::new("t").unwrap(), 1)
}

fn fill(held: &mut Held, messages: u64) {
    for _ in 0..messages {
        let text = format!("message {}", held.end);
        held.append(message(&text));
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            std::fs::create_dir_all(&to).unwrap();
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn key(start: u64) -> String {
    format!("segments/t/00000/0000000000/{start:020}.parquet")
}
