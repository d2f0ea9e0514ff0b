//! A span or record while dialects take their words out of it.

use std::borrow::Cow;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use schemas::{Envelope, SessionId};

use crate::happening::{Content, Happening, Slot, is_name};
use crate::otlp::{Attributes, Limits};

/// Contents that are not messages: resource, attributes, errors, tool definitions.
const OTHER_CONTENTS: usize = 16;

/// What is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// A span.
    Span,
    /// A log record.
    Log,
    /// An event of a span that is an event by itself.
    Event,
}

/// What a dialect has made of it so far, and what there is still to take.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    pub(crate) signal: Signal,
    /// Name of the span or of the log record's event.
    pub(crate) name: String,
    /// Name of the instrumentation scope.
    pub(crate) scope: &'a str,
    pub(crate) limits: &'a Limits,
    pub(crate) attributes: Attributes,
    /// Body of a log record.
    pub(crate) body: Option<Value>,
    pub(crate) envelope: Box<Envelope<'static>>,
    /// Contents in the order that an event has them in.
    pub(crate) definitions: Vec<Content>,
    pub(crate) instructions: Vec<Content>,
    pub(crate) input: Vec<Content>,
    pub(crate) output: Vec<Content>,
    /// What was cut out of texts that stay attributes.
    pub(crate) parts: Vec<Content>,
    pub(crate) errors: Vec<Content>,
    /// Digests in the envelope that are those of `output`.
    pub(crate) slots: Vec<(Slot, usize)>,
    /// Bytes of names that the envelope lists of documents.
    pub(crate) named_bytes: usize,
    /// What the source says that it dropped.
    pub(crate) dropped: u64,
    pub(crate) is_truncated: bool,
    pub(crate) is_redacted: bool,
}

impl<'a> Reading<'a> {
    pub(crate) fn new(signal: Signal, name: &str, scope: &'a str, limits: &'a Limits) -> Self {
        let kind = if signal == Signal::Log { "log" } else { "span" };
        Self {
            signal,
            name: name.to_owned(),
            scope,
            limits,
            attributes: Attributes::default(),
            body: None,
            envelope: Happening::new(kind, "otlp").envelope,
            definitions: Vec::new(),
            instructions: Vec::new(),
            input: Vec::new(),
            output: Vec::new(),
            parts: Vec::new(),
            errors: Vec::new(),
            slots: Vec::new(),
            named_bytes: 0,
            dropped: 0,
            is_truncated: false,
            is_redacted: false,
        }
    }

    pub(crate) fn is(&self, kind: &str) -> bool {
        self.envelope.kind == kind
    }

    /// Whether tokens and cost are this event's own. Those of a run are the sum of its calls; a record within a span repeats
    /// those of the span; a span that is nobody's may be either.
    pub(crate) fn has_own_usage(&self) -> bool {
        let in_span = self.signal == Signal::Log && self.envelope.parent_span_id.is_some();
        !self.is("agent.run") && !self.is("span") && !in_span
    }

    /// Contents that there is still room for.
    pub(crate) fn room(&self) -> usize {
        let lists = [
            &self.definitions,
            &self.instructions,
            &self.input,
            &self.output,
            &self.parts,
            &self.errors,
        ];
        let used: usize = lists.into_iter().map(Vec::len).sum();
        self.limits.contents_max.saturating_sub(used + OTHER_CONTENTS)
    }

    /// Takes the session from the first of these attributes that names one.
    pub(crate) fn session(&mut self, keys: &[&str]) {
        for key in keys {
            if !self.envelope.session_id.is_empty() {
                return;
            }
            let fits = |value: &Value| matches!(value, Value::StringValue(id) if is_name(id) && SessionId::new(id).is_ok());
            if let Some(Value::StringValue(id)) = self.attributes.take_if(key, fits) {
                self.envelope.session_id = id.into();
            }
        }
    }

    /// Takes the user on whose behalf it is from the first of these attributes that names one.
    pub(crate) fn principal(&mut self, keys: &[&str]) {
        for key in keys {
            if self.envelope.principal_id.is_some() {
                return;
            }
            if let Some(id) = self.attributes.take_name(key) {
                self.envelope.principal_id = Some(id.into());
                self.envelope.principal_type = Some("user".into());
            }
        }
    }

