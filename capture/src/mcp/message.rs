//! One JSON-RPC message: what it is, and where its parts stand in its text.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

use super::json::{self, Fields};

/// Bytes of an id as it is written. Real ones are numbers and UUIDs.
const ID_BYTES_MAX: usize = 1024;
/// Integers that a float holds exactly.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// A message.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) what: What,
    text: Bytes,
    params: Option<Range<usize>>,
    result: Option<Range<usize>>,
    error: Option<Range<usize>>,
    /// Bytes that came after `text` and were not kept.
    pub(super) dropped: u64,
}

/// What a message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    Request(Id, String),
    Notification(String),
    Answer(Id),
}

/// What an answer has in common with its request. Equal where the values are, however they are written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Id {
    is_text: bool,
    text: String,
}

impl Message {
    /// Reads a message, of which so many bytes more came that were not kept.
    pub(super) fn read(text: &Bytes, dropped: u64) -> Option<Self> {
        let all = valid(text, dropped)?;
        let fields = Fields::of(all);
        if !fields.is_whole && dropped == 0 {
            return None;
        }
        let [params, result, error] = ["params", "result", "error"]
            .map(|name| fields.get(name).and_then(|part| json::place(all, part)));
        let id = fields.get("id").map(Id::read);
        let what = match (fields.string("method").map(Cow::into_owned), id) {
            (Some(method), Some(id)) => What::Request(id?, method),
            (Some(method), None) => What::Notification(method),
            (None, Some(id)) if result.is_some() || error.is_some() || dropped > 0 => {
                What::Answer(id?)
            }
            _ => return None,
        };
        Some(Self { what, text: text.clone(), params, result, error, dropped })
    }

    /// The whole text; empty where it is not UTF-8 to the end, because it was cut.
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.text).unwrap_or_default()
    }

    pub(super) fn bytes(&self) -> &Bytes {
        &self.text
    }

    pub(super) fn params(&self) -> Option<&str> {
        self.part(self.params.as_ref())
    }

    pub(super) fn result(&self) -> Option<&str> {
        self.part(self.result.as_ref())
    }

    pub(super) fn error(&self) -> Option<&str> {
        self.part(self.error.as_ref())
    }

    /// A part of the text as bytes that are shared with it.
    pub(super) fn slice(&self, part: &str) -> Bytes {
        json::place(self.text(), part).map(|place| self.text.slice(place)).unwrap_or_default()
    }

    /// A field of the parameters' `_meta`.
    pub(super) fn meta(&self, name: &str) -> Option<&str> {
        json::get(json::get(self.params()?, "_meta")?, name)
    }

    fn part(&self, place: Option<&Range<usize>>) -> Option<&str> {
        self.text().get(place?.clone())
    }
}

/// The text, or as much of it as is whole where it was cut.
fn valid(bytes: &[u8], dropped: u64) -> Option<&str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) if dropped > 0 && error.error_len().is_none() => {
            std::str::from_utf8(bytes.get(..error.valid_up_to())?).ok()
        }
        Err(_) => None,
    }
}

impl Id {
    /// Reads an id as it is written. What is neither a string nor a number is taken by its text.
    pub(super) fn read(raw: &str) -> Option<Self> {
        if raw.len() > ID_BYTES_MAX {
            return None;
        }
        if let Some(text) = json::string(raw) {
            return Some(Self { is_text: true, text: text.into_owned() });
        }
        let number = raw.parse::<f64>().ok();
        let whole = number.filter(|number| number.fract() == 0.0 && number.abs() < EXACT_MAX);
        let text = whole.map_or_else(|| raw.to_owned(), |number| format!("{number:.0}"));
        Some(Self { is_text: false, text })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what(text: &str) -> Option<What> {
        Message::read(&Bytes::copy_from_slice(text.as_bytes()), 0).map(|message| message.what)
    }

    fn id(raw: &str) -> Id {
        Id::read(raw).unwrap()
    }

    #[test]
    fn a_message_is_told_by_what_it_has() {
        assert_eq!(what(r#"{"id":1,"method":"a"}"#), Some(What::Request(id("1"), "a".into())));
        assert_eq!(what(r#"{"method":"a"}"#), Some(What::Notification("a".into())));
        assert_eq!(what(r#"{"id":"x","result":null}"#), Some(What::Answer(id("\"x\""))));
        assert_eq!(what(r#"{"id":null,"error":{}}"#), Some(What::Answer(id("null"))));
        for none in
            ["", "[]", "5", "{}", r#"{"id":1}"#, r#"{"method":5}"#, "Listening…", "{\"id\":"]
        {
            assert_eq!(what(none), None, "{none}");
        }
        let long = format!("{{\"method\":\"a\",\"id\":\"{}\"}}", "x".repeat(ID_BYTES_MAX));
        assert_eq!(what(&long), None);
    }

    #[test]
    fn ids_are_equal_where_their_values_are() {
        assert_eq!(id("1"), id("1.0"));
        assert_eq!(id("\"a\""), id(r#""\u0061""#));
        assert_ne!(id("1"), id("\"1\""));
        assert_ne!(id("null"), id("\"null\""));
        assert_ne!(id("18446744073709551616"), id("18446744073709551617"));
    }
}
