//! What can go wrong outside of a single request. What a client is told is `refusal.rs`.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why the gateway did not do as it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting makes no sense.
    #[error("setting {field} {why}")]
    Config {
        /// The setting.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A file of keys could not be read or written.
    #[error("could not {doing} {}", path.display())]
    File {
        /// What was being done, as a verb.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file of keys is not as this program writes it.
    #[error("{} is malformed", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// Rules of redaction make no sense.
    #[error("{} has rules that cannot be used", path.display())]
    Redaction {
        /// The file.
        path: PathBuf,
        /// Which, and why.
        source: capture::redact::BadRules,
    },
    /// A source's entry makes no sense.
    #[error("source {key_id} of tenant {tenant} {why}")]
    Source {
        /// Name of its key.
        key_id: String,
        /// Its tenant.
        tenant: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// There is no key with this id.
    #[error("there is no key {id}")]
    KeyUnknown {
        /// The id asked for.
        id: String,
    },
    /// A text is not what it must be, such as a tenant.
    #[error(transparent)]
    Invalid(#[from] schemas::Invalid),
    /// Without keys the gateway serves its own machine only.
    #[error("refusing to listen on {address} without keys: it is not a loopback address")]
    NotLoopback {
        /// The listener's address.
        address: SocketAddr,
    },
    /// The listener failed.
    #[error("could not {doing} the listener")]
    Listen {
        /// What was being done, as a verb.
        doing: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// The Kafka client refused its configuration.
    #[error("could not make a producer for {brokers}")]
    Kafka {
        /// The brokers.
        brokers: String,
        /// What librdkafka said.
        source: Box<rdkafka::error::KafkaError>,
    },
    /// No broker answered.
    #[error("no answer from Kafka at {brokers}")]
    Unreachable {
        /// The brokers.
        brokers: String,
        /// What librdkafka said.
        source: Box<rdkafka::error::KafkaError>,
    },
    /// The brokers have no such topic: making one is a decision about partitions and replicas.
    #[error(
        "Kafka at {brokers} has no topic {topic}, or does not let this client see it: create it, or allow Describe and Write"
    )]
    Topic {
        /// The topic.
        topic: String,
        /// The brokers.
        brokers: String,
    },
    /// The spool for when Kafka is away could not be opened.
    #[error("could not open the spool {}", dir.display())]
    Spool {
        /// Its folder.
        dir: PathBuf,
        /// What is wrong with it.
        source: Box<spool::Error>,
    },
    /// Bodies of a class cannot be put to the store, since nothing says how long they are kept.
    #[error("with a store, every retention class needs a period, and {class} has none")]
    Retention {
        /// The class.
        class: String,
        /// What the section `[retention]` lacks.
        source: store::BadRetention,
    },
    /// A thread could not be started.
    #[error("could not start the thread that writes to the sink")]
    Thread {
        /// What the operating system said.
        source: io::Error,
    },
    /// The system gave no random bytes.
    #[error("the system gave no random bytes")]
    Random,
    /// At the end, requests or messages were still under way.
    #[error("{what} did not end within {timeout_ms} ms")]
    Drain {
        /// What was waited for.
        what: &'static str,
        /// How long.
        timeout_ms: u64,
    },
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Try the same again, later.
    Transient,
    /// It may have happened: read back first.
    Unknown,
    /// The request or the configuration can never succeed: change it.
    Refused,
    /// Stop and wake a human.
    Corrupt,
}

impl Error {
    /// What the caller should do now.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::File { .. }
            | Self::Listen { .. }
            | Self::Unreachable { .. }
            | Self::Thread { .. }
            | Self::Random => Kind::Transient,
            Self::Spool { source, .. } if source.kind() == spool::Kind::Corrupt => Kind::Corrupt,
            Self::Spool { .. } => Kind::Transient,
            Self::Drain { .. } => Kind::Unknown,
            Self::Config { .. }
            | Self::KeyUnknown { .. }
            | Self::Invalid(_)
            | Self::NotLoopback { .. }
            | Self::Topic { .. }
            | Self::Retention { .. }
            | Self::Redaction { .. }
            | Self::Kafka { .. } => Kind::Refused,
            Self::Malformed { .. } | Self::Source { .. } => Kind::Corrupt,
        }
    }
}
