//! MLflow: its attributes are JSON texts, strings in quotes included.

use serde::Deserialize;

use super::Reading;

const KIND: &str = "mlflow.spanType";

/// Tokens of a call. They stay an attribute, which says more.
#[derive(Deserialize)]
struct Usage {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
}

pub(super) fn is_spoken(reading: &Reading<'_>) -> bool {
    reading.attributes.has(KIND)
}

pub(super) fn kind(reading: &Reading<'_>) -> Option<&'static str> {
    match reading.attributes.text(KIND)?.trim_matches('"') {
        "LLM" | "CHAT_MODEL" | "EMBEDDING" => Some("llm.call"),
        "TOOL" => Some("tool.call"),
        "RETRIEVER" | "RERANKER" => Some("retrieval"),
        "AGENT" | "CHAIN" | "WORKFLOW" | "TASK" => Some("agent.run"),
        "EVALUATOR" => Some("evaluation"),
        _ => None,
    }
}

pub(super) fn read(reading: &mut Reading<'_>) {
    quoted(reading, |it| &mut it.operation, KIND);
    quoted(reading, |it| &mut it.request_model, "mlflow.llm.model");
    quoted(reading, |it| &mut it.provider, "mlflow.llm.provider");
    if reading.envelope.session_id.is_empty()
        && let Some(session) = unquoted(reading, "mlflow.trace.session")
        && schemas::SessionId::new(&session).is_ok()
    {
        reading.envelope.session_id = session.into();
    }
    quoted(reading, |it| &mut it.principal_id, "mlflow.trace.user");
    read_usage(reading);
    reading.take_definitions(&["mlflow.chat.tools"]);
    let (input, output, role) = match &*reading.envelope.kind {
        "tool.call" => ("tool_arguments", "tool_result", "tool"),
        "llm.call" => ("request", "response", "assistant"),
        _ => ("text", "text", ""),
    };
    if reading.input.is_empty()
        && let Some(content) = reading.take_body(&["mlflow.spanInputs"], "", input)
    {
        reading.input.push(content);
    }
    if reading.output.is_empty()
        && let Some(content) = reading.take_body(&["mlflow.spanOutputs"], role, output)
    {
        reading.output.push(content);
    }
}

fn read_usage(reading: &mut Reading<'_>) {
    let text = reading.attributes.text("mlflow.chat.tokenUsage");
    let said: Option<Usage> = text.and_then(|text| serde_json::from_str(text).ok());
    if let Some(said) = said.filter(|_| reading.has_own_usage()) {
        let envelope = &mut reading.envelope;
        for (field, said) in [
            (&mut envelope.usage_input_tokens, said.input_tokens),
            (&mut envelope.usage_output_tokens, said.output_tokens),
            (&mut envelope.usage_cache_read_input_tokens, said.cache_read_input_tokens),
            (&mut envelope.usage_cache_write_input_tokens, said.cache_creation_input_tokens),
        ] {
            *field = field.or(said);
        }
    }
}

/// Fills a name from an attribute that is a JSON string, and stays.
fn quoted(
    reading: &mut Reading<'_>,
    field: super::field::Field<std::borrow::Cow<'static, str>>,
    key: &str,
) {
    if field(&mut reading.envelope).is_none() {
        let name = unquoted(reading, key).map(Into::into);
        *field(&mut reading.envelope) = name;
    }
}

fn unquoted(reading: &Reading<'_>, key: &str) -> Option<String> {
    let text = reading.attributes.text(key)?;
    let text = serde_json::from_str(text).unwrap_or_else(|_| text.to_owned());
    crate::is_name(&text).then_some(text)
}
