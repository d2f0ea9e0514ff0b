//! Settings of a recorder: where events go, who records, and how much may wait.

use std::collections::BTreeMap;
use std::fmt;

use schemas::{STRING_BYTES_MAX, Tenant, VALUE_BYTES_MAX};

use crate::error::Error;
use crate::sign::Signer;

/// Settings of a recorder.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where events go.
    pub target: Target,
    /// Owner of the sessions: `[a-z0-9-]{1,64}`. A gateway takes only the tenant of the key.
    pub tenant: String,
    /// Who acts, unless an event says otherwise.
    pub agent: Agent,
    /// Names this process among those that record at the same time; the same after a restart. Default: a new UUID.
    pub producer_id: String,
    /// The retention class of every session. Default `standard`.
    pub retention_class: String,
    /// Signs every event. Default none.
    pub signer: Option<Signer>,

    /// Bytes of events that are not acknowledged yet. Default 64 MiB. Beyond it events are dropped, counted, and named
    /// by a `producer.gap`. Sending costs twice `batch_bytes_max` more.
    pub queue_bytes_max: usize,
    /// Bytes of events that are sent together. Default 4 MiB; a larger event goes alone.
    pub batch_bytes_max: usize,
    /// Events that are sent together. Default 1,000.
    pub batch_events_max: usize,
    /// Bytes of an event with the bodies it carries. Default 16 MiB, with Kafka 900,000, as brokers and gateways take.
    /// Of a larger one the longest bodies are cut, and it says so (`capture_fidelity`, `source_dropped`).
    pub event_bytes_max: usize,
    /// Milliseconds that an event waits for others. Default 20: what is here when the process is killed is lost.
    pub linger_ms: u64,
    /// Milliseconds until an attempt that got no answer is made again. Default 30,000.
    pub request_timeout_ms: u64,
    /// Milliseconds between attempts, at most. Default 10,000; a `Retry-After` goes before it.
    pub backoff_max_ms: u64,
    /// Milliseconds that sending goes on after the last handle was dropped without [`crate::Recorder::close`]. Default 30,000.
    pub drain_timeout_ms: u64,
}

/// Where events go.
#[derive(Clone)]
pub enum Target {
    /// A gateway.
    Ingest {
        /// Such as `http://127.0.0.1:4280`.
        url: String,
        /// A key of `chancery keys create`, for a gateway that wants one.
        key: Option<String>,
    },
    /// A topic, without a gateway: nothing then says when an event was observed, and by whom.
    Kafka {
        /// `host:port`, joined by commas.
        brokers: String,
        /// The topic.
        topic: String,
        /// Any other property of librdkafka, such as `security.protocol`.
        properties: BTreeMap<String, String>,
    },
}

/// An agent, as in `gen_ai.agent.*`. What is empty is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agent {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl Config {
    /// The defaults, for this agent.
    #[must_use]
    pub fn new(target: Target, tenant: &str, agent: Agent) -> Self {
        let is_kafka = matches!(target, Target::Kafka { .. });
        Self {
            target,
            tenant: tenant.to_owned(),
            agent,
            producer_id: uuid::Uuid::now_v7().to_string(),
            retention_class: "standard".to_owned(),
            signer: None,
            queue_bytes_max: 64 << 20,
            batch_bytes_max: 4 << 20,
            batch_events_max: 1000,
            event_bytes_max: if is_kafka { 900_000 } else { 16 << 20 },
            linger_ms: 20,
            request_timeout_ms: 30_000,
            backoff_max_ms: 10_000,
            drain_timeout_ms: 30_000,
        }
    }

    /// What would make every event one that is refused, and what would stop all sending.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let wrong = |field, why: String| Err(Error::Config { field, why });
        if let Err(error) = Tenant::new(&self.tenant) {
            return wrong("tenant", error.why.to_owned());
        }
        let Agent { id, name, version } = &self.agent;
        let texts = [
            ("agent.id", id),
            ("agent.name", name),
            ("agent.version", version),
            ("producer_id", &self.producer_id),
            ("retention_class", &self.retention_class),
        ];
        if let Some((field, _)) = texts.iter().find(|(_, text)| text.len() > STRING_BYTES_MAX) {
            return wrong(field, format!("is over {STRING_BYTES_MAX} bytes"));
        }
        let numbers = [
            ("queue_bytes_max", self.queue_bytes_max, 64 << 10, usize::MAX),
            ("batch_bytes_max", self.batch_bytes_max, 1, 32 << 20),
            ("batch_events_max", self.batch_events_max, 1, 10_000),
            ("event_bytes_max", self.event_bytes_max, 64 << 10, VALUE_BYTES_MAX),
        ];
        match numbers.iter().find(|(_, value, min, max)| !(min..=max).contains(&value)) {
            Some((field, _, min, max)) => wrong(field, format!("is not from {min} to {max}")),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Target {
    /// Without the key and the values of `properties`, which may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ingest { url, key } => {
                let key = key.as_ref().map(|_| "…");
                f.debug_struct("Ingest").field("url", url).field("key", &key).finish()
            }
            Self::Kafka { brokers, topic, properties } => f
                .debug_struct("Kafka")
                .field("brokers", brokers)
                .field("topic", topic)
                .field("properties", &properties.keys())
                .finish(),
        }
    }
}
