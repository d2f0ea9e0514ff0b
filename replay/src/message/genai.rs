//! The parts of OpenTelemetry's GenAI messages, and those of Vercel's AI SDK, which are alike.

use serde_json::Value;

use super::{Message, Object, ToolRequest, first_text, spelled, text_of};

pub(super) fn part(message: &mut Message, part: &Object, depth: usize) -> bool {
    match text_of(part, "type") {
        Some("text") => message.say(&part.get("content").map(spelled).unwrap_or_default()),
        Some("reasoning" | "thinking") => {
            message.think(first_text(part, &["content", "text"]).unwrap_or_default());
        }
        Some("tool_call" | "tool-call") => {
            let id = first_text(part, &["id", "toolCallId"]);
            let name = first_text(part, &["name", "toolName"]);
            let arguments = ["arguments", "input", "args"].iter().find_map(|name| part.get(*name));
            message.call(ToolRequest::new(id, name, arguments));
        }
        Some("tool_call_response" | "tool-result") => {
            let of = first_text(part, &["id", "toolCallId", "name", "toolName"]);
            let names = ["response", "result", "output"];
            let result = names.iter().find_map(|name| part.get(*name));
            // Vercel's output says of what type its value is.
            let value =
                result.and_then(Value::as_object).filter(|output| output.contains_key("type"));
            message.result(of, value.and_then(|output| output.get("value")).or(result), depth);
        }
        _ => return false,
    }
    true
}
