//! What must not be believed, at the door and on the log itself: each input has its documented outcome, nothing panics,
//! and what comes after still flows.

use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::binary::{expect, up, verified};

/// A request's body and the answer it gets: status, code, and the field that the answer names.
type Case = (&'static str, Vec<u8>, u16, &'static str, &'static str);

fn bad(
    name: &'static str,
    body: impl Into<Vec<u8>>,
    code: &'static str,
    field: &'static str,
) -> Case {
    (name, body.into(), 400, code, field)
}

/// An event with this field, which is wrong.
fn field(name: &'static str, path: &'static str, value: Value) -> Case {
    let mut event = json!({"session_id": "s", "kind": "user.message"});
    event[path.split(['[', '.']).next().unwrap()] = value;
    bad(name, event.to_string(), "invalid_field", path)
}

fn contents(name: &'static str, path: &'static str, content: Value) -> Case {
    field(name, path, json!([content]))
}

fn nested(depth: usize) -> String {
    let (open, close) = ("[".repeat(depth), "]".repeat(depth));
    format!(r#"{{"session_id": "s", "kind": "k", "deep": {open}{close}}}"#)
}

#[rustfmt::skip] // A table reads best as one.
fn cases() -> Vec<Case> {
    let long = "x".repeat(1025);
    vec![
        // Not JSON, or not the JSON of events.
        bad("nothing", "", "invalid_body", ""),
        bad("spaces", "  \n ", "invalid_body", ""),
        bad("half an object", r#"{"kind": "k""#, "invalid_body", ""),
        bad("a comma too many", r#"{"kind": "k",}"#, "invalid_body", ""),
        bad("a bare word", "kind", "invalid_body", ""),
        bad("a number", "17", "invalid_body", ""),
        bad("a string", r#""event""#, "invalid_body", ""),
        bad("null", "null", "invalid_body", ""),
        bad("an array of numbers", "[1]", "invalid_body", ""),
        bad("two roots in an array's place", r#"[{"kind": "k"}] []"#, "invalid_body", ""),
        bad("bad UTF-8", b"{\"kind\": \"\xff\xfe\"}".to_vec(), "invalid_body", ""),
        bad("a lone surrogate", r#"{"kind": "\ud800"}"#, "invalid_field", "kind"),
        bad("NaN", r#"{"kind": "k", "temperature": NaN}"#, "invalid_body", ""),
        bad("a number without end", r#"{"kind": "k", "temperature": 1e}"#, "invalid_body", ""),
        bad("a byte order mark", "\u{feff}{\"kind\": \"k\"}", "invalid_body", ""),
        bad("a raw control character in a string", "{\"kind\": \"a\x01b\"}", "invalid_body", ""),
        bad("NUL bytes", vec![0; 100], "invalid_body", ""),
        bad("Avro where JSON is asked for", b"\xc3\x01\x3c\x7d\x53\xb9".to_vec(), "invalid_body", ""),
        bad("deep nesting", nested(200), "limit_exceeded", ""),
        bad("very deep nesting", nested(200_000), "limit_exceeded", ""),
        bad("a key that stands twice", r#"{"kind": "k", "kind": "l"}"#, "invalid_body", ""),
        bad("an unknown key that stands twice", r#"{"kind": "k", "x": 1, "x": 2}"#, "invalid_body", ""),
        bad("one bad event among good ones", r#"[{"kind": "k"}, {"kind": 1}]"#, "invalid_field", "events[1].kind"),
        bad("one bad line among good ones", "{\"kind\": \"k\"}\n{\"kind\": 1}\n", "invalid_field", "events[1].kind"),
        ("too many events", format!("[{}{{}}]", "{},".repeat(10_000)).into_bytes(), 413, "too_large", ""),
        // Fields of another type, out of range, or not the client's to set.
        bad("no kind", "{}", "invalid_field", "kind"),
        field("an empty kind", "kind", json!("")),
        field("a kind that is too long", "kind", json!("k".repeat(65))),
        field("a kind with a line break", "kind", json!("a\nb")),
        field("a kind of another type", "kind", json!({"a": 1})),
        field("an empty session id", "session_id", json!("")),
        field("a session id with NUL", "session_id", json!("a\u{0}b")),
        field("a session id with ESC", "session_id", json!("\u{1b}[2J")),
        field("a session id with DEL", "session_id", json!("a\u{7f}")),
        field("an event id that is no UUID", "event_id", json!("1")),
        field("an event id in braces", "event_id", json!("{0199c0de-1111-7000-8000-000000000001}")),
        field("a time without a zone", "occurred_at", json!("2026-01-01T00:00:00")),
        field("a time of another type", "occurred_at", json!(1)),
        field("a day that is none", "occurred_at", json!("2026-02-30T00:00:00Z")),
        field("a phase that is none", "phase", json!("middle")),
        field("a negative duration", "duration_us", json!(-1)),
        field("a number past 64 bits", "usage_input_tokens", json!(u64::MAX)),
        field("a fraction for a count", "usage_input_tokens", json!(1.5)),
        field("a number for a text", "agent_name", json!(1)),
        field("an object for a text", "tool_name", json!({})),
        field("a text for a list", "data_classes", json!("a")),
        field("a digest in capitals", "prev_event_digest", json!("A".repeat(64))),
        field("a digest that is too short", "prev_event_digest", json!("ab")),
        field("a trace id with a letter too many", "trace_id", json!("0".repeat(33))),
        field("the nonce", "nonce", json!("00".repeat(16))),
        field("the context digest", "context_digest", json!("00".repeat(32))),
        field("the context prefix", "context_prefix", json!({"count": 1})),
        field("a field of a record that is none", "links[0].x", json!([{"x": 1}])),
        bad("a text that is too long", json!({"kind": "k", "agent_name": long}).to_string(), "limit_exceeded", "agent_name"),
        bad("a session id that is too long", json!({"kind": "k", "session_id": "s".repeat(513)}).to_string(), "invalid_field", "session_id"),
        // Contents.
        field("contents of another type", "contents", json!({})),
        contents("a content of another type", "contents[0]", json!(1)),
        contents("a content without content", "contents[0]", json!({"role": "user"})),
        contents("a content with two contents", "contents[0].json", json!({"text": "a", "json": 1})),
        contents("a text that is none", "contents[0].text", json!({"text": 1})),
        contents("base64 that is none", "contents[0].data_base64", json!({"data_base64": "%%"})),
        contents("a content with a size", "contents[0].size", json!({"text": "a", "size": 9})),
    ]
}

async fn post(url: &str, body: Vec<u8>, headers: &[(&str, &str)]) -> (u16, Value) {
    let mut request = reqwest::Client::new().post(format!("{url}/v1/events")).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap())
}

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_malformed_request_gets_its_documented_answer_and_the_next_event_still_flows() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("dir");
    let up = up(&dir);
    let cases = cases();
    assert!(cases.len() >= 60, "{}", cases.len());
    let mut wrong = Vec::new();
    for (name, body, status, code, field) in cases {
        let (given, answer) = post(&up.url(), body, &[JSON]).await;
        let error = &answer["error"];
        let named = error["field"].as_str().unwrap_or_default();
        // A request of one event may name its field with or without the event.
        let same = named == field || named.ends_with(&format!(".{field}"));
        if (given, error["code"].as_str()) != (status, Some(code)) || !same {
            wrong.push(format!("{name}: {given} {answer}, not {status} {code} {field}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    // Bombs, and wrappings that are not asked for.
    let bomb = gzip(&vec![b' '; 80 << 20]);
    let (status, answer) = post(&up.url(), bomb, &[JSON, ("content-encoding", "gzip")]).await;
    assert!(status == 413 || answer["error"]["code"] == "limit_exceeded", "{status} {answer}");
    let twice = gzip(&gzip(br#"{"kind": "k"}"#));
    for (body, headers, expected) in [
        (twice, vec![JSON, ("content-encoding", "gzip, gzip")], 415),
        (b"{}".to_vec(), vec![JSON, ("content-encoding", "br")], 415),
        (b"no gzip".to_vec(), vec![JSON, ("content-encoding", "gzip")], 400),
        (b"kind=k".to_vec(), vec![("content-type", "application/x-www-form-urlencoded")], 415),
        (br#"{"kind": "k", "tenant": "other"}"#.to_vec(), vec![JSON], 403),
        (br#"{"kind": "k"}"#.to_vec(), vec![JSON, ("origin", "https://example.com")], 403),
    ] {
        let (status, answer) = post(&up.url(), body, &headers).await;
        assert_eq!(status, expected, "{answer}");
        assert!(
            answer["error"]["message"].as_str().is_some_and(|message| !message.is_empty()),
            "{answer}"
        );
    }

    // Ids that would be dangerous as names of anything are only ids.
    let harmless = [
        "../../etc/passwd",
        "a/b//c/",
        ".",
        "..",
        "%00",
        "<script>alert(1)</script>",
        "=cmd()",
        "\u{202e}rtl",
    ];
    for id in harmless {
        let event = json!({"session_id": id, "kind": "user.message", "contents": [{"text": "\u{1b}[31mred\u{7}"}]});
        assert_eq!(post(&up.url(), event.to_string().into_bytes(), &[JSON]).await.0, 200, "{id}");
    }
    assert_eq!(up.end("-TERM"), Some(0));
    let dir = dir.to_str().unwrap();
    assert_eq!(verified(dir), harmless.len() as u64);
    for id in harmless {
        let shown = expect(0, &["trace", dir, "--", id]);
        assert!(!shown.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{shown:?}");
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Straight onto the log, past the door: the vectors of the format, and random bytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_lies_on_the_log_is_sealed_and_events_behind_it_too() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("dir");
    std::fs::create_dir_all(&dir).unwrap();
    let count = write_log(&dir.join("spool"));
    let up = up(&dir);
    let event = json!({"session_id": "after", "kind": "user.message", "contents": [{"text": "still here"}]});
    assert_eq!(post(&up.url(), event.to_string().into_bytes(), &[JSON]).await.0, 200);
    assert_eq!(up.end("-TERM"), Some(0));
    let dir = dir.to_str().unwrap();
    let report: Value = serde_json::from_str(&expect_any(&["verify", dir, "--json"])).unwrap();
    // Events of the vectors refer to bodies and contexts that nobody carried: those findings are right. Nothing else is.
    for finding in report["findings"].as_array().unwrap() {
        assert!(["body", "context"].contains(&finding["kind"].as_str().unwrap()), "{finding}");
    }
    assert!(expect(0, &["trace", dir, "after"]).contains("still here"));
    let exported = expect_any(&["export", dir, "--as", "jsonl", "--session", "after"]);
    assert_eq!(exported.lines().count(), 1, "{count} messages lie before it");
}

fn expect_any(args: &[&str]) -> String {
    let output = crate::binary::run(args);
    String::from_utf8(output.stdout).unwrap()
}

fn write_log(path: &Path) -> usize {
    let vectors = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/golden/v1/events.json");
    let vectors: Vec<Value> =
        serde_json::from_str(&std::fs::read_to_string(vectors).unwrap()).unwrap();
    let bytes = |value: &Value| {
        let digits = value.as_str()?;
        let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
        Some((0..digits.len()).step_by(2).map(byte).collect::<Vec<u8>>())
    };
    let mut messages: Vec<spool::Message> = vectors
        .iter()
        .filter_map(|case| {
            Some(spool::Message {
                timestamp_ms: 1,
                key: bytes(&case["key"]),
                value: bytes(&case["value"])?,
            })
        })
        .collect();
    for length in [0, 1, 9, 10, 11, 100, 1 << 20] {
        let value =
            (0..length).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        messages.push(spool::Message { timestamp_ms: -1, key: Some(vec![0xff; 3]), value });
    }
    let (spool, _) = spool::Spool::open(path, spool::Config::default()).unwrap();
    let count = messages.len();
    spool.append(messages).unwrap();
    count
}
