//! Metrics of the sealer.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use schemas::{Offset, Partition, Seconds};

use crate::log::Log;
use crate::origin::Origin;
use crate::seal::Sealed;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    partition: u32,
}

/// What the sealer counts; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    segments: Family<Labels, Counter>,
    segment_bytes: Family<Labels, Counter>,
    conflicts: Family<Labels, Counter>,
    gaps: Family<Labels, Counter>,
    retries: Family<Labels, Counter>,
    restarts: Family<Labels, Counter>,
    stopped: Family<Labels, Gauge<i64>>,
    next: Family<Labels, Gauge<i64>>,
    lag: Family<Labels, Gauge<i64>>,
    open_bytes: Family<Labels, Gauge<i64>>,
    oldest_age: Family<Labels, Gauge<f64, AtomicU64>>,
    pub(crate) log: LogMetrics,
    pub(crate) anchors: AnchorMetrics,
}

impl Metrics {
    /// Registers everything under `chancery_sealer_`.
    #[must_use]
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let sealer = registry.sub_registry_with_prefix("chancery_sealer");
        let counters = [
            ("segments", "Segments sealed, those of other sealers included", &metrics.segments),
            ("conflicts", "Segments another sealer had written first", &metrics.conflicts),
            ("gap_offsets", "Offsets sealed that hold no message", &metrics.gaps),
            ("retries", "Operations on the store that were tried again", &metrics.retries),
            (
                "restarts",
                "Times that a partition was assigned anew or loaded anew",
                &metrics.restarts,
            ),
        ];
        for (name, help, counter) in counters {
            sealer.register(name, help, counter.clone());
        }
        let size = "Size of segments sealed by this process";
        sealer.register_with_unit("segment", size, Unit::Bytes, metrics.segment_bytes.clone());
        let gauges = [
            (
                "partitions_stopped",
                "1 where a partition waits for an operator, by partition",
                &metrics.stopped,
            ),
            ("next_offset", "First offset not sealed", &metrics.next),
            ("lag_offsets", "Offsets in the log that are not sealed", &metrics.lag),
        ];
        for (name, help, gauge) in gauges {
            sealer.register(name, help, gauge.clone());
        }
        let open = "Messages waiting to be sealed";
        sealer.register_with_unit("open_batch", open, Unit::Bytes, metrics.open_bytes.clone());
        let oldest = "Age of the oldest message that is not sealed, by its own timestamp where it was read, else since the log was seen to be ahead";
        let age = metrics.oldest_age.clone();
        sealer.register_with_unit("oldest_unsealed_age", oldest, Unit::Seconds, age);
        metrics.log.register(sealer);
        metrics.anchors.register(sealer);
        metrics
    }

    pub(crate) fn open(&self, origin: &Origin, bytes: usize) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.open_bytes.get_or_create(&labels(origin)).set(bytes);
    }

    pub(crate) fn oldest(&self, origin: &Origin, age: Duration) {
        self.oldest_age.get_or_create(&labels(origin)).set(age.as_secs_f64());
    }

    pub(crate) fn lag(&self, origin: &Origin, next: Offset, end: Offset) {
        let lag = i64::try_from(end.0.saturating_sub(next.0)).unwrap_or(i64::MAX);
        self.lag.get_or_create(&labels(origin)).set(lag);
    }

    /// Of a partition that stands still, and has for so much longer.
    pub(crate) fn behind(&self, origin: &Origin, end: Offset, longer: Duration) {
        let labels = labels(origin);
        let next = self.next.get_or_create(&labels).get().cast_unsigned();
        self.lag(origin, Offset(next), end);
        if end.0 > next {
            self.oldest_age.get_or_create(&labels).inc_by(longer.as_secs_f64());
        }
    }

    pub(crate) fn sealed(&self, origin: &Origin, sealed: &Sealed) {
        let labels = labels(origin);
        self.segments.get_or_create(&labels).inc_by(sealed.segments);
        self.segment_bytes.get_or_create(&labels).inc_by(sealed.bytes);
        self.conflicts.get_or_create(&labels).inc_by(sealed.adopted);
        self.gaps.get_or_create(&labels).inc_by(sealed.gaps);
        self.at(origin, sealed.head.next);
    }

    pub(crate) fn at(&self, origin: &Origin, next: Offset) {
        self.next.get_or_create(&labels(origin)).set(next.0.cast_signed());
    }

    pub(crate) fn retried(&self, origin: &Origin) {
        self.retries.get_or_create(&labels(origin)).inc();
    }

    pub(crate) fn restarted(&self, origin: &Origin) {
        self.restarts.get_or_create(&labels(origin)).inc();
    }

    pub(crate) fn stopped(&self, origin: &Origin, stopped: bool) {
        self.stopped.get_or_create(&labels(origin)).set(stopped.into());
    }

    /// Forgets how a partition stands that is another process's now.
    pub(crate) fn forget(&self, partition: Partition) {
        let labels = Labels { partition: partition.0 };
        for gauge in [&self.stopped, &self.next, &self.lag, &self.open_bytes] {
            gauge.remove(&labels);
        }
        self.oldest_age.remove(&labels);
    }
}

