//! Redaction: what is not to be recorded as it is, and what stands there in its place.
//!
//! Rules are applied in their order, each to what the one before left. JSON stays JSON: in a string the string's text is
//! changed, and a number that has to go becomes a string. Nothing moves: a content that is dropped is empty, so that
//! what speaks of contents by their places still does. It says what it did, never what was there.

mod detect;
mod event;
mod exchange;
mod json;
mod path;
mod rules;
mod string;
mod text;

pub use event::{Applied, Field, Redacted, View};
pub use rules::{BadRules, Rules};
pub use text::Shown;
