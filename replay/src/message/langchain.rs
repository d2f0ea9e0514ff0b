//! LangChain's messages, serialised or plain, and the names that OpenInference's flattened messages put around theirs.

use serde_json::Value;

use super::{Message, Object, text_of};

/// What a serialised object wraps.
pub(super) fn inner(object: &Object) -> Option<&Object> {
    let member = |name: &str| object.get(name).and_then(Value::as_object);
    if object.contains_key("lc") {
        return member("kwargs");
    }
    match (object.contains_key("role"), role(object)) {
        (true, _) => None,
        (false, Some(_)) => member("data"),
        (false, None) => member("message"),
    }
}

/// The role that the type of a message means; `None` where it is no type of LangChain's.
pub(super) fn role(object: &Object) -> Option<&str> {
    match text_of(object, "type")? {
        "human" => Some("user"),
        "ai" | "AIMessageChunk" => Some("assistant"),
        role @ ("system" | "tool") => Some(role),
        _ => None,
    }
}

/// OpenInference's list of contents, each with its members under a name of their own.
pub(super) fn contents(message: &mut Message, object: &Object) {
    let parts = object.get("contents").and_then(Value::as_array).into_iter().flatten();
    for part in parts.filter_map(|part| part.get("message_content")) {
        if part.get("type").and_then(Value::as_str) != Some("tool_use") {
            message.content(part, 0);
        }
    }
}
