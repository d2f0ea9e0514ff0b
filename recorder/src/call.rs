//! SHELL: calls of models and tools that take a while: a start, and an end whatever happens.

use std::time::Instant;

use schemas::{Envelope, EventId};
use serde_json::Value;

use crate::content::{Content, Name};
use crate::event::Event;
use crate::session::Session;
use crate::source;

/// What a model is asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LlmRequest {
    /// `openai`, `anthropic`, …
    pub provider: Name,
    /// The model asked for.
    pub model: Name,
    /// The whole conversation. What the session had before costs nothing.
    pub messages: Vec<Content>,
    /// The tools offered, as they are offered.
    pub tools: Option<Value>,
    /// Parameter of the request.
    pub temperature: Option<f64>,
    /// Parameter of the request.
    pub top_p: Option<f64>,
    /// Parameter of the request.
    pub max_tokens: Option<u64>,
    /// Parameter of the request.
    pub seed: Option<i64>,
    /// All other parameters, an object.
    pub parameters: Option<Value>,
    /// The event that this call follows from.
    pub cause: Option<EventId>,
}

/// What a model answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LlmAnswer {
    /// Its messages.
    pub messages: Vec<Content>,
    /// The model that answered.
    pub model: Option<Name>,
    /// The provider's id of the answer.
    pub response_id: Option<Name>,
    /// Why the model stopped.
    pub finish_reasons: Vec<Name>,
    /// Tokens read.
    pub input_tokens: Option<u64>,
    /// Tokens written.
    pub output_tokens: Option<u64>,
    /// Tokens of these read from the provider's cache.
    pub cache_read_input_tokens: Option<u64>,
    /// Tokens of these written for reasoning.
    pub reasoning_output_tokens: Option<u64>,
    /// Cost in 1e-9 US dollars.
    pub cost_nanos: Option<u64>,
}

/// A tool to be called.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ToolRequest {
    /// Its name.
    pub name: Name,
    /// The id under which the model asked for it.
    pub call_id: Option<Name>,
    /// What it is given.
    pub arguments: Value,
    /// `read`, `write` or `destructive`.
    pub effect: Option<Name>,
    /// What it is reached by, as `name/revision`.
    pub protocol: Option<Name>,
    /// Key under which the effect happens at most once.
    pub idempotency_key: Option<Name>,
    /// The event that this call follows from.
    pub cause: Option<EventId>,
}

/// A model call that is under way.
#[derive(Debug)]
pub struct LlmCall {
    open: Open,
    first_chunk_us: Option<u64>,
}

/// A tool call that is under way.
#[derive(Debug)]
pub struct ToolCall {
    open: Open,
}

/// A start whose end is to come.
#[derive(Debug)]
pub(crate) struct Open {
    session: Session,
    /// Ends say again what their starts said.
    start: Box<Envelope<'static>>,
    began: Instant,
    has_ended: bool,
}

impl LlmRequest {
    pub(crate) fn event(self) -> Event {
        let mut event = Event::new("llm.call");
        let envelope = &mut event.envelope;
        envelope.operation = Some("chat".into());
        envelope.provider = Some(self.provider).filter(|name| !name.is_empty());
        envelope.request_model = Some(self.model).filter(|name| !name.is_empty());
        envelope.temperature = self.temperature;
        envelope.top_p = self.top_p;
        envelope.max_tokens = self.max_tokens;
        envelope.seed = self.seed;
        envelope.causation_id = self.cause;
        // What changes least comes first, so that contexts fold.
        let kinds = [("tool_definitions", self.tools), ("attributes", self.parameters)];
        for (kind, value) in kinds {
            let role = if kind == "attributes" { "" } else { "system" };
            event.contents.extend(value.map(|value| Content::json(kind, &value).of(role, kind)));
        }
        event.contents.extend(self.messages);
        event
    }
}

impl LlmAnswer {
    pub(crate) fn fill(self, event: &mut Event) {
        let envelope = &mut event.envelope;
        envelope.response_model = self.model;
        envelope.response_id = self.response_id;
        envelope.finish_reasons = self.finish_reasons;
        envelope.usage_input_tokens = self.input_tokens;
        envelope.usage_output_tokens = self.output_tokens;
        envelope.usage_cache_read_input_tokens = self.cache_read_input_tokens;
        envelope.usage_reasoning_output_tokens = self.reasoning_output_tokens;
        envelope.cost_nanos = self.cost_nanos;
        event.contents.extend(self.messages);
    }
}

