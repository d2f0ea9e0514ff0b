//! `up`: what it acknowledged is sealed, however it ends.

use std::path::Path;
use std::process::Stdio;

use crate::binary::{chancery, expect, up, verified};

const SESSION: &str = r#"{"session_id":"s","messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"hello"}]}"#;
/// The start, two messages, the end.
const EVENTS: u64 = 4;

fn import(folder: &Path, url: &str) {
    let file = folder.join("sessions.jsonl");
    std::fs::write(&file, SESSION).unwrap();
    expect(0, &["import", "openai-chat", file.to_str().unwrap(), "--to", url]);
}

#[test]
fn what_was_acknowledged_is_sealed_when_it_is_told_to_stop() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("dir");
    let up = up(&dir);
    import(folder.path(), &up.url());
    assert_eq!(up.end("-TERM"), Some(0));
    assert_eq!(verified(dir.to_str().unwrap()), EVENTS);
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("dir");
    let up = up(&dir);
    import(folder.path(), &up.url());
    assert_eq!(up.end("-KILL"), None);
    assert_eq!(crate::binary::up(&dir).end("-INT"), Some(0));
    assert_eq!(verified(dir.to_str().unwrap()), EVENTS);
}

#[test]
fn a_folder_in_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let up = up(folder.path());
    let file = folder.path().join("sessions.jsonl");
    std::fs::write(&file, SESSION).unwrap();
    let dir = folder.path().to_str().unwrap();
    expect(5, &["import", "openai-chat", file.to_str().unwrap(), "--dir", dir]);
    assert_eq!(up.end("-TERM"), Some(0));
}

#[test]
fn settings_that_do_not_exist_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    expect(2, &["up", "--dir", dir, "--set", "sealer.no_such_setting=1"]);
    expect(2, &["up", "--dir", dir, "--set", "no_such_section.x=1"]);
    expect(2, &["up", "--dir", dir, "--tenant", "Not A Tenant"]);
    expect(2, &["up"]);
}

/// The first byte is read, then the pipe is closed; the rest, being more than a pipe holds, cannot be written.
#[test]
fn a_reader_that_stops_reading_ends_it_quietly() {
    use std::io::Read;
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("dir");
    let text = "x".repeat(1 << 20);
    let file = folder.path().join("sessions.jsonl");
    std::fs::write(&file, SESSION.replace("hello", &text)).unwrap();
    let (file, dir) = (file.to_str().unwrap(), dir.to_str().unwrap());
    expect(0, &["import", "openai-chat", file, "--dir", dir]);
    let mut export = chancery(&["export", dir]);
    let mut export = export.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = export.stdout.take().unwrap();
    stdout.read_exact(&mut [0]).unwrap();
    drop(stdout);
    let output = export.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_store_without_any_chain_is_not_called_good() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("segments")).unwrap();
    let said = expect(4, &["verify", folder.path().to_str().unwrap()]);
    assert!(said.starts_with("NOTHING VERIFIED"), "{said}");
}
