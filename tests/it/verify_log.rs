//! `verify` of a deployment's store and its log of segments, over several runs and on a schedule.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::binary::{chancery, expect, up};

/// A deployment that was stopped, with two segments, and where it is remembered what was seen of its log.
fn sealed(folder: &Path) -> (String, PathBuf) {
    let dir = folder.join("dir");
    for session in ["s-1", "s-2"] {
        let up = up(&dir);
        let file = folder.join("sessions.jsonl");
        let line = format!(
            r#"{{"session_id":"{session}","messages":[{{"role":"user","content":"hi"}}]}}"#
        );
        std::fs::write(&file, line).unwrap();
        expect(0, &["import", "openai-chat", file.to_str().unwrap(), "--to", &up.url()]);
        assert_eq!(up.end("-TERM"), Some(0));
    }
    (dir.to_str().unwrap().to_owned(), folder.join("state"))
}

fn report(exit: i32, dir: &str, state: &Path, more: &[&str]) -> Value {
    let args = ["verify", dir, "--json", "--state", state.to_str().unwrap()];
    serde_json::from_str(&expect(exit, &[&args[..], more].concat())).unwrap()
}

/// The files under a folder of a store, the last ones last.
fn files(dir: &str, folder: &str) -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![Path::new(dir).join("store").join(folder)]);
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}

#[test]
fn a_last_segment_that_was_dropped_with_its_record_is_found_whatever_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let (dir, state) = sealed(folder.path());
    let trust = format!("{dir}/log.vkey");
    let good = report(0, &dir, &state, &["--trust", &trust]);
    assert_eq!(good["findings"], serde_json::json!([]), "{good}");
    assert!(good["log"]["trust"]["key"].as_str().unwrap().starts_with("chancery.local/"));
    assert_eq!(report(0, &dir, &state, &[])["log"]["remembered"], good["log"]["size"]);
    for folder in ["segments", "records"] {
        std::fs::remove_file(files(&dir, folder).pop().unwrap()).unwrap();
    }
    for how in [&[][..], &["--since", "1000000"], &["--sample", "0"], &["--trust", &trust]] {
        let found = report(3, &dir, &state, how);
        assert_eq!(found["findings"][0]["kind"], "dropped", "{found}");
    }
}

#[test]
fn a_log_that_went_back_is_found_by_what_an_earlier_run_remembers() {
    let folder = tempfile::tempdir().unwrap();
    let (dir, state) = sealed(folder.path());
    report(0, &dir, &state, &[]);
    let first = files(&dir, "log/checkpoints").swap_remove(0);
    std::fs::copy(first, Path::new(&dir).join("store/log/checkpoint")).unwrap();
    let elsewhere = folder.path().join("elsewhere");
    assert_eq!(report(0, &dir, &elsewhere, &[])["ok"], true, "an old checkpoint is not wrong");
    assert_eq!(report(3, &dir, &state, &[])["findings"][0]["kind"], "rolled_back");
    std::fs::remove_dir_all(Path::new(&dir).join("store/log")).unwrap();
    let gone = report(3, &dir, &state, &[]);
    assert_eq!(gone["findings"][0]["kind"], "rolled_back", "{gone}");
    // Whoever never saw it can only say that there is none.
    report(0, &dir, &folder.path().join("nobody"), &[]);
    let trust = format!("{dir}/log.vkey");
    report(4, &dir, &folder.path().join("nobody"), &["--trust", &trust]);
}

#[test]
fn whom_to_trust_must_be_said_in_a_way_that_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let (dir, state) = sealed(folder.path());
    let (trust, state) = (folder.path().join("trust"), state.to_str().unwrap().to_owned());
    let args = ["verify", &dir, "--state", &state, "--trust", trust.to_str().unwrap()];
    expect(2, &args);
    std::fs::write(&trust, "# nobody\n").unwrap();
    expect(2, &args);
    std::fs::write(&trust, "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW\n")
        .unwrap();
    assert!(expect(3, &args).contains("untrusted: log/checkpoint: none of the keys"));
}

#[test]
fn a_watch_runs_again_and_again_and_serves_what_it_found_until_it_is_told_to_stop() {
    let folder = tempfile::tempdir().unwrap();
    let (dir, state) = sealed(folder.path());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let args = ["verify", &dir, "--state", state.to_str().unwrap(), "--watch", "--every", "1s"];
    let listen = port.to_string();
    let mut watch = chancery(&[&args[..], &["--listen", &listen]].concat())
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for(&listen, "chancery_verify_ok 1");
    std::fs::remove_file(files(&dir, "segments").pop().unwrap()).unwrap();
    wait_for(&listen, "chancery_verify_findings{kind=\"missing_segment\"} 1");
    let kill = std::process::Command::new("kill").args(["-TERM", &watch.id().to_string()]).status();
    assert!(kill.unwrap().success());
    assert_eq!(watch.wait().unwrap().code(), Some(0));
}

/// Asks for metrics until they have this line.
fn wait_for(address: &str, line: &str) {
    use std::io::{Read as _, Write as _};
    let end = Instant::now() + Duration::from_secs(60);
    let mut text = String::new();
    while !text.lines().any(|one| one == line) {
        assert!(Instant::now() < end, "{line}: {text}");
        std::thread::sleep(Duration::from_millis(100));
        text.clear();
        if let Ok(mut stream) = std::net::TcpStream::connect(address) {
            stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
            let _partial = stream.read_to_string(&mut text);
        }
    }
}
