//! CORE. What a session lacks: shown as part of its trace, since what is not there is what an auditor looks for.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::session::{Body, Position, Repeat, Session, What};
use crate::trace::{Hole, Step, Turn};
use crate::tree::{all_steps, digests};

/// Most single numbers that one hole lists.
const LISTED_MAX: usize = 20;

/// Finds the holes.
pub(crate) fn find(session: &Session, turns: &[Turn]) -> Vec<Hole> {
    let mut holes: Vec<Hole> =
        session.notes.iter().map(|note| Hole { at: None, reason: note.clone() }).collect();
    holes.extend(rows(session));
    holes.extend(sequence(session));
    holes.extend(ends(session));
    holes.extend(producers(session));
    holes.extend(open_starts(turns));
    holes.extend(tools(turns));
    holes.extend(bodies(session));
    holes
}

fn hole(at: Position, reason: impl Into<String>) -> Hole {
    Hole { at: Some(at), reason: reason.into() }
}

/// Rows that are no events.
fn rows(session: &Session) -> Vec<Hole> {
    let known = digests(session);
    let mut holes = Vec::new();
    for entry in &session.entries {
        match &entry.what {
            What::Raw { reason, bytes } => {
                holes.push(hole(entry.at, format!("undecodable message: {reason}, {bytes} bytes")));
            }
            What::Damaged { why } => holes.push(hole(entry.at, format!("damaged row: {why}"))),
            What::Event(event) => {
                let before = event.envelope().prev_event_digest;
                if before.is_some_and(|digest| !known.contains(&digest)) {
                    holes.push(hole(entry.at, "the source's event before it is not here"));
                }
                if event.repeat == Repeat::Differs {
                    holes.push(hole(entry.at, "its event id was used before for something else"));
                }
                if let Err(why) = &event.context {
                    holes.push(hole(entry.at, *why));
                }
            }
        }
    }
    holes
}

/// Numbers that the source counted and that did not arrive.
fn sequence(session: &Session) -> Vec<Hole> {
    let numbers: BTreeSet<u64> =
        session.events().filter_map(|(_, event)| event.envelope().session_seq).collect();
    let mut missing: Vec<String> = Vec::new();
    let mut expected = 0;
    for number in numbers {
        if number > expected && missing.len() <= LISTED_MAX {
            let last = number - 1;
            missing.push(if last == expected {
                last.to_string()
            } else {
                format!("{expected}-{last}")
            });
        }
        expected = number.saturating_add(1);
    }
    if missing.is_empty() {
        return Vec::new();
    }
    if missing.len() > LISTED_MAX {
        missing.truncate(LISTED_MAX);
        missing.push("…".to_owned());
    }
    let reason = format!("lost events: session_seq {} did not arrive", missing.join(", "));
    vec![Hole { at: None, reason }]
}

fn ends(session: &Session) -> Vec<Hole> {
    let events: Vec<_> = session.events().collect();
    let end = events.iter().rev().find(|(_, event)| event.envelope().kind == "session.end");
    let Some((entry, end)) = end else {
        let reason = "there is no session.end: it goes on, or its end was lost".to_owned();
        return vec![Hole { at: None, reason }];
    };
    let stated = end.envelope().session_event_count;
    let found = u64::try_from(events.len()).unwrap_or(u64::MAX);
    match stated {
        Some(stated) if stated != found => {
            let reason = format!("the source counts {stated} events, {found} are here");
            vec![hole(entry.at, reason)]
        }
        _ => Vec::new(),
    }
}

/// Events that producers say they dropped: the highest count of each incarnation.
fn producers(session: &Session) -> Vec<Hole> {
    let mut dropped: BTreeMap<(String, Option<u64>), (u64, Position)> = BTreeMap::new();
    for (entry, event) in session.events() {
        let envelope = event.envelope();
        let count = envelope.producer_dropped.unwrap_or(0);
        let name = envelope.producer_id.as_deref().unwrap_or("a producer").to_owned();
        let most = dropped.entry((name, envelope.producer_epoch)).or_insert((0, entry.at));
        if count > most.0 {
            *most = (count, entry.at);
        }
    }
    let lost = dropped.into_iter().filter(|(_, (count, _))| *count > 0);
    lost.map(|((name, _), (count, at))| hole(at, format!("{name} dropped {count} events")))
        .collect()
}

fn open_starts(turns: &[Turn]) -> Vec<Hole> {
    let open = |step: &&&Step| step.end.is_none() && step.event.envelope().phase == "start";
    let steps = all_steps(turns);
    let reason =
        |step: &Step| format!("{} began and its end is not here", step.event.envelope().kind);
    steps.iter().filter(open).map(|step| hole(step.at, reason(step))).collect()
}

/// Tool calls that were asked for and not made, or made and not asked for.
fn tools(turns: &[Turn]) -> Vec<Hole> {
    let steps = all_steps(turns);
    let mut made: HashSet<String> = HashSet::new();
    let mut asked: HashSet<&str> = HashSet::new();
    let mut models = false;
    for step in &steps {
        let envelope = step.last().envelope();
        models |= envelope.kind == "llm.call";
        asked.extend(step.requests.iter().map(|request| request.id.as_str()));
        if envelope.kind == "tool.call" {
            made.extend(envelope.tool_call_id.as_deref().map(str::to_owned));
        }
    }
    let mut holes = Vec::new();
    for step in &steps {
        for request in step.requests.iter().filter(|request| !made.contains(&request.id)) {
            let reason =
                format!("{} ({}) was asked for and no tool call is here", request.name, request.id);
            holes.push(hole(step.at, reason));
        }
        let envelope = step.last().envelope();
        let id = envelope.tool_call_id.as_deref().filter(|_| envelope.kind == "tool.call");
        if let Some(id) = id.filter(|id| models && !asked.contains(id)) {
            let name = envelope.tool_name.as_deref().unwrap_or("a tool");
            holes
                .push(hole(step.at, format!("{name} ({id}) was called and no model asked for it")));
        }
    }
    holes
}

fn bodies(session: &Session) -> Vec<Hole> {
    let mut holes = Vec::new();
    for (entry, event) in session.events() {
        for content in &event.contents {
            if let Body::Absent(why) = &content.body {
                let reason =
                    format!("a body ({} {}) is not here: {why}", content.role, content.kind);
                holes.push(hole(entry.at, reason));
            }
        }
    }
    holes
}
