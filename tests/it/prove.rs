//! Bundles on the command line: made of a deployment's folder, checked with its public key and nothing else.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;

use crate::binary::{expect, run};

const SESSIONS: &str = r#"{"session_id":"s-1","messages":[{"role":"user","content":"where is it?"},{"role":"assistant","content":"on its way"}]}
{"session_id":"s-2","messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"hello"}]}
"#;

/// A deployment that has sealed two sessions.
fn deployed(folder: &Path) -> String {
    let file = folder.join("sessions.jsonl");
    std::fs::write(&file, SESSIONS).unwrap();
    let dir = folder.join("dir").to_str().unwrap().to_owned();
    expect(0, &["import", "openai-chat", file.to_str().unwrap(), "--dir", &dir]);
    dir
}

#[test]
fn a_session_is_proven_to_somebody_who_has_the_bundle_and_a_key() {
    let folder = tempfile::tempdir().unwrap();
    let dir = deployed(folder.path());
    let bundle = folder.path().join("b.zip").to_str().unwrap().to_owned();
    let key = format!("{dir}/log.vkey");
    let said = expect(0, &["prove", "session", "s-1", &dir, "-o", &bundle, "--disclose", "user"]);
    assert!(said.contains("All messages of session s-1"), "{said}");
    let away = folder.path().join("away");
    std::fs::rename(format!("{dir}/store"), &away).unwrap();
    let said = expect(0, &["verify", &bundle, "--trust", &key, "--json"]);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said["ok"], &said["statement"]["vouched"]), (&true.into(), &true.into()));
    assert_eq!(said["statement"]["disclosed"], 1);
    let said = expect(4, &["verify", &bundle]);
    assert!(said.contains("NOBODY VOUCHES") && said.contains("Nobody outside vouches"), "{said}");
    let other = folder.path().join("other.key").to_str().unwrap().to_owned();
    let line = expect(0, &["key", "new", "example.org/other", "-o", &other]);
    let trusted = folder.path().join("other.vkey").to_str().unwrap().to_owned();
    std::fs::write(&trusted, line).unwrap();
    let said = expect(3, &["verify", &bundle, "--trust", &trusted]);
    assert!(said.contains("no key that was given is of its log"), "{said}");
    let mut bytes = std::fs::read(&bundle).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&bundle, bytes).unwrap();
    let said = expect(3, &["verify", &bundle, "--trust", &key, "--json"]);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["ok"], false);
    assert_eq!(said["faults"][0]["reason"], "its comment is not the hash of what is before it");
}

#[test]
fn an_event_is_proven_by_id_and_by_the_digest_that_its_producer_kept() {
    let folder = tempfile::tempdir().unwrap();
    let dir = deployed(folder.path());
    let bundle = folder.path().join("b.zip").to_str().unwrap().to_owned();
    let key = format!("{dir}/log.vkey");
    let trace: Value = serde_json::from_str(&expect(0, &["trace", &dir, "s-2", "--json"])).unwrap();
    let step = &trace["turns"][0]["steps"][0];
    let id = step["envelope"]["event_id"].as_str().unwrap();
    let digest = step["event_digest"].as_str().unwrap();
    expect(0, &["prove", "event", id, &dir, "-o", &bundle]);
    let said = expect(0, &["verify", &bundle, "--trust", &key, "--json"]);
    let first: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(first["statement"]["event"], digest);
    expect(0, &["receipt", digest, &dir, "--session", "s-2", "-o", &bundle]);
    let said = expect(0, &["verify", &bundle, "--trust", &key, "--json"]);
    let second: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(second["statement"]["event"], digest);
    expect(0, &["prove", "event", "--digest", digest, &dir, "-o", &bundle]);
    expect(2, &["receipt", digest, &dir, "--session", "s-1", "-o", &bundle]);
    expect(2, &["prove", "event", "soon", &dir, "-o", &bundle]);
}

#[test]
fn an_absence_is_proven_for_a_session_that_is_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let dir = deployed(folder.path());
    let bundle = folder.path().join("b.zip").to_str().unwrap().to_owned();
    let (from, to) = (["--from", "2000-01-01"], ["--to", "2100-01-01"]);
    let absent = |id: &'static str| {
        let dir = dir.as_str();
        [["prove", "absent", id, dir, "-o", &bundle, "--tenant", "default"].as_slice(), &from, &to]
            .concat()
    };
    let nowhere = absent("s-3");
    expect(0, &nowhere);
    let said = expect(0, &["verify", &bundle, "--trust", &format!("{dir}/log.vkey")]);
    assert!(
        said.contains("No message of session s-3 of tenant default has a time from 2000"),
        "{said}"
    );
    expect(2, &absent("s-1"));
}

#[test]
fn a_log_s_key_is_its_owner_s_alone_and_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.key");
    let key = path.to_str().unwrap();
    let line = expect(0, &["key", "new", "example.org/log", "-o", key]);
    assert!(line.starts_with("example.org/log+") && line.lines().count() == 1, "{line}");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(expect(0, &["key", "show", key]), line);
    let again = run(&["key", "new", "example.org/log", "-o", key]);
    assert_eq!(again.status.code(), Some(2));
    assert_eq!(expect(0, &["key", "show", key]), line);
    expect(2, &["key", "new", "two words", "-o", folder.path().join("x").to_str().unwrap()]);
}
