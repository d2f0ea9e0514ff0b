//! SHELL: a Kafka topic as a source.
//!
//! What is read is assigned, at the position that the chain gives; the group's offset is only a hint. Which partitions are
//! this process's to seal may come from the group (`group.rs`), but messages never come that way.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::Offset as KafkaOffset;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaErrorCode;
use registry::Registry;
use schemas::{Framing, Offset, Partition, Published, SchemaId, Topic};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::clock;
use crate::consume::{Reader, thread};
use crate::error::Error;
use crate::ffi;
use crate::group::{Assigned, Group};
use crate::origin::Origin;
use crate::source::{Extent, FeedSender, IDLE, Position};
use crate::topic;

/// How long a question to the brokers may take.
pub(crate) const ASK: Duration = Duration::from_secs(30);
/// Ranges that are read again at one time: each takes a consumer of its own.
const RANGES_MAX: usize = 4;
/// How long what the brokers say of the topic's settings is believed.
const SETTINGS_AGE_MAX_MS: u64 = 10_000;

/// A topic and a consumer of it.
#[derive(Clone)]
pub struct Kafka {
    consumer: Arc<BaseConsumer>,
    shared: Arc<Shared>,
    /// What the ids in Confluent frames stand for, on a topic with that framing.
    registry: Option<Registry>,
}

/// What all clones share.
struct Shared {
    brokers: String,
    topic: Topic,
    properties: Vec<(String, String)>,
    /// Threads that read a partition: one at a time, or each would get a part of the messages.
    reading: Mutex<HashMap<Partition, Reading>>,
    group: Mutex<Option<Group>>,
    ranges: Arc<Semaphore>,
    compacted: tokio::sync::Mutex<Option<(u64, bool)>>,
}

struct Reading {
    stop: CancellationToken,
    thread: JoinHandle<()>,
}

impl std::fmt::Debug for Kafka {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kafka").field("topic", &self.shared.topic).finish_non_exhaustive()
    }
}

impl Kafka {
    /// A source over `topic`. `properties` are librdkafka's, for security and tuning; those that keep the sealer's promises
    /// cannot be changed.
    ///
    /// # Errors
    /// A property that librdkafka does not know.
    pub fn new(
        brokers: &str,
        topic: Topic,
        properties: &[(String, String)],
    ) -> Result<Self, Error> {
        let shared = Shared {
            brokers: brokers.to_owned(),
            topic,
            properties: properties.to_vec(),
            reading: Mutex::default(),
            group: Mutex::default(),
            ranges: Arc::new(Semaphore::new(RANGES_MAX)),
            compacted: tokio::sync::Mutex::default(),
        };
        let consumer = shared.client().create().map_err(failed("set up the consumer"))?;
        Ok(Self { consumer: Arc::new(consumer), shared: Arc::new(shared), registry: None })
    }

    /// The same source, of a topic with Confluent framing.
    #[must_use]
    pub fn with_registry(self, registry: Registry) -> Self {
        Self { registry: Some(registry), ..self }
    }

    fn topic(&self) -> &Topic {
        &self.shared.topic
    }

