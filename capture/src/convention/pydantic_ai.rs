//! Pydantic AI: the words of `otel_genai`; a run has its whole history and the result besides.

use super::Reading;
use super::field::Name;

const NAMES: [Name; 2] =
    [(|it| &mut it.agent_name, &["agent_name"]), (|it| &mut it.request_model, &["model_name"])];

pub(super) fn is_spoken(reading: &Reading<'_>) -> bool {
    reading.scope == "pydantic-ai" || reading.attributes.has_prefix("pydantic_ai.")
}

pub(super) fn kind(reading: &Reading<'_>) -> Option<&'static str> {
    reading.attributes.has("pydantic_ai.all_messages").then_some("agent.run")
}

pub(super) fn read(reading: &mut Reading<'_>) {
    reading.names(&NAMES);
    reading.take_input(&["pydantic_ai.all_messages", "all_messages_events", "events"]);
    let tool = reading.is("tool.call");
    if tool
        && reading.input.is_empty()
        && let Some(content) = reading.take_body(&["tool_arguments"], "", "tool_arguments")
    {
        reading.input.push(content);
    }
    let (key, role, kind) = match tool {
        true => ("tool_response", "tool", "tool_result"),
        false => ("final_result", "assistant", "text"),
    };
    if reading.output.is_empty()
        && let Some(content) = reading.take_body(&[key], role, kind)
    {
        reading.output.push(content);
    }
}
