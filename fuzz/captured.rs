//! What is fuzzed of `capture`: what a client or a server may say at any door. Whatever it is, nothing of it is lost, and what is
//! said to be JSON is.

use bytes::Bytes;
use capture::llm::{Answer, Headers, Request};
use capture::mcp::{Conversation, Heard, Side, Tools};
use capture::otlp::{Limits, Read, logs, spans};
use capture::redact::Rules;
use capture::{Content, Happening, llm, mcp};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use schemas::{Cut, Digest, Envelope, Micros};
use serde::de::IgnoredAny;
use serde_json::Value;

/// What values are hashed with.
const KEY: &[u8] = b"0123456789abcdef";
/// Between the bodies of an exchange's two messages.
const BETWEEN: &[u8] = b"\n====\n";

pub(super) fn otlp_traces(bytes: &[u8]) {
    if let Ok(request) = ExportTraceServiceRequest::decode(bytes) {
        of_spans(request);
    }
}

pub(super) fn otlp_logs(bytes: &[u8]) {
    if let Ok(request) = ExportLogsServiceRequest::decode(bytes) {
        of_logs(request);
    }
}

/// Either of both, as the door for either reads it.
pub(super) fn otlp_json(bytes: &[u8]) {
    if let Ok(request) = serde_json::from_slice(bytes) {
        of_spans(request);
    }
    if let Ok(request) = serde_json::from_slice(bytes) {
        of_logs(request);
    }
}

fn of_spans(request: ExportTraceServiceRequest) {
    let all = request.resource_spans.iter().flat_map(|of_resource| &of_resource.scope_spans);
    let count = all.map(|of_scope| of_scope.spans.len()).sum();
    if let Ok(read) = spans(request, &Limits::default()) {
        told(&read, count);
    }
}

fn of_logs(request: ExportLogsServiceRequest) {
    let all = request.resource_logs.iter().flat_map(|of_resource| &of_resource.scope_logs);
    let count = all.map(|of_scope| of_scope.log_records.len()).sum();
    if let Ok(read) = logs(request, &Limits::default()) {
        told(&read, count);
    }
}

/// Each of so many is told of, or rejected with a reason.
fn told(read: &Read, count: usize) {
    let rejected = usize::try_from(read.rejected).unwrap();
    assert!(read.happenings.len() + rejected >= count, "{count}: {read:?}");
    assert_eq!(read.why.is_some(), rejected > 0);
    for happening in &read.happenings {
        sound(happening);
        for content in &happening.contents {
            assert!(
                content.media_type != "application/json" || is_json(&content.data),
                "{content:?}"
            );
        }
    }
}

/// What must hold of any happening: it can be written, and points at contents that are there.
fn sound(happening: &Happening) {
    let bytes = happening.envelope.to_bytes();
    assert_eq!(Envelope::from_bytes(&bytes).as_ref(), Some(&*happening.envelope));
    assert!(happening.slots.iter().all(|(_, place)| *place < happening.contents.len()));
}

fn is_json(data: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(data).is_ok()
}

/// An exchange with a model API. Its bodies are rebuilt byte for byte; redacted, it still says how to.
pub(super) fn exchange(bytes: &[u8]) {
    let Some((request, answer)) = read_exchange(bytes) else { return };
    let bodies = [request.body.clone(), answer.body.clone()];
    let asked = llm::ask(request);
    let start = asked.start();
    sound(&start);
    assert_eq!(rebuilt(&start), bodies[..1]);
    let mut happening = asked.answer(answer).happening;
    sound(&happening);
    assert_eq!(rebuilt(&happening), bodies);
    assert!(happening.contents.starts_with(&start.contents));
    if Rules::defaults().apply_to(&mut happening).is_ok() {
        rebuilt(&happening);
    }
}

/// An exchange with an MCP server: one of its events has both bodies, byte for byte.
pub(super) fn mcp_http(bytes: &[u8]) {
    let Some((request, answer)) = read_exchange(bytes) else { return };
    let (mut conversation, mut tools) = (Conversation::new("files"), Tools::default());
    let told = mcp::http::exchange(&request, &answer, true, &mut conversation, &mut tools);
    told.iter().for_each(sound);
    let mut whole = told.iter().filter(|happening| is_any(happening, "http"));
    assert_eq!(rebuilt(whole.next().unwrap()), [request.body, answer.body]);
    assert_eq!(whole.next(), None);
}

/// A line for the request, `METHOD TARGET`; then headers, after `> ` of the request, after `< ` of the answer, whose status is a
/// line of its own; then behind an empty line the request's body, and behind a line of `====` that of the answer.
fn read_exchange(bytes: &[u8]) -> Option<(Request, Answer)> {
    let end = bytes.windows(2).position(|pair| pair == b"\n\n")?;
    let (head, bodies) = (String::from_utf8_lossy(&bytes[..end]), &bytes[end + 2..]);
    let (asked, answered) = match bodies.windows(BETWEEN.len()).position(|at| at == BETWEEN) {
        Some(at) => (&bodies[..at], &bodies[at + BETWEEN.len()..]),
        None => (bodies, &b""[..]),
    };
    let (mut of_request, mut of_answer, mut status) = (Headers::new(), Headers::new(), None);
    let mut lines = head.lines();
    let (method, target) = lines.next()?.split_once(' ')?;
    for line in lines {
        let (of, line) = line.split_at_checked(2)?;
        let headers = if of == "> " { &mut of_request } else { &mut of_answer };
        match line.split_once(": ") {
            Some((name, value)) => headers.push((name.to_owned(), value.as_bytes().to_vec())),
            None => status = line.parse().ok(),
        }
    }
    let request = Request {
        method: method.to_owned(),
        target: target.to_owned(),
        headers: of_request,
        body: Bytes::copy_from_slice(asked),
        ..Request::default()
    };
    let body = Bytes::copy_from_slice(if status.is_some() { answered } else { b"" });
    let answer = Answer { status, headers: of_answer, body, ..Answer::default() };
    Some((request, answer))
}

