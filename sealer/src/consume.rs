//! SHELL: the messages of one Kafka partition as chunks that follow each other.
//!
//! A chunk begins where the one before ended, whatever the client says of its first message: only so can an offset that
//! holds no message be told from one that was never read.

use std::time::Duration;

use rdkafka::Timestamp as KafkaTime;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use schemas::{Offset, Partition, Timestamp, TimestampType, Topic};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::clock;
use crate::error::Error;
use crate::ffi;
use crate::kafka::{ASK, number};
use crate::message::Message;
use crate::source::{CHUNK_BYTES, Chunk, FeedSender, IDLE};

/// Gives the next message, if one comes in time.
type Poll<'a> = dyn Fn(Duration) -> Option<KafkaResult<BorrowedMessage<'a>>> + 'a;

/// Reads one partition from a position on.
#[derive(Debug)]
pub(crate) struct Reader {
    topic: Topic,
    partition: Partition,
    /// Everything before this was given.
    at: Offset,
}

/// A thread for as long as a partition is read: the runtime's own are for what ends.
pub(crate) fn thread(
    partition: Partition,
    work: impl FnOnce() + Send + 'static,
) -> Result<std::thread::JoinHandle<()>, Error> {
    let name = format!("partition-{partition}");
    let started = std::thread::Builder::new().name(name.clone()).spawn(work);
    started.map_err(|source| Error::Thread { name, source })
}

impl Reader {
    pub(crate) fn new(topic: Topic, partition: Partition, at: Offset) -> Self {
        Self { topic, partition, at }
    }

    /// Until `stop`, or an error that the client does not mend by itself.
    pub(crate) fn read(
        &mut self,
        consumer: &BaseConsumer,
        poll: &Poll<'_>,
        to: &FeedSender,
        stop: &CancellationToken,
    ) {
        while !stop.is_cancelled() {
            let chunk = self.chunk(consumer, poll).transpose();
            let ended = matches!(chunk, Some(Err(_)));
            if let Some(chunk) = chunk
                && (to.blocking_send(chunk).is_err() || ended)
            {
                return;
            }
        }
    }

    /// Until all before `end` was given, or nothing comes any more.
    pub(crate) fn read_until(&mut self, consumer: &BaseConsumer, end: Offset, to: &FeedSender) {
        let poll = |wait| consumer.poll(wait);
        let mut silent_since = clock::monotonic_ms();
        let patience = u64::try_from(ASK.as_millis()).unwrap_or(u64::MAX);
        while self.at < end && clock::monotonic_ms().saturating_sub(silent_since) < patience {
            let Some(chunk) = self.chunk(consumer, &poll).transpose() else { continue };
            let ended = chunk
                .as_ref()
                .map_or(true, |chunk| chunk.end.is_some_and(|reached| reached >= end));
            if chunk.as_ref().is_ok_and(|chunk| !chunk.messages.is_empty()) {
                silent_since = clock::monotonic_ms();
            }
            if to.blocking_send(chunk).is_err() || ended {
                return;
            }
        }
    }

    /// What there is; `None` where there is nothing yet.
    fn chunk(&mut self, consumer: &BaseConsumer, poll: &Poll<'_>) -> Result<Option<Chunk>, Error> {
        let mut chunk = Chunk { from: self.at, ..Chunk::default() };
        let (mut bytes, mut wait) = (0, IDLE);
        while bytes < CHUNK_BYTES && chunk.end.is_none() {
            match poll(wait) {
                None => break,
                Some(Ok(found)) => {
                    let message = owned(&found);
                    if message.offset < chunk.next() {
                        let (offset, next) = (message.offset, chunk.next());
                        let source = crate::batch::Rewound { offset, next };
                        return Err(Error::Rewound { partition: self.partition, source });
                    }
                    bytes += message.bytes();
                    chunk.messages.push(message);
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {
                    let end = ffi::end(
                        consumer.client().native_ptr(),
                        &self.topic,
                        number(self.partition),
                    );
                    chunk.end = Some(end.map_or(chunk.next(), |end| end.max(chunk.next())));
                }
                // What came before the error is good; the error comes again or mends itself.
                Some(Err(_)) if !chunk.messages.is_empty() => break,
                Some(Err(error)) if is_transient(&error) => {
                    warn!(partition = %self.partition, %error, "kafka");
                    break;
                }
                Some(Err(source)) => {
                    let doing = format!("consume partition {}", self.partition);
                    return Err(Error::Kafka { doing, source });
                }
            }
            wait = Duration::ZERO;
        }
        self.at = chunk.next();
        let something = !chunk.messages.is_empty() || chunk.end.is_some();
        Ok(something.then_some(chunk))
    }
}

/// Errors that librdkafka mends by itself. An offset that is not there, above all, is none of them.
fn is_transient(error: &KafkaError) -> bool {
    use rdkafka::types::RDKafkaErrorCode as Code;
    !matches!(
        error.rdkafka_error_code(),
        Some(
            Code::AutoOffsetReset
                | Code::LogTruncation
                | Code::OffsetOutOfRange
                | Code::UnknownTopicOrPartition
                | Code::UnknownTopic
                | Code::UnknownPartition
                | Code::TopicAuthorizationFailed
                | Code::Fatal
        )
    )
}

/// Copies once: a borrowed message would pin the whole fetch.
fn owned(found: &BorrowedMessage<'_>) -> Message {
    let timestamp = match found.timestamp() {
        KafkaTime::NotAvailable => Timestamp::default(),
        KafkaTime::CreateTime(millis) => Timestamp { kind: TimestampType::CreateTime, millis },
        KafkaTime::LogAppendTime(millis) => {
            Timestamp { kind: TimestampType::LogAppendTime, millis }
        }
    };
    let headers = found.headers().map(|headers| {
        let header = |header: rdkafka::message::Header<'_, &[u8]>| {
            (header.key.to_owned(), header.value.map(<[u8]>::to_vec))
        };
        headers.iter().map(header).collect()
    });
    Message {
        offset: Offset(found.offset().max(0).cast_unsigned()),
        timestamp,
        key: found.key().map(<[u8]>::to_vec),
        headers: headers.unwrap_or_default(),
        value: found.payload().map(<[u8]>::to_vec),
        leader_epoch: ffi::leader_epoch(found),
    }
}
