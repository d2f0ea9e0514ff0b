//! Exchanges as clients and servers have them.

use schemas::{Cut, Digest};
use serde_json::Value;

use super::*;

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read","arguments":{"path":"ä"}}}"#;
const RESULT: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#;
const STREAM: &str = "event: message\ndata: {\"method\":\"notifications/progress\",\"params\":{}}\n\nid: 7\ndata: {\"id\":9,\"method\":\"sampling/createMessage\"}\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":[]}}\n\n";

fn headers(lines: &[(&str, &str)]) -> llm::Headers {
    lines.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect()
}

fn post(body: &'static str) -> Request {
    Request {
        method: "POST".into(),
        target: "/mcp".into(),
        headers: headers(&[
            ("content-type", "application/json"),
            ("authorization", "Bearer secret"),
            ("mcp-protocol-version", "2025-11-25"),
            ("traceparent", "00-0102030405060708090a0b0c0d0e0f10-0102030405060708-01"),
        ]),
        body: body.into(),
        started: Micros(1_000_000),
        ..Request::default()
    }
}

fn answer(status: u16, media_type: &str, body: &'static str) -> Answer {
    Answer {
        status: Some(status),
        headers: headers(&[("content-type", media_type)]),
        body: body.into(),
        last_byte_us: Some(5000),
        duration_us: 6000,
        ..Answer::default()
    }
}

fn heard(request: &Request, answer: &Answer) -> Vec<Happening> {
    let (mut conversation, mut tools) = (Conversation::new("files"), Tools::default());
    exchange(request, answer, true, &mut conversation, &mut tools)
}

fn kinds(happenings: &[Happening]) -> Vec<String> {
    let kind = |happening: &Happening| {
        let envelope = &happening.envelope;
        let error = envelope.error_type.as_deref().unwrap_or_default();
        format!("{} {} {error}", envelope.kind, envelope.status).trim_end().to_owned()
    };
    happenings.iter().map(kind).collect()
}

/// The bodies of both directions, rebuilt; their hashes are checked.
fn bodies(happening: &Happening) -> Vec<Vec<u8>> {
    let part = |index: usize| happening.contents.get(index).map(|content| &*content.data);
    let content = |place: &Value| part(usize::try_from(place.as_u64().unwrap()).unwrap()).unwrap();
    let http = happening.contents.iter().filter(|content| content.kind == "http");
    let body = |http: &Content| {
        let http: Value = serde_json::from_slice(&http.data).unwrap();
        assert!(!http.to_string().contains("secret"));
        let body = &http["body"];
        let bytes = match (body.get("cut"), body.get("content"), body.get("zstd")) {
            (Some(cut), ..) => Cut::from_json(cut).unwrap().fill(part).unwrap(),
            (_, Some(place), _) => content(place).to_vec(),
            (.., Some(place)) => zstd::bulk::decompress(content(place), 1 << 20).unwrap(),
            _ => panic!("no body: {body}"),
        };
        assert_eq!(body["sha256"], Digest::of(&bytes).to_string());
        bytes
    };
    http.map(body).collect()
}

#[test]
fn a_call_has_its_exchange_with_it_to_the_byte() {
    let told = heard(&post(CALL), &answer(200, "application/json", RESULT));
    assert_eq!(kinds(&told), ["tool.call ok"]);
    let envelope = &told[0].envelope;
    assert_eq!(envelope.protocol.as_deref(), Some("mcp/2025-11-25"));
    assert_eq!((envelope.duration_us, envelope.trace_id.is_some()), (Some(5000), true));
    assert_eq!(bodies(&told[0]), [CALL.as_bytes(), RESULT.as_bytes()]);
}

#[test]
fn a_stream_is_its_messages() {
    let told = heard(&post(CALL), &answer(200, "text/event-stream; charset=utf-8", STREAM));
    let expected = ["mcp.notification unset", "tool.call ok", "mcp.request cancelled peer_gone"];
    assert_eq!(kinds(&told)[..2], expected[..2]);
    assert_eq!(bodies(&told[1]), [CALL.as_bytes(), STREAM.as_bytes()]);
    assert_eq!(kinds(&told)[2], "mcp.request error no_answer");
}

#[test]
fn what_is_asked_on_one_exchange_is_answered_on_another() {
    let mut conversation = Conversation::new("files").on_many_connections();
    let mut tools = Tools::default();
    let mut hear = |request: &Request, answer: &Answer| {
        exchange(request, answer, false, &mut conversation, &mut tools)
    };
    let stream = answer(200, "text/event-stream", STREAM);
    let first = hear(&post(CALL), &stream);
    assert_eq!(kinds(&first), ["mcp.notification unset", "tool.call ok"]);
    let reply = post(r#"{"id":9,"result":{"role":"assistant"}}"#);
    let second = hear(&reply, &answer(202, "", ""));
    assert_eq!(kinds(&second), ["mcp.request ok"]);
    assert_eq!(bodies(&second[0]).len(), 2);
    // A call whose stream breaks off may be answered on the next one.
    let cut = Answer { ended: Ended::UpstreamCut, ..answer(200, "text/event-stream", "id: 1\n") };
    assert_eq!(kinds(&hear(&post(CALL), &cut)), [""; 0]);
    let get = Request { method: "GET".into(), body: Bytes::new(), ..post("") };
    let resumed = hear(&get, &stream);
    assert_eq!(kinds(&resumed)[1], "tool.call ok");
}

#[test]
fn a_call_that_gets_no_message_says_why() {
    let denied = heard(&post(CALL), &answer(401, "text/html", "<p>log in</p>"));
    assert_eq!(kinds(&denied), ["tool.call error unauthorized"]);
    assert_eq!(bodies(&denied[0])[1], b"<p>log in</p>");
    let gone = Answer { ended: Ended::ClientAbort, status: None, ..Answer::default() };
    assert_eq!(kinds(&heard(&post(CALL), &gone)), ["tool.call cancelled"]);
    let down = Answer { ended: Ended::UpstreamError("connect"), status: None, ..Answer::default() };
    assert_eq!(kinds(&heard(&post(CALL), &down)), ["tool.call error connect"]);
}

#[test]
fn an_exchange_without_a_message_is_opaque() {
    let get = Request { method: "GET".into(), ..post("") };
    let told = heard(&get, &answer(405, "text/plain", "no stream"));
    assert_eq!(kinds(&told), ["http.exchange error 405"]);
    assert_eq!(told[0].envelope.capture_source, "mcp_proxy");
    let told = heard(&post("a=b"), &answer(200, "application/json", "{}"));
    assert_eq!(kinds(&told), ["http.exchange ok"]);
    let told = heard(&post(r#"{"method":"notifications/initialized"}"#), &answer(202, "", ""));
    assert_eq!(kinds(&told), ["mcp.notification unset"]);
    assert_eq!(bodies(&told[0]).len(), 2);
}
