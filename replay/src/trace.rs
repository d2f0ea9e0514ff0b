//! CORE. A session as a tree of decisions: turns, model calls, what they asked for and what came of it. Holes are part of it.
//!
//! Types, and what an event says by itself; how events hang together is `tree.rs`, what is missing is `holes.rs`.

use std::sync::Arc;

use schemas::{Envelope, KafkaKey, Micros};

use crate::diff::{self, FieldChange};
use crate::message::{Message, ToolRequest};
use crate::session::{Body, Content, Position, Session, SessionEvent};
use crate::{holes, tree};

/// A decision trace.
#[derive(Clone, Debug)]
pub struct Trace {
    /// Tenant and id of the session.
    pub key: KafkaKey,
    /// `topic/partition` of its rows.
    pub partitions: Vec<String>,
    /// Sums over its events.
    pub totals: Totals,
    /// What happened, in order.
    pub turns: Vec<Turn>,
    /// What is missing or does not fit.
    pub holes: Vec<Hole>,
    /// What was checked, and what was not.
    pub checks: Vec<String>,
}

/// Sums over a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Rows, repeats and raw ones included.
    pub rows: u64,
    /// Events that only repeat an earlier one.
    pub repeats: u64,
    /// Model calls.
    pub model_calls: u64,
    /// Tool calls that were made.
    pub tool_calls: u64,
    /// Tokens in.
    pub input_tokens: u64,
    /// Tokens out.
    pub output_tokens: u64,
    /// Tokens read from a cache.
    pub cache_read_tokens: u64,
    /// Tokens of reasoning.
    pub reasoning_tokens: u64,
    /// In 1e-9 US dollars.
    pub cost_nanos: u64,
    /// When the first event began.
    pub first: Option<Micros>,
    /// When the last event began.
    pub last: Option<Micros>,
    /// Of the session's end, or the worst of its events.
    pub status: String,
    /// Agents that acted.
    pub agents: Vec<String>,
    /// Principals they acted for.
    pub principals: Vec<String>,
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
    /// Of a model call's context, entries at its beginning that the last call of some agent had too.
    pub known: usize,
    /// Of a model call's context, where the answer begins; otherwise the number of contents.
    pub answer: usize,
    /// Tool calls that the answer asks for.
    pub requests: Vec<ToolRequest>,
    /// What it changed.
    pub changes: Vec<Change>,
    /// What is odd about it.
    pub marks: Vec<String>,
    /// Tool calls that came of it.
    pub children: Vec<Self>,
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
    /// The row it was noticed at.
    pub at: Option<Position>,
    /// What it is, in words.
    pub reason: String,
}

impl Trace {
    /// Builds the trace of a session.
    #[must_use]
    pub fn of(session: &Session) -> Self {
        let turns = tree::build(session);
        let mut totals = totals(session);
        totals.model_calls = count(&turns, "llm.call");
        totals.tool_calls = count(&turns, "tool.call");
        Self {
            key: session.key.clone(),
            partitions: session.partitions.clone(),
            totals,
            holes: holes::find(session, &turns),
            turns,
            checks: [
                "every event was rebuilt from its row and read again: event digests, bodies and contexts are right \
                 where nothing else is said",
                "the bytes of every segment read were compared with the record beside it",
                "not checked: trees, chains and records themselves (run verify), signatures, the log",
            ]
            .map(str::to_owned)
            .into(),
        }
    }
}

fn totals(session: &Session) -> Totals {
    let rows = u64::try_from(session.entries.len()).unwrap_or(u64::MAX);
    let mut totals = Totals { rows, ..Totals::default() };
    let (mut worst, mut ended) = (0, None);
    let mut events = 0_u64;
    for (_, event) in session.events() {
        events += 1;
        let envelope = event.envelope();
        totals.add(&envelope);
        worst = worst.max(rank(&envelope.status));
        if envelope.kind == "session.end" && envelope.status != "unset" {
            ended = Some(envelope.status.to_string());
        }
    }
    let other =
        session.entries.iter().filter(|e| !matches!(e.what, crate::session::What::Event(_)));
    let other = u64::try_from(other.count()).unwrap_or(u64::MAX);
    totals.repeats = rows.saturating_sub(events).saturating_sub(other);
    totals.status = ended.unwrap_or_else(|| STATUSES.get(worst).copied().unwrap_or("unset").into());
    totals
}

/// From best to worst.
const STATUSES: [&str; 6] = ["unset", "ok", "cancelled", "denied", "timeout", "error"];

/// How bad a status is; an unknown one is as good as none.
pub(crate) fn rank(status: &str) -> usize {
    STATUSES.iter().position(|known| *known == status).unwrap_or(0)
}

pub(crate) fn status_of_rank(rank: usize) -> &'static str {
    STATUSES.get(rank).copied().unwrap_or("unset")
}

impl Totals {
    fn add(&mut self, envelope: &Envelope<'_>) {
        let sum = |to: &mut u64, value: Option<u64>| *to = to.saturating_add(value.unwrap_or(0));
        sum(&mut self.input_tokens, envelope.usage_input_tokens);
        sum(&mut self.output_tokens, envelope.usage_output_tokens);
        sum(&mut self.cache_read_tokens, envelope.usage_cache_read_input_tokens);
        sum(&mut self.reasoning_tokens, envelope.usage_reasoning_output_tokens);
        sum(&mut self.cost_nanos, envelope.cost_nanos);
        let time = envelope.occurred_at;
        self.first = Some(self.first.map_or(time, |first| first.min(time)));
        self.last = Some(self.last.map_or(time, |last| last.max(time)));
        note(&mut self.agents, agent(envelope));
        note(&mut self.principals, principal(envelope));
    }
}

fn note(list: &mut Vec<String>, name: Option<String>) {
    if let Some(name) = name
        && !list.contains(&name)
    {
        list.push(name);
    }
}

/// The acting agent: name or id, and version.
pub(crate) fn agent(envelope: &Envelope<'_>) -> Option<String> {
    let name = envelope.agent_name.as_deref().or(envelope.agent_id.as_deref())?;
    Some(match envelope.agent_version.as_deref() {
        Some(version) => format!("{name} {version}"),
        None => name.to_owned(),
    })
}

/// On whose behalf: type and id.
pub(crate) fn principal(envelope: &Envelope<'_>) -> Option<String> {
    let id = envelope.principal_id.as_deref()?;
    Some(match envelope.principal_type.as_deref() {
        Some(kind) => format!("{kind} {id}"),
        None => id.to_owned(),
    })
}

fn count(turns: &[Turn], kind: &str) -> u64 {
    let mut steps: Vec<&Step> = turns.iter().flat_map(|turn| &turn.steps).collect();
    let mut found = 0;
    while let Some(step) = steps.pop() {
        found += u64::from(step.event.envelope().kind == kind);
        steps.extend(&step.children);
    }
    found
}

impl Step {
    pub(crate) fn new(at: Position, event: &Arc<SessionEvent>) -> Self {
        let contents = event.contents.clone();
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
        }
    }

    /// The envelope that knows more: of the end, where there is one.
    #[must_use]
    pub fn last(&self) -> &Arc<SessionEvent> {
        self.end.as_ref().map_or(&self.event, |(_, end)| end)
    }

    /// The messages of some contents, those that are none left out.
    #[must_use]
    pub fn messages(contents: &[Arc<Content>]) -> Vec<Message> {
        contents.iter().filter_map(|content| Message::of(content)).collect()
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
