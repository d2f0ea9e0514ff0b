//! CORE. Chat messages as models exchange them, whatever API or convention wrote them: one file each. For showing and pairing
//! only; what is exported stays verbatim.
//!
//! Nothing is refused: a shape that nobody knows is named in brackets, and what is no JSON is its own text.

mod anthropic;
mod gemini;
mod genai;
mod langchain;
mod openai;

use serde_json::{Map, Value};

use crate::session::{Body, Content};

/// Lists within lists that are followed; deeper ones show as their JSON.
const DEPTH_MAX: usize = 4;

/// A chat message, as far as it is understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Who speaks; empty where it does not say.
    pub role: String,
    /// What is said; parts that are no text are named in brackets.
    pub text: String,
    /// What the model thought before it spoke.
    pub thoughts: String,
    /// Tool calls it asks for.
    pub calls: Vec<ToolRequest>,
    /// Tool calls it answers: their ids, or the tool's name where there is none.
    pub answers: Vec<String>,
}

/// A tool call that a model asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolRequest {
    /// Its id; empty where the API gives none.
    pub id: String,
    /// The tool.
    pub name: String,
    /// The arguments, as the model spelled them.
    pub arguments: String,
}

type Object = Map<String, Value>;

impl Message {
    /// Reads a content; `None` where it is no message.
    #[must_use]
    pub fn of(content: &Content) -> Option<Self> {
        let Body::Clear(bytes) = &content.body else { return None };
        let text = || {
            let text = std::str::from_utf8(bytes).ok()?.to_owned();
            Some(Self { role: content.role.clone(), text, ..Self::default() })
        };
        match content.kind.as_str() {
            "message" | "messages" | "system_instructions" => {
                Self::parse(bytes, &content.role).or_else(text)
            }
            "text" => text(),
            _ => None,
        }
    }

    /// Reads JSON in any of the shapes known.
    pub(crate) fn parse(bytes: &[u8], role: &str) -> Option<Self> {
        let value = serde_json::from_slice(bytes).ok()?;
        let mut message = Self::default();
        message.value(&value, 0);
        if message.role.is_empty() {
            role.clone_into(&mut message.role);
        }
        Some(message)
    }

    /// Whether both say the same, however it is written. What was thought is often not sent again.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        let same = |(a, b): (&ToolRequest, &ToolRequest)| {
            (&a.id, &a.name) == (&b.id, &b.name) && json_equal(&a.arguments, &b.arguments)
        };
        self.text.trim() == other.text.trim()
            && self.calls.len() == other.calls.len()
            && self.calls.iter().zip(&other.calls).all(same)
            && self.answers == other.answers
    }

    fn value(&mut self, value: &Value, depth: usize) {
        match value {
            Value::String(text) => self.say(text),
            Value::Array(items) if depth < DEPTH_MAX => {
                items.iter().for_each(|item| self.value(item, depth + 1));
            }
            Value::Object(object) => self.object(object, depth),
            Value::Null => {}
            other => self.say(&other.to_string()),
        }
    }

    /// A whole message, or a part of one.
    fn object(&mut self, object: &Object, depth: usize) {
        let role = text_of(object, "role").or_else(|| langchain::role(object));
        if self.role.is_empty() {
            self.role = role.map(role_named).unwrap_or_default().to_owned();
        }
        let inner = langchain::inner(object).filter(|_| depth < DEPTH_MAX);
        match (inner, role) {
            (Some(inner), _) => self.object(inner, depth + 1),
            (None, None) => self.part(object, depth),
            (None, Some(_)) => {
                openai::message(self, object);
                langchain::contents(self, object);
                for content in ["content", "parts"].iter().filter_map(|name| object.get(*name)) {
                    self.content(content, depth);
                }
            }
        }
    }

    /// What a message or a result of a tool says.
    fn content(&mut self, content: &Value, depth: usize) {
        match content {
            Value::Object(object) => self.part(object, depth),
            Value::Array(items) if depth < DEPTH_MAX => {
                items.iter().for_each(|item| self.content(item, depth + 1));
            }
            other => self.value(other, depth),
        }
    }

    fn part(&mut self, part: &Object, depth: usize) {
        let known = openai::part(self, part, depth)
            || anthropic::part(self, part, depth)
            || genai::part(self, part, depth)
            || gemini::part(self, part, depth);
        let kind = text_of(part, "type").or_else(|| part.keys().next().map(String::as_str));
        match kind.filter(|_| depth > 0 || part.contains_key("type")) {
            _ if known => {}
            Some(kind) => self.say(&format!("[{kind}]")),
            None => self.say(&Value::Object(part.clone()).to_string()),
        }
    }

    fn say(&mut self, text: &str) {
        line(&mut self.text, text);
    }

    fn think(&mut self, text: &str) {
        line(&mut self.thoughts, text);
    }

    /// Some conventions say a call twice in one message: once in a list of calls, once among the parts.
    fn call(&mut self, call: ToolRequest) {
        let again = |known: &ToolRequest| !call.id.is_empty() && known.id == call.id;
        if !self.calls.iter().any(again) {
            self.calls.push(call);
        }
    }

    /// A result: which call it answers, and what came of it.
    fn result(&mut self, of: Option<&str>, result: Option<&Value>, depth: usize) {
        self.answers.extend(of.map(str::to_owned));
        match result {
            Some(Value::Array(items)) if depth < DEPTH_MAX => self.results(items, depth),
            Some(Value::Null) | None => {}
            Some(value) => self.say(&spelled(value)),
        }
    }

    /// Parts of a result that are text say it; others show as their JSON.
    fn results(&mut self, items: &[Value], depth: usize) {
        for item in items {
            match item.get("text").and_then(Value::as_str) {
                Some(text) => self.say(text),
                None if item.get("json").is_some() => {
                    self.say(&item.get("json").map(spelled).unwrap_or_default());
                }
                None => match item {
                    Value::Array(items) if depth + 1 < DEPTH_MAX => self.results(items, depth + 1),
                    item => self.say(&spelled(item)),
                },
            }
        }
    }
}

impl ToolRequest {
    fn new(id: Option<&str>, name: Option<&str>, arguments: Option<&Value>) -> Self {
        Self {
            id: id.unwrap_or_default().to_owned(),
            name: name.unwrap_or_default().to_owned(),
            arguments: arguments.map(spelled).unwrap_or_default(),
        }
    }

    /// What an answer to it names: its id, or its tool where it has none.
    #[must_use]
    pub fn key(&self) -> &str {
        if self.id.is_empty() { &self.name } else { &self.id }
    }
}

fn line(to: &mut String, text: &str) {
    if !to.is_empty() {
        to.push('\n');
    }
    to.push_str(text);
}

fn text_of<'v>(object: &'v Object, name: &str) -> Option<&'v str> {
    object.get(name).and_then(Value::as_str)
}

/// The first of these members that is text.
fn first_text<'v>(object: &'v Object, names: &[&str]) -> Option<&'v str> {
    names.iter().find_map(|name| text_of(object, name))
}

/// A string as it is, anything else as JSON.
fn spelled(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The role that an API means by this word.
fn role_named(word: &str) -> &str {
    match word {
        "human" => "user",
        "model" | "ai" => "assistant",
        "developer" => "system",
        "function" => "tool",
        other => other,
    }
}

/// Whether two spellings of arguments mean the same.
fn json_equal(a: &str, b: &str) -> bool {
    let value = |text: &str| serde_json::from_str::<Value>(text).ok();
    a == b || value(a).is_some_and(|value_of_a| Some(value_of_a) == value(b))
}

#[cfg(test)]
mod tests;
