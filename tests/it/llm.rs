//! `up --llm-proxy`: what an agent says to a model API is on record, however the process ends.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use crate::binary::{Service, expect, verified};

const CHAT: &str =
    r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"Are you there?"}]}"#;
const HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

fn up(dir: &Path, upstream: &str) -> Service {
    let (dir, route) = (dir.to_str().unwrap(), format!("api=http://{upstream}"));
    let sealing = "sealer.segment_age_max_ms=600000";
    let start = "ingest.llm.api.start_after_ms=0";
    let args = ["up", "--listen", "127.0.0.1:0", "--llm-proxy", &route, "--set", sealing];
    Service::listening(&[&args[..], &["--set", start, "--dir", dir]].concat())
}

/// Reads until the other side has said this.
fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let (mut all, mut buffer) = (String::new(), [0; 4096]);
    while !all.contains(end) {
        let read = stream.read(&mut buffer).unwrap();
        assert_ne!(read, 0, "it ended: {all}");
        all.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    all
}

/// An agent asks, and the API begins to answer; both ends of it.
fn exchange(url: &str, api: &TcpListener) -> (TcpStream, TcpStream) {
    let mut agent = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    let head =
        "POST /llm/api/v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json";
    write!(agent, "{head}\r\ncontent-length: {}\r\n\r\n{CHAT}", CHAT.len()).unwrap();
    let mut model = api.accept().unwrap().0;
    let asked = read_until(&mut model, CHAT);
    assert!(asked.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{asked}");
    write!(model, "{HEAD}a\r\ndata: one\n\r\n").unwrap();
    read_until(&mut agent, "data: one");
    (agent, model)
}

fn phases(dir: &Path) -> Vec<String> {
    let exported = expect(0, &["export", dir.to_str().unwrap(), "--as", "jsonl"]);
    let lines = exported.lines().map(|line| serde_json::from_str(line).unwrap());
    let phase = |event: serde_json::Value| event["envelope"]["phase"].as_str().unwrap().to_owned();
    lines.map(phase).collect()
}

#[test]
fn a_kill_in_the_middle_of_an_answer_leaves_its_beginning_on_record() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("dir");
    let api = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = api.local_addr().unwrap().to_string();
    let killed = up(&dir, &address);
    let (mut agent, _model) = exchange(&killed.url(), &api);
    let metrics = |url: &str| {
        let mut socket = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
        write!(socket, "GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        socket.read_to_string(&mut text).unwrap();
        text
    };
    while !metrics(&killed.url()).contains("events_total{outcome=\"accepted\"} 1") {}
    assert_eq!(killed.end("-KILL"), None);
    // Nothing that ends the chunks comes: the agent cannot take it for a whole answer.
    let mut rest = Vec::new();
    let read = agent.read_to_end(&mut rest);
    assert!(read.is_err() || rest.is_empty(), "{}", String::from_utf8_lossy(&rest));

    let again = up(&dir, &address);
    let (mut agent, mut model) = exchange(&again.url(), &api);
    write!(model, "0\r\n\r\n").unwrap();
    read_until(&mut agent, "0\r\n\r\n");
    assert_eq!(again.end("-TERM"), Some(0));
    assert_eq!(verified(dir.to_str().unwrap()), 3);
    let mut phases = phases(&dir);
    phases.sort();
    assert_eq!(phases, ["end", "start", "start"]);
}

#[test]
fn an_upstream_that_makes_no_sense_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    for route in ["api", "API=http://a", "api=ftp://a", "a.b=http://a", "api=http://u:p@a"] {
        expect(2, &["up", "--dir", dir, "--listen", "127.0.0.1:0", "--llm-proxy", route]);
    }
}
