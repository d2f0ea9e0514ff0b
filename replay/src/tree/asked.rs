//! Which model call asked for a tool call, and what became of what was asked for.

use std::collections::{HashMap, HashSet};

use crate::trace::{Outcome, Step};

/// For each step, the model call that asked for it. Says of each request what came of it.
pub(super) fn pair(steps: &mut [Step]) -> Vec<Option<usize>> {
    let mut asked: HashMap<String, (usize, usize)> = HashMap::new();
    for (at, step) in steps.iter().enumerate() {
        let ids =
            step.requests.iter().enumerate().map(|(index, it)| (it.call.id.clone(), (at, index)));
        asked.extend(ids.filter(|(id, _)| !id.is_empty()));
    }
    let mut askers = vec![None; steps.len()];
    let runs: Vec<(usize, Run)> = runs(steps);
    for (at, run) in &runs {
        if let Some((asker, index)) = run.ids.iter().find_map(|id| asked.get(id).copied()) {
            made(steps, asker, index);
            askers.get_mut(*at).into_iter().for_each(|slot| *slot = Some(asker));
        }
    }
    by_name(steps, &runs, &mut askers);
    for (step, asker) in steps.iter_mut().zip(&askers) {
        step.asked = asker.is_some();
    }
    told(steps);
    askers
}

/// A tool call that was made: the ids that it has, one for each who saw it, and the names.
struct Run {
    ids: Vec<String>,
    names: Vec<String>,
}

fn runs(steps: &[Step]) -> Vec<(usize, Run)> {
    let run = |(at, step): (usize, &Step)| {
        let envelopes = step.envelopes();
        if envelopes.first().is_none_or(|envelope| envelope.kind != "tool.call") {
            return None;
        }
        let ids = envelopes.iter().filter_map(|it| it.tool_call_id.as_deref()).map(str::to_owned);
        let names = envelopes.iter().filter_map(|it| it.tool_name.as_deref()).map(str::to_owned);
        Some((at, Run { ids: ids.collect(), names: names.collect() }))
    };
    steps.iter().enumerate().filter_map(run).collect()
}

fn made(steps: &mut [Step], asker: usize, index: usize) {
    let request = steps.get_mut(asker).and_then(|step| step.requests.get_mut(index));
    request.into_iter().for_each(|request| request.outcome = Outcome::Made);
}

/// Some sources give a run another id than the request, or none: it answers the last open request for its tool.
fn by_name(steps: &mut [Step], runs: &[(usize, Run)], askers: &mut [Option<usize>]) {
    let mut open: Vec<(usize, usize)> = Vec::new();
    let mut runs = runs.iter().peekable();
    for at in 0..steps.len() {
        let requests = steps.get(at).map(|step| step.requests.as_slice()).unwrap_or_default();
        let unmade = requests.iter().enumerate().filter(|(_, it)| it.outcome != Outcome::Made);
        if !requests.is_empty() {
            // A model that was answered has no open request any more, whatever became of it.
            open = unmade.map(|(index, _)| (at, index)).collect();
        }
        let Some((_, run)) = runs.next_if(|(run, _)| *run == at) else { continue };
        if askers.get(at).is_none_or(Option::is_some) {
            continue;
        }
        let fits = |(asker, index): &(usize, usize)| {
            let request = steps.get(*asker).and_then(|step| step.requests.get(*index));
            request.is_some_and(|it| run.names.iter().any(|name| same_tool(&it.call.name, name)))
        };
        let Some(found) = open.iter().position(fits) else { continue };
        let (asker, index) = open.remove(found);
        made(steps, asker, index);
        askers.get_mut(at).into_iter().for_each(|slot| *slot = Some(asker));
        if let Some(step) = steps.get_mut(at) {
            step.marks.push(
                "it shares no id with what was asked for: found by the tool's name".to_owned(),
            );
        }
    }
}

/// Requests whose result a later call was told, though nobody saw the call itself.
fn told(steps: &mut [Step]) {
    let mut answered: HashSet<String> = HashSet::new();
    for step in steps.iter().filter(|step| step.event.envelope().kind == "llm.call") {
        let messages = step.added().filter_map(|content| crate::message::Message::of(content));
        answered.extend(messages.flat_map(|message| message.answers));
    }
    for step in steps {
        for request in &mut step.requests {
            if request.outcome == Outcome::Missing && answered.contains(request.call.key()) {
                request.outcome = Outcome::Told;
                let call = &request.call;
                let id = if call.id.is_empty() { String::new() } else { format!(" ({})", call.id) };
                step.marks.push(format!(
                    "{}{id} was not seen running: its result came with a later call",
                    call.name
                ));
            }
        }
    }
}

/// Whether two names are of one tool: clients put the server's name before the tool's.
pub(super) fn same_tool(a: &str, b: &str) -> bool {
    let ends = |long: &str, short: &str| {
        let before = long.strip_suffix(short).unwrap_or_default();
        !short.is_empty() && before.ends_with(['_', '.', '/', ':', '-'])
    };
    a == b || ends(a, b) || ends(b, a)
}

#[cfg(test)]
mod tests {
    use super::same_tool;

    #[test]
    fn a_tool_is_the_same_behind_the_name_of_its_server() {
        assert!(same_tool("read", "read") && same_tool("mcp__files__read", "read"));
        assert!(same_tool("read", "files.read") && same_tool("files-read", "read"));
        assert!(!same_tool("spread", "read") && !same_tool("read", "write"));
        assert!(!same_tool("files_", "") && same_tool("", ""));
    }
}
