//! Events as steps: a start and its end are one, and what is odd about each is said.

use std::collections::HashMap;
use std::sync::Arc;

use schemas::Envelope;

use super::Told;
use crate::session::{Content, Repeat, SessionEvent};
use crate::trace::Step;

/// The steps of what is told, in the order of its rows.
pub(crate) fn steps(told: &Told<'_>) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut open: HashMap<(String, String), usize> = HashMap::new();
    for (entry, event) in told.events() {
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
        let mut step = Step::new(entry.at, event);
        step.session.clone_from(&told.other);
        step.marks = marks(&step);
        steps.push(step);
    }
    steps
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

/// Contents of a start and its end: the end's whole context where that continues or repeats the start, else one after the other.
fn joined(start: &SessionEvent, end: &SessionEvent) -> Vec<Arc<Content>> {
    let (first, whole) = (start.whole(), end.whole());
    let repeats = whole.len() >= first.len()
        && whole.iter().zip(first).all(|(a, b)| a.sameness == b.sameness);
    let continues = end.envelope().context_prefix.is_some() || repeats;
    if continues { whole.to_vec() } else { [first, whole].concat() }
}

fn marks(step: &Step) -> Vec<String> {
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
    marks
}
