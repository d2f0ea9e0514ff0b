//! CORE. A session as a tree of decisions: turns, model calls, what they asked for and what came of it. Holes are part of it.
//!
//! Types, and what an event says by itself; how events hang together is `tree.rs`, what is missing is `holes.rs`.

use std::collections::BTreeSet;
use std::sync::Arc;

use schemas::{Envelope, KafkaKey, TraceId};

use crate::diff::{self, FieldChange};
use crate::message::{Message, ToolRequest};
use crate::session::{Body, Content, Position, Session, SessionEvent};
use crate::totals::Totals;
use crate::tree::{Told, all_steps};
use crate::{holes, totals, tree};

/// A decision trace.
#[derive(Clone, Debug)]
pub struct Trace {
    /// Tenant and id of the session.
    pub key: KafkaKey,
    /// The trace, where that was asked for and not the session.
    pub trace_id: Option<TraceId>,
    /// `topic/partition` of its rows.
    pub partitions: Vec<String>,
    /// Ids of other sessions that take part in its traces.
    pub others: Vec<String>,
    /// The doors and libraries that told of it.
    pub sources: Vec<String>,
    /// Sums over its events.
    pub totals: Totals,
    /// What happened, in order.
    pub turns: Vec<Turn>,
    /// What is missing or does not fit.
    pub holes: Vec<Hole>,
    /// What was checked, and what was not.
    pub checks: Vec<String>,
}

/// What one user message set off.
#[derive(Clone, Debug, Default)]
pub struct Turn {
    /// Its steps.
    pub steps: Vec<Step>,
}

/// An event, or a start and its end together, and what hangs on it.
#[derive(Clone, Debug)]
pub struct Step {
    /// Where the event that began it stands.
    pub at: Position,
    /// The event; of a pair, the start.
    pub event: Arc<SessionEvent>,
    /// The end of a pair, and where it stands.
    pub end: Option<(Position, Arc<SessionEvent>)>,
    /// A model call's whole context, or what the event itself names.
    pub contents: Vec<Arc<Content>>,
    /// Of a model call's context, where that begins which no last call of an agent had. Apparatus is neither known nor new.
    pub known: usize,
    /// Of a model call's context, where the answer begins; otherwise the number of contents.
    pub answer: usize,
    /// Tool calls that the answer asks for.
    pub requests: Vec<Request>,
    /// What it changed.
    pub changes: Vec<Change>,
    /// What is odd about it.
    pub marks: Vec<String>,
    /// What came of it, and what happened within it.
    pub children: Vec<Self>,
    /// Whether a model call asked for it.
    pub asked: bool,
    /// Of another session, its id.
    pub session: Option<Arc<str>>,
    /// The same call, as others saw it.
    pub also: Vec<Sighting>,
}

/// A call as another door saw it that one step already tells of.
#[derive(Clone, Debug)]
pub struct Sighting {
    /// Where the event that began it stands.
    pub at: Position,
    /// The event; of a pair, the start.
    pub event: Arc<SessionEvent>,
    /// The end of a pair, and where it stands.
    pub end: Option<(Position, Arc<SessionEvent>)>,
    /// Of another session, its id.
    pub session: Option<Arc<str>>,
}

/// A tool call that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What was asked for.
    pub call: ToolRequest,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a tool call that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing that is here.
    Missing,
    /// Its result stands in a later call, the run was not seen.
    Told,
    /// It was made.
    Made,
}

/// A change of state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What changed.
    pub target: String,
    /// An RFC 6902 operation.
    pub op: String,
    /// Where in the target.
    pub path: String,
    /// Field by field; empty where the values are not to be had or equal.
    pub fields: Vec<FieldChange>,
}

/// Something that is not there, or not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hole {
    /// Of another session, its id.
    pub session: Option<Arc<str>>,
    /// The row it was noticed at.
    pub at: Option<Position>,
    /// What it is, in words.
    pub reason: String,
}

impl Trace {
    /// Builds the trace of a session.
    #[must_use]
    pub fn of(session: &Session) -> Self {
        Self::joined(&[Told { session, other: None, traces: None }], session)
    }