impl ToolRequest {
    pub(crate) fn event(self) -> Event {
        let mut event = Event::new("tool.call");
        let envelope = &mut event.envelope;
        envelope.tool_name = Some(self.name);
        envelope.tool_call_id = self.call_id;
        envelope.tool_effect = self.effect;
        envelope.protocol = self.protocol;
        envelope.idempotency_key = self.idempotency_key;
        envelope.causation_id = self.cause;
        let kind = "tool_arguments";
        event.with(Content::json(kind, &self.arguments).of("assistant", kind))
    }
}

impl LlmCall {
    pub(crate) fn new(open: Open) -> Self {
        Self { open, first_chunk_us: None }
    }

    /// The id of its start.
    #[must_use]
    pub fn id(&self) -> EventId {
        self.open.start.event_id
    }

    /// The first chunk of a streamed answer is here.
    pub fn first_chunk(&mut self) {
        self.first_chunk_us.get_or_insert(self.open.lasted_us());
    }

    /// The model answered.
    pub fn finish(mut self, answer: LlmAnswer) -> EventId {
        let mut event = self.open.end("ok");
        event.envelope.time_to_first_chunk_us = self.first_chunk_us;
        answer.fill(&mut event);
        self.open.session.record(event)
    }

    /// The call failed: the class of the error, such as `rate_limited`, and what it says.
    pub fn fail(mut self, class: impl Into<Name>, message: impl Into<String>) -> EventId {
        let event = self.open.failed(class.into(), message.into());
        self.open.session.record(event)
    }
}

impl ToolCall {
    pub(crate) fn new(open: Open) -> Self {
        Self { open }
    }

    /// The id of its start.
    #[must_use]
    pub fn id(&self) -> EventId {
        self.open.start.event_id
    }

    /// The tool gave a result.
    pub fn finish(mut self, result: impl Into<Content>) -> EventId {
        let event = self.open.end("ok").with(result.into().of("tool", "tool_result"));
        self.open.session.record(event)
    }

    /// The call failed: the class of the error, such as `not_found`, and what it says.
    pub fn fail(mut self, class: impl Into<Name>, message: impl Into<String>) -> EventId {
        let event = self.open.failed(class.into(), message.into());
        self.open.session.record(event)
    }

    /// The tool was not called, since a policy or a person would not have it.
    pub fn deny(mut self, reason: impl Into<String>) -> EventId {
        let reason = Content::text("", reason).of("", "reason");
        let event = self.open.end("denied").with(reason);
        self.open.session.record(event)
    }
}

impl Open {
    pub(crate) fn start(session: &Session, mut event: Event) -> Self {
        event.envelope.phase = "start".into();
        event.envelope.event_id = source::event_id();
        event.envelope.occurred_at = source::now();
        let (start, session) = (event.envelope.clone(), session.clone());
        session.record(event);
        Self { session, start, began: source::instant(), has_ended: false }
    }

    fn lasted_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// The end, which then says nothing more than the start and how long it took.
    fn end(&mut self, status: &'static str) -> Event {
        self.has_ended = true;
        let mut event =
            Event { envelope: self.start.clone(), contents: Vec::new(), slots: Vec::new() };
        event.envelope.status = status.into();
        event.envelope.phase = "end".into();
        event.envelope.causation_id = Some(self.start.event_id);
        event.envelope.event_id = EventId::default();
        event.envelope.occurred_at = source::now();
        event.envelope.duration_us = Some(self.lasted_us());
        event
    }

    fn failed(&mut self, class: Name, message: String) -> Event {
        let mut event = self.end("error").with(Content::text("", message).of("", "error"));
        event.envelope.error_type = Some(class);
        event
    }
}

impl Drop for Open {
    /// Nobody said how it ended: its future was cancelled, or the code around it panicked or returned early.
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        let panics = std::thread::panicking();
        let mut event = self.end(if panics { "error" } else { "cancelled" });
        event.envelope.error_type = Some(if panics { "panic" } else { "abandoned" }.into());
        self.session.record(event);
    }
}
