//! What the gateway counts, for Prometheus.

use std::fmt;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Seconds: from an fsync on a fast disk to a broker's timeout.
const BUCKETS: [f64; 12] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 15.0, 60.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Label {
    outcome: &'static str,
}

/// All metrics of one gateway.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    events: Family<Label, Counter>,
    requests: Family<Label, Counter>,
    bodies: Family<Label, Counter>,
    pub(crate) bytes: Counter,
    pub(crate) duration: Histogram,
    in_flight: Gauge,
    queue: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("chancery_ingest");
        let (events, requests, bodies) = (Family::default(), Family::default(), Family::default());
        let (bytes, in_flight, queue) = (Counter::default(), Gauge::default(), Gauge::default());
        let duration = Histogram::new(BUCKETS);
        registry.register("events", "Events by outcome", events.clone());
        registry.register("requests", "Requests by the code of their answer", requests.clone());
        registry.register("bodies", "References to bodies by how they went", bodies.clone());
        registry.register("bytes", "Bytes of durable messages", bytes.clone());
        let help = "Time from a request's headers to its answer";
        registry.register_with_unit("request_duration", help, Unit::Seconds, duration.clone());
        let help = "Bytes of requests under way";
        registry.register_with_unit("in_flight", help, Unit::Bytes, in_flight.clone());
        registry.register("queue_requests", "Requests that wait for the writer", queue.clone());
        Self { registry, events, requests, bodies, bytes, duration, in_flight, queue }
    }

    pub(crate) fn events(&self, outcome: &'static str, count: usize) {
        self.events.get_or_create(&Label { outcome }).inc_by(wide(count));
    }

    pub(crate) fn request(&self, outcome: &'static str) {
        self.requests.get_or_create(&Label { outcome }).inc();
    }

    pub(crate) fn bodies(&self, inline: usize, by_digest: usize) {
        for (outcome, count) in [("inline", inline), ("by_digest", by_digest)] {
            self.bodies.get_or_create(&Label { outcome }).inc_by(wide(count));
        }
    }

    /// The text of all metrics.
    pub(crate) fn text(&self, in_flight: usize, queue: u64) -> Result<String, fmt::Error> {
        self.in_flight.set(i64::try_from(in_flight).unwrap_or(i64::MAX));
        self.queue.set(i64::try_from(queue).unwrap_or(i64::MAX));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

pub(crate) fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_have_the_names_that_dashboards_know() {
        let metrics = Metrics::new();
        metrics.events("accepted", 2);
        metrics.bodies(1, 3);
        metrics.request("ok");
        metrics.bytes.inc_by(9);
        metrics.duration.observe(0.1);
        let text = metrics.text(5, 6).unwrap();
        for line in [
            "chancery_ingest_events_total{outcome=\"accepted\"} 2",
            "chancery_ingest_bodies_total{outcome=\"by_digest\"} 3",
            "chancery_ingest_bytes_total 9",
            "chancery_ingest_requests_total{outcome=\"ok\"} 1",
            "chancery_ingest_request_duration_seconds_count 1",
            "chancery_ingest_in_flight_bytes 5",
            "chancery_ingest_queue_requests 6",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
        }
    }
}
