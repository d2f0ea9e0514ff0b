//! `chancery verify --watch`: verifies again and again; tells the log, metrics and a webhook what it finds.
//!
//! It holds no rules of its own, and writes nothing but what `verify` remembers.
#![expect(clippy::disallowed_methods, reason = "a shell: it runs by the clock")]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use prometheus_client::registry::Registry;
use replay::{Finding, Kind, Report};
use reqwest::Client;
use reqwest::header::CONTENT_TYPE;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::cli;
use crate::exit::{Exit, OrExit};
use crate::metrics;
use crate::signal::Stop;
use crate::verify::{Verifier, now};
use crate::verify_metrics::Metrics;

/// So many findings are told to the log; the others are counted, and posted.
const LOGGED_MAX: usize = 100;
/// Time that a webhook has to answer.
const WEBHOOK_TIME_MAX: Duration = Duration::from_secs(30);

/// Verifies on a schedule, until it is told to stop.
pub(crate) async fn run(verifier: &Verifier, args: &cli::Verify) -> anyhow::Result<Exit> {
    let mut stop = Stop::new()?;
    let (mut registry, end) = (Registry::default(), CancellationToken::new());
    let metrics = Metrics::new(&mut registry);
    let config = metrics::Config { listen: args.listen };
    metrics::serve(&config, registry, end.clone()).await?;
    let mut webhook = args.webhook.clone().map(Webhook::new).transpose()?;
    loop {
        let began = Instant::now();
        tokio::select! {
            // A run writes nothing that it could leave half done.
            () = stop.came() => break,
            ran = verifier.once(None) => {
                ended(verifier, ran, began.elapsed(), &metrics, webhook.as_mut()).await;
            }
        }
        let rest = args.every.saturating_sub(began.elapsed());
        tokio::select! {
            () = stop.came() => break,
            () = tokio::time::sleep(rest) => {}
        }
    }
    end.cancel();
    Ok(Exit::Good)
}

/// Tells how a run ended.
async fn ended(
    verifier: &Verifier,
    ran: anyhow::Result<Report>,
    took: Duration,
    metrics: &Metrics,
    webhook: Option<&mut Webhook>,
) {
    let report = match ran {
        Ok(report) => report,
        Err(error) => {
            error!(error = format!("{error:#}"), "not verified");
            return metrics.failed();
        }
    };
    metrics.ran(&report, took, now().unwrap_or(schemas::Seconds(0)));
    let (findings, segments, events) = (report.findings.len(), report.segments, report.events);
    let log_size = report.log.as_ref().map(|log| log.size);
    if verifier.exit(&report) == Exit::Good {
        info!(segments, events, log_size, ?took, "verified");
    } else {
        error!(findings, segments, events, log_size, ?took, "not good");
    }
    for finding in report.findings.iter().take(LOGGED_MAX) {
        error!(
            kind = finding.kind.as_str(),
            object = finding.object,
            reason = finding.reason,
            "finding"
        );
    }
    for warning in report.log.iter().flat_map(|log| &log.warnings) {
        warn!(warning, "of the log");
    }
    let Some(webhook) = webhook else { return };
    if let Err(error) = webhook.post(&verifier.address, &report).await {
        metrics.webhook_failures.inc();
        error!(
            error = format!("{error:#}"),
            "the webhook was not told: it will be after the next run"
        );
    }
}

/// What tells two findings apart.
type Known = (Kind, String, Option<u64>, String);

/// Where new findings are posted to.
#[derive(Debug)]
struct Webhook {
    url: String,
    client: Client,
    /// What has been posted, and was still found by the last run.
    posted: BTreeSet<Known>,
}

impl Webhook {
    fn new(url: String) -> anyhow::Result<Self> {
        let client = Client::builder().timeout(WEBHOOK_TIME_MAX).build();
        let client = client.or_exit(Exit::Infrastructure, "cannot make an HTTP client")?;
        Ok(Self { url, client, posted: BTreeSet::new() })
    }

    /// Posts what was not posted before. What is found no more is forgotten, and would be new again.
    async fn post(&mut self, store: &str, report: &Report) -> anyhow::Result<()> {
        let (found, new) = self.new_of(&report.findings);
        if !new.is_empty() {
            let body = json!({
                "store": store,
                "at": now()?.to_string(),
                "log": report.log.as_ref().map(|log| json!({"origin": log.origin, "size": log.size})),
                "findings": new,
                "findings_omitted": report.findings_omitted,
            });
            let request = self.client.post(&self.url).header(CONTENT_TYPE, "application/json");
            let answer = request.body(body.to_string()).send().await?;
            answer.error_for_status()?;
        }
        self.posted = found;
        Ok(())
    }

    fn new_of<'r>(&self, findings: &'r [Finding]) -> (BTreeSet<Known>, Vec<&'r Finding>) {
        let found = findings.iter().map(known).collect();
        let new = findings.iter().filter(|finding| !self.posted.contains(&known(finding)));
        (found, new.collect())
    }
}

/// How old something is changes with every run, and is no news.
fn known(finding: &Finding) -> Known {
    let reason = if finding.kind == Kind::Stale { String::new() } else { finding.reason.clone() };
    (finding.kind, finding.object.clone(), finding.offset, reason)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    fn report(reasons: &[&str]) -> Report {
        let finding = |reason: &&str| Finding {
            kind: Kind::Dropped,
            object: "o".to_owned(),
            partition: None,
            offset: None,
            reason: (*reason).to_owned(),
        };
        Report { findings: reasons.iter().map(finding).collect(), ..Report::default() }
    }

    /// Answers with these, one a connection, and gives what was posted.
    async fn answering(
        answers: &'static [&'static str],
    ) -> (String, tokio::task::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let served = tokio::spawn(async move {
            let mut posted = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut bytes = Vec::new();
                while !bytes.ends_with(b"\"findings_omitted\":0}") {
                    bytes.push(stream.read_u8().await.unwrap());
                }
                let answer =
                    format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
                posted.push(String::from_utf8(bytes).unwrap());
            }
            posted
        });
        (url, served)
    }

    #[tokio::test]
    async fn a_finding_is_posted_until_it_was_taken_and_not_again() {
        let (url, served) = answering(&["503 Busy", "200 OK", "200 OK"]).await;
        let mut webhook = Webhook::new(url).unwrap();
        assert!(webhook.post("s", &report(&["a"])).await.is_err());
        webhook.post("s", &report(&["a"])).await.unwrap();
        webhook.post("s", &report(&["a"])).await.unwrap();
        webhook.post("s", &report(&["a", "b"])).await.unwrap();
        let posted = served.await.unwrap();
        let has =
            |at: usize, reason: &str| posted[at].contains(&format!("\"reason\":\"{reason}\""));
        assert!(has(0, "a") && has(1, "a") && !has(2, "a") && has(2, "b"), "{posted:?}");
    }
}
