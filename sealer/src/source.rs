//! The seam between where messages come from and everything else: a Kafka topic or the embedded log.
//!
//! A source knows its partitions, gives the messages of one from an offset on, and is told what it may forget.

use schemas::{Offset, Partition, Timestamp, TimestampType, Topic};
use spool::Spool;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::error::Error;
use crate::head::Origin;
use crate::kafka::Kafka;
use crate::message::Message;

/// Chunks of messages that may be on their way to a partition.
const CHUNKS: usize = 4;
/// Bytes of a chunk.
pub(crate) const CHUNK_BYTES: usize = 1 << 20;
/// How often a reader with nothing to read looks whether it should stop.
pub(crate) const IDLE: std::time::Duration = std::time::Duration::from_millis(100);

/// Where messages come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// The embedded log: one partition.
    Spool(Spool, Topic),
    /// A Kafka topic.
    Kafka(Kafka),
}

/// Messages of one partition, in order. An error ends it.
pub(crate) type Feed = mpsc::Receiver<Result<Vec<Message>, Error>>;

/// What a source still holds of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// First offset it still has.
    pub(crate) start: Offset,
    /// An offset that was probably sealed: a place to begin looking for the chain's end.
    pub(crate) hint: Offset,
}

impl Source {
    /// The partitions.
    pub(crate) async fn origins(&self) -> Result<Vec<Origin>, Error> {
        match self {
            Self::Spool(_, topic) => Ok(vec![Origin {
                cluster: None,
                topic_id: None,
                topic: topic.clone(),
                partition: Partition(0),
                partitions: 1,
            }]),
            Self::Kafka(kafka) => kafka.origins().await,
        }
    }

    pub(crate) async fn extent(&self, origin: &Origin) -> Result<Extent, Error> {
        match self {
            Self::Spool(spool, _) => {
                let start = Offset(spool.start());
                Ok(Extent { start, hint: start })
            }
            Self::Kafka(kafka) => kafka.extent(origin.partition).await,
        }
    }

    /// Begins to read a partition. After `stop` the embedded log still gives all it holds; Kafka stops at once, since it
    /// keeps what was not sealed.
    pub(crate) fn read(
        &self,
        origin: &Origin,
        from: Offset,
        stop: CancellationToken,
    ) -> Result<Feed, Error> {
        let (sender, feed) = mpsc::channel(CHUNKS);
        match self {
            Self::Spool(spool, _) => {
                let spool = spool.clone();
                thread(origin.partition, move || read_spool(&spool, from, &sender, &stop))?;
            }
            Self::Kafka(kafka) => kafka.read(origin, from, sender, stop)?,
        }
        Ok(feed)
    }

    /// Says that everything before `next` is sealed. To fail here loses nothing: the chain is what counts.
    pub(crate) async fn forget(&self, origin: &Origin, next: Offset) {
        match self {
            Self::Spool(spool, _) => {
                let spool = spool.clone();
                let truncated =
                    tokio::task::spawn_blocking(move || spool.truncate_head(next.0)).await;
                if let Ok(Err(error)) = truncated {
                    warn!(%next, %error, "could not give back what is sealed; the embedded log grows");
                }
            }
            Self::Kafka(kafka) => kafka.commit(origin.partition, next),
        }
    }
}

/// A thread for as long as a partition is read: the runtime's own are for what ends.
pub(crate) fn thread(
    partition: Partition,
    work: impl FnOnce() + Send + 'static,
) -> Result<(), Error> {
    let name = format!("partition-{partition}");
    let started = std::thread::Builder::new().name(name.clone()).spawn(work);
    started.map(drop).map_err(|source| Error::Thread { name, source })
}

fn read_spool(
    spool: &Spool,
    mut from: Offset,
    to: &mpsc::Sender<Result<Vec<Message>, Error>>,
    stop: &CancellationToken,
) {
    loop {
        // Read before looking at `stop`: what was durable when it was asked for is then read.
        let stopping = stop.is_cancelled();
        let chunk = spool
            .read(from.0, CHUNK_BYTES)
            .map_err(|source| Error::Spool { doing: "read", source });
        let ended = chunk.is_err();
        let messages = chunk.map(|records| records.into_iter().map(message).collect::<Vec<_>>());
        let idle = messages.as_ref().is_ok_and(Vec::is_empty);
        if let Some(last) = messages.as_ref().ok().and_then(|messages| messages.last()) {
            from = Offset(last.offset.0.saturating_add(1));
        }
        if !idle && to.blocking_send(messages).is_err() || ended || (idle && stopping) {
            return;
        }
        if idle {
            let _there = spool.wait(from.0, IDLE);
        }
    }
}

fn message(record: spool::Record) -> Message {
    Message {
        offset: Offset(record.offset),
        timestamp: Timestamp { kind: TimestampType::CreateTime, millis: record.timestamp_ms },
        key: record.key,
        headers: Vec::new(),
        value: Some(record.value),
        leader_epoch: None,
    }
}
