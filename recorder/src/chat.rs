//! CORE: requests and answers of OpenAI-compatible chat endpoints, as they go over the wire.

use serde_json::{Map, Value};

use crate::call::{LlmAnswer, LlmRequest};
use crate::content::{Content, Name};

impl LlmRequest {
    /// The body of a chat completion request. What has no field of its own is kept among the parameters.
    #[must_use]
    pub fn of_chat(provider: impl Into<Name>, body: &Value) -> Self {
        let mut request = Self { provider: provider.into(), ..Self::default() };
        let mut parameters = Map::new();
        for (key, value) in body.as_object().into_iter().flatten() {
            match (key.as_str(), value) {
                ("model", Value::String(model)) => request.model = model.clone().into(),
                ("messages", Value::Array(messages)) => {
                    request.messages = messages.iter().map(Content::message).collect();
                }
                ("tools", Value::Array(_)) => request.tools = Some(value.clone()),
                ("temperature", Value::Number(_)) => request.temperature = value.as_f64(),
                ("top_p", Value::Number(_)) => request.top_p = value.as_f64(),
                ("max_tokens" | "max_completion_tokens", Value::Number(number))
                    if number.is_u64() =>
                {
                    request.max_tokens = value.as_u64();
                }
                ("seed", Value::Number(number)) if number.is_i64() => request.seed = value.as_i64(),
                _ => {
                    parameters.insert(key.clone(), value.clone());
                }
            }
        }
        request.parameters = (!parameters.is_empty()).then_some(Value::Object(parameters));
        request
    }
}

impl LlmAnswer {
    /// The body of a chat completion.
    #[must_use]
    pub fn of_chat(body: &Value) -> Self {
        let text = |key: &str| body.get(key)?.as_str().map(|text| Name::Owned(text.to_owned()));
        let choices = body.get("choices").and_then(Value::as_array);
        let choices = choices.map(Vec::as_slice).unwrap_or_default();
        let usage = |path: &str| body.get("usage")?.pointer(path)?.as_u64();
        let reason =
            |choice: &Value| Some(choice.get("finish_reason")?.as_str()?.to_owned().into());
        Self {
            messages: choices
                .iter()
                .filter_map(|c| c.get("message"))
                .map(Content::message)
                .collect(),
            model: text("model"),
            response_id: text("id"),
            finish_reasons: choices.iter().filter_map(reason).collect(),
            input_tokens: usage("/prompt_tokens"),
            output_tokens: usage("/completion_tokens"),
            cache_read_input_tokens: usage("/prompt_tokens_details/cached_tokens"),
            reasoning_output_tokens: usage("/completion_tokens_details/reasoning_tokens"),
            cost_nanos: None,
        }
    }
}
