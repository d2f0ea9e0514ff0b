//! SHELL: a Kafka topic as a source.
//!
//! Partitions are assigned, not subscribed to; the position comes from the chain, and the group's offset is only a hint.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, DefaultConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::{Offset as Position, Timestamp as KafkaTime};
use schemas::{Offset, Partition, Timestamp, TimestampType, Topic};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::error::Error;
use crate::ffi;
use crate::head::Origin;
use crate::message::Message;
use crate::source::{CHUNK_BYTES, Extent, IDLE, thread};

/// How long a question to the brokers may take.
const ASK: Duration = Duration::from_secs(30);

/// A topic and a consumer of it.
#[derive(Clone)]
pub struct Kafka {
    consumer: Arc<BaseConsumer>,
    topic: Topic,
}

impl std::fmt::Debug for Kafka {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kafka").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl Kafka {
    /// A source over `topic`. `settings` are librdkafka's, for security and tuning; those that keep the sealer's promises
    /// cannot be changed.
    ///
    /// # Errors
    /// A setting that librdkafka does not know.
    pub fn new(brokers: &str, topic: Topic, settings: &[(String, String)]) -> Result<Self, Error> {
        let mut client = ClientConfig::new();
        client
            .set("client.id", "chancery-sealer")
            .set("fetch.queue.backoff.ms", "5")
            .set("queued.max.messages.kbytes", "16384");
        for (name, value) in settings {
            client.set(name, value);
        }
        let consumer: BaseConsumer = client
            .set("bootstrap.servers", brokers)
            .set("group.id", format!("chancery-sealer-{topic}"))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_committed")
            .set("check.crcs", "true")
            .create()
            .map_err(|source| Error::Kafka { doing: "set up the consumer".to_owned(), source })?;
        Ok(Self { consumer: Arc::new(consumer), topic })
    }

    pub(crate) async fn origins(&self) -> Result<Vec<Origin>, Error> {
        let metadata = self.ask("describe the topic", |kafka| {
            let metadata = kafka.consumer.fetch_metadata(Some(kafka.topic.as_str()), ASK)?;
            let topic = metadata.topics().iter().find(|topic| topic.name() == kafka.topic.as_str());
            if let Some(error) = topic.and_then(|topic| topic.error()) {
                return Err(KafkaError::MetadataFetch(error.into()));
            }
            let client = kafka.consumer.client();
            // A chain is of one topic, not of whatever has its name: without the id it would be another chain.
            let id = ffi::topic_id(client.native_ptr(), kafka.topic.as_str(), ASK)
                .map_err(KafkaError::AdminOpCreation)?;
            Ok((
                client.fetch_cluster_id(ASK),
                id,
                topic.map_or(0, |topic| topic.partitions().len()),
            ))
        });
        let (cluster, topic_id, count) = metadata.await?;
        let partitions = u32::try_from(count).unwrap_or(u32::MAX);
        if partitions == 0 {
            return Err(Error::Config(format!("topic {} does not exist", self.topic)));
        }
        let origin = |partition| Origin {
            cluster: cluster.clone(),
            topic_id: topic_id.clone(),
            topic: self.topic.clone(),
            partition: Partition(partition),
            partitions,
        };
        Ok((0..partitions).map(origin).collect())
    }

    pub(crate) async fn extent(&self, partition: Partition) -> Result<Extent, Error> {
        self.ask("ask for offsets", move |kafka| {
            let number = number(partition);
            let (low, _high) =
                kafka.consumer.fetch_watermarks(kafka.topic.as_str(), number, ASK)?;
            let mut list = TopicPartitionList::new();
            list.add_partition(kafka.topic.as_str(), number);
            // Only a hint: a group that has no coordinator yet, or no offset, costs a longer look for the chain's end.
            let committed =
                kafka.consumer.committed_offsets(list, ASK).ok().and_then(|committed| {
                    committed
                        .find_partition(kafka.topic.as_str(), number)
                        .map(|found| found.offset())
                });
            let start = Offset(low.max(0).cast_unsigned());
            let hint = match committed {
                Some(Position::Offset(offset)) => Offset(offset.max(0).cast_unsigned()),
                _ => start,
            };
            Ok(Extent { start, hint })
        })
        .await
    }

