//! SHELL: the Kafka producer: idempotent, `acks=all`, bounded in time and in bytes.
//!
//! A message is durable when its delivery report says so. A broker that is away makes messages fail after
//! `message_timeout_ms`, and whoever sent them tries again; with a spool, `relay` takes them back before.

#![expect(clippy::disallowed_methods, reason = "brokers are given time to hear of a new topic")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{
    BaseRecord, DeliveryResult, Producer, ProducerContext, PurgeConfig, ThreadedProducer,
};
use schemas::Framing;
use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer};

use crate::batch::{Batch, Failure, Report};
use crate::bursts::Bursts;
use crate::error::Error;

/// Room in a Kafka request for what stands beside the value: key, timestamp, batch header.
const OVERHEAD_BYTES: usize = 4096;
/// How long the brokers have to tell of the topic when the gateway starts.
const LOOK_MAX: Duration = Duration::from_secs(5);
/// How often a topic that is missing is asked for, and the time between.
const LOOKS: u32 = 5;
const LOOK_PAUSE: Duration = Duration::from_millis(500);
/// How long the client has to report on what it was told to drop: it does so at once.
const WITHDRAW_MAX: Duration = Duration::from_secs(5);

/// Settings of the Kafka sink.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaConfig {
    /// `host:port`, joined by commas. Default `localhost:9092`.
    pub brokers: String,
    /// The topic. Default `chancery.events`. It must exist: its partition count is fixed for its life.
    pub topic: String,
    /// Bytes of the largest event. Default 900,000: brokers take batches of 1 MiB unless told otherwise.
    pub event_bytes_max: usize,
    /// Bytes of a request to the broker (`message.max.bytes`). Default 1,000,000, which is librdkafka's own.
    pub message_max_bytes: usize,
    /// Milliseconds that a message waits for others (`linger.ms`). Default 1: while messages are under way, others gather anyhow.
    pub linger_ms: u32,
    /// Milliseconds until a message that is not acknowledged fails (`message.timeout.ms`). Default 30,000: clients
    /// give up soon after. Without effect where there is a spool.
    pub message_timeout_ms: u32,
    /// Bytes queued in the client (`queue.buffering.max.kbytes`). Default 256 MiB; beyond it events fail at once.
    pub queue_bytes_max: usize,
    /// How values are framed: `single_object`, or `confluent`, which needs a registry. Default `single_object`. Fixed for
    /// the life of a topic.
    #[serde(deserialize_with = "framing")]
    pub framing: Framing,
    /// Any other property of librdkafka, such as `security.protocol`. Put secrets in from the environment.
    pub properties: BTreeMap<String, String>,
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self {
            brokers: "localhost:9092".to_owned(),
            topic: "chancery.events".to_owned(),
            event_bytes_max: 900_000,
            message_max_bytes: 1_000_000,
            linger_ms: 1,
            message_timeout_ms: 30_000,
            queue_bytes_max: 256 << 20,
            framing: Framing::default(),
            properties: BTreeMap::new(),
        }
    }
}

fn framing<'de, D: Deserializer<'de>>(from: D) -> Result<Framing, D::Error> {
    let text = String::deserialize(from)?;
    let known = "single_object or confluent";
    text.parse().map_err(|()| D::Error::invalid_value(Unexpected::Str(&text), &known))
}

impl std::fmt::Debug for KafkaConfig {
    /// Without the values of `properties`, which may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = f.debug_struct("KafkaConfig");
        out.field("brokers", &self.brokers).field("topic", &self.topic);
        out.field("properties", &self.properties.keys()).finish_non_exhaustive()
    }
}

/// A producer for one topic.
pub(crate) struct Kafka {
    producer: ThreadedProducer<Deliveries>,
    bursts: Bursts,
    brokers: String,
    topic: String,
    timeout: Duration,
}

