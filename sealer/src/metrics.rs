//! Metrics of the sealer.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::clock;
use crate::head::Origin;
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
    stopped: Counter,
    next: Family<Labels, Gauge<i64>>,
    open_bytes: Family<Labels, Gauge<i64>>,
    oldest_age: Family<Labels, Gauge<f64, AtomicU64>>,
}

impl Metrics {
    /// Registers everything under `chancery_sealer_`.
    #[must_use]
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let sealer = registry.sub_registry_with_prefix("chancery_sealer");
        sealer.register("segments", "Segments sealed", metrics.segments.clone());
        sealer.register_with_unit(
            "segment",
            "Size of segments sealed by this process",
            Unit::Bytes,
            metrics.segment_bytes.clone(),
        );
        sealer.register(
            "conflicts",
            "Segments another sealer had written first",
            metrics.conflicts.clone(),
        );
        sealer.register(
            "partitions_stopped",
            "Partitions that stopped with an error",
            metrics.stopped.clone(),
        );
        sealer.register("next_offset", "First offset not sealed", metrics.next.clone());
        sealer.register_with_unit(
            "open_batch",
            "Messages waiting to be sealed",
            Unit::Bytes,
            metrics.open_bytes.clone(),
        );
        sealer.register_with_unit(
            "oldest_unsealed_age",
            "Age of the oldest consumed message that is not being sealed",
            Unit::Seconds,
            metrics.oldest_age.clone(),
        );
        metrics
    }

    pub(crate) fn open(&self, origin: &Origin, bytes: usize, since_ms: Option<u64>) {
        let labels = Labels { partition: origin.partition.0 };
        let age = since_ms.map_or(0, |since| clock::monotonic_ms().saturating_sub(since));
        self.open_bytes.get_or_create(&labels).set(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.oldest_age
            .get_or_create(&labels)
            .set(std::time::Duration::from_millis(age).as_secs_f64());
    }

    pub(crate) fn sealed(&self, origin: &Origin, sealed: &Sealed) {
        let labels = Labels { partition: origin.partition.0 };
        self.segments.get_or_create(&labels).inc();
        self.segment_bytes.get_or_create(&labels).inc_by(sealed.bytes);
        self.conflicts.get_or_create(&labels).inc_by(sealed.adopted.into());
        self.next.get_or_create(&labels).set(sealed.head.next.0.cast_signed());
    }

    pub(crate) fn stopped(&self) {
        self.stopped.inc();
    }
}
