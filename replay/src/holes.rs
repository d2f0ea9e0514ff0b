//! CORE. What a session lacks: shown as part of its trace, since what is not there is what an auditor looks for.

use std::collections::{BTreeMap, BTreeSet};

use crate::session::{Body, Position, Repeat, Session, What};
use crate::trace::{Hole, Outcome, Request, Step, Turn};
use crate::tree::{Told, all_steps, digests};

/// Most single numbers that one hole lists.
const LISTED_MAX: usize = 20;
/// Most bytes of a producer's account of what it lost that a hole repeats.
const ACCOUNT_BYTES_MAX: usize = 200;

/// Finds the holes. Of another session only what belongs to the trace is looked at.
pub(crate) fn find(told: &[Told<'_>], turns: &[Turn]) -> Vec<Hole> {
    let mut holes = Vec::new();
    for part in told {
        let mut own = gaps(part);
        own.extend(bodies(part));
        if part.traces.is_none() {
            let session = part.session;
            let notes = session.notes.iter().map(|note| hole(None, note.clone()));
            own.extend(notes.chain(rows(session)).chain(sequence(session)));
            own.extend(ends(session).into_iter().chain(producers(session)));
        }
        own.iter_mut().for_each(|hole| hole.session.clone_from(&part.other));
        holes.extend(own);
    }
    holes.extend(open_starts(turns));
    holes.extend(tools(turns));
    holes
}

fn hole(at: impl Into<Option<Position>>, reason: impl Into<String>) -> Hole {
    Hole { session: None, at: at.into(), reason: reason.into() }
}

/// A hole at a step.
fn at_step(step: &Step, reason: String) -> Hole {
    Hole { session: step.session.clone(), at: Some(step.at), reason }
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
    vec![hole(None, reason)]
}

fn ends(session: &Session) -> Vec<Hole> {
    let events: Vec<_> = session.events().collect();
    let end = events.iter().rev().find(|(_, event)| event.envelope().kind == "session.end");
    let Some((entry, end)) = end else {
        if session.is_watched() {
            return Vec::new();
        }
        let reason = "there is no session.end: it goes on, or its end was lost".to_owned();
        return vec![hole(None, reason)];
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

/// Events that a producer says are missing here.
fn gaps(told: &Told<'_>) -> Vec<Hole> {
    let mut holes = Vec::new();
    for (entry, event) in told.events() {
        let envelope = event.envelope();
        if envelope.kind != "producer.gap" {
            continue;
        }
        let name = envelope.producer_id.as_deref().unwrap_or("a producer");
        let why = envelope.error_type.as_deref().map_or_else(String::new, |why| format!(": {why}"));
        let account = event.contents.iter().find_map(|content| match &content.body {
            Body::Clear(bytes) if bytes.len() <= ACCOUNT_BYTES_MAX => {
                std::str::from_utf8(bytes).ok()
            }
            _ => None,
        });
        let account = account.map_or_else(String::new, |account| format!(", {account}"));
        holes.push(hole(entry.at, format!("{name} lost some of this session{why}{account}")));
    }
    holes
}

/// Events that producers say they dropped: the highest count of each incarnation. Their own numbers are not judged: what one
/// producer numbers goes to many sessions.
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
    steps.iter().filter(open).map(|step| at_step(step, reason(step))).collect()
}

/// Tool calls that were asked for and not made, or made and not asked for.
fn tools(turns: &[Turn]) -> Vec<Hole> {
    let steps = all_steps(turns);
    let spoke = |step: &&&Step| step.output().iter().any(|content| content.is_conversation());
    let is = |step: &Step, kind: &str| step.event.envelope().kind == kind;
    // Where no answer of a model is here, nobody can say what was asked for.
    let models = steps.iter().filter(|step| is(step, "llm.call")).any(|step| spoke(&step));
    let mut holes = Vec::new();
    for step in &steps {
        let missing = step.requests.iter().filter(|request| request.outcome == Outcome::Missing);
        for Request { call, .. } in missing {
            let reason =
                format!("{} ({}) was asked for and no tool call is here", call.name, call.id);
            holes.push(at_step(step, reason));
        }
        if !models || step.asked || !is(step, "tool.call") {
            continue;
        }
        let envelopes = step.envelopes();
        if let Some(id) = envelopes.iter().find_map(|envelope| envelope.tool_call_id.as_deref()) {
            let name = envelopes.iter().find_map(|envelope| envelope.tool_name.as_deref());
            let name = name.unwrap_or("a tool");
            let reason = format!("{name} ({id}) was called and no model asked for it");
            holes.push(at_step(step, reason));
        }
    }
    holes
}

fn bodies(told: &Told<'_>) -> Vec<Hole> {
    let mut holes = Vec::new();
    for (entry, event) in told.events() {
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
