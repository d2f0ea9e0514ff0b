//! The seam between where messages come from and everything else: a Kafka topic or the embedded log.
//!
//! A source knows its partitions, gives the messages of one from an offset on, gives those of a range again, and is told what
//! it may forget.

use std::ops::Range;

use schemas::{Framing, Offset, Partition, Published, SchemaId, Timestamp, TimestampType, Topic};
use spool::Spool;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::compute::compute;
use crate::consume::thread;
use crate::error::Error;
use crate::kafka::Kafka;
use crate::message::Message;
use crate::origin::Origin;

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
    /// A log in memory, which a test can change under the sealer.
    #[cfg(test)]
    Memory(crate::memory::Log),
}

/// Messages that follow each other: the source holds none from `from` to the last of them that is not here.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    /// Where this chunk was read from: where the one before ended.
    pub(crate) from: Offset,
    pub(crate) messages: Vec<Message>,
    /// The end of the log, where the reader has come to it: there is nothing before it that was not given.
    pub(crate) end: Option<Offset>,
}

impl Chunk {
    /// Where the next chunk is read from.
    pub(crate) fn next(&self) -> Offset {
        self.messages.last().map_or(self.from, |last| Offset(last.offset.0.saturating_add(1)))
    }
}

/// Messages of one partition, in order. An error ends it.
pub(crate) type Feed = mpsc::Receiver<Result<Chunk, Error>>;
pub(crate) type FeedSender = mpsc::Sender<Result<Chunk, Error>>;

/// What a source holds of a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    /// First offset it still has.
    pub(crate) start: Offset,
    /// First offset that it has not reached.
    pub(crate) end: Offset,
    /// Where the last segment probably begins: only a place to look first.
    pub(crate) hint: Option<Offset>,
}

/// Where reading begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    pub(crate) offset: Offset,
    /// The leader's epoch of the message before, so that a log that was cut off below it is noticed.
    pub(crate) leader_epoch: Option<u32>,
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
                framing: Framing::SingleObject,
            }]),
            Self::Kafka(kafka) => kafka.origins().await,
            #[cfg(test)]
            Self::Memory(log) => Ok(log.origins()),
        }
    }

    /// Fails where the partition is another by now: the topic was re-created, or has more partitions.
    pub(crate) async fn still(&self, origin: &Origin) -> Result<(), Error> {
        if let Self::Spool(..) = self {
            return Ok(());
        }
        let origins = self.origins().await?;
        let now = Origin {
            partition: origin.partition,
            ..origins.into_iter().next().unwrap_or_else(|| origin.clone())
        };
        now.differs_from(&origin.chain(schemas::Epoch(0)))
            .map_or(Ok(()), |stop| Err(origin.stopped(stop)))
    }

    /// The published schema that an id in a Confluent frame stands for, if it stands for one. Only a topic with that framing
    /// is asked.
    pub(crate) async fn schema(&self, id: SchemaId) -> Result<Option<&'static Published>, Error> {
        match self {
            Self::Spool(..) => Ok(None),
            Self::Kafka(kafka) => kafka.schema(id).await,
            #[cfg(test)]
            Self::Memory(_) => Ok(None),
        }
    }

    /// Whether the source removes messages from its middle.
    pub(crate) async fn is_compacted(&self) -> Result<bool, Error> {
        match self {
            Self::Spool(..) => Ok(false),
            Self::Kafka(kafka) => kafka.is_compacted().await,
            #[cfg(test)]
            Self::Memory(log) => Ok(log.is_compacted()),
        }
    }

    pub(crate) async fn extent(&self, origin: &Origin) -> Result<Extent, Error> {
        match self {
            Self::Spool(spool, _) => {
                let (start, end) = (Offset(spool.start()), Offset(spool.next()));
                Ok(Extent { start, end, hint: None })
            }
            Self::Kafka(kafka) => kafka.extent(origin.partition).await,
            #[cfg(test)]
            Self::Memory(log) => Ok(log.extent(origin.partition)),
        }
    }

    /// Begins to read a partition. After `stop` the embedded log still gives all it holds; Kafka stops at once, since it
    /// keeps what was not sealed. A partition is read once at a time.
    pub(crate) async fn read(
        &self,
        origin: &Origin,
        from: Position,
        stop: CancellationToken,
    ) -> Result<Feed, Error> {
        let (sender, feed) = mpsc::channel(CHUNKS);
        match self {
            Self::Spool(spool, _) => {
                let spool = spool.clone();
                thread(origin.partition, move || read_spool(&spool, from.offset, &sender, &stop))?;
            }
            Self::Kafka(kafka) => kafka.read(origin, from, sender, stop).await?,
            #[cfg(test)]
            Self::Memory(log) => log.read(origin.partition, from.offset, sender, stop),
        }
        Ok(feed)
    }

    /// Reads the messages of a range again, beside what is being read. The feed ends when the range, or the log, does: its
    /// last chunk says so.
    pub(crate) async fn range(&self, origin: &Origin, range: Range<Offset>) -> Result<Feed, Error> {
        let (sender, feed) = mpsc::channel(CHUNKS);
        match self {
            Self::Spool(spool, _) => {
                let (spool, stop) = (spool.clone(), CancellationToken::new());
                stop.cancel();
                thread(origin.partition, move || read_spool(&spool, range.start, &sender, &stop))?;
            }
            Self::Kafka(kafka) => kafka.range(origin, range, sender).await?,
            #[cfg(test)]
            Self::Memory(log) => log.range(origin.partition, &range, &sender),
        }
        Ok(feed)
    }

    /// Says that the segment `[start, next)` is sealed, and all before it. To fail here loses nothing: the chain is what
    /// counts.
    pub(crate) async fn forget(&self, origin: &Origin, start: Offset, next: Offset) {
        match self {
            Self::Spool(spool, _) => {
                let spool = spool.clone();
                let truncated = compute(move || spool.truncate_head(next.0)).await;
                if let Ok(Err(error)) = truncated {
                    warn!(%next, %error, "could not give back what is sealed; the embedded log grows");
                }
            }
            Self::Kafka(kafka) => kafka.commit(origin.partition, start, next),
            #[cfg(test)]
            Self::Memory(log) => log.commit(origin.partition, start),
        }
    }

    /// Ends the reading of a partition that is given up, for now or for good.
    pub(crate) async fn leave(&self, origin: &Origin) {
        if let Self::Kafka(kafka) = self {
            kafka.leave(origin.partition).await;
        }
    }

    /// Whether a partition that stopped is waited for: the embedded log has one partition, and nothing to go on with.
    pub(crate) fn outlives_a_stop(&self) -> bool {
        !matches!(self, Self::Spool(..))
    }
}

fn read_spool(spool: &Spool, mut from: Offset, to: &FeedSender, stop: &CancellationToken) {
    loop {
        // Read before looking at `stop`: what was durable when it was asked for is then read.
        let stopping = stop.is_cancelled();
        let chunk = spool
            .read(from.0, CHUNK_BYTES)
            .map_err(|source| Error::Spool { doing: "read", source });
        let ended = chunk.is_err();
        let chunk = chunk.map(|records| {
            let messages: Vec<Message> = records.into_iter().map(message).collect();
            let end = messages.is_empty().then_some(from);
            Chunk { from, messages, end }
        });
        let idle = chunk.as_ref().is_ok_and(|chunk| chunk.messages.is_empty());
        from = chunk.as_ref().map_or(from, Chunk::next);
        let last = ended || (idle && stopping);
        let gone = (!idle || last) && to.blocking_send(chunk).is_err();
        if gone || last {
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
