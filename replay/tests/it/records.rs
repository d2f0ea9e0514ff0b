//! A call that a span and a log record tell of, as OpenTelemetry's instrumentations can: two events, one call.

use crate::kit::chat::Sender;
use crate::kit::writer::Writer;
use crate::kit::{Objects, empty, store};
use crate::watched::{exchange, json, sealed, shown, span, watched};
use replay::{Filter, Trace, trace};
use schemas::{Envelope, Micros, SpanId, TraceId};

const ASKED: (&str, &str, &str) =
    ("user", "message", r#"{"role":"user","parts":[{"type":"text","content":"Paris?"}]}"#);
const SAID: (&str, &str, &str) = (
    "assistant",
    "message",
    r#"{"role":"assistant","parts":[{"type":"text","content":"Sunny."}]}"#,
);
const ATTRIBUTES: (&str, &str, &str) = ("", "attributes", r#"{"name":"chat"}"#);

/// A span of a hundred microseconds.
fn call(at: i64, id: u8, parent: u8) -> impl Fn(&mut Envelope<'static>) {
    move |envelope| {
        watched(envelope, "otlp", at);
        span(envelope, 1, id, parent);
        envelope.duration_us = Some(100);
        envelope.usage_input_tokens = Some(10);
        envelope.agent_name = Some("planner".into());
    }
}

/// A log record within a span.
fn record(at: i64, parent: u8) -> impl Fn(&mut Envelope<'static>) {
    move |envelope| {
        watched(envelope, "otlp", at);
        span(envelope, 1, 0, parent);
    }
}

/// Model calls and tokens, by the trace and by the list of sessions.
async fn counted(objects: &Objects) -> (Trace, [(u64, u64); 2]) {
    let store = store(objects);
    let trace = trace(&store, None, "s-1").await.unwrap();
    let listed = replay::sessions(&store, &Filter::default()).await.unwrap();
    let totals = &trace.totals;
    let counts = [
        (totals.model_calls, totals.input_tokens),
        (listed[0].model_calls, listed[0].input_tokens),
    ];
    (trace, counts)
}

/// Contents by the span, by the record or by both; written within the span, when it ended, or long after.
#[tokio::test]
async fn a_span_and_its_record_are_one_call() {
    for (within, beside) in [
        (&[ASKED, SAID, ATTRIBUTES][..], &[ASKED, SAID, ATTRIBUTES][..]),
        (&[ATTRIBUTES][..], &[ASKED, SAID, ATTRIBUTES][..]),
        (&[ASKED, SAID, ATTRIBUTES][..], &[ATTRIBUTES][..]),
    ] {
        for late in [50, 101, 5000] {
            let objects: Objects = empty();
            let mut writer = Writer::new(&objects).await;
            let mut chat = Sender::new(&mut writer, "s-1");
            chat.event_with("llm.call", beside, record(late, 3));
            chat.event_with("llm.call", within, call(0, 3, 2));
            // Another call, of which the record comes last.
            chat.event_with("llm.call", within, call(300, 4, 2));
            chat.event_with("llm.call", beside, record(300 + late, 4));
            let sent = chat.sent;
            sealed(&objects, &mut writer, sent).await;
            let (trace, counts) = counted(&objects).await;
            assert_eq!(counts, [(2, 20); 2], "{late}");
            let steps: Vec<_> = trace.turns.iter().flat_map(|turn| &turn.steps).collect();
            assert_eq!(steps.len(), 2);
            for step in steps {
                assert_eq!(step.also.len(), 1);
                assert_eq!(step.contents.len(), 3, "who tells more tells what was said");
            }
            let text = shown(&trace, false);
            assert!(text.contains("also told at #") && text.contains("agent planner"), "{text}");
            assert_eq!(text.matches("Sunny.").count(), 1, "the second call adds nothing: {text}");
            let also = &json(&trace)["turns"][0]["steps"][0]["also"];
            assert_eq!(also.as_array().map(Vec::len), Some(1), "both are there");
        }
    }
}

/// A record whose span was not sent, or whose span is none of a call, is a call; so is each of several.
#[tokio::test]
async fn a_record_without_its_span_is_a_call() {
    let objects: Objects = empty();
    let mut writer = Writer::new(&objects).await;
    let mut chat = Sender::new(&mut writer, "s-1");
    chat.event_with("llm.call", &[ASKED, SAID], record(10, 9));
    chat.event_with("agent.run", &[], call(0, 2, 0));
    chat.event_with("llm.call", &[ASKED, SAID], record(20, 2));
    chat.event_with("llm.call", &[ASKED, SAID], record(30, 2));
    let sent = chat.sent;
    sealed(&objects, &mut writer, sent).await;
    let (_, counts) = counted(&objects).await;
    assert_eq!(counts.map(|(calls, _)| calls), [3; 2]);
}

/// The span names the answer, the proxy too, and the record hangs below the span.
#[tokio::test]
async fn a_call_that_three_tell_of_is_one() {
    let objects: Objects = empty();
    let mut writer = Writer::new(&objects).await;
    let mut chat = Sender::new(&mut writer, "s-1");
    exchange(&mut chat, &[ASKED], Some(SAID.2), |envelope| {
        watched(envelope, "llm_proxy", 20);
        envelope.span_id = Some(SpanId([0x81; 8]));
        envelope.response_id = Some("msg_1".into());
        envelope.capture_fidelity = "exact_bytes".into();
    });
    chat.event_with("llm.call", &[ASKED, SAID], |envelope| {
        call(0, 3, 2)(envelope);
        envelope.response_id = Some("msg_1".into());
    });
    chat.event_with("llm.call", &[ASKED, SAID], record(400, 3));
    let sent = chat.sent;
    sealed(&objects, &mut writer, sent).await;
    let (trace, counts) = counted(&objects).await;
    assert_eq!(counts, [(1, 10); 2]);
    let step = &trace.turns[0].steps[0];
    assert_eq!((step.also.len(), step.sources()), (2, vec!["llm_proxy".into(), "otlp".into()]));
}

/// A record of another trace, with the same number of a span, is another's.
#[tokio::test]
async fn a_span_id_counts_within_its_trace() {
    let objects: Objects = empty();
    let mut writer = Writer::new(&objects).await;
    let mut chat = Sender::new(&mut writer, "s-1");
    chat.event_with("llm.call", &[ASKED, SAID], call(0, 3, 2));
    chat.event_with("llm.call", &[ASKED, SAID], |envelope| {
        record(50, 3)(envelope);
        envelope.trace_id = Some(TraceId([2; 16]));
        envelope.occurred_at = Micros(envelope.occurred_at.0 + 1);
    });
    let sent = chat.sent;
    sealed(&objects, &mut writer, sent).await;
    let (_, counts) = counted(&objects).await;
    assert_eq!(counts.map(|(calls, _)| calls), [2; 2]);
}
