//! CORE. Model calls that were told of more than once: by a span and the log record within it, by a span and a proxy. What is too
//! much in sums over their events.
//!
//! It knows envelopes one by one and remembers the latest calls alone; a trace, which knows all of a session, knows more reasons.

use std::collections::HashMap;

use schemas::{Envelope, SpanId, TraceId};

/// Calls of a session that are remembered; then the earlier half is forgotten, and who tells of one of them later tells of
/// another call.
const CALLS_MAX: usize = 2048;

/// What was counted too much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Surplus {
    pub(super) calls: u64,
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
    pub(super) cost_nanos: u64,
}

/// The model calls of a session that are watched.
#[derive(Debug, Default)]
pub(super) struct Doubles {
    calls: Vec<Call>,
    named: HashMap<Name, usize>,
    pub(super) surplus: Surplus,
}

/// Who tells of a call. Each tells of it once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Teller {
    Span,
    Record,
    Proxy,
}

/// What a call is found by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Name {
    /// The span that it is.
    Is(TraceId, SpanId),
    /// The span that it stands below, as this one tells.
    Below(TraceId, SpanId, Teller),
    /// The provider's id of its answer.
    Answer(Box<str>),
}

#[derive(Clone, Debug)]
struct Call {
    /// The later one that is the same call.
    same: Option<usize>,
    tellers: Vec<Teller>,
    answer: Option<Box<str>>,
    /// Tokens in, tokens out, cost.
    spent: [Option<u64>; 3],
}

impl Doubles {
    /// Takes the event of a model call: its only one, or its last.
    pub(super) fn take(&mut self, envelope: &Envelope<'_>) {
        let teller = match (&*envelope.capture_source, envelope.span_id) {
            ("otlp", Some(_)) => Teller::Span,
            ("otlp", None) => Teller::Record,
            ("llm_proxy", _) => Teller::Proxy,
            _ => return,
        };
        if self.calls.len() >= CALLS_MAX {
            self.forget(CALLS_MAX / 2);
        }
        let answer = envelope.response_id.as_deref().filter(|id| !id.is_empty()).map(Box::from);
        let spent =
            [envelope.usage_input_tokens, envelope.usage_output_tokens, envelope.cost_nanos];
        let (is, found) = names(envelope, teller, answer.clone());
        let own = self.calls.len();
        self.calls.push(Call { same: None, tellers: vec![teller], answer, spent });
        for name in found {
            if let Some(other) = self.named.get(&name).copied() {
                self.join(other, own);
            }
        }
        for name in is {
            self.named.entry(name).or_insert(own);
        }
    }

    /// The last one that is the same call.
    fn last(&self, mut at: usize) -> usize {
        while let Some(later) = self.calls.get(at).and_then(|call| call.same) {
            at = later;
        }
        at
    }

    /// Makes two calls one, if they may be.
    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.last(one), self.last(other));
        let (from, into) = (one.min(other), one.max(other));
        let Some(earlier) = self.calls.get(from).cloned() else { return };
        let Some(later) = self.calls.get_mut(into).filter(|_| from != into) else { return };
        let differ =
            earlier.answer.is_some() && later.answer.is_some() && earlier.answer != later.answer;
        if differ || earlier.tellers.iter().any(|teller| later.tellers.contains(teller)) {
            return;
        }
        let surplus = &mut self.surplus;
        let sums = [&mut surplus.input_tokens, &mut surplus.output_tokens, &mut surplus.cost_nanos];
        for ((mine, theirs), sum) in later.spent.iter_mut().zip(earlier.spent).zip(sums) {
            *sum = sum.saturating_add(mine.and(theirs).unwrap_or(0));
            *mine = mine.or(theirs);
        }
        surplus.calls += 1;
        later.tellers.extend(earlier.tellers);
        later.answer = later.answer.take().or(earlier.answer);
        if let Some(earlier) = self.calls.get_mut(from) {
            earlier.same = Some(into);
        }
    }

    /// Forgets the first calls, but not that one of the others is the same.
    fn forget(&mut self, count: usize) {
        let mut named = std::mem::take(&mut self.named);
        named.retain(|_, at| match self.last(*at).checked_sub(count) {
            Some(left) => {
                *at = left;
                true
            }
            None => false,
        });
        self.named = named;
        self.calls.drain(..count.min(self.calls.len()));
        for call in &mut self.calls {
            call.same = call.same.and_then(|at| at.checked_sub(count));
        }
    }
}

