//! CORE. How a session's events hang together: pairs of start and end, turns, tool calls under the model call that asked for them.

use std::collections::HashMap;
use std::sync::Arc;

use schemas::{Digest, Envelope};

use crate::diff;
use crate::message::Message;
use crate::session::{Body, Content, Repeat, Session, SessionEvent};
use crate::trace::{Change, Step, Turn};

/// Builds the turns.
pub(crate) fn build(session: &Session) -> Vec<Turn> {
    let mut tree = Tree::default();
    for step in steps(session) {
        tree.push(step);
    }
    tree.turns
}

/// What a start and its end have in common.
fn pair_keys(envelope: &Envelope<'_>) -> Vec<(String, String)> {
    let kind = |name: &str| format!("{} {name}", envelope.kind);
    let mut keys = Vec::new();
    if let Some(span) = envelope.span_id {
        keys.push((kind("span"), span.to_string()));
    }
    if let Some(call) = &envelope.tool_call_id {
        keys.push((kind("call"), call.to_string()));
    }
    let event = if envelope.phase == "end" { envelope.causation_id } else { None };
    keys.extend(
        [Some(envelope.event_id), event]
            .into_iter()
            .flatten()
            .map(|id| (kind("event"), id.to_string())),
    );
    keys
}

/// Events as steps: an end joins the open start it belongs to.
fn steps(session: &Session) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut open: HashMap<(String, String), usize> = HashMap::new();
    for (entry, event) in session.events() {
        let envelope = event.envelope();
        let keys = pair_keys(&envelope);
        if envelope.phase == "end"
            && let Some(at) = keys.iter().find_map(|key| open.get(key).copied())
            && let Some(step) = steps.get_mut(at)
        {
            step.end = Some((entry.at, event.clone()));
            step.contents = joined(&step.event, event);
            step.answer = step.contents.len();
            open.retain(|_, started| *started != at);
            continue;
        }
        if envelope.phase == "start" {
            open.extend(keys.into_iter().map(|key| (key, steps.len())));
        }
        steps.push(marked(Step::new(entry.at, event)));
    }
    steps
}

/// Contents of a start and its end: the end's whole context where that continues the start, else one after the other.
fn joined(start: &SessionEvent, end: &SessionEvent) -> Vec<Arc<Content>> {
    let continues = end.envelope().context_prefix.is_some();
    if continues { end.whole().to_vec() } else { [start.whole(), end.whole()].concat() }
}

fn marked(mut step: Step) -> Step {
    let envelope = step.event.envelope();
    let mut marks = Vec::new();
    if step.event.repeat == Repeat::Differs {
        marks.push("an earlier event has this id and says something else".to_owned());
    }
    if let Err(why) = &step.event.context {
        marks.push((*why).to_owned());
    }
    if envelope.phase == "end" {
        marks.push("its start was not found".to_owned());
    }
    if !matches!(&*envelope.capture_fidelity, "structured" | "exact_bytes") {
        marks.push(format!("captured {}", envelope.capture_fidelity));
    }
    if let Some(dropped) = envelope.source_dropped.filter(|dropped| *dropped > 0) {
        marks.push(format!("the source dropped {dropped} of it"));
    }
    step.marks = marks;
    step
}

/// The tree as far as it has grown.
#[derive(Debug, Default)]
struct Tree {
    turns: Vec<Turn>,
    /// Whether a turn was begun by somebody who spoke.
    spoken: bool,
    /// Whether the current turn began with a user message that no model call took up yet.
    waiting: bool,
    /// The whole context of each agent's model call before.
    before: HashMap<String, Vec<Arc<Content>>>,
    /// Where a tool call was asked for: turn and step.
    asked: HashMap<String, (usize, usize)>,
    /// The last configuration of each role and kind.
    config: HashMap<(String, String), Arc<Content>>,
}

