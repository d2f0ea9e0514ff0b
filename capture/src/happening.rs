//! A happening: what a door saw, before anything is numbered, salted or hashed.

use std::borrow::Cow;

use bytes::Bytes;
use schemas::{Digest, Envelope};

/// Bytes of a string that may stand in the envelope. What is longer, or has control characters, is free text: a body.
pub const NAME_BYTES_MAX: usize = 1024;

/// Something that happened in an agent's run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Happening {
    /// The metadata. Event id, tenant, nonce, context and references to contents are the gateway's to fill in; a session
    /// that is empty is found by the trace, or made.
    pub envelope: Box<Envelope<'static>>,
    /// What was said and done, in full and in order: of a model call, what went in, then what came out.
    pub contents: Vec<Content>,
    /// Digests in the envelope that are those of contents.
    pub slots: Vec<(Slot, usize)>,
    /// What the source's own identity of it hashes to, so that a repeat has the same event id; `None` where it has none.
    pub identity: Option<Digest>,
}

/// A body to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// `system`, `user`, `assistant`, `tool`, or empty.
    pub role: Cow<'static, str>,
    /// As of `Content` in the event: message, text, tool_definitions, tool_arguments, tool_result, …
    pub kind: Cow<'static, str>,
    /// Media type of the data.
    pub media_type: Cow<'static, str>,
    /// The bytes as they came. A slice of a request costs nothing.
    pub data: Bytes,
}

/// A digest in the envelope: of the retrieval or state change with this index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// `retrievals[index].digest`
    Document(usize),
    /// `state_changes[index].before`
    Before(usize),
    /// `state_changes[index].after`
    After(usize),
}

impl Happening {
    /// One of this kind, by this door, that says nothing yet.
    #[must_use]
    pub fn new(kind: impl Into<Cow<'static, str>>, capture_source: &'static str) -> Self {
        let envelope = Envelope {
            kind: kind.into(),
            capture_source: capture_source.into(),
            ..Envelope::blank()
        };
        Self { envelope: Box::new(envelope), ..Self::default() }
    }

    /// Adds a content; returns its place.
    pub fn push(&mut self, content: Content) -> usize {
        self.contents.push(content);
        self.contents.len() - 1
    }
}

impl Content {
    /// JSON text, verbatim.
    #[must_use]
    pub fn json(
        role: impl Into<Cow<'static, str>>,
        kind: &'static str,
        data: impl Into<Bytes>,
    ) -> Self {
        Self::new(role, kind, "application/json", data)
    }

    /// Plain text.
    #[must_use]
    pub fn text(
        role: impl Into<Cow<'static, str>>,
        kind: &'static str,
        data: impl Into<Bytes>,
    ) -> Self {
        Self::new(role, kind, "text/plain", data)
    }

    /// Bytes of any media type.
    #[must_use]
    pub fn new(
        role: impl Into<Cow<'static, str>>,
        kind: &'static str,
        media_type: impl Into<Cow<'static, str>>,
        data: impl Into<Bytes>,
    ) -> Self {
        let (role, media_type) = (role.into(), media_type.into());
        Self { role, kind: kind.into(), media_type, data: data.into() }
    }
}

/// Whether a string may stand in the envelope.
#[must_use]
pub fn is_name(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len()) && !text.bytes().any(|b| b < 0x20 || b == 0x7f)
}
