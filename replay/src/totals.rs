//! CORE. Sums over a session: a call that several doors saw counts once, and what a run says of its calls together not at all.

use schemas::{Envelope, Micros};

use crate::session::What;
use crate::trace::{Step, Turn};
use crate::tree::{Told, all_steps};

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

/// Sums over what is told.
pub(crate) fn of(told: &[Told<'_>], turns: &[Turn]) -> Totals {
    let mut totals = Totals::default();
    let (mut worst, mut ended) = (0, None);
    for part in told {
        let mut events = 0_u64;
        for (_, event) in part.events() {
            events += 1;
            let envelope = event.envelope();
            totals.add(&envelope);
            worst = worst.max(rank(&envelope.status));
            let is_end = envelope.kind == "session.end" && part.other.is_none();
            if is_end && envelope.status != "unset" {
                ended = Some(envelope.status.to_string());
            }
        }
        totals.rows = totals.rows.saturating_add(events);
        if part.traces.is_none() {
            let rows = u64::try_from(part.session.entries.len()).unwrap_or(u64::MAX);
            let is_other = |entry: &&crate::session::Entry| !matches!(entry.what, What::Event(_));
            let other = part.session.entries.iter().filter(is_other).count();
            let other = u64::try_from(other).unwrap_or(u64::MAX);
            totals.repeats = rows.saturating_sub(events).saturating_sub(other);
            totals.rows = totals.rows.saturating_add(rows.saturating_sub(events));
        }
    }
    for step in all_steps(turns) {
        match &*step.event.envelope().kind {
            "llm.call" => totals.model_calls += 1,
            "tool.call" => totals.tool_calls += 1,
            _ => {}
        }
        if !repeats_its_children(step) {
            totals.spend(step);
        }
    }
    totals.status = ended.unwrap_or_else(|| status_of_rank(worst).to_owned());
    totals
}

/// Whether what it says of tokens is what the model calls under it say.
fn repeats_its_children(step: &Step) -> bool {
    let is_run = matches!(&*step.event.envelope().kind, "agent.run" | "span");
    let mut below: Vec<&Step> = step.children.iter().collect();
    while let Some(step) = below.pop().filter(|_| is_run) {
        if step.event.envelope().kind == "llm.call" {
            return true;
        }
        below.extend(&step.children);
    }
    false
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
    /// Adds a step's tokens and cost once, whoever told of them.
    fn spend(&mut self, step: &Step) {
        let envelopes = step.envelopes();
        let sum = |to: &mut u64, of: fn(&Envelope<'_>) -> Option<u64>| {
            *to = to.saturating_add(envelopes.iter().find_map(of).unwrap_or(0));
        };
        sum(&mut self.input_tokens, |it| it.usage_input_tokens);
        sum(&mut self.output_tokens, |it| it.usage_output_tokens);
        sum(&mut self.cache_read_tokens, |it| it.usage_cache_read_input_tokens);
        sum(&mut self.reasoning_tokens, |it| it.usage_reasoning_output_tokens);
        sum(&mut self.cost_nanos, |it| it.cost_nanos);
    }

    fn add(&mut self, envelope: &Envelope<'_>) {
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
