//! What is counted of exchanges, by upstream.

use std::time::Duration;

use capture::llm::Ended;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::metrics::wide;

/// Seconds: from a local model's first token to the longest thought.
const BUCKETS: [f64; 12] = [0.005, 0.02, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 180.0, 600.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRoute {
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    route: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Direction {
    route: String,
    direction: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Why {
    route: String,
    reason: &'static str,
}

/// All of it.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    exchanges: Family<Outcome, Counter>,
    bytes: Family<Direction, Counter>,
    unrecorded: Family<Why, Counter>,
    open: Family<OfRoute, Gauge>,
    first_byte: Family<OfRoute, Histogram, fn() -> Histogram>,
}

/// Those of one upstream.
#[derive(Clone, Debug)]
pub(crate) struct Counters {
    metrics: Metrics,
    route: String,
    complete: Counter,
    asked: Counter,
    answered: Counter,
    open: Gauge,
    first_byte: Histogram,
}

impl Metrics {
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            exchanges: Family::default(),
            bytes: Family::default(),
            unrecorded: Family::default(),
            open: Family::default(),
            first_byte: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
        };
        let help = "Exchanges with model APIs by how they ended";
        registry.register("llm_exchanges", help, metrics.exchanges.clone());
        let help = "Bytes of bodies of exchanges with model APIs";
        registry.register("llm_bytes", help, metrics.bytes.clone());
        let help = "Exchanges with model APIs that are not on record";
        registry.register("llm_unrecorded", help, metrics.unrecorded.clone());
        let help = "Exchanges with model APIs under way";
        registry.register("llm_open_exchanges", help, metrics.open.clone());
        let help = "Time from a request's head to the first byte of the answer's body";
        registry.register_with_unit(
            "llm_first_byte",
            help,
            Unit::Seconds,
            metrics.first_byte.clone(),
        );
        metrics
    }

    pub(crate) fn of(&self, route: &str) -> Counters {
        let of_route = OfRoute { route: route.to_owned() };
        let bytes = |direction| {
            let label = Direction { route: route.to_owned(), direction };
            self.bytes.get_or_create(&label).clone()
        };
        let complete = Outcome { route: route.to_owned(), outcome: "complete" };
        Counters {
            complete: self.exchanges.get_or_create(&complete).clone(),
            asked: bytes("request"),
            answered: bytes("response"),
            open: self.open.get_or_create(&of_route).clone(),
            first_byte: self.first_byte.get_or_create(&of_route).clone(),
            route: route.to_owned(),
            metrics: self.clone(),
        }
    }
}

impl Counters {
    pub(crate) fn begun(&self) {
        self.open.inc();
    }

    pub(crate) fn ended(
        &self,
        ended: Ended,
        first_byte: Option<Duration>,
        asked: usize,
        answered: usize,
    ) {
        self.open.dec();
        self.asked.inc_by(wide(asked));
        self.answered.inc_by(wide(answered));
        if let Some(time) = first_byte {
            self.first_byte.observe(time.as_secs_f64());
        }
        match ended {
            Ended::Complete => drop(self.complete.inc()),
            Ended::ClientAbort => self.outcome("client_abort"),
            Ended::UpstreamError(_) => self.outcome("upstream_error"),
            Ended::UpstreamCut => self.outcome("upstream_cut"),
            Ended::GatewayStopped => self.outcome("gateway_stopped"),
            Ended::Timeout => self.outcome("timeout"),
        }
    }

    /// One that was not forwarded.
    pub(crate) fn refused(&self) {
        self.open.dec();
        self.outcome("refused");
    }

    pub(crate) fn unrecorded(&self, reason: &'static str) {
        let label = Why { route: self.route.clone(), reason };
        self.metrics.unrecorded.get_or_create(&label).inc();
    }

    fn outcome(&self, outcome: &'static str) {
        let label = Outcome { route: self.route.clone(), outcome };
        self.metrics.exchanges.get_or_create(&label).inc();
    }
}
