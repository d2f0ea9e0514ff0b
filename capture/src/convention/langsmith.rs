//! LangSmith's spans of LangChain and LangGraph: the words of `otel_genai` for fields, LangChain's objects for content.

use std::borrow::Cow;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::answered::Said;
use super::field::{Name, Row};
use super::message::role_named;
use super::{Reading, cut};
use crate::happening::Content;

const KIND: &str = "langsmith.span.kind";

const NAMES: [Name; 4] = [
    (|it| &mut it.operation, &[KIND]),
    (|it| &mut it.provider, &["langsmith.metadata.ls_provider"]),
    (|it| &mut it.request_model, &["langsmith.metadata.ls_model_name"]),
    (|it| &mut it.agent_name, &["langsmith.metadata.lc_agent_name"]),
];
const NUMBERS: [Row<f64>; 1] = [(|it| &mut it.temperature, &["langsmith.metadata.ls_temperature"])];
const COUNTS: [Row<u64>; 1] = [(|it| &mut it.max_tokens, &["langsmith.metadata.ls_max_tokens"])];

pub(super) fn is_spoken(reading: &Reading<'_>) -> bool {
    reading.attributes.has(KIND)
}

pub(super) fn kind(reading: &Reading<'_>) -> Option<&'static str> {
    match reading.attributes.text(KIND)? {
        "llm" | "embedding" => Some("llm.call"),
        "tool" => Some("tool.call"),
        "retriever" => Some("retrieval"),
        "chain" | "prompt" | "parser" => Some("agent.run"),
        _ => None,
    }
}

pub(super) fn read(reading: &mut Reading<'_>) {
    reading.names(&NAMES);
    if reading.is("tool.call") {
        reading.names(&[(|it| &mut it.tool_name, &["langsmith.trace.name"])]);
    }
    reading.numbers(&NUMBERS);
    reading.counts(&COUNTS);
    reading.session(&[
        "langsmith.metadata.session_id",
        "langsmith.metadata.thread_id",
        "langsmith.metadata.conversation_id",
        "langsmith.trace.session_id",
    ]);
    reading.principal(&["langsmith.metadata.user_id"]);
    let (input, output, role) = match &*reading.envelope.kind {
        "tool.call" => ("tool_arguments", "tool_result", "tool"),
        "llm.call" => ("message", "message", "assistant"),
        _ => ("text", "text", ""),
    };
    if let Some(text) = reading.attributes.text("gen_ai.completion") {
        Said::of(text).fill(&mut reading.envelope);
    }
    if reading.input.is_empty() {
        reading.input = contents(reading, "gen_ai.prompt", "", input);
    }
    if reading.output.is_empty() {
        reading.output = contents(reading, "gen_ai.completion", role, output);
    }
}

/// The messages of an object that has some, the rest of which stays an attribute; of any other text the whole.
pub(super) fn contents(
    reading: &mut Reading<'_>,
    key: &str,
    role: &'static str,
    kind: &'static str,
) -> Vec<Content> {
    let Some(text) = reading.attributes.share(key) else { return Vec::new() };
    let room = reading.room();
    let found = cut::messages(&text).filter(|(found, _)| (1..=room).contains(&found.len()));
    if !matches!(found, Some((_, true))) {
        reading.attributes.unshare(key);
    }
    let Some((messages, _)) = found else {
        let text = String::from_utf8_lossy(&text).into_owned();
        return vec![reading.body(Value::StringValue(text), role, kind)];
    };
    let content = |message: &RawValue| {
        let data = text.slice_ref(message.get().as_bytes());
        Content::json(role_of(message).unwrap_or(role), "message", data)
    };
    messages.into_iter().map(content).collect()
}

/// `type` of a message, which is in `kwargs` where it was serialised as an object.
fn role_of(message: &RawValue) -> Option<&'static str> {
    #[derive(Deserialize)]
    struct Message<'a> {
        #[serde(borrow)]
        r#type: Option<Cow<'a, str>>,
        #[serde(borrow)]
        role: Option<Cow<'a, str>>,
        #[serde(borrow)]
        kwargs: Option<&'a RawValue>,
    }
    let outer: Message<'_> = serde_json::from_str(message.get()).ok()?;
    if let Some(kwargs) = outer.kwargs {
        let inner: Message<'_> = serde_json::from_str(kwargs.get()).ok()?;
        return role_named(&inner.r#type.or(inner.role)?);
    }
    role_named(&outer.r#type.or(outer.role)?)
}