/// The bodies of an exchange as its contents of kind `http` say to rebuild them (`format.md`, "Exchanges"). A hash that is there
/// is theirs.
fn rebuilt(happening: &Happening) -> Vec<Bytes> {
    let http = happening.contents.iter().filter(|content| content.kind == "http");
    http.map(|http| body(happening, &http.data)).collect()
}

fn body(happening: &Happening, http: &[u8]) -> Bytes {
    let http: Value = serde_json::from_slice(http).unwrap();
    let body = &http["body"];
    if body.is_null() || body["dropped"] == "redaction" {
        return Bytes::new();
    }
    let bytes = match body.get("zstd") {
        Some(place) => zstd::decode_all(content(happening, place)).unwrap(),
        None => filled(happening, body.get("cut").unwrap_or(body)),
    };
    if !body["sha256"].is_null() {
        assert_eq!(body["sha256"], Digest::of(&bytes).to_string());
        assert_eq!(body["size"], bytes.len());
    }
    bytes.into()
}

/// A content of the happening, or one with others cut out of it.
fn filled(happening: &Happening, how: &Value) -> Vec<u8> {
    match how.get("content") {
        Some(place) => content(happening, place).to_vec(),
        None => {
            let part = |place: usize| Some(&*happening.contents.get(place)?.data);
            Cut::from_json(how).unwrap().fill(part).unwrap()
        }
    }
}

fn content<'h>(happening: &'h Happening, place: &Value) -> &'h [u8] {
    &happening.contents[usize::try_from(place.as_u64().unwrap()).unwrap()].data
}

fn is_any(happening: &Happening, kind: &str) -> bool {
    happening.contents.iter().any(|content| content.kind == kind)
}

/// Lines of a client, after `>`, and of a server, after any other byte. Each that is no batch is told of once, byte for byte.
pub(super) fn mcp(bytes: &[u8]) {
    let (mut conversation, mut tools) = (Conversation::new("files"), Tools::default());
    let (mut told, mut heard) = (Vec::new(), Vec::new());
    for (line, at) in bytes.split(|byte| *byte == b'\n').zip(1..) {
        let Some((first, text)) = line.split_first() else { continue };
        let side = if *first == b'>' { Side::Client } else { Side::Server };
        let text = Bytes::copy_from_slice(text);
        let said = Heard { side, text: text.clone(), dropped: 0, at: Micros(at) };
        told.extend(conversation.hear(&said, &mut tools));
        if text.trim_ascii().first().is_some_and(|first| *first != b'[') {
            heard.push(text);
        }
    }
    told.extend(conversation.end(Micros(i64::MAX)));
    let mut kept: Vec<Bytes> = Vec::new();
    for happening in &told {
        sound(happening);
        match happening.contents.iter().find(|content| content.kind == "jsonrpc") {
            Some(rest) => {
                let rest: Value = serde_json::from_slice(&rest.data).unwrap();
                let messages = ["request", "response"].map(|what| rest.get(what));
                let messages = messages.into_iter().flatten();
                kept.extend(messages.map(|how| filled(happening, how).into()));
            }
            None if happening.envelope.kind == "log" => {
                kept.push(happening.contents[0].data.clone())
            }
            None => {}
        }
    }
    for text in heard {
        let place = kept.iter().position(|kept| *kept == text);
        kept.swap_remove(place.unwrap_or_else(|| panic!("{text:?} is not told of")));
    }
}

/// What the default rules make of a content, whatever it calls itself. JSON stays JSON, and there is nothing left to be found.
pub(super) fn redaction(bytes: &[u8]) {
    let rules = Rules::defaults();
    let data = || Bytes::copy_from_slice(bytes);
    for content in [
        Content::json("user", "message", data()),
        Content::text("user", "text", data()),
        Content::json("", "attributes", data()),
        Content::json("", "http", data()),
        Content::json("", "jsonrpc", data()),
    ] {
        let mut happening = Happening::new("llm.call", "otlp");
        happening.push(content);
        let Ok(found) = rules.apply_to(&mut happening) else { continue };
        let left = &happening.contents[0];
        assert!(found > 0 || left.data == bytes);
        assert!(
            !is_json(bytes) || left.media_type == "text/plain" || is_json(&left.data),
            "{left:?}"
        );
        assert_eq!(rules.apply_to(&mut happening), Ok(0), "{happening:?}");
    }
}

/// A file of rules, and what it makes of an event that has something for most.
pub(super) fn redaction_rules(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(rules) = Rules::parse(text, Some(KEY)) else { return };
    let mut happening = Happening::new("tool.call", "mcp_proxy");
    happening.envelope.tool_name = Some("read".into());
    happening.envelope.principal_id = Some("ann@example.com".into());
    happening.envelope.session_id = "s".into();
    let message =
        r#"{"user":{"ssn":["123-45-6789",7],"mail":"ann@example.com"},"card":4111111111111111}"#;
    happening.push(Content::json("user", "message", message));
    happening.push(Content::json("", "attributes", r#"{"attributes":{"user.id":"ann","n":1.5}}"#));
    happening.push(Content::text("tool", "text", "4111 1111 1111 1111, ann@example.com"));
    if rules.apply_to(&mut happening).is_ok() {
        sound(&happening);
    }
}