/// The names that a call has, and those that another has which is the same.
fn names(
    envelope: &Envelope<'_>,
    teller: Teller,
    answer: Option<Box<str>>,
) -> (Vec<Name>, Vec<Name>) {
    let span = envelope.trace_id.zip(envelope.span_id);
    let parent = envelope.trace_id.zip(envelope.parent_span_id);
    let (mut is, mut found) = match (teller, span, parent) {
        (Teller::Span, Some((trace, span)), _) => (
            vec![Name::Is(trace, span)],
            [Teller::Record, Teller::Proxy].map(|teller| Name::Below(trace, span, teller)).into(),
        ),
        (Teller::Record | Teller::Proxy, _, Some((trace, parent))) => {
            (vec![Name::Below(trace, parent, teller)], vec![Name::Is(trace, parent)])
        }
        _ => (Vec::new(), Vec::new()),
    };
    is.extend(answer.clone().map(Name::Answer));
    found.extend(answer.map(Name::Answer));
    (is, found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(
        source: &'static str,
        span: Option<u8>,
        parent: Option<u8>,
        answer: &str,
    ) -> Envelope<'static> {
        let mut envelope = Envelope::blank();
        envelope.capture_source = source.into();
        envelope.trace_id = Some(TraceId([7; 16]));
        envelope.span_id = span.map(|span| SpanId([span; 8]));
        envelope.parent_span_id = parent.map(|span| SpanId([span; 8]));
        envelope.response_id = (!answer.is_empty()).then(|| answer.to_owned().into());
        envelope.usage_input_tokens = (span.is_some() || source != "otlp").then_some(10);
        envelope
    }

    fn surplus(calls: &[Envelope<'_>]) -> (u64, u64) {
        let mut doubles = Doubles::default();
        calls.iter().for_each(|call| doubles.take(call));
        (doubles.surplus.calls, doubles.surplus.input_tokens)
    }

    #[test]
    fn a_span_its_record_and_a_proxy_tell_of_one_call_in_any_order() {
        let (span, record, proxy) = (
            told("otlp", Some(1), None, "a"),
            told("otlp", None, Some(1), ""),
            told("llm_proxy", Some(9), None, "a"),
        );
        let all = [&span, &record, &proxy];
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let calls: Vec<_> = order.into_iter().map(|at| all[at].clone()).collect();
            assert_eq!(surplus(&calls), (2, 10), "{order:?}");
        }
    }

    #[test]
    fn without_a_reason_calls_are_their_own() {
        let span = |id, answer| told("otlp", Some(id), Some(1), answer);
        let record = |parent, answer| told("otlp", None, Some(parent), answer);
        let proxy = |parent| told("llm_proxy", None, Some(parent), "");
        // Siblings below what is no model call; two records, two attempts of one span; other answers.
        for (calls, expected) in [
            (vec![span(2, "a"), span(3, "a")], 0),
            (vec![record(1, ""), proxy(1), record(1, ""), proxy(1)], 0),
            (vec![span(2, ""), record(2, ""), record(2, "")], 1),
            (vec![proxy(2), proxy(2), span(2, "")], 1),
            (vec![span(2, "a"), record(2, "b")], 0),
            (vec![told("http", Some(2), None, "a"), proxy(2)], 0),
        ] {
            assert_eq!(surplus(&calls).0, expected, "{calls:?}");
        }
    }

    #[test]
    fn the_latest_calls_are_remembered() {
        let mut doubles = Doubles::default();
        let number = |at: usize| at.to_string();
        for at in 0..3 * CALLS_MAX {
            doubles.take(&told("llm_proxy", None, None, &number(at)));
            if let Some(before) = at.checked_sub(CALLS_MAX / 8) {
                doubles.take(&told("otlp", Some(1), None, &number(before)));
            }
            assert!(doubles.calls.len() <= CALLS_MAX && doubles.named.len() <= CALLS_MAX);
        }
        let told_twice = u64::try_from(3 * CALLS_MAX - CALLS_MAX / 8).unwrap();
        assert_eq!(doubles.surplus.calls, told_twice);
        doubles.take(&told("otlp", Some(1), None, "0"));
        assert_eq!(doubles.surplus.calls, told_twice, "it was forgotten");
    }
}
