//! Metrics of `verify --watch`.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use replay::{Report, Sign};
use schemas::Seconds;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfKind {
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfSign {
    sign: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Ended {
    outcome: &'static str,
}

type Float = Gauge<f64, AtomicU64>;

/// What is counted of runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    findings: Family<OfKind, Gauge>,
    runs: Family<Ended, Counter>,
    ok: Gauge,
    log_size: Gauge,
    pending: Gauge,
    age: Family<OfSign, Float>,
    last: Float,
    took: Float,
    pub(crate) webhook_failures: Counter,
}

impl Metrics {
    /// Registers everything under `chancery_verify_`.
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let verify = registry.sub_registry_with_prefix("chancery_verify");
        verify.register("findings", "Findings of the last run", metrics.findings.clone());
        verify.register("runs", "Runs that ended", metrics.runs.clone());
        verify.register("ok", "Whether the last run was without findings", metrics.ok.clone());
        let help = "Entries of the newest checkpoint that the last run verified";
        verify.register("log_size", help, metrics.log_size.clone());
        let help = "Segments and openings that wait to be enrolled in the log";
        verify.register("pending", help, metrics.pending.clone());
        let help = "Age of the log's newest heartbeat, cosignature and time-stamp, when the last run began";
        verify.register_with_unit("age", help, Unit::Seconds, metrics.age.clone());
        let help = "When the last run that could read the store ended, since 1970";
        verify.register_with_unit("last_run_time", help, Unit::Seconds, metrics.last.clone());
        let help = "Time that it took";
        verify.register_with_unit("duration", help, Unit::Seconds, metrics.took.clone());
        let help = "Posts to the webhook that failed";
        verify.register("webhook_failures", help, metrics.webhook_failures.clone());
        metrics
    }

    /// A run ended with a report.
    pub(crate) fn ran(&self, report: &Report, took: Duration, now: Seconds) {
        let outcome = if report.ok { "good" } else { "findings" };
        self.runs.get_or_create(&Ended { outcome }).inc();
        self.ok.set(i64::from(report.ok));
        self.findings.clear();
        for finding in &report.findings {
            self.findings.get_or_create(&OfKind { kind: finding.kind.as_str() }).inc();
        }
        self.took.set(took.as_secs_f64());
        self.last.set(float(u64::try_from(now.0).unwrap_or(0)));
        let log = report.log.as_ref();
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.log_size.set(number(log.map_or(0, |log| log.size)));
        self.pending.set(number(log.map_or(0, |log| log.pending)));
        let newest = log.map(|log| log.newest).unwrap_or_default();
        self.age("heartbeat", newest.heartbeat);
        self.age("cosignature", newest.cosignature);
        self.age("timestamp", newest.timestamp);
    }

    fn age(&self, sign: &'static str, newest: Option<Sign>) {
        let labels = OfSign { sign };
        match newest.and_then(|newest| newest.age) {
            Some(age) => {
                self.age.get_or_create(&labels).set(float(age));
            }
            None => {
                self.age.remove(&labels);
            }
        }
    }

    /// A run could not read the store.
    pub(crate) fn failed(&self) {
        self.runs.get_or_create(&Ended { outcome: "failed" }).inc();
        self.ok.set(0);
    }
}

/// Exact for whatever is counted in seconds.
fn float(value: u64) -> f64 {
    Duration::from_secs(value).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use replay::{Finding, Kind, LogReport, Newest};

    use super::*;

    #[test]
    fn a_kind_that_is_found_no_more_is_gone_and_ages_are_those_of_the_last_run() {
        let mut registry = Registry::default();
        let metrics = Metrics::new(&mut registry);
        let finding = Finding {
            kind: Kind::Dropped,
            object: String::new(),
            partition: None,
            offset: None,
            reason: String::new(),
        };
        let heartbeat = Some(Sign { size: 7, at: 0, age: Some(90) });
        let newest = Newest { heartbeat, ..Newest::default() };
        let log = Some(LogReport { size: 7, newest, ..LogReport::default() });
        let bad = Report { findings: vec![finding], log, ..Report::default() };
        let text = |report: &Report| {
            metrics.ran(report, Duration::from_millis(1500), Seconds(1_790_000_000));
            let mut text = String::new();
            encode(&mut text, &registry).unwrap();
            text
        };
        let found = text(&bad);
        for line in [
            "chancery_verify_findings{kind=\"dropped\"} 1",
            "chancery_verify_log_size 7",
            "chancery_verify_age_seconds{sign=\"heartbeat\"} 90.0",
            "chancery_verify_last_run_time_seconds 1790000000.0",
            "chancery_verify_duration_seconds 1.5",
            "chancery_verify_ok 0",
        ] {
            assert!(found.contains(line), "{line}: {found}");
        }
        let good = text(&Report { ok: true, ..Report::default() });
        assert!(!good.contains("kind=") && !good.contains("sign="), "{good}");
        assert!(good.contains("chancery_verify_ok 1"), "{good}");
    }
}
