//! SHELL: the handle on one session, and what is most often recorded with it.

use std::fmt;
use std::sync::Arc;

use schemas::{EventId, Micros};
use serde_json::json;

use crate::call::{LlmAnswer, LlmCall, LlmRequest, Open, ToolCall, ToolRequest};
use crate::content::{Content, Name};
use crate::event::{Change, Document, Event};
use crate::queue::State;
use crate::recorder::Handle;
use crate::source;

/// A session. Clones are the same session; keep one for as long as the session lasts, since what has been sent of it is
/// remembered with its handles.
///
/// Events stand in the record in the order in which they were recorded. Recording takes microseconds: it counts and
/// queues, and the sender's thread does the rest.
#[derive(Clone)]
pub struct Session {
    handle: Arc<Handle>,
    state: Arc<State>,
}

/// A decision of a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// `allow`, `deny`, `require_approval` or `redact`.
    pub decision: Name,
    /// The policy, as `id/version`.
    pub policy_id: Name,
    /// What was decided on.
    pub cause: Option<EventId>,
    /// Why.
    pub reason: Option<String>,
}

impl Session {
    pub(crate) fn new(handle: Arc<Handle>, state: Arc<State>) -> Self {
        Self { handle, state }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        self.state.id.as_str()
    }

    /// Records an event of any kind. It gets an id and a time where it has none; its id, for events that follow from it.
    pub fn record(&self, mut event: Event) -> EventId {
        let envelope = &mut event.envelope;
        if envelope.event_id == EventId::default() {
            envelope.event_id = source::event_id();
        }
        if envelope.occurred_at == Micros::default() {
            envelope.occurred_at = source::now();
        }
        let id = envelope.event_id;
        self.handle.shared.push(&self.state, event);
        id
    }

    /// The user said something.
    pub fn user_message(&self, message: impl Into<Content>) -> EventId {
        let mut event = Event::new("user.message").with(spoken(message, "user"));
        event.envelope.actor_type = Some("user".into());
        self.record(event)
    }

    /// The agent said something, to the user or to another agent.
    pub fn agent_message(&self, message: impl Into<Content>) -> EventId {
        self.record(Event::new("agent.message").with(spoken(message, "assistant")))
    }

    /// A model is being called. The start is recorded now; what the handle is told, or its being dropped, is the end.
    #[must_use = "a call that is dropped is recorded as cancelled"]
    pub fn llm_call(&self, request: LlmRequest) -> LlmCall {
        LlmCall::new(Open::start(self, request.event()))
    }

    /// A model was called: request and answer in one event.
    pub fn llm_called(&self, request: LlmRequest, answer: LlmAnswer) -> EventId {
        let mut event = request.event();
        answer.fill(&mut event);
        self.record(event.with_status("ok"))
    }

    /// A tool is being called. The start is recorded now, before anything happens; what the handle is told, or its being
    /// dropped, is the end.
    #[must_use = "a call that is dropped is recorded as cancelled"]
    pub fn tool_call(&self, request: ToolRequest) -> ToolCall {
        ToolCall::new(Open::start(self, request.event()))
    }

    /// Documents were retrieved for a query.
    pub fn retrieval(&self, query: &str, documents: impl IntoIterator<Item = Document>) -> EventId {
        let mut event = Event::new("retrieval").with(Content::text("user", query));
        documents.into_iter().for_each(|document| event.push_document(document));
        self.record(event.with_status("ok"))
    }

    /// A policy decided.
    pub fn policy_decision(&self, decision: Decision) -> EventId {
        let mut event = Event::new("policy.decision");
        event.envelope.policy_decision = Some(decision.decision);
        event.envelope.policy_id = Some(decision.policy_id).filter(|id| !id.is_empty());
        event.envelope.causation_id = decision.cause;
        let reason = decision.reason.map(|reason| Content::text("", reason).of("", "reason"));
        event.contents.extend(reason);
        self.record(event)
    }

    /// Another agent takes over, with this to go on.
    pub fn handoff(&self, to: impl Into<Name>, brief: impl Into<Content>) -> EventId {
        let to = to.into();
        let attributes = Content::json("attributes", &json!({ "handoff_to": to }));
        self.record(Event::new("agent.handoff").with(spoken(brief, "assistant")).with(attributes))
    }

    /// Something was scored.
    pub fn evaluation(
        &self,
        name: impl Into<Name>,
        score: Option<f64>,
        label: Option<Name>,
    ) -> EventId {
        let mut event = Event::new("evaluation");
        event.envelope.evaluations.push(schemas::Evaluation { name: name.into(), score, label });
        self.record(event)
    }

    /// The agent changed something.
    pub fn state_change(&self, changes: impl IntoIterator<Item = Change>) -> EventId {
        let mut event = Event::new("state.change");
        changes.into_iter().for_each(|change| event.push_change(change));
        self.record(event.with_status("ok"))
    }

    /// The session is over: `ok`, `error`, `cancelled`. It says how many events there were.
    pub fn end(&self, status: impl Into<Name>) -> EventId {
        self.record(Event::new("session.end").with_status(status))
    }
}

/// A message, by this role unless it says who spoke.
fn spoken(message: impl Into<Content>, role: &'static str) -> Content {
    let message = message.into();
    if message.role.is_empty() { Content { role: role.into(), ..message } } else { message }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({})", self.id())
    }
}
