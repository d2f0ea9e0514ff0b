//! SHELL: which partitions are this process's to seal, where several processes share a topic by a consumer group.
//!
//! Its consumer only is a member: what it is assigned is paused, and no message is ever taken from it. Each partition is read
//! at the position of its chain by the one consumer that reads. Two processes that both believe a partition theirs, for a
//! moment, do no harm: the store takes each segment once.

use std::collections::BTreeSet;
use std::sync::Arc;

use rdkafka::Offset as KafkaOffset;
use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;
use schemas::{Partition, Topic};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::source::IDLE;

/// The partitions that are this process's now.
pub(crate) type Assigned = BTreeSet<Partition>;

/// Membership of a group; clones are the same member.
#[derive(Clone)]
pub(crate) struct Group(Arc<BaseConsumer<Member>>);

struct Member {
    assigned: watch::Sender<Assigned>,
}

impl ClientContext for Member {}

impl ConsumerContext for Member {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        error: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let assigned = error == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        let done = if assigned {
            // At the end, and paused: nothing is to be fetched here, and no position asked for.
            list.set_all_offsets(KafkaOffset::End)
                .and_then(|()| consumer.incremental_assign(list))
                .and_then(|()| consumer.pause(list))
        } else {
            consumer.incremental_unassign(list)
        };
        if let Err(error) = done {
            warn!(%error, "the group's assignment could not be taken over");
        }
        let partition = |number: i32| u32::try_from(number).ok().map(Partition);
        let partitions: Assigned =
            list.elements().iter().filter_map(|one| partition(one.partition())).collect();
        info!(?partitions, assigned, "the group has decided");
        self.assigned.send_modify(|all| match assigned {
            true => all.extend(&partitions),
            false => all.retain(|one| !partitions.contains(one)),
        });
    }
}

impl Group {
    /// Joins, and tells of changes from now on. [`Self::serve`] must run.
    pub(crate) fn join(
        client: &ClientConfig,
        topic: &Topic,
    ) -> Result<(Self, watch::Receiver<Assigned>), KafkaError> {
        let (assigned, told) = watch::channel(Assigned::new());
        let mut client = client.clone();
        client
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("enable.partition.eof", "false");
        let consumer: BaseConsumer<Member> = client.create_with_context(Member { assigned })?;
        consumer.subscribe(&[topic.as_str()])?;
        Ok((Self(Arc::new(consumer)), told))
    }

    /// Takes part in the group until `stop`, then leaves it.
    pub(crate) fn serve(&self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            if let Some(Err(error)) = self.0.poll(IDLE) {
                warn!(%error, "kafka, as a member of the group");
            }
        }
        self.0.unsubscribe();
    }

    pub(crate) fn commit(&self, list: &TopicPartitionList) -> Result<(), KafkaError> {
        self.0.commit(list, CommitMode::Async)
    }
}
