//! What `doctor` says of a real deployment, and of each of those that must not be trusted.
#![expect(clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::binary::{chancery, expect};
use crate::bucket::s3;

const SETTINGS: [&str; 6] = [
    "--set",
    "retention.mode=governance",
    "--set",
    "retention.classes.development=1",
    "--set",
    "sealer.retention_class=development",
];

fn unique(name: &str) -> String {
    format!("{name}-{}", uuid::Uuid::now_v7().simple())
}

/// Each check with its verdict, and the exit code.
fn doctor(command: &mut Command) -> (BTreeMap<String, String>, Option<i32>) {
    let output = command.args(SETTINGS).arg("--json").output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let text = |check: &Value, name: &str| check[name].as_str().unwrap().to_owned();
    let checks = report["checks"].as_array().unwrap().iter();
    let checks = checks.map(|check| (text(check, "check"), text(check, "verdict"))).collect();
    assert_eq!(report["ok"], output.status.code() == Some(0), "{report}");
    (checks, output.status.code())
}

/// The checks that came out so, for a deployment that fails.
fn wrong(command: &mut Command) -> Vec<String> {
    let (checks, exit) = doctor(command);
    assert_eq!(exit, Some(1), "{checks:?}");
    assert!(checks.values().all(|verdict| verdict != "unchecked"), "{checks:?}");
    checks.into_iter().filter(|(_, verdict)| verdict == "wrong").map(|(check, _)| check).collect()
}

fn bucket() -> String {
    std::env::var("CHANCERY_TEST_S3_BUCKET").unwrap()
}

#[test]
fn a_locked_bucket_passes_every_check() {
    let store = format!("s3://{}/{}", bucket(), unique("doctor"));
    let (checks, exit) = doctor(&mut chancery(&["doctor", "--store", &store]));
    assert_eq!(exit, Some(0), "{checks:?}");
    assert_eq!(checks.len(), 10, "{checks:?}");
    assert!(checks.values().all(|verdict| verdict == "ok"), "{checks:?}");

    // Without settings there is something that it cannot check, and says so.
    let said = expect(4, &["doctor", "--store", &store]);
    assert_eq!(said.lines().count(), 10);
    assert!(said.contains("could not check  retention settings: "), "{said}");
}

#[test]
fn a_bucket_without_lock_is_wrong() {
    let name = unique("no-lock");
    s3(&["PUT", &format!("/{name}")], "");
    let versioning = "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                      <Status>Enabled</Status></VersioningConfiguration>";
    s3(&["PUT", &format!("/{name}?versioning")], versioning);
    let store = format!("s3://{name}");
    assert_eq!(wrong(&mut chancery(&["doctor", "--store", &store])), ["bucket object lock"]);
    let said = expect(1, &["doctor", "--store", &store]);
    let line = said.lines().find(|line| line.starts_with("WRONG ")).unwrap();
    assert!(line.contains("Why it matters: ") && line.contains("What to do: "), "{line}");
}

#[test]
fn a_bucket_without_versioning_is_wrong() {
    let name = unique("no-versions");
    s3(&["PUT", &format!("/{name}")], "");
    let store = format!("s3://{name}");
    let wrong = wrong(&mut chancery(&["doctor", "--store", &store]));
    assert_eq!(wrong, ["bucket object lock", "bucket versioning"]);
}

#[test]
fn a_bucket_that_is_not_there_is_wrong() {
    let store = format!("s3://{}", unique("nothing"));
    assert_eq!(wrong(&mut chancery(&["doctor", "--store", &store])), ["store reachable"]);
}

#[test]
fn a_store_that_passes_over_the_condition_is_wrong() {
    let proxy = Proxy::start();
    let store = format!("s3://{}/{}", bucket(), unique("doctor"));
    let mut command = chancery(&["doctor", "--store", &store]);
    let wrong = wrong(command.env("AWS_ENDPOINT_URL", &proxy.url));
    assert_eq!(wrong, ["conditional write"]);
}

#[test]
fn a_topic_with_one_copy_is_wrong_and_one_that_is_not_there_too() {
    let brokers = std::env::var("CHANCERY_TEST_KAFKA").unwrap();
    let (store, topic) = (format!("s3://{}/{}", bucket(), unique("doctor")), unique("topic"));
    let command = |topic: &str| {
        chancery(&["doctor", "--store", &store, "--kafka", &brokers, "--topic", topic])
    };
    assert_eq!(wrong(&mut command(&topic)), ["topic"]);

    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(crate::services::create_topic(&brokers, &topic));
    let wrong = wrong(&mut command(&topic));
    // The test broker's defaults are not those of a deployment either.
    for check in ["replication.factor", "min.insync.replicas", "message.timestamp.type"] {
        assert!(wrong.contains(&format!("topic {check}")), "{wrong:?}");
    }
    for check in ["topic", "topic partitions", "topic max.message.bytes", "conditional write"] {
        assert!(!wrong.contains(&check.to_owned()), "{wrong:?}");
    }
}

/// A proxy before the server that drops `If-None-Match`.
struct Proxy {
    process: Child,
    url: String,
}

impl Proxy {
    fn start() -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stack/strip.py");
        let mut process =
            Command::new("python3").arg(script).stdout(Stdio::piped()).spawn().unwrap();
        let mut port = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Self { process, url: format!("http://127.0.0.1:{}", port.trim()) }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _waited = self.process.wait();
    }
}
