//! SHELL: how a topic is set up, as its brokers say. Whether that is good enough is for others to judge.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use schemas::Topic;

use crate::error::Error;

/// How long a question to the brokers may take.
const ASK: Duration = Duration::from_secs(30);

/// A topic's shape and settings. A setting is `None` where the brokers do not tell it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicState {
    /// Brokers that there are.
    pub brokers: usize,
    /// Partitions; 0 where there is no such topic.
    pub partitions: u32,
    /// Copies of the partition that has the fewest.
    pub replication_factor: u32,
    /// Brokers that must have a message before it is acknowledged.
    pub min_insync_replicas: Option<u32>,
    /// Whether a broker that fell behind may lead, and forget what it has not got.
    pub unclean_leader_election: Option<bool>,
    /// `delete`, `compact`, or both.
    pub cleanup_policy: Option<String>,
    /// `CreateTime` or `LogAppendTime`.
    pub timestamp_type: Option<String>,
    /// The largest batch that the brokers take.
    pub message_bytes_max: Option<u64>,
    /// How long messages are kept; -1 for ever.
    pub retention_ms: Option<i64>,
    /// How much of a partition is kept; -1 all of it.
    pub retention_bytes: Option<i64>,
}

impl TopicState {
    /// Whether older messages of a key are thrown away: then the topic is no history.
    #[must_use]
    pub fn is_compacted(&self) -> bool {
        let policy = self.cleanup_policy.as_deref().unwrap_or_default();
        policy.split(',').any(|policy| policy.trim() == "compact")
    }
}

/// Asks the brokers how `topic` is set up. `properties` are librdkafka's, for security.
///
/// # Errors
/// Kafka refused or did not answer, or a property is one that librdkafka does not know.
pub async fn describe(
    brokers: &str,
    topic: &Topic,
    properties: &[(String, String)],
) -> Result<TopicState, Error> {
    let failed = |source| Error::Kafka { doing: format!("describe the topic {topic}"), source };
    let mut client = ClientConfig::new();
    for (name, value) in properties {
        client.set(name, value);
    }
    client.set("client.id", "chancery").set("bootstrap.servers", brokers);
    let admin: AdminClient<DefaultClientContext> = client.create().map_err(failed)?;
    let name = topic.clone();
    // The metadata request waits in the calling thread.
    let shape =
        tokio::task::spawn_blocking(move || shape(&admin, &name).map(|state| (admin, state)));
    let (admin, mut state) = shape.await.map_err(Error::Task)?.map_err(failed)?;
    if state.partitions > 0 {
        let options = AdminOptions::new().request_timeout(Some(ASK));
        let resource = ResourceSpecifier::Topic(topic.as_str());
        let described = admin.describe_configs([&resource], &options).await.map_err(failed)?;
        for resource in described {
            let resource = resource.map_err(|code| failed(KafkaError::AdminOp(code)))?;
            let settings = resource.entries.into_iter();
            state.take(settings.filter_map(|entry| Some((entry.name, entry.value?))).collect());
        }
    }
    Ok(state)
}

/// The topic's partitions and their copies.
fn shape(
    admin: &AdminClient<DefaultClientContext>,
    topic: &Topic,
) -> Result<TopicState, KafkaError> {
    use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
    let metadata = admin.inner().fetch_metadata(Some(topic.as_str()), ASK)?;
    let found = metadata.topics().iter().find(|found| found.name() == topic.as_str());
    let brokers = metadata.brokers().len();
    let partitions = match found.map(|found| (found.error(), found.partitions())) {
        None | Some((Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART), _)) => &[],
        Some((Some(error), _)) => {
            return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::from(error)));
        }
        Some((None, partitions)) => partitions,
    };
    let replicas = partitions.iter().map(|partition| partition.replicas().len()).min();
    Ok(TopicState {
        brokers,
        partitions: u32::try_from(partitions.len()).unwrap_or(u32::MAX),
        replication_factor: replicas.map_or(0, |count| u32::try_from(count).unwrap_or(u32::MAX)),
        ..TopicState::default()
    })
}

impl TopicState {
    fn take(&mut self, mut settings: BTreeMap<String, String>) {
        let mut setting = |name: &str| settings.remove(name);
        self.min_insync_replicas = number(setting("min.insync.replicas"));
        self.unclean_leader_election = number(setting("unclean.leader.election.enable"));
        self.cleanup_policy = setting("cleanup.policy");
        self.timestamp_type = setting("message.timestamp.type");
        self.message_bytes_max = number(setting("max.message.bytes"));
        self.retention_ms = number(setting("retention.ms"));
        self.retention_bytes = number(setting("retention.bytes"));
    }
}

fn number<T: std::str::FromStr>(text: Option<String>) -> Option<T> {
    text.and_then(|text| text.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_and_what_is_not_told_stays_unknown() {
        let settings = [
            ("cleanup.policy", "compact,delete"),
            ("retention.bytes", "-1"),
            ("unclean.leader.election.enable", "false"),
            ("max.message.bytes", "many"),
        ];
        let mut state = TopicState::default();
        state.take(settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
        assert!(state.is_compacted());
        assert_eq!((state.retention_bytes, state.unclean_leader_election), (Some(-1), Some(false)));
        assert_eq!((state.message_bytes_max, state.min_insync_replicas), (None, None));
        let policy =
            |text: &str| TopicState { cleanup_policy: Some(text.to_owned()), ..state.clone() };
        assert!(!policy("delete").is_compacted());
    }
}
