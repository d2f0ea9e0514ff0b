//! SHELL: topics on the broker: made, filled, read as the sealer reads, and the hint that a sealer leaves in its group.

use std::time::Duration;

use anyhow::Context;
use rdkafka::Offset as KafkaOffset;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::topic_partition_list::TopicPartitionList;
use schemas::{Offset, Partition, Timestamp, TimestampType};

/// How long the broker may take to answer anything.
const ASK: Duration = Duration::from_secs(60);

/// A topic, and who writes it.
pub(crate) struct Topic {
    brokers: String,
    pub(crate) name: String,
    pub(crate) partitions: u32,
    producer: BaseProducer,
    sent: u64,
}

impl Topic {
    pub(crate) fn create(brokers: &str, name: &str, partitions: u32) -> anyhow::Result<Self> {
        let admin: AdminClient<DefaultClientContext> = client(brokers).create()?;
        let new = NewTopic::new(name, i32::try_from(partitions)?, TopicReplication::Fixed(1));
        let runtime = tokio::runtime::Runtime::new()?;
        let created = runtime.block_on(admin.create_topics(&[new], &AdminOptions::new()))?;
        for topic in created {
            topic.map_err(|(name, why)| anyhow::anyhow!("cannot create topic {name}: {why}"))?;
        }
        // As the gateway's, but for the size of its queue.
        let producer = client(brokers)
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("partitioner", "murmur2_random")
            .set("compression.type", "lz4")
            .set("linger.ms", "5")
            .create()?;
        let (brokers, name) = (brokers.to_owned(), name.to_owned());
        Ok(Self { brokers, name, partitions, producer, sent: 0 })
    }

    /// Sends a message; `flush` then waits for all.
    pub(crate) fn send(
        &mut self,
        timestamp_ms: i64,
        key: &[u8],
        value: &[u8],
    ) -> anyhow::Result<()> {
        let mut record = BaseRecord::to(&self.name).timestamp(timestamp_ms).key(key).payload(value);
        while let Err((error, back)) = self.producer.send(record) {
            let full = error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull);
            anyhow::ensure!(full, "cannot send to {}: {error}", self.name);
            self.producer.poll(Duration::from_millis(10));
            record = back;
        }
        self.sent += 1;
        Ok(())
    }

    /// Waits until the broker has all that was sent.
    pub(crate) fn flush(&self) -> anyhow::Result<()> {
        self.producer.flush(ASK)?;
        let there: u64 = self.ends()?.iter().map(|end| end.0).sum();
        anyhow::ensure!(there == self.sent, "{} has {there} of {}", self.name, self.sent);
        Ok(())
    }

    /// Where each partition ends.
    fn ends(&self) -> anyhow::Result<Vec<Offset>> {
        let consumer = self.consumer()?;
        let end = |partition| {
            let partition = i32::try_from(partition)?;
            let (_, end) = consumer.fetch_watermarks(&self.name, partition, ASK)?;
            Ok(Offset(u64::try_from(end)?))
        };
        (0..self.partitions).map(end).collect()
    }

    /// Reads all there is, as a sealer's client would, and gives each message away.
    pub(crate) fn read(
        &self,
        mut each: impl FnMut(Partition, sealer::Message) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let consumer = self.consumer()?;
        let mut list = TopicPartitionList::new();
        for partition in 0..self.partitions {
            let partition = i32::try_from(partition)?;
            list.add_partition_offset(&self.name, partition, KafkaOffset::Beginning)?;
        }
        consumer.assign(&list)?;
        let mut reading = self.partitions;
        while reading > 0 {
            match consumer.poll(ASK).context("the broker gives nothing")? {
                Ok(message) => {
                    let partition = Partition(message.partition().unsigned_abs());
                    each(partition, owned(&message)?)?;
                }
                Err(KafkaError::PartitionEOF(_)) => reading -= 1,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Leaves the hint that a sealer leaves when it has sealed the segment that begins at `start`.
    pub(crate) fn hint(&self, start: Offset, next: Offset) -> anyhow::Result<()> {
        let mut list = TopicPartitionList::new();
        let mut entry = list.add_partition(&self.name, 0);
        entry.set_metadata(start.to_string());
        entry.set_offset(KafkaOffset::Offset(i64::try_from(next.0)?))?;
        Ok(self.consumer()?.commit(&list, CommitMode::Sync)?)
    }

    fn consumer(&self) -> anyhow::Result<BaseConsumer> {
        Ok(client(&self.brokers)
            .set("group.id", format!("chancery-sealer-{}", self.name))
            .set("fetch.queue.backoff.ms", "5")
            .set("queued.max.messages.kbytes", "16384")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "error")
            .set("check.crcs", "true")
            .create()?)
    }
}

fn owned(message: &rdkafka::message::BorrowedMessage<'_>) -> anyhow::Result<sealer::Message> {
    let millis = message.timestamp().to_millis().unwrap_or_default();
    Ok(sealer::Message {
        offset: Offset(u64::try_from(message.offset())?),
        timestamp: Timestamp { kind: TimestampType::CreateTime, millis },
        key: message.key().map(<[u8]>::to_vec),
        headers: Vec::new(),
        value: message.payload().map(<[u8]>::to_vec),
        leader_epoch: None,
    })
}

fn client(brokers: &str) -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", brokers);
    client
}
