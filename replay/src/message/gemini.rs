//! The parts of Gemini's contents: what a part is, its member says. Calls often have no ids.

use serde_json::Value;

use super::{Message, Object, ToolRequest, first_text, text_of};

pub(super) fn part(message: &mut Message, part: &Object, depth: usize) -> bool {
    let member =
        |names: [&str; 2]| names.iter().find_map(|name| part.get(*name).and_then(Value::as_object));
    if let Some(call) = member(["functionCall", "function_call"]) {
        message.call(ToolRequest::new(
            text_of(call, "id"),
            text_of(call, "name"),
            call.get("args"),
        ));
    } else if let Some(response) = member(["functionResponse", "function_response"]) {
        message.result(first_text(response, &["id", "name"]), response.get("response"), depth);
    } else if let Some(text) = text_of(part, "text") {
        match part.get("thought") {
            Some(Value::Bool(true)) => message.think(text),
            _ => message.say(text),
        }
    } else {
        return false;
    }
    true
}
