//! A call that several doors saw is one step: who saw it best tells what was said, the others what else they know.
//!
//! It takes a reason to make two events one: an id of the answer, or a span that is the other's parent. Time alone is none.

use std::collections::HashMap;
use std::sync::Arc;

use schemas::{SpanId, TraceId};

use super::asked::same_tool;
use crate::trace::{Sighting, Step};

/// Calls with one id that are considered, the latest.
const CANDIDATES_MAX: usize = 8;

/// What tells whether two steps are one.
#[derive(Clone, Debug)]
struct Marks {
    kind: String,
    source: String,
    session: Option<Arc<str>>,
    trace: Option<TraceId>,
    span: Option<SpanId>,
    parent: Option<SpanId>,
    response: Option<String>,
    call: Option<String>,
    tool: Option<String>,
    begin: i64,
    end: i64,
    failed: bool,
}

impl Marks {
    fn of(step: &Step) -> Self {
        let (first, last) = (step.event.envelope(), step.last().envelope());
        let text = |name: &Option<std::borrow::Cow<'_, str>>| {
            name.as_deref().filter(|name| !name.is_empty()).map(str::to_owned)
        };
        let begin = first.occurred_at.0;
        let lasted = last.duration_us.and_then(|us| i64::try_from(us).ok()).unwrap_or(0);
        Self {
            kind: first.kind.to_string(),
            source: first.capture_source.to_string(),
            session: step.session.clone(),
            trace: first.trace_id.or(last.trace_id),
            span: first.span_id.or(last.span_id),
            parent: first.parent_span_id.or(last.parent_span_id),
            response: text(&last.response_id),
            call: text(&last.tool_call_id).or(text(&first.tool_call_id)),
            tool: text(&last.tool_name).or(text(&first.tool_name)),
            begin,
            end: begin.saturating_add(lasted),
            failed: !matches!(&*last.status, "ok" | "unset"),
        }
    }

    fn is_call(&self) -> bool {
        matches!(self.kind.as_str(), "llm.call" | "tool.call")
    }

    fn is_otlp(&self) -> bool {
        self.source == "otlp"
    }

    /// Names of the same call, wherever it is seen: within its trace, and within its session.
    fn names(&self) -> Vec<String> {
        let name = match self.kind.as_str() {
            "llm.call" => self.response.clone(),
            "tool.call" => {
                self.call.as_ref().zip(self.tool.as_ref()).map(|(c, t)| format!("{c} {t}"))
            }
            _ => None,
        };
        let Some(name) = name else { return Vec::new() };
        let session = self.session.as_deref().unwrap_or_default();
        let within =
            [self.trace.map(|trace| format!("trace {trace}")), Some(format!("session {session}"))];
        within.into_iter().flatten().map(|of| format!("{} {of} {name}", self.kind)).collect()
    }

    /// Whether two doors that tell of one call would tell this. One door tells of a call once, but libraries below each
    /// other have spans of their own.
    fn may_be(&self, other: &Self) -> bool {
        let differ = |a: &Option<String>, b: &Option<String>| a.is_some() && b.is_some() && a != b;
        let overlap = self.begin <= other.end && other.begin <= self.end;
        let both_otlp = self.is_otlp() && other.is_otlp();
        self.kind == other.kind
            && (self.source != other.source || (both_otlp && overlap && self.span != other.span))
            && !differ(&self.response, &other.response)
            && self.tool.as_deref().zip(other.tool.as_deref()).is_none_or(|(a, b)| same_tool(a, b))
    }
}

/// Makes one step of those that are the same call, at the place of the first of them.
pub(super) fn join(steps: Vec<Step>) -> Vec<Step> {
    let mut marks: Vec<Marks> = steps.iter().map(Marks::of).collect();
    time_records(&mut marks);
    let mut groups = Groups::new(&marks);
    // Of calls that were tried again below one span, that which was answered is its own.
    let (failed, mut turns): (Vec<usize>, Vec<usize>) =
        (0..marks.len()).partition(|at| marks.get(*at).is_some_and(|marks| marks.failed));
    turns.extend(failed);
    turns.iter().for_each(|at| groups.join_parent(*at));
    turns.iter().for_each(|at| groups.join_named(*at));
    let of: Vec<usize> = (0..marks.len()).map(|at| groups.of(at)).collect();
    let mut members: Vec<Vec<Step>> = steps.iter().map(|_| Vec::new()).collect();
    for (step, of) in steps.into_iter().zip(of) {
        if let Some(group) = members.get_mut(of) {
            group.push(step);
        }
    }
    members.into_iter().filter_map(one).collect()
}

