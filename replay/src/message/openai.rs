//! OpenAI's chat messages, and the items of its Responses; Ollama's messages, which are nearly the former.

use serde_json::Value;

use super::{Message, Object, ToolRequest, first_text, text_of};

/// What a message has beside its content.
pub(super) fn message(message: &mut Message, object: &Object) {
    for name in ["reasoning_content", "reasoning", "thinking"] {
        if let Some(text) = text_of(object, name) {
            message.think(text);
            break;
        }
    }
    if let Some(text) = text_of(object, "refusal") {
        message.say(&format!("[refusal] {text}"));
    }
    if let Some(Value::Array(calls)) = object.get("tool_calls") {
        calls.iter().filter_map(Value::as_object).for_each(|it| message.call(call(it)));
    }
    if let Some(Value::Object(call)) = object.get("function_call") {
        message.call(ToolRequest::new(None, text_of(call, "name"), call.get("arguments")));
    }
    let role = text_of(object, "role");
    let by_name = first_text(object, &["tool_name", "name"])
        .filter(|_| matches!(role, Some("tool" | "function")));
    message.answers.extend(text_of(object, "tool_call_id").or(by_name).map(str::to_owned));
}

/// The call in a list of calls: of OpenAI, with or without what OpenInference puts around it, or flat as LangChain's.
fn call(call: &Object) -> ToolRequest {
    let call = call.get("tool_call").and_then(Value::as_object).unwrap_or(call);
    let function = call.get("function").and_then(Value::as_object).unwrap_or(call);
    let arguments = function.get("arguments").or_else(|| function.get("args"));
    ToolRequest::new(text_of(call, "id"), text_of(function, "name"), arguments)
}

/// A part of a message's content, or an item of a request or an answer.
pub(super) fn part(message: &mut Message, part: &Object, depth: usize) -> bool {
    let call_id = text_of(part, "call_id");
    match text_of(part, "type") {
        Some("text" | "input_text" | "output_text" | "summary_text")
            if part.contains_key("text") =>
        {
            message.say(text_of(part, "text").unwrap_or_default());
        }
        Some("refusal") => {
            message.say(&format!("[refusal] {}", text_of(part, "refusal").unwrap_or_default()));
        }
        Some("reasoning") if part.contains_key("summary") => reasoning(message, part),
        Some("function_call") => {
            message.call(ToolRequest::new(call_id, text_of(part, "name"), part.get("arguments")));
        }
        Some("custom_tool_call") => {
            message.call(ToolRequest::new(call_id, text_of(part, "name"), part.get("input")));
        }
        Some("function_call_output" | "custom_tool_call_output") => {
            message.result(call_id, part.get("output"), depth);
        }
        _ => return false,
    }
    true
}

fn reasoning(message: &mut Message, item: &Object) {
    for list in ["summary", "content"] {
        let parts = item.get(list).and_then(Value::as_array).into_iter().flatten();
        let texts = parts.filter_map(|part| part.get("text").and_then(Value::as_str));
        texts.for_each(|text| message.think(text));
    }
}
