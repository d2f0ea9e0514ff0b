//! CORE. Chat messages as models exchange them: the OpenAI form, and Anthropic's content parts. For showing and pairing only;
//! what is exported stays verbatim.

use serde_json::Value;

use crate::session::{Body, Content};

/// A chat message, as far as it is understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Who speaks; empty where it does not say.
    pub role: String,
    /// What is said; parts that are no text are named in brackets.
    pub text: String,
    /// Tool calls it asks for.
    pub calls: Vec<ToolRequest>,
    /// Tool calls it answers.
    pub answers: Vec<String>,
}

/// A tool call that a model asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolRequest {
    /// Its id.
    pub id: String,
    /// The tool.
    pub name: String,
    /// The arguments, as the model spelled them.
    pub arguments: String,
}

impl Message {
    /// Reads a content; `None` where it is no message.
    #[must_use]
    pub fn of(content: &Content) -> Option<Self> {
        let Body::Clear(bytes) = &content.body else { return None };
        match content.kind.as_str() {
            "message" => Self::parse(bytes, &content.role),
            "text" => {
                let text = std::str::from_utf8(bytes).ok()?.to_owned();
                Some(Self { role: content.role.clone(), text, ..Self::default() })
            }
            _ => None,
        }
    }

    pub(crate) fn parse(bytes: &[u8], role: &str) -> Option<Self> {
        let Value::Object(object) = serde_json::from_slice(bytes).ok()? else { return None };
        let said = object.get("role").and_then(Value::as_str);
        let mut message = Self { role: said.unwrap_or(role).to_owned(), ..Self::default() };
        match object.get("content") {
            Some(Value::String(text)) => message.text.clone_from(text),
            Some(Value::Array(parts)) => parts.iter().for_each(|part| message.part(part)),
            _ => {}
        }
        for field in ["reasoning_content", "refusal"] {
            if let Some(text) = object.get(field).and_then(Value::as_str) {
                message.line(&format!("[{field}] {text}"));
            }
        }
        if let Some(Value::Array(calls)) = object.get("tool_calls") {
            message.calls.extend(calls.iter().map(openai_call));
        }
        message.answers.extend(text_of(object.get("tool_call_id")));
        Some(message)
    }

    fn line(&mut self, text: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(text);
    }

    fn part(&mut self, part: &Value) {
        let kind = part.get("type").and_then(Value::as_str).unwrap_or("part");
        match kind {
            "text" | "input_text" | "output_text" => {
                self.line(part.get("text").and_then(Value::as_str).unwrap_or_default());
            }
            "thinking" => {
                let text = part.get("thinking").and_then(Value::as_str).unwrap_or_default();
                self.line(&format!("[thinking] {text}"));
            }
            "tool_use" => self.calls.push(ToolRequest {
                id: text_of(part.get("id")).unwrap_or_default(),
                name: text_of(part.get("name")).unwrap_or_default(),
                arguments: part.get("input").map(spelled).unwrap_or_default(),
            }),
            "tool_result" => {
                self.answers.extend(text_of(part.get("tool_use_id")));
                match part.get("content") {
                    Some(Value::Array(parts)) => parts.iter().for_each(|part| {
                        // One level is what the form allows; deeper results show as their JSON.
                        let text = part.get("text").and_then(Value::as_str);
                        self.line(&text.map_or_else(|| spelled(part), str::to_owned));
                    }),
                    Some(content) => self.line(&spelled(content)),
                    None => {}
                }
            }
            kind => self.line(&format!("[{kind}]")),
        }
    }
}

fn openai_call(call: &Value) -> ToolRequest {
    let function = call.get("function");
    let of = |name| function.and_then(|function| function.get(name));
    ToolRequest {
        id: text_of(call.get("id")).unwrap_or_default(),
        name: text_of(of("name")).unwrap_or_default(),
        arguments: of("arguments").map(spelled).unwrap_or_default(),
    }
}

fn text_of(value: Option<&Value>) -> Option<String> {
    value.and_then(Value::as_str).map(str::to_owned)
}

/// A string as it is, anything else as JSON.
fn spelled(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
