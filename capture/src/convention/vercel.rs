//! The AI SDK of Vercel: `ai.*`. Its version 7 speaks `otel_genai`, with settings of its own.

use super::Reading;
use super::field::{Name, Row};

const OPERATION: &str = "ai.operationId";

const NAMES: [Name; 8] = [
    (|it| &mut it.operation, &[OPERATION]),
    (|it| &mut it.provider, &["ai.model.provider"]),
    (|it| &mut it.request_model, &["ai.model.id"]),
    (|it| &mut it.response_model, &["ai.response.model"]),
    (|it| &mut it.response_id, &["ai.response.id"]),
    (|it| &mut it.agent_name, &["ai.telemetry.functionId", "resource.name"]),
    (|it| &mut it.tool_name, &["ai.toolCall.name"]),
    (|it| &mut it.tool_call_id, &["ai.toolCall.id"]),
];
const NUMBERS: [Row<f64>; 2] = [
    (|it| &mut it.temperature, &["ai.settings.temperature"]),
    (|it| &mut it.top_p, &["ai.settings.topP"]),
];
const COUNTS: [Row<u64>; 1] =
    [(|it| &mut it.max_tokens, &["ai.settings.maxOutputTokens", "ai.settings.maxTokens"])];
const INTEGERS: [Row<i64>; 1] = [(|it| &mut it.seed, &["ai.settings.seed"])];
const USAGE: [Row<u64>; 4] = [
    (
        |it| &mut it.usage_input_tokens,
        &["ai.usage.inputTokens", "ai.usage.promptTokens", "ai.usage.tokens"],
    ),
    (|it| &mut it.usage_output_tokens, &["ai.usage.outputTokens", "ai.usage.completionTokens"]),
    (
        |it| &mut it.usage_cache_read_input_tokens,
        &["ai.usage.cachedInputTokens", "ai.usage.inputTokenDetails.cacheReadTokens"],
    ),
    (
        |it| &mut it.usage_reasoning_output_tokens,
        &["ai.usage.reasoningTokens", "ai.usage.outputTokenDetails.reasoningTokens"],
    ),
];

pub(super) fn is_spoken(reading: &Reading<'_>) -> bool {
    let ours = ["ai.settings.", "ai.telemetry."];
    reading.attributes.has(OPERATION)
        || ours.iter().any(|prefix| reading.attributes.has_prefix(prefix))
}

pub(super) fn kind(reading: &Reading<'_>) -> Option<&'static str> {
    match reading.attributes.text(OPERATION)? {
        "ai.toolCall" => Some("tool.call"),
        call if [".doGenerate", ".doStream", ".doEmbed"].iter().any(|end| call.ends_with(end)) => {
            Some("llm.call")
        }
        call if call.starts_with("ai.rerank") => Some("retrieval"),
        _ => Some("agent.run"),
    }
}

pub(super) fn read(reading: &mut Reading<'_>) {
    reading.names(&NAMES);
    reading.numbers(&NUMBERS);
    reading.counts(&COUNTS);
    reading.integers(&INTEGERS);
    if reading.has_own_usage() {
        reading.counts(&USAGE);
    }
    reading.session(&[
        "ai.telemetry.metadata.sessionId",
        "ai.telemetry.metadata.threadId",
        "ai.telemetry.metadata.conversationId",
        "ai.settings.context.sessionId",
    ]);
    reading.principal(&["ai.telemetry.metadata.userId", "ai.settings.context.userId"]);
    reading.finish_reasons(&["ai.response.finishReason"]);
    reading.first_chunk("ai.response.msToFirstChunk", 1000.0);
    reading.take_definitions(&["ai.prompt.tools"]);
    reading.take_input(&["ai.prompt.messages"]);
    read_rest(reading);
}

/// What there may be several of: each is a content.
fn read_rest(reading: &mut Reading<'_>) {
    if reading.input.is_empty() {
        let input = [
            ("ai.prompt", "text"),
            ("ai.value", "text"),
            ("ai.values", "text"),
            ("ai.toolCall.args", "tool_arguments"),
        ];
        for (key, kind) in input {
            let content = reading.take_body(&[key], "", kind);
            reading.input.extend(content);
        }
    }
    if reading.output.is_empty() {
        let output = [
            ("ai.response.reasoning", "assistant", "reasoning"),
            ("ai.response.text", "assistant", "text"),
            ("ai.response.object", "assistant", "text"),
            ("ai.response.toolCalls", "assistant", "tool_calls"),
            ("ai.toolCall.result", "tool", "tool_result"),
        ];
        for (key, role, kind) in output {
            let content = reading.take_body(&[key], role, kind);
            reading.output.extend(content);
        }
    }
}