    pub(crate) async fn origins(&self) -> Result<Vec<Origin>, Error> {
        let described = self.ask("describe the topic", |kafka| {
            let client = kafka.consumer.client();
            let cluster = client.fetch_cluster_id(ASK);
            // A chain is of one topic, not of whatever has its name: without the id it would be another chain.
            let described = ffi::describe(client.native_ptr(), kafka.topic().as_str(), ASK);
            Ok((cluster, described.map_err(KafkaError::AdminOpCreation)?))
        });
        let (cluster, described) = described.await?;
        if described.partitions == 0 {
            let source = KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition);
            return Err(failed(&format!("find the topic {}", self.topic()))(source));
        }
        let origin = |partition| Origin {
            cluster: cluster.clone(),
            topic_id: described.id.clone(),
            topic: self.topic().clone(),
            partition: Partition(partition),
            partitions: described.partitions,
            framing: self.registry.as_ref().map_or(Framing::SingleObject, |_| Framing::Confluent),
        };
        Ok((0..described.partitions).map(origin).collect())
    }

    pub(crate) async fn schema(&self, id: SchemaId) -> Result<Option<&'static Published>, Error> {
        match &self.registry {
            None => Ok(None),
            Some(registry) => Ok(registry.published(id).await?),
        }
    }

    pub(crate) async fn is_compacted(&self) -> Result<bool, Error> {
        let mut known = self.shared.compacted.lock().await;
        let now = clock::monotonic_ms();
        if let Some((at, compacted)) = *known
            && now.saturating_sub(at) < SETTINGS_AGE_MAX_MS
        {
            return Ok(compacted);
        }
        let Shared { brokers, topic, properties, .. } = &*self.shared;
        let compacted = topic::describe(brokers, topic, properties).await?.is_compacted();
        *known = Some((now, compacted));
        Ok(compacted)
    }

    pub(crate) async fn extent(&self, partition: Partition) -> Result<Extent, Error> {
        self.ask("ask for offsets", move |kafka| {
            let (topic, number) = (kafka.topic().as_str(), number(partition));
            let (start, end) = kafka.consumer.fetch_watermarks(topic, number, ASK)?;
            let mut list = TopicPartitionList::new();
            list.add_partition(topic, number);
            // Only a hint: a group that has no coordinator yet, or no offset, costs a longer look for the chain's end.
            let committed = kafka.consumer.committed_offsets(list, ASK).ok();
            let hint = committed.as_ref().and_then(|committed| {
                committed.find_partition(topic, number)?.metadata().parse().ok().map(Offset)
            });
            let offset = |offset: i64| Offset(offset.max(0).cast_unsigned());
            Ok(Extent { start: offset(start), end: offset(end), hint })
        })
        .await
    }

    /// Assigns one partition at a position and reads it in a thread of its own.
    pub(crate) async fn read(
        &self,
        origin: &Origin,
        from: Position,
        to: FeedSender,
        stop: CancellationToken,
    ) -> Result<(), Error> {
        let (kafka, partition) = (self.clone(), origin.partition);
        let doing = format!("assign partition {partition}");
        let begun = tokio::task::spawn_blocking(move || {
            let mut reading = kafka.shared.reading.lock().unwrap_or_else(PoisonError::into_inner);
            kafka.end(partition, reading.remove(&partition));
            let stop = stop.child_token();
            let thread = kafka.begin(partition, from, to, stop.clone())?;
            reading.insert(partition, Reading { stop, thread });
            Ok(())
        });
        begun.await.map_err(Error::Task)?.map_err(failed(&doing))
    }

    /// Reads a partition no longer.
    pub(crate) async fn leave(&self, partition: Partition) {
        let kafka = self.clone();
        let left = tokio::task::spawn_blocking(move || {
            let mut reading = kafka.shared.reading.lock().unwrap_or_else(PoisonError::into_inner);
            kafka.end(partition, reading.remove(&partition));
        });
        if let Err(error) = left.await {
            warn!(%partition, %error, "could not end the reading of a partition");
        }
    }

    /// Waits until the thread has ended: another one at the same queue would get a part of the messages.
    fn end(&self, partition: Partition, reading: Option<Reading>) {
        let Some(Reading { stop, thread }) = reading else { return };
        stop.cancel();
        let _ended = thread.join();
        let mut list = TopicPartitionList::new();
        list.add_partition(self.topic().as_str(), number(partition));
        if let Err(error) = self.consumer.incremental_unassign(&list) {
            warn!(%partition, %error, "could not unassign; the next assignment replaces it");
        }
    }

    fn begin(
        &self,
        partition: Partition,
        from: Position,
        to: FeedSender,
        stop: CancellationToken,
    ) -> Result<JoinHandle<()>, KafkaError> {
        let list = at(self.topic(), partition, from)?;
        let queue = self.consumer.split_partition_queue(self.topic().as_str(), number(partition));
        let queue = queue.ok_or(KafkaError::Canceled)?;
        self.consumer.incremental_assign(&list)?;
        let consumer = self.consumer.clone();
        let mut reader = Reader::new(self.topic().clone(), partition, from.offset);
        thread(partition, move || reader.read(&consumer, &|wait| queue.poll(wait), &to, &stop))
            .map_err(|error| KafkaError::ClientCreation(error.to_string()))
    }

    /// Reads a range with a consumer of its own, so that what is being read goes on.
    pub(crate) async fn range(
        &self,
        origin: &Origin,
        range: Range<Offset>,
        to: FeedSender,
    ) -> Result<(), Error> {
        let permit = self.shared.ranges.clone().acquire_owned().await;
        let partition = origin.partition;
        let doing = format!("read partition {partition} again");
        let consumer: BaseConsumer = self.shared.client().create().map_err(failed(&doing))?;
        let from = Position { offset: range.start, leader_epoch: None };
        let list = at(self.topic(), partition, from).map_err(failed(&doing))?;
        consumer.assign(&list).map_err(failed(&doing))?;
        let mut reader = Reader::new(self.topic().clone(), partition, range.start);
        thread(partition, move || {
            let _until_read = permit;
            reader.read_until(&consumer, range.end, &to);
        })
        .map(drop)
    }

    pub(crate) fn commit(&self, partition: Partition, start: Offset, next: Offset) {
        let mut list = TopicPartitionList::new();
        let set = {
            let mut entry = list.add_partition(self.topic().as_str(), number(partition));
            entry.set_metadata(start.to_string());
            entry.set_offset(KafkaOffset::Offset(next.0.cast_signed()))
        };
        let committed = set.and_then(|()| {
            match &*self.shared.group.lock().unwrap_or_else(PoisonError::into_inner) {
                // A group with members takes offsets from those alone.
                Some(group) => group.commit(&list),
                None => self.consumer.commit(&list, CommitMode::Async),
            }
        });
        if let Err(error) = committed {
            warn!(%partition, %next, %error, "could not commit the offset; the chain still says where to go on");
        }
    }

    /// Joins the group: which partitions are this process's comes from there.
    pub(crate) fn join(&self) -> Result<(Group, watch::Receiver<Assigned>), Error> {
        let joined = Group::join(&self.shared.client(), self.topic());
        let (group, assigned) = joined.map_err(failed("join the group"))?;
        let mut shared = self.shared.group.lock().unwrap_or_else(PoisonError::into_inner);
        *shared = Some(group.clone());
        Ok((group, assigned))
    }

    /// Serves librdkafka's own events until `stop`: errors of brokers and answers to commits come this way.
    pub(crate) fn serve(&self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            if let Some(Err(error)) = self.consumer.poll(IDLE)
                && !matches!(error, KafkaError::PartitionEOF(_))
            {
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
        answer.map_err(failed(&format!("{doing} (topic {})", self.topic())))
    }
}

impl Shared {
    fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client
            .set("client.id", "chancery-sealer")
            .set("fetch.queue.backoff.ms", "5")
            .set("queued.max.messages.kbytes", "16384");
        for (name, value) in &self.properties {
            client.set(name, value);
        }
        client
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", format!("chancery-sealer-{}", self.topic))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_committed")
            .set("check.crcs", "true");
        client
    }
}

pub(crate) fn number(partition: Partition) -> i32 {
    i32::try_from(partition.0).unwrap_or(i32::MAX)
}

fn at(
    topic: &Topic,
    partition: Partition,
    from: Position,
) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::new();
    let offset = KafkaOffset::Offset(from.offset.0.cast_signed());
    list.add_partition_offset(topic.as_str(), number(partition), offset)?;
    if let Some(epoch) = from.leader_epoch {
        ffi::set_leader_epoch(&list, epoch);
    }
    Ok(list)
}

fn failed(doing: &str) -> impl FnOnce(KafkaError) -> Error {
    let doing = doing.to_owned();
    |source| Error::Kafka { doing, source }
}
