//! What must be true at the end: everything acknowledged is sealed, once, in order, in one chain.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use serde_json::{Value, json};

use super::load::Acknowledged;
use super::stack::Stack;
use crate::binary::chancery;
use crate::services::{PARTITIONS, client};

const LOOK: Duration = Duration::from_secs(1);
/// Everything that was left is sealed after so many looks, or never.
const LOOKS: usize = 180;
const ASK: Duration = Duration::from_secs(30);

/// A store behind the stack's S3 server.
pub(crate) struct Store<'a> {
    pub(crate) stack: &'a Stack,
    pub(crate) address: &'a str,
}

impl Store<'_> {
    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = chancery(arguments);
        command.envs(self.stack.environment.iter().map(|(name, value)| (name, value)));
        command.output().unwrap()
    }

    fn verify(&self, more: &[&str]) -> (Option<i32>, Value) {
        let output = self.run(&[&["verify", self.address, "--json"], more].concat());
        let errors = String::from_utf8_lossy(&output.stderr);
        let report = serde_json::from_slice(&output.stdout);
        (output.status.code(), report.unwrap_or_else(|_| json!({"errors": errors})))
    }

    /// Waits until every message of the topic is sealed. Each look must find a good chain: a crash leaves none that is not.
    /// False if it never is.
    pub(crate) async fn is_whole(&self, topic: &str) -> bool {
        let end = end(self.stack.variable("CHANCERY_TEST_KAFKA"), topic);
        for _ in 0..LOOKS {
            let (_, report) = self.verify(&[]);
            let count = |name: &str| report[name].as_u64().unwrap_or_default();
            if count("events") + count("raw") == end {
                return true;
            }
            assert!(count("events") + count("raw") < end, "more is sealed than was sent: {report}");
            eprintln!("{} of {end} sealed", count("events") + count("raw"));
            tokio::time::sleep(LOOK).await;
        }
        false
    }

    /// The chain, the locks and the versions are good, nothing is lost or given up, and nothing is there but what the chain
    /// has: of each partition an opening, of each segment its record, and the log over all of them.
    pub(crate) fn check_chain(&self) -> Value {
        let (exit, report) = self.verify(&["--storage"]);
        assert_eq!((exit, &report["findings"]), (Some(0), &json!([])), "{report}");
        assert_eq!((&report["losses"], &report["abandoned"]), (&json!([]), &json!([])), "{report}");
        let count = |value: &Value| value.as_i64().unwrap();
        let log = |name: &str| count(&report["log"][name]);
        let chain = count(&report["partitions"]) + 2 * count(&report["segments"]);
        let locked = chain + log("commits") + log("checkpoints");
        assert_eq!(count(&report["storage"]["locks"]), locked, "{report}");
        assert_eq!(count(&report["storage"]["versions"]), locked + log("tiles"), "{report}");
        // All that is sealed is enrolled, each link once, and all that is enrolled is published.
        assert_eq!(log("records"), count(&report["segments"]), "{report}");
        assert_eq!(log("openings"), count(&report["partitions"]), "{report}");
        assert_eq!((log("pending"), log("size")), (0, log("committed")), "{report}");
        assert_eq!(count(&report["partitions"]), i64::from(PARTITIONS), "{report}");
        report
    }

    /// Every acknowledged event is exported, once but for repeats that say of themselves what they are, and each session's in
    /// the order in which they were sent. How many events there are, and repeats.
    pub(crate) fn check_events(&self, acknowledged: &Acknowledged, folder: &Path) -> (u64, u64) {
        let file = folder.join("events.jsonl");
        let output =
            self.run(&["export", self.address, "--as", "jsonl", "-o", file.to_str().unwrap()]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let (mut sealed, mut seen) = (BTreeMap::<_, Vec<String>>::new(), BTreeSet::new());
        let mut repeats = 0;
        for line in BufReader::new(File::open(&file).unwrap()).lines() {
            let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
            let text = |name: &str| event["envelope"][name].as_str().unwrap().to_owned();
            let id = text("event_id");
            if event["repeat"] == "same" {
                assert!(seen.contains(&id), "a repeat of nothing: {event}");
                repeats += 1;
                continue;
            }
            assert!(seen.insert(id.clone()), "{id} is shown twice:\n{}", lines_of(&file, &id));
            sealed.entry((text("tenant"), text("session_id"))).or_default().push(id);
        }
        let told: BTreeSet<&String> = acknowledged.values().flatten().collect();
        let lost: Vec<_> = told.iter().filter(|id| !seen.contains(**id)).collect();
        assert!(
            lost.is_empty(),
            "{} of {} acknowledged events are lost: {lost:?}",
            lost.len(),
            told.len()
        );
        for (session, sent) in acknowledged {
            let known: Vec<_> = sealed[session].iter().filter(|id| told.contains(id)).collect();
            assert_eq!(known, sent.iter().collect::<Vec<_>>(), "{session:?} is out of order");
        }
        (seen.len() as u64, repeats)
    }

    /// The verifier that shares no code with the binary accepts a copy of the store.
    pub(crate) fn check_independently(&self, folder: &Path) {
        let copy = folder.join("copy");
        let prefix = self.address.strip_prefix("s3://").unwrap();
        let tests = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stack");
        let python = Command::new(format!("{tests}/stack.sh")).arg("python").output().unwrap();
        let python = String::from_utf8(python.stdout).unwrap();
        let mut copied = Command::new(python.trim());
        copied.arg(format!("{tests}/download.py")).arg(prefix).arg(&copy);
        copied.envs(self.stack.environment.iter().map(|(name, value)| (name, value)));
        assert!(copied.status().unwrap().success());
        let verifier = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/verify/verify.py");
        let verified = Command::new(python.trim()).arg(verifier).arg(&copy).output().unwrap();
        let said = String::from_utf8_lossy(&verified.stdout);
        assert!(verified.status.success(), "{said}{}", String::from_utf8_lossy(&verified.stderr));
    }
}

/// What was exported of an event.
fn lines_of(file: &Path, id: &str) -> String {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().filter(|line| line.contains(id)).map(|line| format!("{line}\n")).collect()
}

/// Messages of the topic, over all partitions.
fn end(brokers: &str, topic: &str) -> u64 {
    let consumer: BaseConsumer = client(brokers).set("group.id", "looks").create().unwrap();
    let ends = (0..PARTITIONS).map(|partition| {
        let (low, high) = consumer.fetch_watermarks(topic, partition, ASK).unwrap();
        assert_eq!(low, 0);
        u64::try_from(high).unwrap()
    });
    ends.sum()
}
