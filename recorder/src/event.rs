//! CORE: an event as an agent notes it down, before anything is numbered, salted or hashed.
//!
//! Every field of the envelope may be set; those that only the recorder can know, it sets over what is there.

use schemas::{Digest, Envelope};
use serde_json::Value;

use crate::content::{Content, Name};

/// An event of any kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The metadata: names and numbers. Ids, positions and references to contents are the recorder's to fill in.
    pub envelope: Box<Envelope<'static>>,
    /// What was said and done, in full and in order.
    pub contents: Vec<Content>,
    /// Digests in the envelope that are those of contents.
    pub(crate) slots: Vec<(Slot, usize)>,
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

/// A document that was retrieved.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    /// Where it came from.
    pub source: Name,
    /// Its id there.
    pub id: Name,
    /// Its version.
    pub version: Option<Name>,
    /// How well it fits, as the source says.
    pub score: Option<f64>,
    /// What it says.
    pub text: Option<String>,
}

/// An RFC 6902 operation on something that the agent may change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// The resource.
    pub target: Name,
    /// `add`, `remove`, `replace`, `move` or `copy`.
    pub op: Name,
    /// RFC 6901 pointer into it.
    pub path: Name,
    /// RFC 6901 pointer, for `move` and `copy`.
    pub from: Option<Name>,
    /// The value before.
    pub before: Option<Value>,
    /// The value after.
    pub after: Option<Value>,
}

impl Event {
    /// An event of this kind that says nothing yet.
    #[must_use]
    pub fn new(kind: impl Into<Name>) -> Self {
        let envelope = Box::new(Envelope { kind: kind.into(), ..Envelope::blank() });
        Self { envelope, contents: Vec::new(), slots: Vec::new() }
    }

    /// The same with one content more.
    #[must_use]
    pub fn with(mut self, content: Content) -> Self {
        self.contents.push(content);
        self
    }

    /// The same with a status, such as `ok` or `error`.
    #[must_use]
    pub fn with_status(mut self, status: impl Into<Name>) -> Self {
        self.envelope.status = status.into();
        self
    }

    /// Has the digest of the content with this index stand in the envelope, where the event has such a place.
    pub fn refer(&mut self, slot: Slot, content: usize) {
        self.slots.push((slot, content));
    }

    /// Adds a document to what was retrieved.
    pub fn push_document(&mut self, document: Document) {
        let index = self.envelope.retrievals.len();
        self.envelope.retrievals.push(schemas::Retrieval {
            source: document.source,
            document_id: document.id,
            version: document.version,
            score: document.score,
            digest: None,
        });
        let content = document.text.map(|text| Content::text("", text).of("", "document"));
        self.fill(Slot::Document(index), content);
    }

    /// Adds an operation to what was changed.
    pub fn push_change(&mut self, change: Change) {
        let index = self.envelope.state_changes.len();
        let Change { target, op, path, from, before, after } = change;
        let operation = schemas::StateChange { target, op, path, from, before: None, after: None };
        self.envelope.state_changes.push(operation);
        let value = |value: Option<Value>| value.map(|value| Content::json("state_value", &value));
        self.fill(Slot::Before(index), value(before));
        self.fill(Slot::After(index), value(after));
    }

    /// Has the digest of this content stand in the envelope.
    fn fill(&mut self, slot: Slot, content: Option<Content>) {
        if let Some(content) = content {
            self.slots.push((slot, self.contents.len()));
            self.contents.push(content);
        }
    }

    /// Bytes that it costs in memory, roughly and rather too many.
    pub(crate) fn cost(&self) -> usize {
        let envelope = size_of::<Envelope<'static>>() + self.envelope.to_bytes().len();
        let slots = self.slots.len() * size_of::<(Slot, usize)>();
        self.contents.iter().map(Content::cost).fold(envelope + slots, usize::saturating_add)
    }
}

impl Slot {
    /// Where the digest stands, if there is such a place.
    pub(crate) fn place<'e>(
        self,
        envelope: &'e mut Envelope<'_>,
    ) -> Option<&'e mut Option<Digest>> {
        match self {
            Self::Document(index) => envelope.retrievals.get_mut(index).map(|r| &mut r.digest),
            Self::Before(index) => envelope.state_changes.get_mut(index).map(|c| &mut c.before),
            Self::After(index) => envelope.state_changes.get_mut(index).map(|c| &mut c.after),
        }
    }
}
