//! The GenAI conventions of OpenTelemetry, as they are now and as they were: attributes of spans, events of spans, log records.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use schemas::Evaluation;

use super::field::{Name, Row};
use super::message::{json, role_named};
use super::{Reading, Signal};
use crate::happening::Content;
use crate::otlp::Attributes;

pub(super) const NAME: &str = "otel_genai";

/// The log record that has a whole call.
const DETAILS: &str = "gen_ai.client.inference.operation.details";
/// A client library's own spans of its requests. They say the same call again that an instrumentation's span says, without its
/// content: to count them as calls would count twice.
const CLIENT_LIBRARY: &str = "com.anthropic.sdk.";
const EVALUATION: &str = "gen_ai.evaluation.result";

const NAMES: [Name; 11] = [
    (|it| &mut it.operation, &["gen_ai.operation.name"]),
    (|it| &mut it.provider, &["gen_ai.provider.name", "gen_ai.system"]),
    (|it| &mut it.request_model, &["gen_ai.request.model"]),
    (|it| &mut it.response_model, &["gen_ai.response.model"]),
    (|it| &mut it.response_id, &["gen_ai.response.id"]),
    (|it| &mut it.agent_id, &["gen_ai.agent.id"]),
    (|it| &mut it.agent_name, &["gen_ai.agent.name"]),
    (|it| &mut it.agent_version, &["gen_ai.agent.version"]),
    (|it| &mut it.tool_name, &["gen_ai.tool.name"]),
    (|it| &mut it.tool_call_id, &["gen_ai.tool.call.id"]),
    (|it| &mut it.tool_type, &["gen_ai.tool.type"]),
];
const NUMBERS: [Row<f64>; 2] = [
    (|it| &mut it.temperature, &["gen_ai.request.temperature"]),
    (|it| &mut it.top_p, &["gen_ai.request.top_p"]),
];
const COUNTS: [Row<u64>; 1] = [(|it| &mut it.max_tokens, &["gen_ai.request.max_tokens"])];
const INTEGERS: [Row<i64>; 1] =
    [(|it| &mut it.seed, &["gen_ai.request.seed", "gen_ai.openai.request.seed"])];
const USAGE: [Row<u64>; 5] = [
    (|it| &mut it.usage_input_tokens, &["gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"]),
    (
        |it| &mut it.usage_output_tokens,
        &["gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"],
    ),
    (
        |it| &mut it.usage_cache_read_input_tokens,
        &["gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens"],
    ),
    (
        |it| &mut it.usage_cache_write_input_tokens,
        &[
            "gen_ai.usage.cache_write.input_tokens",
            "gen_ai.usage.cache_creation.input_tokens",
            "gen_ai.usage.cache_creation_input_tokens",
        ],
    ),
    (
        |it| &mut it.usage_reasoning_output_tokens,
        &[
            "gen_ai.usage.reasoning.output_tokens",
            "gen_ai.usage.reasoning_tokens",
            "gen_ai.usage.details.reasoning_tokens",
        ],
    ),
];

pub(super) fn is_spoken(reading: &Reading<'_>) -> bool {
    reading.name.starts_with("gen_ai.")
        || ["gen_ai.", "mcp."].iter().any(|prefix| reading.attributes.has_prefix(prefix))
}

