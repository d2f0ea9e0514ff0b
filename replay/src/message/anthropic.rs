//! Anthropic's content blocks, and those of Amazon's Converse, which say the same by other names.

use serde_json::Value;

use super::{Message, Object, ToolRequest, text_of};

pub(super) fn part(message: &mut Message, part: &Object, depth: usize) -> bool {
    match text_of(part, "type") {
        Some("thinking") => message.think(text_of(part, "thinking").unwrap_or_default()),
        Some("redacted_thinking") => message.think("[redacted_thinking]"),
        Some("tool_use") => {
            let (id, name) = (text_of(part, "id"), text_of(part, "name"));
            message.call(ToolRequest::new(id, name, part.get("input")));
        }
        Some("tool_result") => {
            message.result(text_of(part, "tool_use_id"), part.get("content"), depth);
        }
        Some(_) => return false,
        None => return block(message, part, depth),
    }
    true
}

/// A block of Converse: its only member says what it is.
fn block(message: &mut Message, part: &Object, depth: usize) -> bool {
    let member = |name: &str| part.get(name).and_then(Value::as_object);
    if let Some(call) = member("toolUse") {
        let (id, name) = (text_of(call, "toolUseId"), text_of(call, "name"));
        message.call(ToolRequest::new(id, name, call.get("input")));
    } else if let Some(result) = member("toolResult") {
        message.result(text_of(result, "toolUseId"), result.get("content"), depth);
    } else if let Some(thought) = member("reasoningContent") {
        let text = thought.get("reasoningText").and_then(|text| text.get("text"));
        message.think(text.and_then(Value::as_str).unwrap_or_default());
    } else {
        return false;
    }
    true
}
