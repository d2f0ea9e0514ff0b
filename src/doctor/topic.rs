//! CORE: whether a topic keeps what is written to it until it is sealed.

use sealer::TopicState;

use super::check::Check;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// So many copies, and so many of them written before an event is acknowledged.
const COPIES_MIN: u32 = 3;
const INSYNC_MIN: u32 = 2;

/// What the settings and the store want of the topic.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// The largest batch that the gateway sends.
    pub(super) message_bytes_max: u64,
    /// How long the sealer may take to seal a message when all goes well.
    pub(super) segment_age_max_ms: u64,
    /// The chains of this topic in the store: one more than the highest partition that has one.
    pub(super) chains: Option<u32>,
}

/// Checks a topic.
pub(super) fn check(topic: &TopicState, wanted: &Wanted) -> Vec<Check> {
    if topic.partitions == 0 {
        return vec![Check::wrong(
            "topic",
            "there is no such topic",
            "events have nowhere to go",
            "create it with the partitions that you will ever need; their number is fixed for its life",
        )];
    }
    vec![
        partitions(topic, wanted.chains),
        copies(topic),
        insync(topic),
        leaders(topic),
        cleanup(topic),
        clock(topic),
        message_bytes(topic, wanted.message_bytes_max),
        retention(topic, wanted.segment_age_max_ms),
        size(topic),
    ]
}

fn partitions(topic: &TopicState, chains: Option<u32>) -> Check {
    let (name, partitions) = ("topic partitions", topic.partitions);
    match chains {
        Some(chains) if chains > partitions => Check::wrong(
            name,
            format!("{partitions}, but the store has chains of {chains}"),
            "the topic was made anew or is another one: the store's chains would not go on",
            "give the topic that the store is of, or start a new store",
        ),
        Some(chains) => Check::ok(name, format!("{partitions}; the store has chains of {chains}")),
        None => Check::ok(name, partitions.to_string()),
    }
}

fn copies(topic: &TopicState) -> Check {
    let found = format!("{} on {} brokers", topic.replication_factor, topic.brokers);
    judge("topic replication.factor", topic.replication_factor >= COPIES_MIN, found, || {
        (
            "what one broker has acknowledged is lost with its disk",
            format!("make it {COPIES_MIN}, with as many brokers"),
        )
    })
}

fn insync(topic: &TopicState) -> Check {
    told("topic min.insync.replicas", topic.min_insync_replicas, |least| {
        (
            least >= INSYNC_MIN,
            "an event would be acknowledged when one broker has it",
            "set it to 2",
        )
    })
}

fn leaders(topic: &TopicState) -> Check {
    told("topic unclean.leader.election.enable", topic.unclean_leader_election, |unclean| {
        let why =
            "a broker that fell behind could take over, and what was acknowledged would be gone";
        (!unclean, why, "set it to false")
    })
}

fn cleanup(topic: &TopicState) -> Check {
    told("topic cleanup.policy", topic.cleanup_policy.as_deref(), |_| {
        let why = "a compacted topic throws older messages of a key away; the sealer refuses it";
        (!topic.is_compacted(), why, "set it to delete")
    })
}

fn clock(topic: &TopicState) -> Check {
    told("topic message.timestamp.type", topic.timestamp_type.as_deref(), |kind| {
        let why = "the only times would be those that sources and gateways claim, and retention goes by them";
        (kind == "LogAppendTime", why, "set it to LogAppendTime")
    })
}

fn message_bytes(topic: &TopicState, wanted: u64) -> Check {
    told("topic max.message.bytes", topic.message_bytes_max, |most| {
        let why = "the gateway sends batches of up to kafka.message_max_bytes, and the brokers would refuse them";
        (
            most >= wanted,
            why,
            "raise it, or lower kafka.message_max_bytes and kafka.event_bytes_max",
        )
    })
}

fn retention(topic: &TopicState, segment_age_max_ms: u64) -> Check {
    let least = DAY_MS.max(segment_age_max_ms.saturating_mul(2));
    told("topic retention.ms", topic.retention_ms, |kept| {
        let why =
            "what is thrown away before it is sealed is lost: this is how long sealing may be down";
        let is_enough = u64::try_from(kept).is_ok_and(|kept| kept >= least) || kept == -1;
        (is_enough, why, "set it to 604800000 (seven days), a day at the very least")
    })
}

