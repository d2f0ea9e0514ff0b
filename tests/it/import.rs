//! Import and export: what goes in comes out.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::value::RawValue;

use crate::binary::{expect, run, verified};

/// Sessions with all that JSON allows: escapes, spaces, numbers as written, keys nobody knows.
const SESSIONS: &str = concat!(
    r#"{"session_id":"plain","reward":1.0,"info":{"n":1e2,"s":"\u00e9"},"messages":["#,
    r#"{"role":"system","content":"be kind"},"#,
    r#"{ "role" : "user", "content" : "\u00e9é 😀 \/ \\n", "n": 1.50 },"#,
    r#"{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"look","arguments":"{\"a\": 1}"}},{"id":"c2","type":"function","function":{"name":"see","arguments":"{}"}}]},"#,
    r#"{"role":"tool","tool_call_id":"c1","name":"look","content":"שלום"},"#,
    r#"{"role":"tool","tool_call_id":"c2","name":"see","content":""},"#,
    r#"{"role":"assistant","content":"done"},"#,
    r#"{"role":"user","content":"thanks"}]}"#,
    "\n",
    r#"{"session_id":"no model","messages":[{"role":"user","content":"anybody?"}]}"#,
    "\n",
    r#"{"session_id":"twice the same","messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}"#,
    "\n",
);
/// start + 1 + 5 + end, start + 1 + end, start + 4 + end.
const EVENTS: u64 = 8 + 3 + 6;

/// Each session's messages, as texts.
fn messages(lines: &str) -> BTreeMap<String, Vec<String>> {
    #[derive(serde::Deserialize)]
    struct Line {
        session_id: String,
        messages: Vec<Box<RawValue>>,
    }
    let session = |line: &str| {
        let line: Line = serde_json::from_str(line).unwrap();
        (line.session_id, line.messages.iter().map(|raw| raw.get().to_owned()).collect())
    };
    lines.lines().map(session).collect()
}

fn import(folder: &Path, text: &str) -> (String, std::process::Output) {
    let (file, dir) = (folder.join("sessions.jsonl"), folder.join("dir"));
    if !file.exists() {
        std::fs::write(&file, text).unwrap();
    }
    let dir = dir.to_str().unwrap().to_owned();
    let output = run(&["import", "openai-chat", file.to_str().unwrap(), "--dir", &dir]);
    (dir, output)
}

#[test]
fn sessions_come_out_as_they_went_in() {
    let folder = tempfile::tempdir().unwrap();
    let (dir, output) = import(folder.path(), SESSIONS);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(verified(&dir), EVENTS);
    let exported = expect(0, &["export", &dir, "--as", "openai-chat"]);
    assert_eq!(messages(&exported), messages(SESSIONS));
}

#[test]
fn an_import_done_twice_shows_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let (dir, _) = import(folder.path(), SESSIONS);
    let trace = expect(0, &["trace", &dir, "plain"]);
    let (_, again) = import(folder.path(), SESSIONS);
    assert!(again.status.success());
    assert_eq!(verified(&dir), 2 * EVENTS);
    let exported = expect(0, &["export", &dir, "--as", "openai-chat"]);
    assert_eq!(messages(&exported), messages(SESSIONS));
    let again = expect(0, &["trace", &dir, "plain"]);
    assert!(again.contains("repeats left out"), "{again}");
    let turns = |trace: &str| trace.split_once("turn 1").unwrap().1.lines().count();
    assert_eq!(turns(&again), turns(&trace));
}

#[test]
fn a_file_with_a_bad_line_sends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (dir, output) = import(folder.path(), &format!("{SESSIONS}{{\"session_id\":\"x\"}}\n"));
    assert_eq!(output.status.code(), Some(2));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("line 4 of") && errors.contains("it has no messages"), "{errors}");
    assert!(!Path::new(&dir).exists());
}

#[test]
fn a_changed_byte_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let (dir, _) = import(folder.path(), SESSIONS);
    let segment = Path::new(&dir).join("store/segments/events/00000/0000000000");
    let segment = segment.join("00000000000000000000.parquet");
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[1000] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let report = expect(3, &["verify", &dir, "--json"]);
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["ok"], false);
    assert!(!report["findings"].as_array().unwrap().is_empty());
}