impl Tree {
    fn push(&mut self, mut step: Step) {
        let kind = step.event.envelope().kind.to_string();
        let new_turn = match kind.as_str() {
            "user.message" => {
                self.waiting = true;
                true
            }
            "llm.call" => {
                let said = self.model_call(&mut step);
                !std::mem::take(&mut self.waiting) && said
            }
            "tool.call" => return self.tool_call(step),
            "config.change" => {
                self.configure(&mut step);
                false
            }
            _ => false,
        };
        // What came before anybody spoke belongs to the first turn.
        let spoken = self.spoken;
        self.spoken |= new_turn;
        if (new_turn && spoken) || self.turns.is_empty() {
            self.turns.push(Turn::default());
        }
        let turn = self.turns.len().saturating_sub(1);
        if let Some(last) = self.turns.last_mut() {
            let at = (turn, last.steps.len());
            let ids = step.requests.iter().map(|request| request.id.clone());
            self.asked.extend(ids.filter(|id| !id.is_empty()).map(|id| (id, at)));
            last.steps.push(step);
        }
    }

    /// Finds what is new in a model call and what it asks for; says whether a user said something new.
    fn model_call(&mut self, step: &mut Step) -> bool {
        let envelope = step.event.envelope();
        let agent = envelope.agent_id.as_deref().or(envelope.agent_name.as_deref());
        let agent = agent.unwrap_or_default().to_owned();
        drop(envelope);
        if step.end.is_none() {
            step.contents = step.event.whole().to_vec();
        }
        let own = self.before.get(&agent).map_or(&[][..], Vec::as_slice);
        let dropped = own.len() - common(own, &step.contents);
        if dropped > 0 && dropped < own.len() {
            step.marks.push(format!("{dropped} entries of its context before are not in this one"));
        }
        let known = self.before.values().map(|before| common(before, &step.contents)).max();
        step.known = known.unwrap_or(0);
        step.answer = answer(&step.contents, step.known);
        let (input, output) = step.contents.split_at(step.answer.min(step.contents.len()));
        let said = input.iter().skip(step.known).any(is_user_message);
        step.requests = Step::messages(output).into_iter().flat_map(|m| m.calls).collect();
        self.before.insert(agent, step.contents.clone());
        said
    }

    fn tool_call(&mut self, mut step: Step) {
        let envelope = step.last().envelope();
        let asked = envelope.tool_call_id.as_deref().and_then(|id| self.asked.get(id).copied());
        drop(envelope);
        let last = self.turns.len().saturating_sub(1);
        match asked {
            Some((turn, at)) if turn == last => {
                let parent = self.turns.get_mut(turn).and_then(|turn| turn.steps.get_mut(at));
                if let Some(parent) = parent {
                    return parent.children.push(step);
                }
            }
            Some((turn, _)) => step.marks.push(format!("asked for in turn {}", turn + 1)),
            None => {}
        }
        if self.turns.is_empty() {
            self.turns.push(Turn::default());
        }
        if let Some(turn) = self.turns.last_mut() {
            turn.steps.push(step);
        }
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

/// Entries that two contexts begin with alike.
fn common(before: &[Arc<Content>], now: &[Arc<Content>]) -> usize {
    before.iter().zip(now).take_while(|(a, b)| a.sameness == b.sameness).count()
}

/// Where the answer begins: the run of assistant contents at the end, as far as it is new.
fn answer(contents: &[Arc<Content>], known: usize) -> usize {
    let said = contents.iter().rev().take_while(|content| content.role == "assistant").count();
    contents.len().saturating_sub(said).max(known)
}

fn is_user_message(content: &Arc<Content>) -> bool {
    let Some(message) = Message::of(content) else { return false };
    message.role == "user" && message.answers.is_empty()
}

/// Every step of the turns, parents before children.
pub(crate) fn all_steps(turns: &[Turn]) -> Vec<&Step> {
    let mut all = Vec::new();
    for step in turns.iter().flat_map(|turn| &turn.steps) {
        all.push(step);
        all.extend(&step.children);
    }
    all
}

/// The digests of all events of a session, repeats included.
pub(crate) fn digests(session: &Session) -> std::collections::HashSet<Digest> {
    let events = session.entries.iter().filter_map(|entry| match &entry.what {
        crate::session::What::Event(event) => Some(event.digest),
        _ => None,
    });
    events.collect()
}
