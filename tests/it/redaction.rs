//! Redaction at the door: what the rules take away is nowhere on disk, and a gateway without usable rules does not start.

use std::path::Path;

use serde_json::{Value, json};

use crate::binary::{Service, expect, run, verified};
use crate::mcp::spool_has;

const SECRET: &str = "sk-ant-api03-AbCdEf0123456789_AbCdEfGhIj";
const RULES: &str = r#"
version = "7"
[[rule]]
name = "card"
action = "hash"
detect = ["card-numbers", "api-keys"]
[[rule]]
name = "who"
action = "drop"
field = "principal_id"
"#;

fn up(dir: &Path, rules: &str) -> Service {
    let setting = format!("ingest.redaction={rules}");
    let dir = dir.to_str().unwrap();
    Service::listening(&["up", "--listen", "127.0.0.1:0", "--set", &setting, "--dir", dir])
}

async fn post(url: &str, body: String) -> (u16, String) {
    let request = reqwest::Client::new().post(format!("{url}/v1/events"));
    let answer = request.header("content-type", "application/json").body(body).send().await;
    let answer = answer.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn a_secret_is_nowhere_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("dir");
    let up = up(&dir, "default");
    let escaped = SECRET.replace("sk-", "\\u0073k-");
    let body = format!(
        r#"[{{"kind":"llm.call","session_id":"s","tool_name":"{SECRET}","contents":[
        {{"role":"user","kind":"message","json":{{"a":["x {escaped}\n",1]}}}},{{"text":"{SECRET}"}}],"note":"{SECRET}"}}]"#
    );
    assert_eq!(post(&up.url(), body).await.0, 200);
    let named = format!(r#"{{"kind":"a","session_id":"{SECRET}"}}"#);
    let (status, answer) = post(&up.url(), named).await;
    assert!(
        status == 400 && answer.contains("session_id") && !answer.contains("sk-ant"),
        "{answer}"
    );
    assert_eq!(up.end("-TERM"), Some(0));
    let folder = dir.to_str().unwrap();
    assert_eq!(verified(folder), 1);
    assert!(!spool_has(&dir, SECRET.as_bytes()) && !spool_has(&dir, &SECRET.as_bytes()[8..]));
    let event: Value = serde_json::from_str(&expect(0, &["export", folder])).unwrap();
    let envelope = &event["envelope"];
    assert_eq!(envelope["capture_fidelity"], "redacted");
    assert_eq!(envelope["tool_name"], "[redacted:api-keys]");
    let account = event["contents"].as_array().unwrap().last().unwrap();
    assert_eq!(account["kind"], "redactions");
}

#[tokio::test]
async fn off_is_off() {
    let folder = tempfile::tempdir().unwrap();
    let up = up(folder.path(), "off");
    let body = format!(r#"{{"kind":"a","session_id":"s","contents":[{{"text":"{SECRET}"}}]}}"#);
    assert_eq!(post(&up.url(), body).await.0, 200);
    assert_eq!(up.end("-TERM"), Some(0));
    let text = expect(0, &["export", folder.path().to_str().unwrap()]);
    assert!(text.contains(SECRET) && !text.contains("redactions"), "{text}");
}

#[tokio::test]
async fn rules_of_a_file_take_the_place_of_the_default() {
    let folder = tempfile::tempdir().unwrap();
    let (dir, rules) = (folder.path().join("dir"), folder.path().join("rules.toml"));
    std::fs::write(&rules, RULES).unwrap();
    let (dir, rules) = (dir.to_str().unwrap(), rules.to_str().unwrap());
    let setting = format!("ingest.redaction={rules}");
    let args = ["up", "--listen", "127.0.0.1:0", "--set", &setting, "--dir", dir];
    // It hashes, and has no key.
    assert_eq!(run(&args).status.code(), Some(2));
    let up = Service::listening_with(&args, &[("CHANCERY_REDACT_KEY", "0123456789abcdef")]);
    let one = r#"{"kind":"a","session_id":"s","principal_id":"ann","contents":[{"json":{"n":4111111111111111}}]}"#;
    let two = r#"{"kind":"a","session_id":"s","contents":[{"text":"4111111111111111"}]}"#;
    assert_eq!(post(&up.url(), format!("[{one},{two}]")).await.0, 200);
    assert_eq!(up.end("-TERM"), Some(0));
    let events = expect(0, &["export", dir]);
    let events: Vec<Value> =
        events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events[0]["envelope"].get("principal_id"), None);
    let hash = events[0]["contents"][0]["json"]["n"].as_str().unwrap();
    assert!(hash.starts_with("[hashed:card:"), "{hash}");
    assert_eq!(events[1]["contents"][0]["text"], hash, "equal values have equal hashes");
}

#[test]
fn rules_that_cannot_be_used_stop_the_start_and_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules.toml");
    for (text, why) in [
        (
            "version = \"1\"\n[[rule]]\nname = \"a\"\naction = \"encrypt-only\"\nfield = \"x\"",
            "cannot encrypt bodies",
        ),
        (
            "version = \"1\"\n[[rule]]\nname = \"a\"\naction = \"mask\"\npattern = \"(\"",
            "cannot be used",
        ),
        ("vversion = \"1\"", "not TOML as rules are written"),
    ] {
        std::fs::write(&rules, text).unwrap();
        let setting = format!("ingest.redaction={}", rules.to_str().unwrap());
        let dir = folder.path().join("dir");
        let output = run(&["up", "--set", &setting, "--dir", dir.to_str().unwrap()]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && errors.contains(why), "{errors}");
    }
}

#[test]
fn rules_are_tried_out_without_showing_what_they_find() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.jsonl");
    let event = json!({"kind": "a", "contents": [{"text": format!("x {SECRET}")}]});
    std::fs::write(&file, format!("{event}\n")).unwrap();
    let text = expect(0, &["redact", "test", "default", file.to_str().unwrap(), "--json"]);
    assert!(!text.contains(&SECRET[..8]), "{text}");
    let found: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&found["line"], &found["content"], &found["count"]),
        (&json!(1), &json!(0), &json!(1))
    );
    assert_eq!(found["shown"][0]["after"], "[redacted:api-keys]");
}
