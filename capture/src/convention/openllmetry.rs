//! OpenLLMetry: the words of `otel_genai`, those of its own for workflows, and older ones, flattened.

use super::Reading;
use super::field::{Name, Row};
use crate::happening::Content;

const KIND: &str = "traceloop.span.kind";

const NAMES: [Name; 6] = [
    (|it| &mut it.operation, &["llm.request.type", KIND]),
    (|it| &mut it.request_model, &["llm.request.model"]),
    (|it| &mut it.response_model, &["llm.response.model"]),
    (|it| &mut it.provider, &["llm.vendor"]),
    (|it| &mut it.agent_version, &["traceloop.entity.version"]),
    (|it| &mut it.response_id, &["llm.response.id"]),
];
const NUMBERS: [Row<f64>; 2] =
    [(|it| &mut it.temperature, &["llm.temperature"]), (|it| &mut it.top_p, &["llm.top_p"])];
const COUNTS: [Row<u64>; 1] = [(|it| &mut it.max_tokens, &["llm.request.max_tokens"])];
const USAGE: [Row<u64>; 2] = [
    (|it| &mut it.usage_input_tokens, &["llm.usage.prompt_tokens"]),
    (|it| &mut it.usage_output_tokens, &["llm.usage.completion_tokens"]),
];

pub(super) fn is_spoken(reading: &Reading<'_>) -> bool {
    let attributes = &reading.attributes;
    let ours = ["traceloop.", "gen_ai.prompt.0.", "gen_ai.completion.0."];
    ours.iter().any(|prefix| attributes.has_prefix(prefix)) || attributes.has("llm.request.type")
}

pub(super) fn kind(reading: &Reading<'_>) -> Option<&'static str> {
    let attributes = &reading.attributes;
    match attributes.text(KIND) {
        Some("workflow" | "task" | "agent") => Some("agent.run"),
        Some("tool") => Some("tool.call"),
        _ if attributes.has("gen_ai.operation.name") => None,
        _ if attributes.has("llm.request.type") || attributes.has_prefix("gen_ai.prompt.0.") => {
            Some("llm.call")
        }
        _ => None,
    }
}

pub(super) fn read(reading: &mut Reading<'_>) {
    reading.names(&NAMES);
    let entity: Option<Name> = match &*reading.envelope.kind {
        "tool.call" => Some((|it| &mut it.tool_name, &["traceloop.entity.name"])),
        "agent.run" => Some((|it| &mut it.agent_name, &["traceloop.entity.name"])),
        _ => None,
    };
    reading.names(entity.as_slice());
    reading.numbers(&NUMBERS);
    reading.counts(&COUNTS);
    if reading.has_own_usage() {
        reading.counts(&USAGE);
    }
    reading.session(&[
        "traceloop.association.properties.session_id",
        "traceloop.association.properties.thread_id",
    ]);
    reading.principal(&["traceloop.association.properties.user_id"]);
    reading.finish_reasons(&[
        "gen_ai.response.finish_reason",
        "gen_ai.response.stop_reason",
        "gen_ai.completion.0.finish_reason",
    ]);
    read_messages(reading);
    read_entity(reading);
}

fn read_messages(reading: &mut Reading<'_>) {
    if reading.definitions.is_empty()
        && let Some(tools) = reading.take_flat_list("llm.request.functions.", ".")
    {
        reading.definitions.push(Content::json("", "tool_definitions", tools));
    }
    if reading.input.is_empty() {
        reading.input = reading.take_flat("gen_ai.prompt.", ".", "");
    }
    if reading.output.is_empty() {
        reading.output = reading.take_flat("gen_ai.completion.", ".", "assistant");
    }
}

/// What a workflow, a task or a tool was given and gave back.
fn read_entity(reading: &mut Reading<'_>) {
    let (input, output, role) = match &*reading.envelope.kind {
        "tool.call" => ("tool_arguments", "tool_result", "tool"),
        _ => ("text", "text", "assistant"),
    };
    if reading.input.is_empty()
        && let Some(content) = reading.take_body(&["traceloop.entity.input"], "", input)
    {
        reading.input.push(content);
    }
    if reading.output.is_empty()
        && let Some(content) = reading.take_body(&["traceloop.entity.output"], role, output)
    {
        reading.output.push(content);
    }
}
