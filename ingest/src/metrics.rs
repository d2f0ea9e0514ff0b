//! What the gateway counts, for Prometheus.

use std::fmt;
use std::sync::atomic::Ordering;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::away::Away;
use crate::llm;
use crate::redact::Redacted;
use crate::refusal::Refusal;
use crate::sinks::Sinks;
use crate::sources::Worth;

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
    signatures: Family<Label, Counter>,
    redactions: Family<Label, Counter>,
    pub(crate) bytes: Counter,
    duration: Histogram,
    in_flight: Gauge,
    queue: Gauge,
    spools: Spools,
    pub(crate) llm: llm::Metrics,
}

/// The spools for when Kafka is away, by topic.
#[derive(Debug, Default)]
struct Spools {
    bytes: Family<Topic, Gauge>,
    messages: Family<Topic, Gauge>,
    is_away: Family<Topic, Gauge>,
    is_stuck: Family<Topic, Gauge>,
    drained: Family<Topic, Counter>,
}

impl Spools {
    fn register(&self, registry: &mut Registry) {
        let help = "Size of the files of the spool";
        registry.register_with_unit("spool", help, Unit::Bytes, self.bytes.clone());
        let help = "Messages of the spool that are not known to be on the topic";
        registry.register("spool_messages", help, self.messages.clone());
        let help = "1 while events go to the spool, since Kafka is away";
        registry.register("spool_in_use", help, self.is_away.clone());
        let help = "1 while the spool does not go to the topic though Kafka is there";
        registry.register("spool_stuck", help, self.is_stuck.clone());
        let help = "Messages that went from the spool to the topic";
        registry.register("spool_drained", help, self.drained.clone());
    }

    fn set(&self, away: &Away) {
        let topic = Topic { topic: away.topic.clone() };
        self.bytes.get_or_create(&topic).set(gauge(away.bytes()));
        self.messages.get_or_create(&topic).set(gauge(away.messages()));
        self.is_away.get_or_create(&topic).set(i64::from(!away.is_direct()));
        self.is_stuck.get_or_create(&topic).set(i64::from(away.stuck_why().is_some()));
        self.drained.get_or_create(&topic).inner().store(away.drained_total(), Ordering::Relaxed);
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Topic {
    topic: String,
}

fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("chancery_ingest");
        let (events, requests, bodies) = (Family::default(), Family::default(), Family::default());
        let (bytes, in_flight, queue) = (Counter::default(), Gauge::default(), Gauge::default());
        let signatures: Family<Label, Counter> = Family::default();
        let duration = Histogram::new(BUCKETS);
        registry.register("events", "Events by outcome", events.clone());
        registry.register("requests", "Requests by the code of their answer", requests.clone());
        registry.register("bodies", "References to bodies by how they went", bodies.clone());
        let help = "Events that were handed to the log, by what their signatures are worth";
        registry.register("signatures", help, signatures.clone());
        let redactions: Family<Label, Counter> = Family::default();
        let help = "Events with what the rules redact, by what came of it";
        registry.register("redactions", help, redactions.clone());
        registry.register("bytes", "Bytes of durable messages", bytes.clone());
        let help = "Time from a request's headers to its answer";
        registry.register_with_unit("request_duration", help, Unit::Seconds, duration.clone());
        let help = "Bytes of requests under way";
        registry.register_with_unit("in_flight", help, Unit::Bytes, in_flight.clone());
        registry.register("queue_requests", "Requests that wait for the writer", queue.clone());
        let spools = Spools::default();
        spools.register(&mut registry);
        let llm = llm::Metrics::new(&mut registry);
        Self {
            registry,
            events,
            requests,
            bodies,
            signatures,
            redactions,
            bytes,
            duration,
            in_flight,
            queue,
            spools,
            llm,
        }
    }

    pub(crate) fn events(&self, outcome: &'static str, count: usize) {
        self.events.get_or_create(&Label { outcome }).inc_by(wide(count));
    }

    /// A request was answered, after so long.
    pub(crate) fn answered(&self, refusal: Option<&Refusal>, after: Duration) {
        self.duration.observe(after.as_secs_f64());
        let outcome = refusal.map_or("ok", |refusal| refusal.code.name_and_status().0);
        self.requests.get_or_create(&Label { outcome }).inc();
        if let Some(refusal) = refusal {
            tracing::debug!(code = outcome, message = refusal.message, "request refused");
        }
    }

    pub(crate) fn bodies(&self, inline: usize, stored: usize, by_digest: usize) {
        for (outcome, count) in [("inline", inline), ("stored", stored), ("by_digest", by_digest)] {
            if count > 0 {
                self.bodies.get_or_create(&Label { outcome }).inc_by(wide(count));
            }
        }
    }

    pub(crate) fn signatures(&self, worths: &[Worth]) {
        for (worth, outcome) in Worth::ALL {
            let count = worths.iter().filter(|other| **other == worth).count();
            self.signatures.get_or_create(&Label { outcome }).inc_by(wide(count));
        }
    }

    pub(crate) fn redactions(&self, redacted: Redacted) {
        for (outcome, count) in [("changed", redacted.changed), ("avro_passed", redacted.passed)] {
            self.redactions.get_or_create(&Label { outcome }).inc_by(wide(count));
        }
    }

    /// The text of all metrics.
    pub(crate) fn text(&self, in_flight: usize, sinks: &Sinks) -> Result<String, fmt::Error> {
        self.in_flight.set(i64::try_from(in_flight).unwrap_or(i64::MAX));
        self.queue.set(gauge(sinks.jobs()));
        for away in sinks.all().filter_map(|sink| sink.away.as_deref()) {
            self.spools.set(away);
        }
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
    use std::sync::Arc;

    use spool::{Message, Spool};

    use super::*;
    use crate::produce::Sink;

    #[test]
    fn metrics_have_the_names_that_dashboards_know() {
        let metrics = Metrics::new();
        metrics.events("accepted", 2);
        metrics.bodies(1, 2, 3);
        metrics.answered(None, Duration::from_millis(100));
        metrics.bytes.inc_by(9);
        let dir = tempfile::tempdir().unwrap();
        let (spool, _) = Spool::open(dir.path(), spool::Config::default()).unwrap();
        let message = Message { timestamp_ms: 1, key: None, value: Vec::new() };
        spool.append(vec![message; 7]).unwrap();
        let away = Away::new("events".to_owned(), spool.clone());
        away.drained(2);
        away.set(false, 2);
        let mut sink = Sink::spool(spool).unwrap();
        sink.away = Some(Arc::new(away));
        let text = metrics.text(5, &sink.into()).unwrap();
        for line in [
            "chancery_ingest_events_total{outcome=\"accepted\"} 2",
            "chancery_ingest_bodies_total{outcome=\"by_digest\"} 3",
            "chancery_ingest_bytes_total 9",
            "chancery_ingest_requests_total{outcome=\"ok\"} 1",
            "chancery_ingest_request_duration_seconds_count 1",
            "chancery_ingest_in_flight_bytes 5",
            "chancery_ingest_bodies_total{outcome=\"stored\"} 2",
            "chancery_ingest_queue_requests 0",
            "chancery_ingest_spool_messages{topic=\"events\"} 5",
            "chancery_ingest_spool_bytes{topic=\"events\"} 280",
            "chancery_ingest_spool_in_use{topic=\"events\"} 1",
            "chancery_ingest_spool_stuck{topic=\"events\"} 0",
            "chancery_ingest_spool_drained_total{topic=\"events\"} 2",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
        }
    }
}
