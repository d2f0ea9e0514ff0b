//! SHELL: the Kafka producer: idempotent, `acks=all`, bounded in time and in bytes.
//!
//! A message is durable when its delivery report says so. A broker that is away makes messages fail after
//! `message_timeout_ms`; whoever sent them tries again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use serde::Deserialize;

use crate::error::Error;
use crate::produce::{Done, Health, Job};

/// Room in a Kafka request for what stands beside the value: key, timestamp, batch header.
const OVERHEAD_BYTES: usize = 4096;

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
    /// Milliseconds that a message waits for others (`linger.ms`). Default 5: under what a client notices.
    pub linger_ms: u32,
    /// Milliseconds until a message that is not acknowledged fails (`message.timeout.ms`). Default 30,000: clients
    /// give up soon after.
    pub message_timeout_ms: u32,
    /// Bytes queued in the client (`queue.buffering.max.kbytes`). Default 256 MiB; beyond it events fail at once.
    pub queue_bytes_max: usize,
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
            linger_ms: 5,
            message_timeout_ms: 30_000,
            queue_bytes_max: 256 << 20,
            properties: BTreeMap::new(),
        }
    }
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
    topic: String,
    timeout: Duration,
}

impl Kafka {
    pub(crate) fn new(config: &KafkaConfig) -> Result<Self, Error> {
        if config.event_bytes_max.saturating_add(OVERHEAD_BYTES) > config.message_max_bytes {
            let why = format!("is under event_bytes_max and {OVERHEAD_BYTES} more");
            return Err(Error::Config { field: "message_max_bytes", why });
        }
        let mut client = ClientConfig::new();
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
            .set("message.timeout.ms", config.message_timeout_ms.to_string())
            .set("message.max.bytes", config.message_max_bytes.to_string())
            .set("queue.buffering.max.kbytes", (config.queue_bytes_max / 1024).to_string());
        let producer = client.create_with_context(Deliveries).map_err(|source| Error::Kafka {
            brokers: config.brokers.clone(),
            source: Box::new(source),
        })?;
        // The client fails messages by itself after the timeout; a little more, and it never will.
        let timeout = Duration::from_millis(u64::from(config.message_timeout_ms) + 5000);
        Ok(Self { producer, topic: config.topic.clone(), timeout })
    }

    /// Hands the messages to the client, in order. A job without messages is a flush.
    pub(crate) fn send(&self, job: Job, health: &Arc<Health>) {
        if job.messages.is_empty() {
            if let Err(error) = self.producer.flush(self.timeout) {
                tracing::error!(%error, "could not flush the producer");
            }
            (job.done)(Vec::new());
            return;
        }
        let batch = Arc::new(Batch {
            open: Mutex::new(Open {
                left: job.messages.len(),
                durable: vec![false; job.messages.len()],
                done: Some(job.done),
            }),
            health: Arc::clone(health),
        });
        for (index, message) in job.messages.iter().enumerate() {
            let report = Box::new(Report { batch: Arc::clone(&batch), index });
            let key = message.key.as_deref().unwrap_or_default();
            let record = BaseRecord::with_opaque_to(&self.topic, report)
                .key(key)
                .payload(message.value.as_slice())
                .timestamp(message.timestamp_ms);
            if let Err((error, record)) = self.producer.send(record) {
                record.delivery_opaque.settle(Err(error.to_string()));
            }
        }
    }
}

/// One job's messages in the hands of the client.
struct Batch {
    open: Mutex<Open>,
    health: Arc<Health>,
}

struct Open {
    left: usize,
    durable: Vec<bool>,
    done: Option<Done>,
}

/// Goes with a message, and comes back with its delivery report.
pub(crate) struct Report {
    batch: Arc<Batch>,
    index: usize,
}

impl Report {
    fn settle(&self, outcome: Result<(), String>) {
        let durable = outcome.is_ok();
        match outcome {
            Ok(()) => self.batch.health.succeeded(),
            Err(error) => self.batch.health.failed(error),
        }
        let mut open = self.batch.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = open.durable.get_mut(self.index) {
            *slot = durable;
        }
        open.left = open.left.saturating_sub(1);
        if open.left > 0 {
            return;
        }
        let (done, durable) = (open.done.take(), std::mem::take(&mut open.durable));
        drop(open);
        if let Some(done) = done {
            done(durable);
        }
    }
}

/// Receives delivery reports.
pub(crate) struct Deliveries;

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Report>;

    fn delivery(&self, result: &DeliveryResult<'_>, report: Box<Report>) {
        report.settle(result.as_ref().map(drop).map_err(|(error, _)| error.to_string()));
    }
}
