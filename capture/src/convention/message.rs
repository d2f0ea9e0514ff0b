//! Messages: a list that came as JSON text is cut into its items where it stands; what came as a value is written as JSON.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Reading;
use crate::happening::Content;
use crate::otlp::write_value;

impl Reading<'_> {
    /// Takes the messages that a call was given.
    pub(super) fn take_input(&mut self, keys: &[&str]) {
        if self.input.is_empty()
            && let Some(value) = keys.iter().find_map(|key| self.attributes.take(key))
        {
            self.input = self.messages(value, "", "message");
        }
    }

    /// Takes the messages that a call answered.
    pub(super) fn take_output(&mut self, keys: &[&str]) {
        if self.output.is_empty()
            && let Some(value) = keys.iter().find_map(|key| self.attributes.take(key))
        {
            self.output = self.messages(value, "assistant", "message");
        }
    }

    /// Takes a content that is one whole.
    pub(super) fn take_body(
        &mut self,
        keys: &[&str],
        role: &'static str,
        kind: &'static str,
    ) -> Option<Content> {
        let value = keys.iter().find_map(|key| self.attributes.take(key))?;
        Some(self.body(value, role, kind))
    }

    /// Takes the tools that a call was given: one content, a JSON list.
    pub(super) fn take_definitions(&mut self, keys: &[&str]) {
        if self.definitions.is_empty()
            && let Some(value) = keys.iter().find_map(|key| self.attributes.take(key))
        {
            let content = match &value {
                Value::ArrayValue(list) => {
                    let texts = list.values.iter().map(|item| item.value.as_ref());
                    Content::json("", "tool_definitions", json_list(texts))
                }
                _ => self.body(value, "", "tool_definitions"),
            };
            self.definitions.push(content);
        }
    }

    /// The messages in a value. A list with more than there is room for stays one content.
    pub(super) fn messages(
        &mut self,
        value: Value,
        role: &'static str,
        kind: &'static str,
    ) -> Vec<Content> {
        let room = self.room();
        match value {
            Value::StringValue(text) => {
                let text = Bytes::from(text);
                match Items::cut(&text, room) {
                    Ok(Items::All(items)) => {
                        let content = |item: Bytes| Content::json(role_of(&item, role), kind, item);
                        items.into_iter().map(content).collect()
                    }
                    Ok(Items::TooMany) => vec![Content::json("", "messages", text)],
                    Err(fault) => {
                        self.is_truncated |= fault.is_eof() && begins_json(&text);
                        vec![single(text, role, kind)]
                    }
                }
            }
            Value::ArrayValue(list) if list.values.len() <= room => {
                let items = list.values.iter().map(|item| item.value.as_ref());
                items.map(|item| of_value(item, role, kind)).collect()
            }
            Value::ArrayValue(_) => vec![Content::json("", "messages", json(&value))],
            value => vec![of_value(Some(&value), role, kind)],
        }
    }

    /// A value as one content: JSON where it is JSON, or else text.
    pub(super) fn body(&mut self, value: Value, role: &'static str, kind: &'static str) -> Content {
        match value {
            Value::StringValue(text) => {
                let data = Bytes::from(text);
                if begins_json(&data) {
                    match serde_json::from_slice::<IgnoredAny>(&data) {
                        Ok(_) => return Content::json(role, kind, data),
                        Err(fault) => self.is_truncated |= fault.is_eof(),
                    }
                }
                Content::text(role, kind, data)
            }
            value => Content::json(role, kind, json(&value)),
        }
    }
}

/// The items of a JSON list, as slices of its text.
enum Items {
    All(Vec<Bytes>),
    TooMany,
}

impl Items {
    fn cut(text: &Bytes, max: usize) -> Result<Self, serde_json::Error> {
        let mut from = serde_json::Deserializer::from_slice(text);
        let items = from.deserialize_seq(Gather { max })?;
        from.end()?;
        let slice = |item: &RawValue| text.slice_ref(item.get().as_bytes());
        Ok(items.map_or(Self::TooMany, |items| Self::All(items.into_iter().map(slice).collect())))
    }
}

