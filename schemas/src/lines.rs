//! Texts of lines `name value`: what every record is made of, parsed strictly.
//!
//! Strict means that a text which printing would not give back byte for byte is refused.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::gaps::Counted;
use crate::id::Topic;
use crate::text;

/// A text that is not the record it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a {kind}: {why}")]
pub struct RecordError {
    /// First line of the record that was expected.
    pub kind: &'static str,
    /// What is wrong.
    pub why: String,
}

/// The lines of a text, taken in order.
pub(crate) struct Lines<'a> {
    kind: &'static str,
    pub(crate) lines: std::str::Lines<'a>,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(kind: &'static str, text: &'a str) -> Result<Self, RecordError> {
        let mut lines = text.lines();
        if lines.next() != Some(kind) {
            return Err(RecordError { kind, why: "the first line is another".to_owned() });
        }
        Ok(Self { kind, lines })
    }

    fn text(&mut self, name: &str) -> Result<&'a str, RecordError> {
        let line = self.lines.next().and_then(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.ok_or_else(|| self.wrong(name))
    }

    pub(crate) fn value<T: FromStr>(&mut self, name: &str) -> Result<T, RecordError> {
        self.text(name)?.parse().map_err(|_| self.wrong(name))
    }

    /// A value that `-` stands for where there is none.
    pub(crate) fn optional<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, RecordError> {
        let text = self.text(name)?;
        if text == "-" {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| self.wrong(name))
    }

    pub(crate) fn counted(&mut self, name: &str) -> Result<Counted, RecordError> {
        let parsed = self.text(name)?.split_once(' ').and_then(|(count, digest)| {
            let digest = if digest == "-" { None } else { Some(digest.parse().ok()?) };
            Some(Counted { count: count.parse().ok()?, digest })
        });
        parsed.ok_or_else(|| self.wrong(name))
    }

    /// Whether the next line has this name.
    pub(crate) fn next_is(&self, name: &str) -> bool {
        let line = self.lines.clone().next();
        line.is_some_and(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')))
    }

    fn wrong(&self, name: &str) -> RecordError {
        RecordError { kind: self.kind, why: format!("line `{name}` is missing or wrong") }
    }
}

/// Refuses a text that printing would not give back.
pub(crate) fn canonical<T: fmt::Display>(
    kind: &'static str,
    record: T,
    text: &str,
) -> Result<T, RecordError> {
    if record.to_string() == text {
        return Ok(record);
    }
    Err(RecordError { kind, why: "it is not spelled as it must be".to_owned() })
}

pub(crate) fn dash<T: fmt::Display>(value: Option<&T>) -> String {
    value.map_or_else(|| "-".to_owned(), T::to_string)
}

/// Bytes as base64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Base64(pub(crate) Vec<u8>);

impl fmt::Display for Base64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_STANDARD.encode(&self.0))
    }
}

impl FromStr for Base64 {
    type Err = base64::DecodeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        BASE64_STANDARD.decode(text).map(Self)
    }
}

/// How an object is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LockMode {
    /// Nobody can shorten or remove it, the owner of the account included.
    Compliance,
    /// Whoever has the permission to bypass it can remove it.
    Governance,
}

impl LockMode {
    const NAMES: [(Self, &str); 2] =
        [(Self::Compliance, "compliance"), (Self::Governance, "governance")];
}

impl fmt::Display for LockMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = Self::NAMES.iter().filter(|(mode, _)| mode == self);
        f.write_str(names.next().map_or("", |(_, name)| name))
    }
}

impl FromStr for LockMode {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let found = Self::NAMES.iter().find(|(_, name)| *name == text);
        found.map(|(mode, _)| *mode).ok_or(())
    }
}

/// A UTC time of whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds(pub i64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::rfc3339_seconds(self.0).unwrap_or_else(|| "-".to_owned()))
    }
}

impl FromStr for Seconds {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        text::seconds_of_rfc3339(text).map(Self).ok_or(())
    }
}

/// How a topic's values are framed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// Avro single-object encoding.
    #[default]
    SingleObject,
    /// Confluent's, its ids resolved by a registry.
    Confluent,
}

impl fmt::Display for Framing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SingleObject => "single_object",
            Self::Confluent => "confluent",
        })
    }
}

impl FromStr for Framing {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::SingleObject, Self::Confluent]
            .into_iter()
            .find(|one| one.to_string() == text)
            .ok_or(())
    }
}

impl FromStr for Topic {
    type Err = crate::id::Invalid;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}