impl Kafka {
    /// `is_patient` is for who takes messages back by himself: the client then never gives one up.
    pub(crate) fn new(config: &KafkaConfig, is_patient: bool) -> Result<Self, Error> {
        if config.event_bytes_max.saturating_add(OVERHEAD_BYTES) > config.message_max_bytes {
            let why = format!("is under event_bytes_max and {OVERHEAD_BYTES} more");
            return Err(Error::Config { field: "message_max_bytes", why });
        }
        let timeout_ms = if is_patient { 0 } else { config.message_timeout_ms };
        let mut client = ClientConfig::new();
        // librdkafka's own 10 s would be added to every absence.
        client.set("reconnect.backoff.max.ms", "1000");
        for (name, value) in &config.properties {
            client.set(name, value);
        }
        // Last, since none of these may be overridden: durability, order and place depend on them.
        client
            .set("bootstrap.servers", &config.brokers)
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("partitioner", "murmur2_random")
            .set("compression.type", "lz4")
            .set("linger.ms", config.linger_ms.to_string())
            .set("message.timeout.ms", timeout_ms.to_string())
            .set("message.max.bytes", config.message_max_bytes.to_string())
            .set("queue.buffering.max.kbytes", (config.queue_bytes_max / 1024).to_string());
        let producer = client.create_with_context(Deliveries).map_err(|source| Error::Kafka {
            brokers: config.brokers.clone(),
            source: Box::new(source),
        })?;
        // The client fails messages by itself after the timeout; a little more, and it never will.
        let timeout = Duration::from_millis(u64::from(config.message_timeout_ms) + 5000);
        let (brokers, topic) = (config.brokers.clone(), config.topic.clone());
        Ok(Self { producer, bursts: Bursts::new(), brokers, topic, timeout })
    }

    /// Asks the brokers for the topic, some times over: not every broker knows at once of one that was just made. It never
    /// makes one: all topics are asked for, none by its name.
    ///
    /// # Errors
    /// [`Error::Unreachable`]; [`Error::Topic`].
    pub(crate) fn look(&self) -> Result<(), Error> {
        for _ in 1..LOOKS {
            match self.look_once() {
                Err(Error::Topic { .. }) => std::thread::sleep(LOOK_PAUSE),
                looked => return looked,
            }
        }
        self.look_once()
    }

    fn look_once(&self) -> Result<(), Error> {
        let (brokers, topic) = (self.brokers.clone(), self.topic.clone());
        let found = match self.producer.client().fetch_metadata(None, LOOK_MAX) {
            Ok(found) => found,
            Err(source) => return Err(Error::Unreachable { brokers, source: Box::new(source) }),
        };
        let found = found.topics().iter().find(|found| found.name() == topic);
        if found.is_some_and(|found| found.error().is_none() && !found.partitions().is_empty()) {
            return Ok(());
        }
        Err(Error::Topic { topic, brokers })
    }

    /// Hands a batch to the client, in order. Where one message cannot be handed over for now, none behind it is.
    pub(crate) fn hand(&mut self, batch: &Arc<Batch>) {
        let burst = self.bursts.join();
        for (index, message) in batch.messages.iter().enumerate() {
            let burst = burst.clone();
            let report = Box::new(Report { batch: Arc::clone(batch), index, burst });
            let key = message.key.as_deref().unwrap_or_default();
            let record = BaseRecord::with_opaque_to(&self.topic, report)
                .key(key)
                .payload(message.value.as_slice())
                .timestamp(message.timestamp_ms);
            let Err((error, record)) = self.producer.send(record) else { continue };
            let failure = Failure::of(&error);
            record.delivery_opaque.settle(Err(failure.clone()));
            if matches!(failure, Failure::Away(_)) {
                batch.fail_from(index + 1, &failure);
                return;
            }
        }
    }

    /// Waits until every message has had its outcome.
    pub(crate) fn flush(&self) {
        if let Err(error) = self.producer.flush(self.timeout) {
            tracing::error!(%error, "could not flush the producer");
        }
    }

    /// Takes everything out of the client's hands. What was under way may have reached the broker.
    pub(crate) fn withdraw(&self) {
        self.producer.purge(PurgeConfig::default().queue().inflight());
        if let Err(error) = self.producer.flush(WITHDRAW_MAX) {
            tracing::warn!(%error, "the client did not report on all that it had");
        }
    }
}

/// Receives delivery reports.
pub(crate) struct Deliveries;

impl ClientContext for Deliveries {
    /// What the client says of brokers and connections; it says it again and again.
    fn error(&self, error: KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL) => {
                tracing::warn!(%error, reason, "Kafka does not let the client in");
            }
            _ => tracing::debug!(%error, reason, "the Kafka client"),
        }
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Report>;

    fn delivery(&self, result: &DeliveryResult<'_>, report: Box<Report>) {
        report.settle(result.as_ref().map(drop).map_err(|(error, _)| Failure::of(error)));
    }
}
