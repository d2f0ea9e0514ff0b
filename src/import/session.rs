//! One line of an import: a session in OpenAI chat form, read without losing a byte of any message.
//!
//! Core. It decides what a good line is; what events a session becomes is `events.rs`.

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use schemas::{Invalid, Micros, SessionId};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// Keys, of a line or of a message, that say when it was; the first that holds a time counts.
const TIME_KEYS: [&str; 3] = ["created_at", "timestamp", "created"];

/// Why a line is not a session.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadLine {
    /// Not an object, or an object with a key twice.
    #[error("it is not a JSON object")]
    Json(#[source] serde_json::Error),
    /// A key that every line has.
    #[error("it has no {0}")]
    Missing(&'static str),
    #[error("its session_id is not a string")]
    SessionIdType(#[source] serde_json::Error),
    #[error("its session_id is no session id")]
    SessionId(#[source] Invalid),
    #[error("its messages are not an array")]
    Messages(#[source] serde_json::Error),
    #[error("messages[{index}] is not a chat message")]
    Message { index: usize, source: serde_json::Error },
}

/// A session as its line has it.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    pub(crate) id: SessionId,
    /// In the order of the conversation.
    pub(crate) messages: Vec<Message<'a>>,
    /// The line's other keys as one JSON object, the values' text as it was; `None` without any.
    pub(crate) attributes: Option<Box<RawValue>>,
    /// When the session was, where the line says so.
    pub(crate) time: Option<Micros>,
}

/// A chat message: its exact text, and what events need to know of it.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    pub(crate) raw: &'a RawValue,
    pub(crate) role: Role,
    pub(crate) time: Option<Micros>,
    /// Name of the tool that answers, where the message says so.
    pub(crate) name: Option<String>,
    pub(crate) tool_call_id: Option<String>,
    pub(crate) tool_calls: Vec<ToolCall<'a>>,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// Instructions; `developer` is the newer name.
    #[serde(alias = "developer")]
    System,
    User,
    Assistant,
    /// A tool's answer; `function` is the older name.
    #[serde(alias = "function")]
    Tool,
}

/// A call that an assistant message asks for.
#[derive(Debug, Deserialize)]
pub(crate) struct ToolCall<'a> {
    pub(crate) id: Option<String>,
    #[serde(borrow)]
    pub(crate) function: Option<Function<'a>>,
}

/// The function that a tool call names.
#[derive(Debug, Deserialize)]
pub(crate) struct Function<'a> {
    pub(crate) name: Option<String>,
    /// A string of JSON, as the API has it, or the JSON itself, as some write it.
    #[serde(borrow)]
    pub(crate) arguments: Option<&'a RawValue>,
}

impl<'a> Session<'a> {
    /// Reads one line.
    pub(crate) fn parse(line: &'a str) -> Result<Self, BadLine> {
        let Object(fields) = serde_json::from_str(line).map_err(BadLine::Json)?;
        let field = |name: &'static str| {
            let found = fields.iter().find(|(key, _)| key == name);
            found.map(|(_, raw)| raw.get()).ok_or(BadLine::Missing(name))
        };
        let id: String =
            serde_json::from_str(field("session_id")?).map_err(BadLine::SessionIdType)?;
        let id = SessionId::new(&id).map_err(BadLine::SessionId)?;
        let messages: Vec<&'a RawValue> =
            serde_json::from_str(field("messages")?).map_err(BadLine::Messages)?;
        let read = |(index, raw): (usize, &'a RawValue)| {
            Message::parse(raw).map_err(|source| BadLine::Message { index, source })
        };
        let messages = messages.into_iter().enumerate().map(read).collect::<Result<_, _>>()?;
        let time = time_of(&fields);
        Ok(Self { id, messages, attributes: attributes(&fields), time })
    }
}

impl<'a> Message<'a> {
    fn parse(raw: &'a RawValue) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Known<'a> {
            role: Role,
            name: Option<String>,
            tool_call_id: Option<String>,
            #[serde(borrow)]
            tool_calls: Option<Vec<ToolCall<'a>>>,
        }
        let known: Known<'a> = serde_json::from_str(raw.get())?;
        let Object(fields) = serde_json::from_str(raw.get())?;
        Ok(Self {
            raw,
            role: known.role,
            time: time_of(&fields),
            name: known.name,
            tool_call_id: known.tool_call_id,
            tool_calls: known.tool_calls.unwrap_or_default(),
        })
    }
}

impl Role {
    /// The role in a content's reference.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// An object's keys, each once, with their values' exact text.
struct Object<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let (mut fields, mut seen) = (Vec::new(), HashSet::new());
                while let Some((key, value)) = map.next_entry::<String, &'de RawValue>()? {
                    if !seen.insert(key.clone()) {
                        return Err(A::Error::custom(format_args!(
                            "the key {key:?} is there twice"
                        )));
                    }
                    fields.push((key, value));
                }
                Ok(Object(fields))
            }
        }
        from.deserialize_map(Fields)
    }
}

