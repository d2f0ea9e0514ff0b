//! CORE: one thing that was said or done, in full, before it is salted and hashed.
//!
//! The bytes are shared: a clone of a content costs no copy of what it holds, so a history can be kept and sent again.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde_json::Value;

/// A text that is most often a constant.
pub type Name = Cow<'static, str>;

const JSON: Name = Cow::Borrowed("application/json");
const TEXT: Name = Cow::Borrowed("text/plain");

/// A body of an event.
#[derive(Clone, PartialEq, Eq)]
pub struct Content {
    /// `system`, `user`, `assistant`, `tool`, or nothing.
    pub role: Name,
    /// `message` (one whole chat message), `text`, `tool_definitions`, `tool_arguments`, `tool_result`, `document`, …
    pub kind: Name,
    /// Media type of the data.
    pub media_type: Name,
    /// The data, kept byte for byte.
    pub data: Bytes,
}

impl Content {
    /// One whole chat message, its role being the message's own.
    #[must_use]
    pub fn message(message: &Value) -> Self {
        let role = match message.get("role").and_then(Value::as_str).unwrap_or_default() {
            "system" => Name::Borrowed("system"),
            "user" => Name::Borrowed("user"),
            "assistant" => Name::Borrowed("assistant"),
            "tool" => Name::Borrowed("tool"),
            other => Name::Owned(other.to_owned()),
        };
        Self { role, ..Self::json("message", message) }
    }

    /// What `role` said, as plain text.
    #[must_use]
    pub fn text(role: impl Into<Name>, text: impl Into<String>) -> Self {
        let data = Bytes::from(text.into());
        Self { role: role.into(), kind: Name::Borrowed("text"), media_type: TEXT, data }
    }

    /// A value of this kind.
    #[must_use]
    pub fn json(kind: impl Into<Name>, value: &Value) -> Self {
        let data = Bytes::from(value.to_string());
        Self { role: Name::Borrowed(""), kind: kind.into(), media_type: JSON, data }
    }

    /// The same, said by another or of another kind.
    #[must_use]
    pub fn of(self, role: impl Into<Name>, kind: impl Into<Name>) -> Self {
        Self { role: role.into(), kind: kind.into(), ..self }
    }

    /// Bytes that it costs in memory, rather too many: what is shared is counted each time.
    pub(crate) fn cost(&self) -> usize {
        let names = self.role.len() + self.kind.len() + self.media_type.len();
        size_of::<Self>() + names + self.data.len()
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Self::text("", text)
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self::text("", text)
    }
}

impl From<&Value> for Content {
    fn from(value: &Value) -> Self {
        Self::json("raw", value)
    }
}

impl fmt::Debug for Content {
    /// Without the data: they do not belong into logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { role, kind, media_type, data } = self;
        write!(f, "Content({role} {kind}, {media_type}, {} bytes)", data.len())
    }
}
