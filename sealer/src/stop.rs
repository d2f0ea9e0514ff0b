//! CORE: why a partition cannot go on until an operator has looked at it.

use schemas::{Epoch, Framing, Offset, Partition, Topic};

/// Why a partition stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// The topic was deleted and made anew, or the brokers are another cluster.
    #[error(
        "the topic is not the one that was sealed: it was {sealed}, and is {found}; it was re-created, or these brokers are another cluster"
    )]
    Recreated {
        /// Ids of topic and cluster in the chain.
        sealed: String,
        /// What the source says now.
        found: String,
    },
    /// The topic has more partitions than before: a session may now be spread over two of them.
    #[error("the topic was sealed with {sealed} partitions and now has {found}")]
    Partitions {
        /// Partitions in the chain, or in those of its siblings.
        sealed: u32,
        /// What the source says now.
        found: u32,
    },
    /// The settings say that values are framed in another way than the chain says.
    #[error("the topic was sealed with {sealed} framing, and kafka.framing is {found} now")]
    Framing {
        /// In the chain.
        sealed: Framing,
        /// In the settings.
        found: Framing,
    },
    /// The log is shorter than what was sealed of it.
    #[error("the log was truncated: it ends at {end}, and everything before {next} is sealed")]
    Truncated {
        /// First offset that no segment covers.
        next: Offset,
        /// First offset that the log has not reached.
        end: Offset,
    },
    /// What was sealed is not what the source holds.
    #[error(
        "{key} is not what the source holds: at offset {offset} {how}; the log was truncated and written anew, or the segment was planted"
    )]
    Differs {
        /// The segment.
        key: String,
        /// The first offset where they part.
        offset: Offset,
        /// How.
        how: &'static str,
    },
    /// The source gave up what was not sealed yet.
    #[error(
        "the log begins at {start}, but only what lies before {next} is sealed; the offsets between were lost before they could be sealed"
    )]
    Overtaken {
        /// First offset that no segment covers.
        next: Offset,
        /// First offset that the log still has.
        start: Offset,
    },
    /// The topic is compacted: Kafka removes messages from the middle of it.
    #[error("the topic is compacted, so that messages vanish before they can be sealed")]
    Compacted,
    /// An object of the chain is damaged, planted or of another topic.
    #[error("{key} does not belong to the chain: {why}")]
    Object {
        /// The object.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// The log of segments has enrolled more of the chain than the store holds.
    #[error(
        "the log of segments says that everything before {enrolled} is sealed, and the chain in the store ends at {next}: what was sealed was taken away"
    )]
    Dropped {
        /// First offset that the log says is not sealed.
        enrolled: Offset,
        /// First offset that no segment in the store covers.
        next: Offset,
    },
    /// The epoch was ended, and its successor never opened.
    #[error("epoch {epoch} was ended by {key}, and no newer one was opened")]
    Ended {
        /// The epoch.
        epoch: Epoch,
        /// The terminal object.
        key: String,
    },
}

impl Stop {
    /// What to do about it.
    pub(crate) fn remedy(&self, topic: &Topic, partition: Partition) -> String {
        match self {
            Self::Compacted => {
                "set cleanup.policy=delete on the topic, and it goes on by itself; what is gone already stays gone"
                    .to_owned()
            }
            Self::Framing { .. } => {
                "set kafka.framing back, for the gateways too: another framing is for another topic".to_owned()
            }
            _ => format!(
                "find out why; then `chancery sealer resume --partition {partition} --topic {topic}`, with the sealer's \
                 other options, shows what a new epoch would say, and with --yes opens it"
            ),
        }
    }
}