/// The kind that a record's name or the operation means, or else what there is.
pub(super) fn kind(reading: &Reading<'_>) -> Option<&'static str> {
    if reading.signal == Signal::Log {
        return match reading.name.as_str() {
            DETAILS => Some("llm.call"),
            EVALUATION => Some("evaluation"),
            _ => None,
        };
    }
    if reading.scope.starts_with(CLIENT_LIBRARY) {
        return None;
    }
    let attributes = &reading.attributes;
    match attributes.text("gen_ai.operation.name") {
        Some("chat" | "generate_content" | "text_completion" | "embeddings") => Some("llm.call"),
        Some("execute_tool") => Some("tool.call"),
        Some("retrieval" | "search_memory") => Some("retrieval"),
        Some("create_agent" | "invoke_agent" | "invoke_workflow" | "plan" | "agent_step") => {
            Some("agent.run")
        }
        _ if attributes.has("gen_ai.tool.name") => Some("tool.call"),
        _ if attributes.has("mcp.method.name") => Some("mcp.request"),
        None if attributes.has("gen_ai.request.model") => Some("llm.call"),
        _ => None,
    }
}

/// Reads a span or a log record.
pub(super) fn read(reading: &mut Reading<'_>) {
    if reading.is("evaluation") {
        read_evaluation(reading);
    }
    if reading.signal == Signal::Log {
        read_message_record(reading);
    }
    read_fields(reading);
    reading.take_definitions(&["gen_ai.tool.definitions"]);
    if let Some(content) =
        reading.take_body(&["gen_ai.system_instructions"], "system", "system_instructions")
    {
        reading.instructions.push(content);
    }
    reading.take_input(&["gen_ai.input.messages"]);
    reading.take_output(&["gen_ai.output.messages"]);
    read_tool(reading);
    read_documents(reading);
}

fn read_fields(reading: &mut Reading<'_>) {
    reading.names(&NAMES);
    reading.numbers(&NUMBERS);
    reading.counts(&COUNTS);
    reading.integers(&INTEGERS);
    if reading.has_own_usage() {
        reading.counts(&USAGE);
    }
    reading.session(&["gen_ai.conversation.id"]);
    reading.principal(&["user.id", "enduser.id", "gen_ai.user"]);
    reading.finish_reasons(&["gen_ai.response.finish_reasons"]);
    reading.first_chunk("gen_ai.response.time_to_first_chunk", 1.0);
    reading.cost(&["operation.cost", "gen_ai.usage.cost"]);
    if let Some(method) = reading.attributes.text("mcp.method.name") {
        let method = method.to_owned();
        let version = reading.attributes.text("mcp.protocol.version");
        let protocol = version.map_or("mcp".to_owned(), |version| format!("mcp/{version}"));
        if reading.envelope.protocol.is_none() && crate::is_name(&protocol) {
            reading.envelope.protocol = Some(protocol.into());
        }
        if reading.envelope.operation.is_none() && crate::is_name(&method) {
            reading.envelope.operation = Some(method.into());
        }
    }
}

fn read_tool(reading: &mut Reading<'_>) {
    if let Some(content) = reading.take_body(&["gen_ai.tool.call.arguments"], "", "tool_arguments")
    {
        reading.input.push(content);
    }
    if let Some(content) = reading.take_body(&["gen_ai.tool.call.result"], "tool", "tool_result") {
        reading.output.push(content);
    }
}

fn read_documents(reading: &mut Reading<'_>) {
    if let Some(content) = reading.take_body(&["gen_ai.retrieval.query.text"], "", "text") {
        reading.input.push(content);
    }
    let Some(value) = reading.attributes.take("gen_ai.retrieval.documents") else { return };
    let source = reading.attributes.take_name("gen_ai.data_source.id").unwrap_or_default();
    let documents = reading.messages(value, "", "document");
    for content in documents {
        reading.document(&source, content);
    }
}

/// Reads one message of a call, of which there is a record each.
fn read_message_record(reading: &mut Reading<'_>) {
    let Some(role) = message_role(&reading.name) else { return };
    let Some(body) = reading.body.take() else { return };
    let content = message(&body, role);
    if reading.name == CHOICE { &mut reading.output } else { &mut reading.input }.push(content);
}

const CHOICE: &str = "gen_ai.choice";

/// The role in the name of an event that is a message.
fn message_role(name: &str) -> Option<&'static str> {
    match name {
        CHOICE => Some("assistant"),
        _ => role_named(name.strip_prefix("gen_ai.")?.strip_suffix(".message")?),
    }
}

fn message(body: &Value, role: &'static str) -> Content {
    match body {
        Value::StringValue(text) => Content::text(role, "message", text.clone()),
        body => Content::json(role, "message", json(body)),
    }
}

/// Reads an event of a span: a message, in the conventions up to 1.36, or what the current ones have as a log record, too.
pub(crate) fn read_event(name: &str, attributes: &mut Attributes, reading: &mut Reading<'_>) {
    if name == DETAILS {
        for (key, side) in [("gen_ai.input.messages", false), ("gen_ai.output.messages", true)] {
            let Some(value) = attributes.take(key) else { continue };
            let messages = reading.messages(value, if side { "assistant" } else { "" }, "message");
            if side { &mut reading.output } else { &mut reading.input }.extend(messages);
        }
        return;
    }
    let Some(role) = message_role(name) else { return };
    if reading.room() == 0 {
        return;
    }
    let content = match attributes.take_text("gen_ai.event.content") {
        Some(text) => reading.body(Value::StringValue(text), role, "message"),
        None => match attributes.take_all() {
            Some(text) => Content::json(role, "message", text),
            None => return,
        },
    };
    if name == CHOICE { &mut reading.output } else { &mut reading.input }.push(content);
}

/// Reads what a judge made of a call.
pub(crate) fn read_evaluation(reading: &mut Reading<'_>) {
    const NAMES: [Name; 2] = [
        (|it| &mut it.response_id, &["gen_ai.response.id"]),
        (|it| &mut it.error_type, &["error.type"]),
    ];
    reading.envelope.kind = "evaluation".into();
    reading.names(&NAMES);
    reading.session(&["gen_ai.conversation.id"]);
    if let Some(name) = reading.attributes.take_name("gen_ai.evaluation.name") {
        let score = reading.attributes.take_number("gen_ai.evaluation.score.value");
        let label = reading.attributes.take_name("gen_ai.evaluation.score.label").map(Into::into);
        reading.envelope.evaluations.push(Evaluation { name: name.into(), score, label });
    }
    if let Some(content) = reading.take_body(&["gen_ai.evaluation.explanation"], "", "reason") {
        reading.output.push(content);
    }
}
