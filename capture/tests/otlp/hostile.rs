//! What nobody should send: it is kept as an attribute, rejected by itself, or refused by name; and nothing grows out of it.

use capture::otlp::{Fault, Limits, logs, spans};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::ArrayValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use schemas::{Micros, SpanId};

use crate::kit::{
    any, attribute, content, read_record, read_span, read_spans, record, request, rest, span, text,
};

fn why(span: Span) -> String {
    let read = read_spans("app", vec![self::span("good", &[]), span]);
    assert_eq!((read.happenings.len(), read.rejected), (1, 1));
    read.why.unwrap()
}

#[test]
fn a_value_that_goes_too_deep_is_rejected_by_itself() {
    let deep = |levels: usize| {
        let list = |value| Value::ArrayValue(ArrayValue { values: vec![any(value)] });
        (0..levels).fold(Value::IntValue(1), |value, _| list(value))
    };
    read_span("app", span("x", &[("a", deep(64))]));
    let why = why(span("x", &[("a", deep(65))]));
    assert_eq!(
        why,
        "span 1: has more levels in a value than nesting_max, 64; send less at once or raise it"
    );
}

#[test]
fn too_many_attributes_are_rejected() {
    let mut crowded = span("x", &[]);
    crowded.attributes = vec![attribute("k", Value::IntValue(1)); 1_000_000];
    assert!(why(crowded).contains("attributes_max"));
}

#[test]
fn many_attributes_with_one_key_are_all_kept() {
    let mut crowded = span("x", &[]);
    crowded.attributes = vec![attribute("gen_ai.request.model", text("m")); 16_384];
    let happening = read_span("app", crowded).remove(0);
    assert_eq!(happening.envelope.request_model.as_deref(), Some("m"));
    assert_eq!(rest(&happening)["repeated"].as_array().unwrap().len(), 16_382);
}

