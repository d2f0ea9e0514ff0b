//! CORE: what a partition of the source is, as far as its chain is concerned.

use schemas::{Chain, Epoch, Framing, Partition, Place, Topic};

use crate::error::Error;
use crate::stop::Stop;

/// A partition of the source, as the source describes it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Kafka's cluster id.
    pub cluster: Option<String>,
    /// Kafka's topic id.
    pub topic_id: Option<String>,
    /// The topic.
    pub topic: Topic,
    /// The partition.
    pub partition: Partition,
    /// Partitions of the topic.
    pub partitions: u32,
    /// How its values are framed: the settings', which no broker knows.
    pub framing: Framing,
}

impl Origin {
    pub(crate) fn chain(&self, epoch: Epoch) -> Chain {
        Chain {
            cluster: self.cluster.clone(),
            topic_id: self.topic_id.clone(),
            topic: self.topic.clone(),
            partition: self.partition,
            partitions: self.partitions,
            framing: self.framing,
            epoch,
        }
    }

    /// The partition as it was when `chain` was sealed.
    pub(crate) fn of_chain(&self, chain: &Chain) -> Self {
        Self {
            cluster: chain.cluster.clone(),
            topic_id: chain.topic_id.clone(),
            topic: chain.topic.clone(),
            partition: chain.partition,
            partitions: chain.partitions,
            framing: chain.framing,
        }
    }

    pub(crate) fn place(&self) -> Place {
        Place { partition: self.partition, partitions: self.partitions }
    }

    /// Why the partition, as it is now, cannot go on with `chain`; `None` where it can.
    pub(crate) fn differs_from(&self, chain: &Chain) -> Option<Stop> {
        if (&self.cluster, &self.topic_id) != (&chain.cluster, &chain.topic_id) {
            let id = |topic: &Option<String>, cluster: &Option<String>| {
                let spelled = |id: &Option<String>| id.clone().unwrap_or_else(|| "none".to_owned());
                format!("{} in cluster {}", spelled(topic), spelled(cluster))
            };
            return Some(Stop::Recreated {
                sealed: id(&chain.topic_id, &chain.cluster),
                found: id(&self.topic_id, &self.cluster),
            });
        }
        if self.partitions != chain.partitions {
            return Some(Stop::Partitions { sealed: chain.partitions, found: self.partitions });
        }
        if self.framing != chain.framing {
            return Some(Stop::Framing { sealed: chain.framing, found: self.framing });
        }
        (*chain != self.chain(chain.epoch)).then(|| Stop::Object {
            key: format!("the opening of epoch {}", chain.epoch),
            why: "its topic or partition is another".to_owned(),
        })
    }

    pub(crate) fn stopped(&self, stop: Stop) -> Error {
        Error::Stopped { topic: self.topic.clone(), partition: self.partition, stop }
    }

    /// An object of the chain that is not what it must be.
    pub(crate) fn wrong(&self, key: impl ToString, why: impl Into<String>) -> Error {
        self.stopped(Stop::Object { key: key.to_string(), why: why.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_of_another_framing_is_not_gone_on_with() {
        let origin = Origin {
            cluster: None,
            topic_id: None,
            topic: Topic::new("events").unwrap(),
            partition: Partition(0),
            partitions: 1,
            framing: Framing::Confluent,
        };
        let chain = origin.chain(Epoch(0));
        assert_eq!(origin.differs_from(&chain), None);
        let now = Origin { framing: Framing::SingleObject, ..origin };
        let stop = Stop::Framing { sealed: Framing::Confluent, found: Framing::SingleObject };
        assert_eq!(now.differs_from(&chain), Some(stop));
    }
}