    /// Makes it part of what this envelope is of.
    pub(crate) fn belongs_to(&mut self, whole: &Envelope<'static>) {
        let envelope = &mut self.envelope;
        envelope.trace_id = whole.trace_id;
        envelope.parent_span_id = whole.span_id;
        envelope.session_id = whole.session_id.clone();
        envelope.capture_convention = whole.capture_convention.clone();
        for (own, whole) in [
            (&mut envelope.agent_id, &whole.agent_id),
            (&mut envelope.agent_name, &whole.agent_name),
            (&mut envelope.agent_version, &whole.agent_version),
            (&mut envelope.principal_type, &whole.principal_type),
            (&mut envelope.principal_id, &whole.principal_id),
        ] {
            own.clone_from(whole);
        }
    }

    /// Looks for the words by which sources say that they cut or hid something.
    pub(crate) fn look_for_marks(&mut self) {
        let marks = marks(&self.attributes);
        self.mark(marks);
    }

    /// As [`Self::look_for_marks`], in attributes beside its own.
    pub(crate) fn mark(&mut self, marks: Marks) {
        self.is_truncated |= marks.is_truncated;
        self.is_redacted |= marks.is_redacted;
    }

    /// The contents in the order that an event has them in: each part follows a message, so that a history that grows has the
    /// beginning that it had.
    pub(crate) fn contents(&self) -> impl Iterator<Item = &Content> {
        let input = self.input.iter().map(Some).chain(std::iter::repeat(None));
        let parts = self.parts.iter().map(Some).chain(std::iter::repeat(None));
        let longest = self.input.len().max(self.parts.len());
        let told = input.zip(parts).take(longest).flat_map(|(input, part)| [input, part]);
        let before = self.definitions.iter().chain(&self.instructions);
        before.chain(told.flatten()).chain(&self.output).chain(&self.errors)
    }

    /// The happening, without resource and rest.
    pub(crate) fn finish(self) -> Happening {
        let contents: Vec<Content> = self.contents().cloned().collect();
        let before = contents.len() - self.output.len() - self.errors.len();
        let Self { mut envelope, .. } = self;
        if self.dropped > 0 {
            envelope.source_dropped = Some(self.dropped);
        }
        if self.is_redacted {
            envelope.capture_fidelity = Cow::Borrowed("redacted");
        } else if self.is_truncated || self.dropped > 0 {
            envelope.capture_fidelity = Cow::Borrowed("truncated");
        }
        let slots = self.slots.into_iter().map(|(slot, place)| (slot, before + place)).collect();
        Happening { envelope, contents, slots, identity: None }
    }
}

/// What a source says of what it sends.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Marks {
    is_truncated: bool,
    is_redacted: bool,
}

/// Finds the marks among attributes.
pub(crate) fn marks(attributes: &Attributes) -> Marks {
    let mut marks = Marks::default();
    for (key, value) in attributes.iter() {
        match value {
            Some(Value::StringValue(text)) => {
                marks.is_redacted |= REDACTED.contains(&text.as_str());
                marks.is_truncated |=
                    ends_truncated(text) || (text == "true" && says_truncated(key));
            }
            Some(Value::BoolValue(true)) => marks.is_truncated |= says_truncated(key),
            _ => {}
        }
    }
    marks
}

/// What stands where something was hidden.
const REDACTED: [&str; 3] = ["__REDACTED__", "<REDACTED>", "[REDACTED]"];

fn says_truncated(key: &str) -> bool {
    key.ends_with(".truncated") || key.ends_with("_truncated")
}

/// `... [truncated]`, or the like with a reason.
fn ends_truncated(text: &str) -> bool {
    const BYTES_MAX: usize = 64;
    let bytes = text.as_bytes();
    let end = bytes.get(bytes.len().saturating_sub(BYTES_MAX)..).unwrap_or_default();
    let word = b"[truncated";
    bytes.ends_with(b"]") && end.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word))
}