#[test]
fn absurd_numbers_of_messages_cost_nothing() {
    let kind = ("openinference.span.kind", text("LLM"));
    let list = [
        kind.clone(),
        ("llm.input_messages.4294967295.message.role", text("user")),
        ("llm.input_messages.7.message.tool_calls.4000000000.id", text("c")),
        ("llm.input_messages.4294967296.message.role", text("over")),
        ("llm.input_messages.01.message.role", text("zero")),
        ("llm.input_messages.+1.message.role", text("plus")),
        ("llm.input_messages.1", text("bare")),
    ];
    let happening = read_span("app", span("x", &list)).remove(0);
    let [first, second, ..] = &happening.contents[..] else { panic!() };
    assert_eq!(first.data, r#"{"tool_calls":{"4000000000":{"id":"c"}}}"#);
    assert_eq!((&*second.data, &*second.role), (&br#"{"role":"user"}"#[..], "user"));
    let left = &rest(&happening)["attributes"];
    assert_eq!(left["llm.input_messages.4294967296.message.role"], "over");
    assert_eq!(left["llm.input_messages.01.message.role"], "zero");
    assert_eq!(left["llm.input_messages.+1.message.role"], "plus");
    assert_eq!(left["llm.input_messages.1"], "bare");
}

#[test]
fn a_flattened_field_that_comes_twice_or_is_two_things_is_kept() {
    let list = [
        ("openinference.span.kind", text("LLM")),
        ("llm.input_messages.0.message.content.0.text", text("inner")),
        ("llm.input_messages.0.message.content", text("first")),
        ("llm.input_messages.0.message.content", text("second")),
        ("llm.input_messages.0.message.role", text("user")),
    ];
    let happening = read_span("app", span("x", &list)).remove(0);
    assert_eq!(happening.contents[0].data, r#"{"content":"first","role":"user"}"#);
    let left = &rest(&happening)["attributes"];
    assert_eq!(left["llm.input_messages.0.message.content.0.text"], "inner");
    assert_eq!(left["llm.input_messages.0.message.content"], "second");
}

#[test]
fn a_flattened_path_that_goes_too_deep_stays_an_attribute() {
    let key = format!("llm.input_messages.0.message{}", ".a".repeat(10_000));
    let list = [("openinference.span.kind", text("LLM")), (key.as_str(), text("deep"))];
    let happening = read_span("app", span("x", &list)).remove(0);
    assert_eq!(rest(&happening)["attributes"][&key], "deep");
}

#[test]
fn a_deep_json_text_is_a_text() {
    let deep = "[".repeat(200_000);
    let list = [("gen_ai.input.messages", text(&deep)), ("gen_ai.request.model", text("m"))];
    let happening = read_span("app", span("x", &list)).remove(0);
    assert_eq!(happening.contents[0].media_type, "text/plain");
    assert_eq!(happening.contents[0].data, deep);
    let closed = format!("[{}{}]", "[".repeat(100_000), "]".repeat(100_000));
    let list = [("gen_ai.input.messages", text(&closed)), ("gen_ai.request.model", text("m"))];
    let happening = read_span("app", span("x", &list)).remove(0);
    assert_eq!(happening.contents[0].data.len(), closed.len() - 2);
}

#[test]
fn a_list_of_too_many_messages_is_one_content() {
    let many = format!("[{}1]", "1,".repeat(9000));
    let list = [("gen_ai.input.messages", text(&many)), ("gen_ai.request.model", text("m"))];
    let happening = read_span("app", span("x", &list)).remove(0);
    assert_eq!(content(&happening, "messages").unwrap().data, many);
    assert!(happening.contents.len() < 4);
}

#[test]
fn events_beyond_what_there_is_room_for_stay_attributes() {
    use opentelemetry_proto::tonic::trace::v1::span::Event;
    let event = |name: &str| Event {
        name: name.to_owned(),
        attributes: vec![attribute("exception.message", text("e"))],
        ..Event::default()
    };
    let mut crowded = span("x", &[]);
    crowded.events = vec![event("exception"); 8000];
    crowded.events.extend(vec![event("gen_ai.choice"); 8000]);
    crowded.events.extend(vec![event("gen_ai.evaluation.result"); 300]);
    let limits = Limits { attributes_max: 100_000, ..Limits::default() };
    let read = spans(request("app", vec![crowded]), &limits).unwrap();
    assert_eq!((read.rejected, read.happenings.len()), (0, 1 + 256));
    let own = &read.happenings[0];
    assert!((8000..=8192).contains(&own.contents.len()), "{}", own.contents.len());
    let events = rest(own)["events"].as_array().unwrap().clone();
    assert_eq!(events.len(), 16_300);
    assert_eq!(events[16_299]["attributes"]["exception.message"], "e");
}

#[test]
fn ids_that_are_none_are_rejected_and_a_parent_that_is_none_is_kept() {
    let with = |trace: &[u8], id: &[u8]| Span {
        trace_id: trace.to_vec(),
        span_id: id.to_vec(),
        ..span("x", &[])
    };
    assert!(why(with(&[0; 16], &[1; 8])).starts_with("span 1: has no valid trace id"));
    assert!(why(with(&[1; 15], &[1; 8])).contains("no valid trace id"));
    assert!(why(with(&[1; 16], &[0; 8])).contains("no valid span id"));
    assert!(why(with(&[1; 16], &[1; 9])).contains("no valid span id"));
    let odd = Span { parent_span_id: vec![0xab], ..span("x", &[]) };
    let happening = read_span("app", odd).remove(0);
    assert_eq!(happening.envelope.parent_span_id, None);
    assert_eq!(rest(&happening)["parent_span_id"], "ab");
    let root = Span { parent_span_id: vec![0; 8], ..span("x", &[]) };
    assert_eq!(rest(&read_span("app", root)[0]).get("parent_span_id"), None);
}

#[test]
fn logs_sent_as_spans_are_refused_by_name() {
    let nameless = Span { attributes: vec![attribute("a", text("b"))], ..Span::default() };
    let fault = spans(request("app", vec![nameless; 3]), &Limits::default()).unwrap_err();
    assert_eq!(fault, Fault::Logs);
    assert!(fault.to_string().contains("/v1/logs"));
}

#[test]
fn an_empty_request_is_nothing() {
    let none = spans(ExportTraceServiceRequest::default(), &Limits::default()).unwrap();
    assert_eq!((none.happenings.len(), none.rejected), (0, 0));
    let none = logs(ExportLogsServiceRequest::default(), &Limits::default()).unwrap();
    assert_eq!((none.happenings.len(), none.rejected), (0, 0));
}

#[test]
fn times_that_cannot_be_are_kept_as_they_came() {
    let timed = |start, end| {
        let span = Span { start_time_unix_nano: start, end_time_unix_nano: end, ..span("x", &[]) };
        read_span("app", span).remove(0)
    };
    let backwards = timed(2_000_000, 1_000_000);
    assert_eq!(backwards.envelope.occurred_at, Micros(2000));
    assert_eq!(backwards.envelope.duration_us, None);
    assert_eq!(rest(&backwards)["end_time_unix_nano"], 1_000_000);
    let late = timed(u64::MAX, u64::MAX);
    assert_eq!(late.envelope.occurred_at, Micros(18_446_744_073_709_551));
    let unstarted = timed(0, 5_000);
    assert_eq!((unstarted.envelope.occurred_at, unstarted.envelope.duration_us), (Micros(5), None));
    assert_eq!(timed(0, 0).envelope.occurred_at, Micros(0));
}

#[test]
fn what_does_not_fit_its_field_stays_an_attribute() {
    let list = [
        ("gen_ai.request.model", text(&"m".repeat(1025))),
        ("gen_ai.provider.name", text("a\nb")),
        ("gen_ai.system", Value::IntValue(1)),
        ("gen_ai.request.temperature", Value::DoubleValue(f64::NAN)),
        ("gen_ai.request.top_p", text("0.5")),
        ("gen_ai.request.max_tokens", Value::IntValue(-1)),
        ("gen_ai.usage.input_tokens", Value::DoubleValue(1.5)),
        ("gen_ai.conversation.id", text(&"s".repeat(513))),
        (
            "gen_ai.response.finish_reasons",
            Value::ArrayValue(ArrayValue { values: vec![any(Value::IntValue(1))] }),
        ),
        ("gen_ai.operation.name", text("chat")),
        ("operation.cost", Value::DoubleValue(-1.0)),
        ("gen_ai.response.time_to_first_chunk", Value::DoubleValue(f64::INFINITY)),
    ];
    let happening = read_span("app", span("x", &list)).remove(0);
    let envelope = &happening.envelope;
    assert_eq!((&envelope.request_model, &envelope.provider), (&None, &None));
    assert_eq!((envelope.temperature, envelope.top_p), (None, None));
    assert_eq!((envelope.max_tokens, envelope.usage_input_tokens), (None, None));
    assert_eq!((envelope.cost_nanos, envelope.time_to_first_chunk_us), (None, None));
    assert!(envelope.session_id.is_empty() && envelope.finish_reasons.is_empty());
    assert_eq!(rest(&happening)["attributes"].as_object().unwrap().len(), list.len() - 1);
}

#[test]
fn unknown_enums_are_kept() {
    let status = Some(Status { code: 7, message: "odd".into() });
    let happening = read_span("app", Span { status, kind: 99, ..span("x", &[]) }).remove(0);
    assert_eq!(happening.envelope.status, "unset");
    let rest = rest(&happening);
    assert_eq!((&rest["status_code"], &rest["kind"]), (&7.into(), &99.into()));
    assert_eq!(rest["status_message"], "odd");
}

#[test]
fn a_request_of_more_than_events_max_loses_what_is_over_and_says_so() {
    let limits = Limits { events_max: 2, ..Limits::default() };
    let all = (1..=5_u8).map(|n| Span { span_id: vec![n; 8], ..span("x", &[]) }).collect();
    let read = spans(request("app", all), &limits).unwrap();
    assert_eq!((read.happenings.len(), read.rejected), (2, 3));
    assert!(read.why.unwrap().starts_with("span 2: has more happenings"));
}

#[test]
fn a_span_is_the_same_event_when_it_is_sent_again_and_a_record_too() {
    let one = span("x", &[("a", text("b"))]);
    let identity = |span: Span| read_span("app", span)[0].identity;
    assert_eq!(identity(one.clone()), identity(one.clone()));
    assert_ne!(identity(one.clone()), identity(Span { span_id: vec![9; 8], ..one }));
    let record = |body: &str| read_record("app", record("e", Some(text(body)), &[])).identity;
    assert_eq!(record("x"), record("x"));
    assert_ne!(record("x"), record("y"));
}

#[test]
fn a_link_that_is_none_is_no_link_and_is_kept() {
    use opentelemetry_proto::tonic::trace::v1::span::Link;
    let good = Link { trace_id: vec![1; 16], span_id: vec![2; 8], ..Link::default() };
    let bad = Link { trace_id: vec![1], span_id: vec![2; 8], ..Link::default() };
    let happening = read_span("app", Span { links: vec![bad, good], ..span("x", &[]) }).remove(0);
    assert_eq!(happening.envelope.links.len(), 1);
    assert_eq!(happening.envelope.links[0].span_id, SpanId([2; 8]));
    assert_eq!(rest(&happening)["links"][0]["trace_id"], "01");
}
