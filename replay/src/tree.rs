//! CORE. How events hang together: pairs of start and end, calls that several doors saw, turns, tool calls under the model call
//! that asked for them, spans under spans.

mod asked;
mod doubles;
mod forest;
mod steps;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use schemas::{Digest, TraceId};

use crate::conversation::{Divided, common};
use crate::diff;
use crate::message::Message;
use crate::session::{Body, Content, Entry, Session, SessionEvent};
use crate::trace::{Change, Outcome, Request, Step, Turn};

pub(crate) use steps::steps;

/// A session, or what of it belongs to a trace.
#[derive(Clone, Debug)]
pub(crate) struct Told<'s> {
    pub(crate) session: &'s Session,
    /// Its id, where it is not the session that was asked for.
    pub(crate) other: Option<Arc<str>>,
    /// Only events of these traces.
    pub(crate) traces: Option<&'s HashSet<TraceId>>,
}

impl<'s> Told<'s> {
    /// The events, in order.
    pub(crate) fn events(&self) -> impl Iterator<Item = (&'s Entry, &'s Arc<SessionEvent>)> {
        let is_wanted = |event: &SessionEvent| {
            let of = |traces: &HashSet<TraceId>| {
                event.envelope().trace_id.is_some_and(|trace| traces.contains(&trace))
            };
            self.traces.is_none_or(of)
        };
        self.session.events().filter(move |(_, event)| is_wanted(event))
    }
}

/// Builds the turns.
pub(crate) fn build(told: &[Told<'_>]) -> Vec<Turn> {
    let mut all: Vec<Step> = told.iter().flat_map(steps).collect();
    // A span is told of when it ends, a child before its parent. Elsewhere the order of telling is surer than clocks.
    let by_time =
        told.len() > 1 || all.iter().any(|step| step.event.envelope().capture_source == "otlp");
    if by_time {
        all.sort_by_cached_key(|step| step.event.envelope().occurred_at);
    }
    let mut all = doubles::join(all);
    let mut reading = Reading::default();
    let opens = all.iter_mut().map(|step| reading.read(step)).collect();
    let askers = asked::pair(&mut all);
    forest::Forest::new(all, askers, opens).turns()
}

/// What was read before.
#[derive(Debug, Default)]
struct Reading {
    /// Whether a user's message was not taken up by a model call so far.
    waiting: bool,
    /// The conversation of each agent's model call before.
    before: HashMap<String, Vec<Arc<Content>>>,
    /// The last configuration of each role and kind.
    config: HashMap<(String, String), Arc<Content>>,
}

impl Reading {
    /// Finds what is new in a step; says whether with it a user said something new.
    fn read(&mut self, step: &mut Step) -> bool {
        let kind = step.event.envelope().kind.to_string();
        match kind.as_str() {
            "user.message" => {
                self.waiting = true;
                true
            }
            "llm.call" => {
                let said = self.model_call(step);
                !std::mem::take(&mut self.waiting) && said
            }
            "config.change" => {
                self.configure(step);
                false
            }
            _ => false,
        }
    }

    /// Finds what is new in a model call and what it asks for; says whether a user said something new.
    fn model_call(&mut self, step: &mut Step) -> bool {
        let agent = step.envelopes().iter().find_map(|envelope| {
            let agent = envelope.agent_id.as_deref().or(envelope.agent_name.as_deref())?;
            Some(agent.to_owned())
        });
        let agent = agent.unwrap_or_default();
        if step.end.is_none() {
            step.contents = step.event.whole().to_vec();
        }
        let before = self.before.values().map(Vec::as_slice);
        let divided = Divided::new(&step.contents, before);
        let own = self.before.get(&agent).map_or(&[][..], Vec::as_slice);
        let dropped = own.len() - common(own, &divided.conversation);
        if dropped > 0 && dropped < own.len() {
            step.marks.push(format!("{dropped} entries of its context before are not in this one"));
        }
        (step.known, step.answer) = (divided.known, divided.answer);
        let said = step.added().any(is_user_message);
        let calls = Step::messages(step.output()).into_iter().flat_map(|message| message.calls);
        let request = |call| Request { call, outcome: Outcome::Missing };
        step.requests = calls.map(request).collect();
        self.before.insert(agent, divided.conversation);
        said
    }

    /// Compares a configuration with the one before of the same role and kind.
    fn configure(&mut self, step: &mut Step) {
        if !step.changes.is_empty() {
            return;
        }
        for content in step.contents.clone() {
            let name = (content.role.clone(), content.kind.clone());
            let before = self.config.insert(name, content.clone());
            let bytes = |content: &Content| match &content.body {
                Body::Clear(bytes) => Some(bytes.clone()),
                _ => None,
            };
            let (before, after) = (before.as_deref().and_then(bytes), bytes(&content));
            if before.is_some() && before != after {
                step.changes.push(Change {
                    target: format!("{} {}", content.role, content.kind).trim().to_owned(),
                    op: "replace".to_owned(),
                    path: String::new(),
                    fields: diff::between(before.as_deref(), after.as_deref()),
                });
            }
        }
    }
}

fn is_user_message(content: &Arc<Content>) -> bool {
    let Some(message) = Message::of(content) else { return false };
    message.role == "user" && message.answers.is_empty()
}

/// Every step of the turns, parents before children.
pub(crate) fn all_steps(turns: &[Turn]) -> Vec<&Step> {
    let mut all = Vec::new();
    let mut next: Vec<&Step> = turns.iter().flat_map(|turn| &turn.steps).rev().collect();
    while let Some(step) = next.pop() {
        all.push(step);
        next.extend(step.children.iter().rev());
    }
    all
}

/// The digests of all events of a session, repeats included.
pub(crate) fn digests(session: &Session) -> HashSet<Digest> {
    let events = session.entries.iter().filter_map(|entry| match &entry.what {
        crate::session::What::Event(event) => Some(event.digest),
        _ => None,
    });
    events.collect()
}