    /// Builds the trace of sessions that are one run: the first is the one that was asked for.
    pub(crate) fn joined(told: &[Told<'_>], session: &Session) -> Self {
        let turns = tree::build(told);
        let sources: BTreeSet<String> =
            all_steps(&turns).iter().flat_map(|step| step.sources()).collect();
        Self {
            key: session.key.clone(),
            trace_id: None,
            partitions: session.partitions.clone(),
            others: told
                .iter()
                .filter_map(|told| told.other.as_deref().map(str::to_owned))
                .collect(),
            sources: sources.into_iter().collect(),
            totals: totals::of(told, &turns),
            holes: holes::find(told, &turns),
            turns,
            checks: checks(told),
        }
    }
}

fn checks(told: &[Told<'_>]) -> Vec<String> {
    let mut checks = vec![
        "every event was rebuilt from its row and read again: event digests, bodies and contexts are right where \
         nothing else is said",
        "the bytes of every segment read were compared with the record beside it",
        "not checked: trees, chains and records themselves (run verify), signatures, the log",
    ];
    if told.iter().any(|told| told.traces.is_none() && told.session.is_watched()) {
        checks.push(
            "not known: whether the session is over; what only watches (OTLP, the proxies) is not told of its end",
        );
    }
    checks.into_iter().map(str::to_owned).collect()
}

impl Step {
    pub(crate) fn new(at: Position, event: &Arc<SessionEvent>) -> Self {
        // What a model was told is its whole context.
        let is_model_call = event.envelope().kind == "llm.call";
        let contents = if is_model_call { event.whole() } else { &event.contents }.to_vec();
        Self {
            at,
            event: event.clone(),
            end: None,
            known: 0,
            answer: contents.len(),
            contents,
            requests: Vec::new(),
            changes: changes(event),
            marks: Vec::new(),
            children: Vec::new(),
            asked: false,
            session: None,
            also: Vec::new(),
        }
    }

    /// The envelope that knows more: of the end, where there is one.
    #[must_use]
    pub fn last(&self) -> &Arc<SessionEvent> {
        self.end.as_ref().map_or(&self.event, |(_, end)| end)
    }

    /// All envelopes that tell of it, those that know more first.
    #[must_use]
    pub fn envelopes(&self) -> Vec<Envelope<'_>> {
        let own = [self.end.as_ref().map(|(_, end)| end), Some(&self.event)];
        let also = self
            .also
            .iter()
            .flat_map(|other| [other.end.as_ref().map(|(_, end)| end), Some(&other.event)]);
        own.into_iter().chain(also).flatten().map(|event| event.envelope()).collect()
    }

    /// The doors and libraries that told of it, each once, the one whose contents it has first.
    #[must_use]
    pub fn sources(&self) -> Vec<String> {
        let mut sources = Vec::new();
        for envelope in self.envelopes() {
            let source = envelope.capture_source.to_string();
            if !sources.contains(&source) {
                sources.push(source);
            }
        }
        sources
    }

    /// What a model call was told that none before it was.
    pub(crate) fn added(&self) -> impl Iterator<Item = &Arc<Content>> {
        let input = self.contents.get(self.known..self.answer).unwrap_or_default();
        input.iter().filter(|content| content.is_conversation())
    }

    /// What came of it: the answer, and the apparatus after it.
    pub(crate) fn output(&self) -> &[Arc<Content>] {
        self.contents.get(self.answer..).unwrap_or_default()
    }

    /// The messages of some contents, those that are none left out.
    #[must_use]
    pub fn messages(contents: &[Arc<Content>]) -> Vec<Message> {
        contents.iter().filter_map(|content| Message::of(content)).collect()
    }
}

impl Sighting {
    pub(crate) fn of(step: Step) -> Self {
        Self { at: step.at, event: step.event, end: step.end, session: step.session }
    }
}

fn changes(event: &SessionEvent) -> Vec<Change> {
    let value = |digest: Option<schemas::Digest>| {
        let named = digest.map(|digest| event.contents.iter().find(|c| c.digest == digest));
        named.flatten().and_then(|content| match &content.body {
            Body::Clear(bytes) => Some(bytes.clone()),
            _ => None,
        })
    };
    let envelope = event.envelope();
    let change = |change: &schemas::StateChange<'_>| Change {
        target: change.target.to_string(),
        op: change.op.to_string(),
        path: change.path.to_string(),
        fields: diff::between(value(change.before).as_deref(), value(change.after).as_deref()),
    };
    envelope.state_changes.iter().map(change).collect()
}