/// Gathers the items of a list, `None` where there are more than so many.
struct Gather {
    max: usize,
}

impl<'de> Visitor<'de> for Gather {
    type Value = Option<Vec<&'de RawValue>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while items.len() < self.max {
            match list.next_element()? {
                Some(item) => items.push(item),
                None => return Ok(Some(items)),
            }
        }
        let mut more = false;
        while list.next_element::<IgnoredAny>()?.is_some() {
            more = true;
        }
        Ok((!more).then_some(items))
    }
}

/// The role that a message says it has, or else `otherwise`.
pub(super) fn role_of(message: &[u8], otherwise: &'static str) -> &'static str {
    #[derive(Deserialize)]
    struct Message<'a> {
        #[serde(borrow)]
        role: Option<Cow<'a, str>>,
    }
    for start in [&br#"{"role":""#[..], br#"{"role": ""#] {
        if let Some(rest) = message.strip_prefix(start)
            && let Some(end) = rest.iter().position(|byte| *byte == b'"')
        {
            let role = rest.get(..end).and_then(|role| std::str::from_utf8(role).ok());
            return role.and_then(role_named).unwrap_or(otherwise);
        }
    }
    let message: Option<Message<'_>> = serde_json::from_slice(message).ok();
    message.and_then(|message| role_named(&message.role?)).unwrap_or(otherwise)
}

/// The role that a source means by this word.
pub(super) fn role_named(word: &str) -> Option<&'static str> {
    match word {
        "system" | "developer" => Some("system"),
        "user" | "human" => Some("user"),
        "assistant" | "ai" | "model" => Some("assistant"),
        "tool" | "function" => Some("tool"),
        _ => None,
    }
}

/// The JSON text of a value.
pub(super) fn json(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write_value(Some(value), &mut out);
    out
}

/// A JSON list of values; a string that is a JSON object stands as that.
pub(super) fn json_list<'v>(values: impl Iterator<Item = Option<&'v Value>>) -> Vec<u8> {
    let mut out = Vec::from(b"[");
    for (index, value) in values.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        match value {
            Some(Value::StringValue(text)) if is_object(text) => {
                out.extend_from_slice(text.as_bytes());
            }
            value => write_value(value, &mut out),
        }
    }
    out.push(b']');
    out
}

fn is_object(text: &str) -> bool {
    text.starts_with('{') && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// The members of a JSON object, in its order.
pub(super) fn members(text: &[u8]) -> Option<Vec<(Cow<'_, str>, &RawValue)>> {
    let mut from = serde_json::Deserializer::from_slice(text);
    let members = from.deserialize_map(Members).ok()?;
    from.end().ok().map(|()| members)
}

struct Members;

/// Serde borrows a `Cow` only where it is told to.
#[derive(Deserialize)]
#[serde(transparent)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some((Key(key), value)) = map.next_entry()? {
            members.push((key, value));
        }
        Ok(members)
    }
}

fn begins_json(text: &[u8]) -> bool {
    matches!(text.first(), Some(b'{' | b'[' | b'"'))
}

/// A text that is no list: one message.
fn single(text: Bytes, role: &'static str, kind: &'static str) -> Content {
    if begins_json(&text) && serde_json::from_slice::<IgnoredAny>(&text).is_ok() {
        return Content::json(role_of(&text, role), kind, text);
    }
    Content::text(role, kind, text)
}

fn of_value(value: Option<&Value>, role: &'static str, kind: &'static str) -> Content {
    let said = match value {
        Some(Value::KvlistValue(map)) => map.values.iter().find(|entry| entry.key == "role"),
        _ => None,
    };
    let role = match said.and_then(|entry| entry.value.as_ref()?.value.as_ref()) {
        Some(Value::StringValue(word)) => role_named(word).unwrap_or(role),
        _ => role,
    };
    match value {
        Some(Value::StringValue(text)) => Content::text(role, kind, text.clone()),
        Some(value) => Content::json(role, kind, json(value)),
        None => Content::json(role, kind, "null"),
    }
}