/// The keys beside `session_id` and `messages`, as one object.
fn attributes(fields: &[(String, &RawValue)]) -> Option<Box<RawValue>> {
    let others = fields.iter().filter(|(key, _)| key != "session_id" && key != "messages");
    let pair = |(key, raw): &(String, &RawValue)| format!("{}:{}", Value::from(key.as_str()), raw);
    let pairs: Vec<String> = others.map(pair).collect();
    if pairs.is_empty() {
        return None;
    }
    RawValue::from_string(format!("{{{}}}", pairs.join(","))).ok()
}

fn time_of(fields: &[(String, &RawValue)]) -> Option<Micros> {
    TIME_KEYS.iter().find_map(|name| {
        let (_, raw) = fields.iter().find(|(key, _)| key == name)?;
        time(&serde_json::from_str(raw.get()).ok()?)
    })
}

/// RFC 3339, or a number since 1970: of seconds, or, where seconds would be thousands of years, of milliseconds.
fn time(value: &Value) -> Option<Micros> {
    const SECONDS_MAX: i64 = 100_000_000_000;
    match value {
        Value::String(text) => Micros::parse(text),
        Value::Number(number) => match number.as_i64() {
            Some(whole) if (0..SECONDS_MAX).contains(&whole) => Some(Micros(whole * 1_000_000)),
            Some(whole) if whole >= SECONDS_MAX => whole.checked_mul(1000).map(Micros),
            Some(_) => None,
            None => {
                let since = Duration::try_from_secs_f64(number.as_f64()?).ok()?;
                i64::try_from(since.as_micros()).ok().map(Micros)
            }
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_kept_as_they_were() {
        let line = r#"{"reward": 1.50, "session_id":"s","messages":[{"role":"user", "content" :"\u00e9é"}],"info":{"b":1,"a":1e2}}"#;
        let session = Session::parse(line).unwrap();
        assert_eq!(session.id.as_str(), "s");
        assert_eq!(session.messages[0].raw.get(), r#"{"role":"user", "content" :"\u00e9é"}"#);
        let attributes = session.attributes.unwrap();
        assert_eq!(attributes.get(), r#"{"reward":1.50,"info":{"b":1,"a":1e2}}"#);
    }

    #[test]
    fn a_line_without_other_keys_has_no_attributes() {
        let session = Session::parse(r#"{"session_id":"s","messages":[]}"#).unwrap();
        assert!(session.attributes.is_none());
    }

    #[test]
    fn lines_that_are_no_sessions_are_refused() {
        let chain = |line| anyhow::Error::new(Session::parse(line).unwrap_err());
        let refused = |line, why: &str| {
            let error = format!("{:#}", chain(line));
            assert!(error.contains(why), "{error}");
        };
        refused("[1]", "not a JSON object");
        refused(r#"{"session_id":"s""#, "not a JSON object");
        refused(r#"{"messages":[]}"#, "no session_id");
        refused(r#"{"session_id":"s"}"#, "no messages");
        refused(r#"{"session_id":7,"messages":[]}"#, "not a string");
        refused(r#"{"session_id":"","messages":[]}"#, "1 to 512 bytes");
        refused(r#"{"session_id":"s","session_id":"t","messages":[]}"#, "twice");
        refused(r#"{"session_id":"s","messages":{}}"#, "not an array");
        refused(r#"{"session_id":"s","messages":[{"role":"user"},{}]}"#, "messages[1]");
        refused(r#"{"session_id":"s","messages":[{"role":"bystander"}]}"#, "bystander");
    }

    #[test]
    fn times_are_read_in_the_usual_spellings() {
        let time_of = |text: &str| time(&serde_json::from_str(text).unwrap()).map(|time| time.0);
        assert_eq!(time_of(r#""2026-05-20T10:00:00.5+02:00""#), Some(1_779_264_000_500_000));
        assert_eq!(time_of("1779264000"), Some(1_779_264_000_000_000));
        assert_eq!(time_of("1779264000.25"), Some(1_779_264_000_250_000));
        assert_eq!(time_of("1779264000500"), Some(1_779_264_000_500_000));
        assert_eq!(time_of("-1"), None);
        assert_eq!(time_of(r#""yesterday""#), None);
        assert_eq!(time_of("{}"), None);
    }

    #[test]
    fn tool_calls_are_found() {
        let line = r#"{"session_id":"s","messages":[
            {"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"look","arguments":"{\"a\":1}"}}]},
            {"role":"tool","tool_call_id":"c1","name":"look","content":"x"}]}"#;
        let session = Session::parse(line).unwrap();
        let call = &session.messages[0].tool_calls[0];
        assert_eq!(call.id.as_deref(), Some("c1"));
        assert_eq!(call.function.as_ref().unwrap().arguments.unwrap().get(), r#""{\"a\":1}""#);
        assert_eq!(session.messages[1].role, Role::Tool);
        assert_eq!(session.messages[1].tool_call_id.as_deref(), Some("c1"));
    }
}