/// What is counted of the log of segments; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogMetrics {
    entries: Gauge<i64>,
    pending: Gauge<i64>,
    stopped: Gauge<i64>,
    enrolled_at: Gauge<i64>,
}

impl LogMetrics {
    fn register(&self, sealer: &mut Registry) {
        let gauges = [
            (
                "log_entries",
                "Entries of the log of segments, as far as it was followed",
                &self.entries,
            ),
            (
                "log_pending_partitions",
                "Partitions of which something is sealed and not enrolled",
                &self.pending,
            ),
            ("log_stopped", "1 where the log of segments is not what it must be", &self.stopped),
            (
                "log_looked_at_seconds",
                "When all that was sealed was last seen to be enrolled, or was enrolled",
                &self.enrolled_at,
            ),
        ];
        for (name, help, gauge) in gauges {
            sealer.register(name, help, gauge.clone());
        }
    }

    pub(crate) fn enrolled(&self, log: &Log, pending: usize, now: Seconds) {
        self.entries.set(i64::try_from(log.size()).unwrap_or(i64::MAX));
        self.pending.set(i64::try_from(pending).unwrap_or(i64::MAX));
        self.enrolled_at.set(now.0);
    }

    pub(crate) fn stopped(&self, stopped: bool) {
        self.stopped.set(stopped.into());
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Anchor {
    anchor: String,
}

/// What is counted of witnesses and time-stamp authorities, by the names that the settings give them.
#[derive(Clone, Debug, Default)]
pub(crate) struct AnchorMetrics {
    cosigned_at: Family<Anchor, Gauge<i64>>,
    stamped_at: Family<Anchor, Gauge<i64>>,
    failures: Family<Anchor, Counter>,
}

impl AnchorMetrics {
    fn register(&self, sealer: &mut Registry) {
        let cosigned = "When a witness last cosigned a checkpoint, by its clock";
        sealer.register("log_cosigned_at_seconds", cosigned, self.cosigned_at.clone());
        let stamped = "When an authority last time-stamped a checkpoint, by its clock";
        sealer.register("log_timestamped_at_seconds", stamped, self.stamped_at.clone());
        let failures = "Times that a witness or an authority did not vouch for a checkpoint";
        sealer.register("log_anchor_failures", failures, self.failures.clone());
    }

    pub(crate) fn cosigned(&self, name: &str, at: Seconds) {
        self.cosigned_at.get_or_create(&anchor(name)).set(at.0);
    }

    pub(crate) fn stamped(&self, name: &str, at: Seconds) {
        self.stamped_at.get_or_create(&anchor(name)).set(at.0);
    }

    pub(crate) fn failed(&self, name: &str) {
        self.failures.get_or_create(&anchor(name)).inc();
    }
}

fn anchor(name: &str) -> Anchor {
    Anchor { anchor: name.to_owned() }
}

fn labels(origin: &Origin) -> Labels {
    Labels { partition: origin.partition.0 }
}