    /// Assigns one partition from `from` on and reads it in a thread of its own.
    pub(crate) fn read(
        &self,
        origin: &Origin,
        from: Offset,
        to: mpsc::Sender<Result<Vec<Message>, Error>>,
        stop: CancellationToken,
    ) -> Result<(), Error> {
        let failed = |source| Error::Kafka {
            doing: format!("assign partition {}", origin.partition),
            source,
        };
        let queue =
            self.consumer.split_partition_queue(self.topic.as_str(), number(origin.partition));
        let queue = queue.ok_or_else(|| failed(KafkaError::Canceled))?;
        let mut list = TopicPartitionList::new();
        let position = Position::Offset(from.0.cast_signed());
        list.add_partition_offset(self.topic.as_str(), number(origin.partition), position)
            .map_err(failed)?;
        self.consumer.incremental_assign(&list).map_err(failed)?;
        let partition = origin.partition;
        thread(partition, move || poll(&queue, partition, &to, &stop))
    }

    pub(crate) fn commit(&self, partition: Partition, next: Offset) {
        let mut list = TopicPartitionList::new();
        let position = Position::Offset(next.0.cast_signed());
        let added = list.add_partition_offset(self.topic.as_str(), number(partition), position);
        let committed = added.and_then(|()| self.consumer.commit(&list, CommitMode::Async));
        if let Err(error) = committed {
            warn!(%partition, %next, %error, "could not commit the offset; the chain still says where to go on");
        }
    }

    /// Serves librdkafka's own events until `stop`: errors of brokers and answers to commits come this way.
    pub(crate) fn serve(&self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            if let Some(Err(error)) = self.consumer.poll(IDLE) {
                warn!(%error, "kafka");
            }
        }
    }

    async fn ask<T: Send + 'static>(
        &self,
        doing: &str,
        question: impl FnOnce(&Self) -> Result<T, KafkaError> + Send + 'static,
    ) -> Result<T, Error> {
        let kafka = self.clone();
        let answer =
            tokio::task::spawn_blocking(move || question(&kafka)).await.map_err(Error::Task)?;
        answer.map_err(|source| Error::Kafka {
            doing: format!("{doing} (topic {})", self.topic),
            source,
        })
    }
}

fn number(partition: Partition) -> i32 {
    i32::try_from(partition.0).unwrap_or(i32::MAX)
}

fn poll(
    queue: &PartitionQueue<DefaultConsumerContext>,
    partition: Partition,
    to: &mpsc::Sender<Result<Vec<Message>, Error>>,
    stop: &CancellationToken,
) {
    while !stop.is_cancelled() {
        let chunk = match next_chunk(queue) {
            Ok(chunk) if chunk.is_empty() => continue,
            Ok(chunk) => Ok(chunk),
            Err(error) if is_transient(&error) => {
                warn!(%partition, %error, "kafka");
                continue;
            }
            Err(source) => {
                Err(Error::Kafka { doing: format!("consume partition {partition}"), source })
            }
        };
        let ended = chunk.is_err();
        if to.blocking_send(chunk).is_err() || ended {
            return;
        }
    }
}

/// Errors that librdkafka mends by itself. An offset that is not there, above all, is none of them.
fn is_transient(error: &KafkaError) -> bool {
    use rdkafka::types::RDKafkaErrorCode as Code;
    let code = error.rdkafka_error_code();
    !matches!(
        code,
        Some(
            Code::AutoOffsetReset
                | Code::OffsetOutOfRange
                | Code::UnknownTopicOrPartition
                | Code::UnknownTopic
                | Code::UnknownPartition
                | Code::TopicAuthorizationFailed
                | Code::Fatal
        )
    )
}

fn next_chunk(queue: &PartitionQueue<DefaultConsumerContext>) -> Result<Vec<Message>, KafkaError> {
    let mut chunk = Vec::new();
    let mut bytes = 0;
    let mut wait = IDLE;
    while bytes < CHUNK_BYTES {
        match queue.poll(wait) {
            None => break,
            Some(Ok(found)) => {
                let message = owned(&found);
                bytes += message.bytes();
                chunk.push(message);
            }
            // What came before the error is good; the error comes again or mends itself.
            Some(Err(error)) if chunk.is_empty() => return Err(error),
            Some(Err(_)) => break,
        }
        wait = Duration::ZERO;
    }
    Ok(chunk)
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