fn size(topic: &TopicState) -> Check {
    told("topic retention.bytes", topic.retention_bytes, |kept| {
        (kept == -1, "a burst of events could push out what is not sealed yet", "set it to -1")
    })
}

/// A setting that the brokers tell, or do not.
fn told<T: ToString + Copy>(
    name: &'static str,
    found: Option<T>,
    is_good: impl FnOnce(T) -> (bool, &'static str, &'static str),
) -> Check {
    let Some(found) = found else {
        let remedy = "let these credentials describe the topic's settings (DescribeConfigs)";
        return Check::unchecked(name, "the brokers do not tell", remedy);
    };
    let (is_good, why, remedy) = is_good(found);
    judge(name, is_good, found.to_string(), || (why, remedy.to_owned()))
}

fn judge(
    name: &'static str,
    is_good: bool,
    found: String,
    otherwise: impl FnOnce() -> (&'static str, String),
) -> Check {
    if is_good {
        return Check::ok(name, found);
    }
    let (why, remedy) = otherwise();
    Check::wrong(name, found, why, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Verdict;

    const WANTED: Wanted =
        Wanted { message_bytes_max: 1_000_000, segment_age_max_ms: 60_000, chains: Some(3) };

    fn good() -> TopicState {
        TopicState {
            brokers: 3,
            partitions: 3,
            replication_factor: 3,
            min_insync_replicas: Some(2),
            unclean_leader_election: Some(false),
            cleanup_policy: Some("delete".to_owned()),
            timestamp_type: Some("LogAppendTime".to_owned()),
            message_bytes_max: Some(1_048_588),
            retention_ms: Some(604_800_000),
            retention_bytes: Some(-1),
        }
    }

    fn wrong(topic: &TopicState) -> Vec<&'static str> {
        let checks = check(topic, &WANTED).into_iter();
        checks.filter(|check| check.verdict == Verdict::Wrong).map(|check| check.check).collect()
    }

    #[test]
    fn a_good_topic_has_nothing_wrong() {
        assert!(check(&good(), &WANTED).iter().all(|check| check.verdict == Verdict::Ok));
        assert_eq!(wrong(&TopicState { retention_ms: Some(-1), ..good() }), [""; 0]);
    }

    #[test]
    fn each_setting_that_could_lose_an_event_is_named() {
        let cases = [
            (TopicState { partitions: 0, ..good() }, "topic"),
            (TopicState { partitions: 2, ..good() }, "topic partitions"),
            (TopicState { replication_factor: 1, ..good() }, "topic replication.factor"),
            (TopicState { min_insync_replicas: Some(1), ..good() }, "topic min.insync.replicas"),
            (
                TopicState { unclean_leader_election: Some(true), ..good() },
                "topic unclean.leader.election.enable",
            ),
            (
                TopicState { cleanup_policy: Some("compact,delete".to_owned()), ..good() },
                "topic cleanup.policy",
            ),
            (
                TopicState { timestamp_type: Some("CreateTime".to_owned()), ..good() },
                "topic message.timestamp.type",
            ),
            (TopicState { message_bytes_max: Some(999_999), ..good() }, "topic max.message.bytes"),
            (TopicState { retention_ms: Some(86_399_999), ..good() }, "topic retention.ms"),
            (TopicState { retention_bytes: Some(1 << 30), ..good() }, "topic retention.bytes"),
        ];
        for (topic, name) in cases {
            assert_eq!(wrong(&topic), [name]);
        }
    }

    #[test]
    fn what_the_brokers_do_not_tell_is_not_checked() {
        let topic = TopicState { retention_ms: None, ..good() };
        let checks = check(&topic, &WANTED);
        let unchecked = checks.iter().find(|check| check.verdict == Verdict::Unchecked).unwrap();
        assert_eq!(unchecked.check, "topic retention.ms");
    }
}
