//! For any span: reading it does not panic, its contents are what their media types say, and every value is somewhere.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::trace::v1::span::Event;
use proptest::prelude::*;

use crate::kit::{attribute, read_record, read_spans, record, span};

/// Keys that some dialect knows, and some that none does.
const KEYS: [&str; 44] = [
    "gen_ai.operation.name",
    "gen_ai.system",
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "gen_ai.request.temperature",
    "gen_ai.request.seed",
    "gen_ai.usage.input_tokens",
    "gen_ai.response.finish_reasons",
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.system_instructions",
    "gen_ai.tool.definitions",
    "gen_ai.tool.call.arguments",
    "gen_ai.retrieval.documents",
    "gen_ai.prompt",
    "gen_ai.completion",
    "gen_ai.prompt.0.role",
    "gen_ai.prompt.0.content",
    "gen_ai.prompt.0.content.1",
    "gen_ai.evaluation.name",
    "gen_ai.evaluation.score.value",
    "openinference.span.kind",
    "llm.input_messages.0.message.role",
    "llm.input_messages.0.message.contents.0.message_content.text",
    "llm.input_messages.3.message.contents",
    "llm.tools.0.tool.json_schema",
    "llm.tools.00.tool.json_schema",
    "retrieval.documents.0.document.id",
    "input.value",
    "output.value",
    "traceloop.span.kind",
    "traceloop.entity.input",
    "langsmith.span.kind",
    "ai.operationId",
    "ai.prompt.messages",
    "ai.prompt.tools",
    "ai.response.text",
    "mlflow.spanType",
    "mlflow.spanInputs",
    "gcp.vertex.agent.llm_request",
    "pydantic_ai.all_messages",
    "session.id",
    "user.id",
    "mine",
];

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{0,12}",
        ".{0,20}",
        proptest::sample::select(vec![
            "LLM",
            "TOOL",
            "chat",
            "execute_tool",
            "tool",
            "llm",
            "RETRIEVER",
            "ai.toolCall",
            "[]",
            "[ ]",
            "{}",
            "null",
            "[",
            "{\"a\":",
            "\"x\"",
            "\"LLM\"",
            "evaluation",
            r#"[{"role":"user","content":"hi"},{"role":"x"}]"#,
            r#"{"messages":[[{"type":"human"}]]}"#,
            r#"{"messages":[]}"#,
            r#"[{"id":"d","score":1e999},{"document":{"id":7}}]"#,
        ])
        .prop_map(str::to_owned),
    ]
}

fn values() -> impl Strategy<Value = Option<Value>> {
    let leaf = prop_oneof![
        texts().prop_map(Value::StringValue),
        any::<bool>().prop_map(Value::BoolValue),
        any::<i64>().prop_map(Value::IntValue),
        any::<f64>().prop_map(Value::DoubleValue),
        proptest::collection::vec(any::<u8>(), 0..8).prop_map(Value::BytesValue),
    ];
    let tree = leaf.prop_recursive(3, 12, 4, |inner| {
        let wrap = |value| AnyValue { value: Some(value) };
        let entry = ("[a-z$]{0,6}", inner.clone()).prop_map(|(key, value)| attribute(&key, value));
        prop_oneof![
            proptest::collection::vec(inner.prop_map(wrap), 0..4)
                .prop_map(|values| Value::ArrayValue(ArrayValue { values })),
            proptest::collection::vec(entry, 0..4)
                .prop_map(|values| Value::KvlistValue(KeyValueList { values })),
        ]
    });
    proptest::option::weighted(0.95, tree)
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    let one = (proptest::sample::select(&KEYS[..]), values()).prop_map(|(key, value)| KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value }),
        ..KeyValue::default()
    });
    proptest::collection::vec(one, 0..24)
}

/// The texts that must be found where a value is told: strings as they are, or as JSON writes them.
fn leaves(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::StringValue(text) => out.push(text.clone()),
        Value::IntValue(number) => out.push(number.to_string()),
        Value::ArrayValue(list) => {
            list.values
                .iter()
                .filter_map(|item| item.value.as_ref())
                .for_each(|it| leaves(it, out));
        }
        Value::KvlistValue(map) => {
            let values = map.values.iter().filter_map(|it| it.value.as_ref()?.value.as_ref());
            values.for_each(|it| leaves(it, out));
        }
        _ => {}
    }
}

fn check(happenings: &[capture::Happening], attributes: &[KeyValue]) {
    let mut told = String::new();
    for happening in happenings {
        told.push_str(&serde_json::to_string(&happening.envelope.to_json_object()).unwrap());
        told.push_str(&happening.envelope.session_id);
        for content in &happening.contents {
            let text = std::str::from_utf8(&content.data).unwrap();
            if content.media_type == "application/json" {
                serde_json::from_str::<serde::de::IgnoredAny>(text).unwrap();
            }
            told.push_str(text);
        }
        for (_, place) in &happening.slots {
            assert_eq!(happening.contents[*place].kind, "document");
        }
    }
    for attribute in attributes {
        let Some(value) = attribute.value.as_ref().and_then(|it| it.value.as_ref()) else {
            continue;
        };
        let mut texts = Vec::new();
        leaves(value, &mut texts);
        for text in texts {
            let quoted = serde_json::to_string(&text).unwrap();
            let inner = quoted[1..quoted.len() - 1].to_owned();
            let list = text.strip_prefix("{\"messages\":").and_then(|it| it.strip_suffix('}'));
            let items = list.unwrap_or(&text).trim_matches(['[', ']', ' ']);
            let parts =
                || items.split("},{").all(|part| told.contains(part.trim_matches(['{', '}'])));
            assert!(
                told.contains(&text) || told.contains(&inner) || parts(),
                "{} = {text:?} is nowhere in {told}",
                attribute.key
            );
        }
    }
}

proptest! {
    #[test]
    fn every_value_of_a_span_is_told(attributes in attributes(), of_event in attributes()) {
        let mut span = span("x", &[]);
        span.attributes = attributes.clone();
        let event = |name: &str| Event {
            name: name.to_owned(),
            attributes: of_event.clone(),
            ..Event::default()
        };
        span.events = ["exception", "gen_ai.choice", "gen_ai.evaluation.result", "mine"].map(event).into();
        let read = read_spans("app", vec![span]);
        prop_assert_eq!(read.rejected, 0);
        check(&read.happenings, &attributes);
        check(&read.happenings, &of_event);
    }

    #[test]
    fn every_value_of_a_record_is_told(
        attributes in attributes(),
        body in values(),
        name in proptest::sample::select(vec![
            "",
            "gen_ai.user.message",
            "gen_ai.choice",
            "gen_ai.evaluation.result",
            "gen_ai.client.inference.operation.details",
            "claude_code.user_prompt",
            "claude_code.tool_result",
            "claude_code.api_request",
        ]),
    ) {
        let mut record = record(name, body.clone(), &[]);
        record.attributes = attributes.clone();
        let happening = read_record("app", record);
        let body = KeyValue { value: Some(AnyValue { value: body }), ..KeyValue::default() };
        check(std::slice::from_ref(&happening), &attributes);
        check(&[happening], &[body]);
    }
}
