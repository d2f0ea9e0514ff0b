//! CORE: why a request is refused, in the words and the JSON that its client gets.
//!
//! Never a payload: a message names fields and limits, not their values.

use serde_json::{Map, Value, json};

/// Longest path of a field in an answer.
const PATH_BYTES_MAX: usize = 256;

/// The class of a refusal; its name is the `code` of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    InvalidBody,
    InvalidField,
    LimitExceeded,
    TooLarge,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    Timeout,
    Conflict,
    SessionClass,
    Signature,
    UnsupportedMediaType,
    Internal,
    Unavailable,
}

impl Code {
    /// All of them, as `docs/events.md` lists them.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 15] = [
        Self::InvalidBody,
        Self::InvalidField,
        Self::LimitExceeded,
        Self::TooLarge,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Timeout,
        Self::Conflict,
        Self::SessionClass,
        Self::Signature,
        Self::UnsupportedMediaType,
        Self::Internal,
        Self::Unavailable,
    ];

    /// Whether the same request will be refused whenever it comes.
    pub(crate) fn is_for_good(self) -> bool {
        !matches!(self, Self::Unavailable | Self::Timeout | Self::Internal)
    }

    /// Its name and HTTP status.
    pub(crate) fn name_and_status(self) -> (&'static str, u16) {
        match self {
            Self::InvalidBody => ("invalid_body", 400),
            Self::InvalidField => ("invalid_field", 400),
            Self::LimitExceeded => ("limit_exceeded", 400),
            Self::Unauthorized => ("unauthorized", 401),
            Self::Forbidden => ("forbidden", 403),
            Self::NotFound => ("not_found", 404),
            Self::MethodNotAllowed => ("method_not_allowed", 405),
            Self::Timeout => ("timeout", 408),
            Self::Conflict => ("conflict", 409),
            Self::SessionClass => ("session_class", 409),
            Self::TooLarge => ("too_large", 413),
            Self::Signature => ("signature", 422),
            Self::UnsupportedMediaType => ("unsupported_media_type", 415),
            Self::Internal => ("internal", 500),
            Self::Unavailable => ("unavailable", 503),
        }
    }
}

/// A refused request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    pub(crate) message: String,
    /// Path of the field; within the event until [`Refusal::at`].
    pub(crate) field: Option<String>,
    /// The setting that was exceeded.
    pub(crate) limit: Option<&'static str>,
    /// Index of the event in the request.
    pub(crate) event: Option<usize>,
}

impl Refusal {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), field: None, limit: None, event: None }
    }

    pub(crate) fn body(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidBody, message)
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Code::Unavailable, message)
    }

    /// A field that breaks the rule `why`, as in "must be a string".
    pub(crate) fn field(field: impl Into<String>, why: impl std::fmt::Display) -> Self {
        let field = shown(field.into());
        let message = format!("{field} {why}");
        Self { field: Some(field), ..Self::new(Code::InvalidField, message) }
    }

    /// `what` breaks the named limit.
    pub(crate) fn limit(code: Code, what: &str, limit: &'static str, max: usize) -> Self {
        let message = format!("{what} over the limit of {max} ({limit})");
        Self { limit: Some(limit), ..Self::new(code, message) }
    }

    /// The same, of a field.
    pub(crate) fn field_limit(
        field: impl Into<String>,
        what: &str,
        limit: &'static str,
        max: usize,
    ) -> Self {
        let field = shown(field.into());
        let what = format!("{field} {what}");
        Self { field: Some(field), ..Self::limit(Code::LimitExceeded, &what, limit, max) }
    }

    /// The same refusal, seen from the request: it is about the event at `index`.
    pub(crate) fn at(self, index: usize) -> Self {
        let Some(field) = &self.field else {
            let message = format!("events[{index}]: {}", self.message);
            return Self { message, event: Some(index), ..self };
        };
        let path = format!("events[{index}].{field}");
        let message = self.message.replacen(field.as_str(), &path, 1);
        Self { field: Some(path), event: Some(index), message, ..self }
    }

    /// `{"error": {"code", "message", …}}`.
    pub(crate) fn to_json(&self) -> Value {
        let mut error = Map::new();
        error.insert("code".to_owned(), self.code.name_and_status().0.into());
        error.insert("message".to_owned(), self.message.as_str().into());
        if let Some(field) = &self.field {
            error.insert("field".to_owned(), field.as_str().into());
        }
        if let Some(limit) = self.limit {
            error.insert("limit".to_owned(), limit.into());
        }
        if let Some(event) = self.event {
            error.insert("event".to_owned(), event.into());
        }
        json!({ "error": error })
    }
}

/// A path as far as it helps: the client chose the keys in it.
fn shown(mut path: String) -> String {
    if path.len() > PATH_BYTES_MAX {
        path.truncate(path.floor_char_boundary(PATH_BYTES_MAX));
        path.push('…');
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_field_within_the_request() {
        let refusal = Refusal::field("kind", "is missing").at(3);
        let error = json!({"error": {"code": "invalid_field", "message": "events[3].kind is missing",
            "field": "events[3].kind", "event": 3}});
        assert_eq!(refusal.to_json(), error);
    }

    #[test]
    fn a_long_key_does_not_come_back_whole() {
        let refusal = Refusal::field("ä".repeat(1000), "is not a field");
        assert!(refusal.to_json().to_string().len() < 700);
    }

    #[test]
    fn every_code_stands_in_the_page_with_its_status() {
        let page = include_str!("../../docs/events.md");
        for (name, status) in Code::ALL.map(Code::name_and_status) {
            let row = format!("| {status} | `{name}` |");
            assert!(page.contains(&row), "{row} is not in docs/events.md");
        }
    }
}