/// Where each span is told of first.
fn spans(marks: &[Marks]) -> HashMap<(TraceId, SpanId), usize> {
    let mut spans = HashMap::new();
    for (at, it) in marks.iter().enumerate() {
        if let Some(key) = it.trace.zip(it.span) {
            spans.entry(key).or_insert(at);
        }
    }
    spans
}

/// A log record of a call is of the call's span, whenever it was written.
fn time_records(marks: &mut [Marks]) {
    let spans = spans(marks);
    for at in 0..marks.len() {
        let record = marks.get(at).filter(|it| it.is_call() && it.is_otlp() && it.span.is_none());
        let span = record.and_then(|it| spans.get(&(it.trace?, it.parent?)));
        let span = span.and_then(|span| marks.get(*span));
        let times = record.zip(span).filter(|(record, span)| record.kind == span.kind);
        let times = times.map(|(_, span)| (span.begin, span.end));
        if let Some((it, (begin, end))) = marks.get_mut(at).zip(times) {
            (it.begin, it.end) = (begin, end);
        }
    }
}

/// Which steps are one: each names the first of its group.
struct Groups<'m> {
    marks: &'m [Marks],
    first: Vec<usize>,
    members: Vec<Vec<usize>>,
    spans: HashMap<(TraceId, SpanId), usize>,
    named: HashMap<String, Vec<usize>>,
}

impl<'m> Groups<'m> {
    fn new(marks: &'m [Marks]) -> Self {
        let spans = spans(marks);
        let (first, members) = (0..marks.len()).map(|at| (at, vec![at])).unzip();
        Self { marks, first, members, spans, named: HashMap::new() }
    }

    fn of(&self, at: usize) -> usize {
        self.first.get(at).copied().unwrap_or(at)
    }

    /// Joins a step to its parent where that is the same call, or to the parent of a span in between.
    fn join_parent(&mut self, at: usize) {
        let Some(own) = self.marks.get(at).filter(|own| own.is_call()) else { return };
        let above = |it: &Marks| self.spans.get(&(it.trace?, it.parent?)).copied();
        let parent = above(own).filter(|parent| *parent != at);
        let grandparent = parent.and_then(|parent| self.marks.get(parent));
        let grandparent = grandparent.filter(|it| it.kind == "span").and_then(above);
        for above in [parent, grandparent].into_iter().flatten() {
            if self.join(above, at) {
                return;
            }
        }
    }

    /// Joins a step to an earlier one that has the same id.
    fn join_named(&mut self, at: usize) {
        let names = self.marks.get(at).map(Marks::names).unwrap_or_default();
        let candidates: Vec<usize> = names
            .iter()
            .filter_map(|name| self.named.get(name))
            .flat_map(|same| same.iter().rev().copied())
            .collect();
        let _joined = candidates.into_iter().any(|other| self.join(other, at));
        for name in names {
            let same = self.named.entry(name).or_default();
            same.push(at);
            if same.len() > CANDIDATES_MAX {
                same.remove(0);
            }
        }
    }

    /// Joins two groups where every two of their members may be the same call.
    fn join(&mut self, one: usize, other: usize) -> bool {
        let (into, from) = (self.of(one).min(self.of(other)), self.of(one).max(self.of(other)));
        let members = |group: usize| self.members.get(group).cloned().unwrap_or_default();
        let (kept, moved) = (members(into), members(from));
        let may = |a: &usize, b: &usize| {
            self.marks.get(*a).zip(self.marks.get(*b)).is_some_and(|(a, b)| a.may_be(b))
        };
        let fits = kept.len() + moved.len() <= CANDIDATES_MAX
            && kept.iter().all(|a| moved.iter().all(|b| may(a, b)));
        if into == from || !fits {
            return into == from;
        }
        for at in &moved {
            if let Some(first) = self.first.get_mut(*at) {
                *first = into;
            }
        }
        if let Some(members) = self.members.get_mut(into) {
            members.extend(moved);
        }
        if let Some(members) = self.members.get_mut(from) {
            members.clear();
        }
        true
    }
}

/// The step that tells most, with the others beside it.
fn one(mut group: Vec<Step>) -> Option<Step> {
    let tells = |step: &Step| {
        let exact = step.last().envelope().capture_fidelity == "exact_bytes";
        let said = step.contents.iter().filter(|content| content.is_conversation());
        (exact, said.map(|content| content.size).fold(0, u64::saturating_add))
    };
    let most = group.iter().map(&tells).max()?;
    let best = group.iter().position(|step| tells(step) == most)?;
    let mut step = group.remove(best);
    step.also = group.into_iter().map(Sighting::of).collect();
    Some(step)
}
