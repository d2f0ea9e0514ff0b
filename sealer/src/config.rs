//! Settings of the sealer.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anchor::AuthorityConfig;
use serde::Deserialize;

use crate::batch::Cut;

/// Parts of a partition's memory: a batch fills, one is encoded, one is put, and messages are on their way.
const PARTS: usize = 4;

/// Settings of the sealer: numbers and names. Source and store are arguments.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Bytes of messages after which a segment is cut. Default 64 MiB: what is under lock cannot be compacted later, and
    /// more repeats of one session in one segment compress better.
    pub segment_bytes_max: usize,
    /// Milliseconds after a segment's first message came at which it is cut. Default 60,000: how long an event may wait
    /// to be evidence.
    pub segment_age_max_ms: u64,
    /// Messages after which a segment is cut. Default 500,000.
    pub segment_rows_max: usize,
    /// Bytes of messages held in memory, over all partitions; when it is full, consumption waits. Default 256 MiB. Of a
    /// partition's share, a quarter is for the batch that fills, one for the batch that is encoded, one for the batch that is
    /// put, and one for what is on its way from Kafka; a segment is cut at such a quarter where that is less than
    /// `segment_bytes_max`. The objects of the two batches, which are smaller than they, come on top.
    pub memory_bytes_max: usize,
    /// Retention class of the topic; goes into every record. Default `standard`.
    pub retention_class: String,
    /// Milliseconds to wait at most before an operation on the store is tried again. Default 30,000.
    pub retry_wait_max_ms: u64,
    /// Which partitions this process seals. Default `all`: one process alone, or several that race for each segment.
    pub assignment: Assignment,
    /// The partitions of the assignment `static`. Default none.
    pub partitions: Vec<u32>,
    /// Milliseconds after which a partition that has messages, and gives none, is assigned anew. Default 30,000.
    pub stall_max_ms: u64,
}

/// Which partitions a process seals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Assignment {
    /// All there are.
    #[default]
    All,
    /// Those that the settings name.
    Static,
    /// Those that the consumer group gives it, among all processes that seal the topic.
    Group,
}

/// Settings of the log of segments.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// Files of the log's keys, which have one name: the one in force, and during a change the next one. Default none:
    /// `--log-key` names them, or the variable CHANCERY_LOG_KEY holds one.
    pub keys: Vec<PathBuf>,
    /// Milliseconds between commits, where there is something to enrol. Default 5,000.
    pub interval_ms: u64,
    /// Milliseconds between heartbeats, which show that silence is not loss. Default 3,600,000.
    pub heartbeat_ms: u64,
    /// File of a C2SP tlog-policy, whose witnesses are asked to cosign checkpoints. Default none.
    pub policy: Option<PathBuf>,
    /// Milliseconds between checkpoints that witnesses are asked to cosign. Default 60,000.
    pub witness_interval_ms: u64,
    /// Milliseconds that a witness's answer may take. Default 10,000.
    pub witness_timeout_ms: u64,
    /// Certificates in PEM that witnesses' HTTPS is checked against, besides the public ones. Default none.
    pub witness_ca: Option<PathBuf>,
    /// Time-stamp authorities (RFC 3161), by a name of `[a-z0-9-]` for each: `[log.authorities.NAME]`. Default none.
    pub authorities: BTreeMap<String, AuthorityConfig>,
    /// Milliseconds between time-stamps. Default 3,600,000.
    pub timestamp_interval_ms: u64,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            interval_ms: 5_000,
            heartbeat_ms: 3_600_000,
            policy: None,
            witness_interval_ms: 60_000,
            witness_timeout_ms: 10_000,
            witness_ca: None,
            authorities: BTreeMap::new(),
            timestamp_interval_ms: 3_600_000,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            segment_bytes_max: 64 << 20,
            segment_age_max_ms: 60_000,
            segment_rows_max: 500_000,
            memory_bytes_max: 256 << 20,
            retention_class: "standard".to_owned(),
            retry_wait_max_ms: 30_000,
            assignment: Assignment::All,
            partitions: Vec::new(),
            stall_max_ms: 30_000,
        }
    }
}

impl Config {
    /// When a batch of one of `partitions` is cut.
    pub(crate) fn cut(&self, partitions: usize) -> Cut {
        let share = self.memory_bytes_max / partitions.max(1) / PARTS;
        Cut {
            bytes_max: self.segment_bytes_max.min(share).max(1),
            age_max_ms: self.segment_age_max_ms,
            rows_max: self.segment_rows_max.max(1),
        }
    }
}
