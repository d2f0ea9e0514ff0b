//! What can go wrong while sealing, and what to do about it.

use schemas::{Epoch, Offset, Partition, Topic};

use crate::stop::Stop;

/// Why the sealer could not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting or store address that cannot work.
    #[error("settings: {0}")]
    Config(String),
    /// The object store refused or did not answer.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The system gave no thread.
    #[error("could not start the thread {name}")]
    Thread {
        /// Which.
        name: String,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The embedded log failed.
    #[error("could not {doing} the embedded log")]
    Spool {
        /// What was being done.
        doing: &'static str,
        /// What it said.
        #[source]
        source: spool::Error,
    },
    /// Kafka refused or did not answer.
    #[error("could not {doing} in Kafka")]
    Kafka {
        /// What was being done, and where.
        doing: String,
        /// What the client said.
        #[source]
        source: rdkafka::error::KafkaError,
    },
    /// The schema registry refused or did not answer.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// A segment could not be made, or did not read back as what went in; nothing was written.
    #[error("partition {partition}: the segment from offset {start} could not be made: {why}")]
    Encode {
        /// The partition.
        partition: Partition,
        /// Its first offset.
        start: Offset,
        /// What went wrong.
        why: String,
    },
    /// A partition cannot go on until somebody has looked at it.
    #[error("partition {partition} of {topic} has stopped: {stop}. What to do: {}", stop.remedy(topic, *partition))]
    Stopped {
        /// The topic.
        topic: Topic,
        /// The partition.
        partition: Partition,
        /// Why.
        stop: Stop,
    },
    /// The log of segments is not what its writers write.
    #[error(
        "{key} in the log of segments: {why}; nothing more is enrolled until somebody has looked at it"
    )]
    Log {
        /// The object.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// The epoch that was being sealed has been ended: a newer one takes its place.
    #[error("partition {partition}: epoch {epoch} was ended")]
    Ended {
        /// The partition.
        partition: Partition,
        /// The epoch.
        epoch: Epoch,
    },
    /// The store, or the source, contradicts itself for the moment.
    #[error("{what} for now; trying again")]
    Unsettled {
        /// What, and where.
        what: String,
    },
    /// The source gave an offset twice or out of order.
    #[error("partition {partition}: the source went back")]
    Rewound {
        /// The partition.
        partition: Partition,
        /// Which offset.
        #[source]
        source: crate::batch::Rewound,
    },
    /// A task of the sealer ended unexpectedly.
    #[error("a task of the sealer ended unexpectedly")]
    Task(#[source] tokio::task::JoinError),
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Try the same again.
    Transient,
    /// It may have happened: read back first.
    Unknown,
    /// Another writer: stop and reload.
    Conflict,
    /// Stop and wake a human.
    Corrupt,
}

impl Error {
    /// What to do now.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Store(source) => match source.kind() {
                store::Kind::Transient => ErrorKind::Transient,
                store::Kind::Unknown => ErrorKind::Unknown,
                store::Kind::Refused => ErrorKind::Corrupt,
            },
            Self::Kafka { .. } | Self::Thread { .. } | Self::Unsettled { .. } => {
                ErrorKind::Transient
            }
            Self::Registry(source) => match source.kind() {
                registry::Kind::Transient => ErrorKind::Transient,
                registry::Kind::Refused => ErrorKind::Corrupt,
            },
            Self::Spool { source, .. } => match source.kind() {
                spool::Kind::Transient => ErrorKind::Transient,
                spool::Kind::Unknown => ErrorKind::Unknown,
                spool::Kind::Conflict => ErrorKind::Conflict,
                spool::Kind::Corrupt | spool::Kind::Refused => ErrorKind::Corrupt,
            },
            Self::Ended { .. } | Self::Rewound { .. } | Self::Task(_) => ErrorKind::Conflict,
            Self::Config(_) | Self::Encode { .. } | Self::Log { .. } | Self::Stopped { .. } => {
                ErrorKind::Corrupt
            }
        }
    }
}

/// An error and its causes, on one line.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    text
}
