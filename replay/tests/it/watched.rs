//! Traces of what doors saw that only watch: spans, calls to models through a proxy, tools behind one.

use crate::kit::chat::{Sender, owned};
use crate::kit::writer::Writer;
use crate::kit::{Objects, empty, kinds, report, store};
use replay::emit::terminal::TerminalOptions;
use replay::{Outcome, Step, Trace, emit, trace, trace_joined, trace_of_id};
use schemas::{ContextPrefix, Digest, Envelope, Micros, SpanId, Tenant, TraceId};

const DEFINITIONS: (&str, &str, &str) = ("", "tool_definitions", r#"[{"name":"weather"}]"#);
const SYSTEM: (&str, &str, &str) = ("system", "system_instructions", r#""Be kind.""#);
const ASKED: (&str, &str, &str) = ("user", "message", r#"{"role":"user","content":"Paris?"}"#);
const CALLS: &str = r#"[{"type":"tool_use","id":"c1","name":"weather","input":{"city":"Paris"}}]"#;
/// The same answer, as the client sends it back.
const CALLED: (&str, &str, &str) = (
    "assistant",
    "message",
    r#"{"role":"assistant","content":[{"type":"tool_use","id":"c1","name":"weather","input":{"city": "Paris"}}]}"#,
);
const RESULT: (&str, &str, &str) = (
    "tool",
    "message",
    r#"{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":"sunny"}]}"#,
);
const HTTP: (&str, &str, &str) = ("", "http", r#"{"method":"POST","body":{}}"#);
const RAW: (&str, &str, &str) = ("", "raw", "\u{28}zstd");

pub(crate) fn watched(envelope: &mut Envelope<'_>, source: &'static str, at: i64) {
    envelope.capture_source = source.into();
    envelope.occurred_at = Micros(1_790_000_000_000_000 + at);
}

pub(crate) fn span(envelope: &mut Envelope<'_>, trace: u8, span: u8, parent: u8) {
    envelope.trace_id = Some(TraceId([trace; 16]));
    envelope.span_id = (span > 0).then_some(SpanId([span; 8]));
    envelope.parent_span_id = (parent > 0).then_some(SpanId([parent; 8]));
}

/// A call through the proxy: its start, and unless it was killed its end, which folds the start.
pub(crate) fn exchange(
    chat: &mut Sender<'_>,
    input: &[(&str, &str, &str)],
    answer: Option<&str>,
    edit: impl Fn(&mut Envelope<'static>),
) {
    let mut asked = input.to_vec();
    asked.push(HTTP);
    let start = chat.event_with("llm.call", &asked, |envelope| {
        edit(envelope);
        envelope.phase = "start".into();
    });
    let Some(answer) = answer else { return };
    let said = [("assistant", "message", answer), RAW, HTTP];
    let made = said.map(|(role, kind, text)| chat.writer.body(role, kind, text.as_bytes()));
    let mut envelope = chat.writer.envelope(&chat.session, "llm.call");
    edit(&mut envelope);
    envelope.phase = "end".into();
    envelope.status = "ok".into();
    envelope.usage_input_tokens = Some(10);
    let count = u64::try_from(asked.len()).unwrap();
    envelope.context_prefix = Some(ContextPrefix { event_digest: start, count });
    envelope.contents = made.iter().map(|(content, _)| owned(content)).collect();
    let bodies = made.into_iter().map(|(_, body)| body).collect::<Vec<_>>();
    chat.send(&envelope, &bodies);
}

pub(crate) async fn sealed(
    objects: &Objects,
    writer: &mut Writer,
    sent: Vec<crate::kit::writer::Sent>,
) {
    writer.seal(&sent).await;
    assert_eq!(kinds(&report(objects).await), [""; 0]);
}

pub(crate) fn shown(trace: &Trace, full: bool) -> String {
    let mut out = Vec::new();
    let options = TerminalOptions { full, width: 200, ..TerminalOptions::default() };
    emit::terminal::trace(trace, &mut out, options).unwrap();
    String::from_utf8(out).unwrap()
}

pub(crate) fn json(trace: &Trace) -> serde_json::Value {
    let mut out = Vec::new();
    emit::json::trace(trace, &mut out).unwrap();
    serde_json::from_slice(&out).unwrap()
}

fn holes(trace: &Trace) -> Vec<&str> {
    trace.holes.iter().map(|hole| hole.reason.as_str()).collect()
}

/// Two calls of one conversation; between them a tool ran that no door saw.
fn conversation(chat: &mut Sender<'_>, edit: impl Fn(&mut Envelope<'static>)) {
    let numbered = |number: u8| {
        let edit = &edit;
        move |envelope: &mut Envelope<'static>| {
            watched(envelope, "llm_proxy", i64::from(number) * 1000);
            envelope.span_id = Some(SpanId([0x80 + number; 8]));
            envelope.capture_fidelity = "exact_bytes".into();
            edit(envelope);
        }
    };
    exchange(chat, &[DEFINITIONS, SYSTEM, ASKED], Some(CALLS), numbered(1));
    let input = [DEFINITIONS, SYSTEM, ASKED, CALLED, RESULT];
    exchange(chat, &input, Some(r#"[{"type":"text","text":"It is sunny."}]"#), numbered(2));
}

#[tokio::test]
async fn apparatus_is_no_part_of_the_conversation() {
    let objects: Objects = empty();
    let mut writer = Writer::new(&objects).await;
    let mut chat = Sender::new(&mut writer, "s-1");
    conversation(&mut chat, |_| {});
    let sent = chat.sent;
    sealed(&objects, &mut writer, sent).await;
    let trace = trace(&store(&objects), None, "s-1").await.unwrap();
    assert_eq!((trace.turns.len(), trace.turns[0].steps.len()), (1, 2));
    let (first, second) = (&trace.turns[0].steps[0], &trace.turns[0].steps[1]);
    // Three entries, the request, the answer, its bytes, the response.
    assert_eq!((first.contents.len(), first.known, first.answer), (7, 0, 4));
    assert_eq!(first.requests[0].outcome, Outcome::Told);
    assert_eq!(
        first.marks,
        ["weather (c1) was not seen running: its result came with a later call"]
    );
    // The answer came back in the client's spelling, and is known all the same.
    assert_eq!((second.contents.len(), second.known, second.answer), (9, 4, 6));
    assert_eq!(second.marks, [""; 0]);
    assert_eq!(holes(&trace), [""; 0]);
    assert!(trace.checks.iter().any(|check| check.contains("whether the session is over")));
    assert_eq!((trace.totals.model_calls, trace.totals.input_tokens), (2, 20));
    let text = shown(&trace, false);
    for expected in
        ["http, 27 bytes", "raw, 5 bytes", "4 entries of the context", "Be kind.", "It is sunny."]
    {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert!(!text.contains("POST"), "{text}");
    assert!(shown(&trace, true).contains("POST"));
    let step = &json(&trace)["turns"][0]["steps"][0];
    assert_eq!(
        (&step["requests"][0]["outcome"], &step["contents"][3]["kind"]),
        (&"told".into(), &"http".into())
    );
}

#[tokio::test]
async fn a_call_without_its_end_and_what_a_producer_lost_are_holes() {
    let objects: Objects = empty();
    let mut writer = Writer::new(&objects).await;
    let mut chat = Sender::new(&mut writer, "s-1");
    exchange(&mut chat, &[ASKED], None, |envelope| watched(envelope, "llm_proxy", 0));
    chat.event_with("producer.gap", &[("", "attributes", r#"{"lost_lines":3}"#)], |envelope| {
        watched(envelope, "mcp_proxy", 5);
        envelope.producer_id = Some("files".into());
        envelope.error_type = Some("no_room".into());
    });
    // Numbers of a producer whose events go to many sessions say nothing of this one.
    chat.event_with("mcp.notification", &[], |envelope| {
        watched(envelope, "mcp_proxy", 6);
        envelope.producer_id = Some("files".into());
        envelope.producer_seq = Some(900);
    });
    let sent = chat.sent;
    sealed(&objects, &mut writer, sent).await;
    let trace = trace(&store(&objects), None, "s-1").await.unwrap();
    let expected = [
        "files lost some of this session: no_room, {\"lost_lines\":3}",
        "llm.call began and its end is not here",
    ];
    assert_eq!(holes(&trace), expected);
    let listed = replay::sessions(&store(&objects), &replay::Filter::default()).await.unwrap();
    assert_eq!((listed[0].holes, listed[0].model_calls), (1, 1));
    assert_eq!((listed[0].watched, listed[0].ended), (true, false));
}

/// Spans of one run, children first, as exporters send them: a run, two model calls, the span of an HTTP client below the
/// first, the tool between them.
fn spans(chat: &mut Sender<'_>) {
    let said = r#"{"role":"assistant","parts":[{"type":"tool_call","id":"c1","name":"weather","arguments":{"city":"Paris"}}]}"#;
    let asked = r#"{"role":"user","parts":[{"type":"text","content":"Paris?"}]}"#;
    let attributes = ("", "attributes", r#"{"name":"chat"}"#);
    let model = |at: i64, id: u8| {
        move |envelope: &mut Envelope<'static>| {
            watched(envelope, "otlp", at);
            span(envelope, 1, id, 2);
            envelope.usage_input_tokens = Some(10);
            envelope.agent_name = Some("planner".into());
        }
    };
    chat.event_with("span", &[attributes], |envelope| {
        watched(envelope, "otlp", 950);
        span(envelope, 1, 5, 3);
    });
    let contents = [("user", "message", asked), ("assistant", "message", said), attributes];
    chat.event_with("llm.call", &contents, model(900, 3));
    chat.event_with("tool.call", &[("", "tool_arguments", "{}")], |envelope| {
        watched(envelope, "otlp", 1500);
        span(envelope, 1, 4, 2);
        envelope.tool_name = Some("weather".into());
        envelope.duration_us = Some(400);
    });
    chat.event_with("llm.call", &[], model(1900, 6));
    chat.event_with("agent.run", &[("", "text", "Paris?"), attributes], |envelope| {
        watched(envelope, "otlp", 800);
        span(envelope, 1, 2, 0);
        envelope.usage_input_tokens = Some(20);
    });
}

/// The run as its spans tell it, in a session named after the trace, and its calls as the proxies saw them.
async fn joined() -> Objects {
    let objects: Objects = empty();
    let mut writer = Writer::new(&objects).await;
    let mut chat = Sender::new(&mut writer, &"01".repeat(16));
    spans(&mut chat);
    let mut sent = chat.sent;
    let mut chat = Sender::new(&mut writer, "s-1");
    conversation(&mut chat, |envelope| {
        // The first call comes from the HTTP client's span, the second straight from the model call's.
        let parent = if envelope.span_id == Some(SpanId([0x81; 8])) { 5 } else { 6 };
        envelope.trace_id = Some(TraceId([1; 16]));
        envelope.parent_span_id = Some(SpanId([parent; 8]));
    });
    sent.extend(chat.sent);
    let mut chat = Sender::new(&mut writer, "mcp");
    chat.event_with(
        "tool.call",
        &[("assistant", "tool_arguments", r#"{"city":"Paris"}"#), ("", "jsonrpc", "{}")],
        |envelope| {
            watched(envelope, "mcp_proxy", 1600);
            span(envelope, 1, 0, 4);
            envelope.tool_name = Some("weather".into());
            envelope.tool_call_id = Some("2".into());
            envelope.capture_fidelity = "exact_bytes".into();
        },
    );
    // Of the same session, and no part of the trace.
    chat.event_with("mcp.request", &[], |envelope| watched(envelope, "mcp_proxy", 1));
    sent.extend(chat.sent);
    let mut envelope = writer.envelope("s-1", "span");
    envelope.tenant = "other".into();
    span(&mut envelope, 1, 9, 2);
    sent.push(Writer::message(&envelope, &[]).0);
    sealed(&objects, &mut writer, sent).await;
    objects
}

fn outline(steps: &[Step]) -> Vec<String> {
    let mut lines = Vec::new();
    for step in steps {
        lines.push(format!("{} by {}", step.event.envelope().kind, step.sources().join("+")));
        lines.extend(outline(&step.children).iter().map(|line| format!("  {line}")));
    }
    lines
}

#[tokio::test]
async fn what_several_doors_saw_is_one_tree_and_counts_once() {
    let objects = joined().await;
    let tenant = Tenant::new("acme").unwrap();
    let trace = trace_joined(&store(&objects), Some(&tenant), "s-1").await.unwrap();
    assert_eq!(trace.turns.len(), 1);
    let expected = [
        "agent.run by otlp",
        "  llm.call by llm_proxy+otlp",
        "    span by otlp",
        "    tool.call by mcp_proxy+otlp",
        "  llm.call by llm_proxy+otlp",
    ];
    assert_eq!(outline(&trace.turns[0].steps), expected);
    assert_eq!((trace.totals.model_calls, trace.totals.tool_calls), (2, 1));
    assert_eq!(trace.totals.input_tokens, 20);
    assert_eq!(trace.others, ["01".repeat(16), "mcp".to_owned()]);
    assert_eq!(holes(&trace), [""; 0]);
    let text = shown(&trace, false);
    for expected in ["in session mcp", "llm_proxy + otlp", "planner", "with session"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let step = &json(&trace)["turns"][0]["steps"][0]["children"][1];
    assert_eq!(step["also"][0]["envelope"]["capture_source"], "otlp");
}

#[tokio::test]
async fn a_trace_is_found_by_its_id() {
    let objects = joined().await;
    let store = store(&objects);
    let id = TraceId([1; 16]);
    let tenant = Tenant::new("acme").unwrap();
    let trace = trace_of_id(&store, Some(&tenant), id).await.unwrap();
    assert_eq!((trace.totals.model_calls, trace.totals.rows), (2, 10));
    let ambiguous = trace_of_id(&store, None, id).await.unwrap_err();
    assert!(matches!(ambiguous, replay::Error::Ambiguous { .. }));
    let none = trace_of_id(&store, None, TraceId([7; 16])).await.unwrap_err();
    assert!(matches!(none, replay::Error::NoTrace { .. }));
    let alone = replay::trace(&store, Some(&tenant), "s-1").await.unwrap();
    assert_eq!((alone.totals.rows, alone.sources), (4, vec!["llm_proxy".to_owned()]));
}

/// Hostile spans: circles, a parent that is itself, more levels than are shown.
#[tokio::test]
async fn circles_of_spans_and_deep_ones_lose_nothing() {
    let objects: Objects = empty();
    let mut writer = Writer::new(&objects).await;
    let mut chat = Sender::new(&mut writer, "s-1");
    let mut event = |id: u8, parent: u8| {
        let kind = if id.is_multiple_of(2) { "agent.run" } else { "span" };
        chat.event_with(kind, &[], |envelope| {
            watched(envelope, "otlp", i64::from(id));
            span(envelope, 1, id, parent);
        });
    };
    for (id, parent) in [(1, 2), (2, 3), (3, 1), (4, 4)] {
        event(id, parent);
    }
    (5..100).for_each(|id| event(id, if id == 5 { 0 } else { id - 1 }));
    let sent = chat.sent;
    sealed(&objects, &mut writer, sent).await;
    let trace = trace(&store(&objects), None, "s-1").await.unwrap();
    let lines: Vec<String> = trace.turns.iter().flat_map(|turn| outline(&turn.steps)).collect();
    assert_eq!(lines.len(), 99);
    let deepest = lines.iter().map(|line| line.len() - line.trim_start().len()).max();
    assert_eq!(deepest, Some(2 * 13));
    assert!(!shown(&trace, true).is_empty());
}

/// A tool server's trace ids and a model's answers are not to be trusted: equal ids of one door are two calls.
#[tokio::test]
async fn one_door_tells_of_a_call_once() {
    let objects: Objects = empty();
    let mut writer = Writer::new(&objects).await;
    let mut chat = Sender::new(&mut writer, "s-1");
    for at in [1, 2] {
        exchange(&mut chat, &[ASKED], Some(CALLS), |envelope| {
            watched(envelope, "llm_proxy", at);
            envelope.span_id = Some(SpanId([u8::try_from(at).unwrap(); 8]));
            envelope.response_id = Some("msg_1".into());
        });
    }
    let same = |at: i64, id: u8| {
        move |envelope: &mut Envelope<'static>| {
            watched(envelope, "otlp", at);
            span(envelope, 1, id, 0);
            envelope.response_id = Some("msg_1".into());
            envelope.duration_us = Some(10);
        }
    };
    let _first: Digest = chat.event_with("llm.call", &[], same(100, 11));
    chat.event_with("llm.call", &[], same(105, 12));
    chat.event_with("llm.call", &[], same(500, 13));
    let sent = chat.sent;
    sealed(&objects, &mut writer, sent).await;
    let trace = trace(&store(&objects), None, "s-1").await.unwrap();
    let lines: Vec<String> = trace.turns.iter().flat_map(|turn| outline(&turn.steps)).collect();
    assert_eq!(lines, ["llm.call by llm_proxy+otlp", "llm.call by llm_proxy+otlp"]);
}
