//! The Agent Development Kit of Google: the words of `otel_genai`, and before that its own for content.

use super::Reading;

const SCOPE: &str = "gcp.vertex.agent";

pub(super) fn is_spoken(reading: &Reading<'_>) -> bool {
    reading.scope == SCOPE || reading.attributes.has_prefix("gcp.vertex.agent.")
}

pub(super) fn kind(reading: &Reading<'_>) -> Option<&'static str> {
    let operation = reading.attributes.has("gen_ai.operation.name");
    (reading.name == "call_llm" && !operation).then_some("llm.call")
}

pub(super) fn read(reading: &mut Reading<'_>) {
    reading.session(&["gcp.vertex.agent.session_id"]);
    let (input, output) = match &*reading.envelope.kind {
        "tool.call" => ("gcp.vertex.agent.tool_call_args", "gcp.vertex.agent.tool_response"),
        _ => ("gcp.vertex.agent.llm_request", "gcp.vertex.agent.llm_response"),
    };
    let (input_kind, output_kind, role) = match &*reading.envelope.kind {
        "tool.call" => ("tool_arguments", "tool_result", "tool"),
        _ => ("request", "response", "assistant"),
    };
    if reading.input.is_empty()
        && let Some(content) = reading.take_body(&[input], "", input_kind)
    {
        reading.input.push(content);
    }
    if reading.output.is_empty()
        && let Some(content) = reading.take_body(&[output], role, output_kind)
    {
        reading.output.push(content);
    }
}
