//! Claude Code: names without a prefix, in log records and, where they are switched on, in spans. What its records say of a call
//! within a span is the span's to count.

use std::borrow::Cow;

use opentelemetry_proto::tonic::common::v1::any_value::Value;

use super::field::{Name, Row};
use super::{Reading, Signal};
use crate::happening::Content;

const PREFIX: &str = "claude_code.";

const NAMES: [Name; 7] = [
    (|it| &mut it.request_model, &["model"]),
    (|it| &mut it.response_id, &["request_id"]),
    (|it| &mut it.tool_name, &["tool_name"]),
    (|it| &mut it.tool_call_id, &["tool_use_id"]),
    (|it| &mut it.agent_id, &["agent_id"]),
    (|it| &mut it.agent_name, &["agent.name", "query_source"]),
    (|it| &mut it.error_type, &["error_type"]),
];
const USAGE: [Row<u64>; 4] = [
    (|it| &mut it.usage_input_tokens, &["input_tokens"]),
    (|it| &mut it.usage_output_tokens, &["output_tokens"]),
    (|it| &mut it.usage_cache_read_input_tokens, &["cache_read_tokens"]),
    (|it| &mut it.usage_cache_write_input_tokens, &["cache_creation_tokens"]),
];

pub(super) fn is_spoken(reading: &Reading<'_>) -> bool {
    reading.scope.starts_with("com.anthropic.claude_code") || reading.name.starts_with(PREFIX)
}

/// The event or span without the prefix, which the attribute of older ones does not have.
fn name<'r>(reading: &'r Reading<'_>) -> &'r str {
    reading.name.strip_prefix(PREFIX).unwrap_or(&reading.name)
}

pub(super) fn kind(reading: &Reading<'_>) -> Option<&'static str> {
    let is_alone = reading.envelope.parent_span_id.is_none();
    match (reading.signal, name(reading)) {
        (Signal::Log, "user_prompt") => Some("user.message"),
        (Signal::Log, "tool_decision") => Some("policy.decision"),
        (Signal::Log, "api_request" | "api_error" | "api_refusal") if is_alone => Some("llm.call"),
        (Signal::Log, "tool_result") if is_alone => Some("tool.call"),
        (Signal::Log, "permission_mode_changed") => Some("config.change"),
        (Signal::Span, "interaction") => Some("agent.run"),
        (Signal::Span, "llm_request") => Some("llm.call"),
        (Signal::Span, "tool") => Some("tool.call"),
        _ => None,
    }
}

pub(super) fn read(reading: &mut Reading<'_>) {
    let event = name(reading).to_owned();
    if reading.envelope.operation.is_none() && crate::is_name(&event) {
        reading.envelope.operation = Some(event.clone().into());
    }
    reading.session(&["session.id"]);
    reading.principal(&["user.account_uuid", "user.id"]);
    read_decision(reading, &event);
    reading.names(&NAMES);
    if reading.has_own_usage() && !reading.is("log") {
        reading.counts(&USAGE);
    }
    read_cost(reading);
    reading.finish_reasons(&["stop_reason"]);
    reading.first_chunk("ttft_ms", 1000.0);
    read_outcome(reading, &event);
    read_contents(reading, &event);
}

/// `accept` or `reject`, of a tool that wanted to run.
fn read_decision(reading: &mut Reading<'_>, event: &str) {
    let key = if event == "tool_decision" { "decision" } else { "decision_type" };
    let decision = match reading.attributes.text(key) {
        Some("accept") => "allow",
        Some("reject") => "deny",
        _ => return,
    };
    reading.attributes.take(key);
    reading.envelope.policy_decision = Some(decision.into());
}

/// The cost is told in the record alone, so it counts there even within a span. It stays an attribute.
fn read_cost(reading: &mut Reading<'_>) {
    let micros = match reading.attributes.get("cost_usd_micros") {
        Some(Value::IntValue(micros)) => u64::try_from(*micros).ok(),
        _ => None,
    };
    match micros.and_then(|micros| micros.checked_mul(1000)) {
        Some(nanos) => reading.envelope.cost_nanos = Some(nanos),
        None => reading.set_cost(&["cost_usd"]),
    }
}

/// How it ended, and how long it took, where a record is all that there is of it.
fn read_outcome(reading: &mut Reading<'_>, event: &str) {
    let failed = match reading.attributes.get("success") {
        Some(Value::BoolValue(success)) => Some(!success),
        Some(Value::StringValue(success)) => Some(success == "false"),
        _ => matches!(event, "api_error" | "api_refusal").then_some(true),
    };
    if let Some(failed) = failed
        && reading.envelope.status == "unset"
    {
        reading.envelope.status = Cow::Borrowed(if failed { "error" } else { "ok" });
    }
    if reading.signal == Signal::Log {
        reading.duration("duration_ms");
    }
    if let Some(text) = reading.attributes.take_text("error") {
        reading.errors.push(Content::text("", "error", text));
    }
}

fn read_contents(reading: &mut Reading<'_>, event: &str) {
    let input: &[(&str, &'static str, &'static str)] = match event {
        "user_prompt" => &[("prompt", "user", "message")],
        "interaction" => &[("user_prompt", "user", "text")],
        "tool_result" | "tool" => {
            &[("tool_input", "", "tool_arguments"), ("tool_parameters", "", "tool_arguments")]
        }
        "api_request_body" => &[("body", "", "request")],
        _ => &[],
    };
    for (key, role, kind) in input {
        let content = reading.take_body(&[key], role, kind);
        reading.input.extend(content);
    }
    let output: &[(&str, &'static str, &'static str)] = match event {
        "assistant_response" => &[("response", "assistant", "message")],
        "llm_request" => &[("response.model_output", "assistant", "text")],
        "api_response_body" => &[("body", "assistant", "response")],
        _ => &[],
    };
    for (key, role, kind) in output {
        let content = reading.take_body(&[key], role, kind);
        reading.output.extend(content);
    }
}
