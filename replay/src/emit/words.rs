//! The words of a trace for people: titles, facts, sums, durations.

use std::borrow::Cow;

use schemas::{Envelope, Micros};

use crate::session::Content;
use crate::totals::{Totals, agent, principal};
use crate::trace::Step;

pub(super) fn kind_label(content: &Content) -> &str {
    if matches!(content.kind.as_str(), "message" | "text") && !content.role.is_empty() {
        ""
    } else {
        &content.kind
    }
}

/// What a step is; who told of it where `many` did, and in which session where that is another.
pub(super) fn title(step: &Step, many: bool) -> String {
    let envelopes = step.envelopes();
    let first = |of: fn(&'_ Envelope<'_>) -> Option<String>| envelopes.iter().find_map(of);
    let began = step.event.envelope();
    let mut words = vec![began.kind.to_string()];
    words.extend(
        first(|it| text(&it.response_model)).or_else(|| first(|it| text(&it.request_model))),
    );
    words.extend(first(|it| text(&it.tool_name)));
    words.extend(first(|it| text(&it.tool_effect)));
    words.extend(first(|it| text(&it.policy_decision)));
    words.extend(first(|it| (it.status != "unset").then(|| it.status.to_string())));
    words.extend(first(|it| text(&it.error_type)));
    words.extend(first(|it| it.duration_us.map(duration)));
    words.push(time_of_day(began.occurred_at));
    words.push(step.at.to_string());
    words.extend(many.then(|| step.sources().join(" + ")));
    words.extend(step.session.as_deref().map(|session| format!("in session {session}")));
    words.join("  ")
}

/// What else is worth a line.
pub(super) fn facts(step: &Step) -> Vec<String> {
    let envelopes = step.envelopes();
    let mut facts = Vec::new();
    let mut fact = |name: &str, of: &dyn Fn(&Envelope<'_>) -> Option<String>| {
        facts.extend(envelopes.iter().find_map(of).map(|value| format!("{name}{value}")));
    };
    fact("agent ", &agent);
    fact("for ", &principal);
    fact("via ", &|it| {
        let chain = it.delegation.iter().map(|d| format!("{} {}", d.r#type, d.id));
        (!it.delegation.is_empty()).then(|| chain.collect::<Vec<_>>().join(" ← "))
    });
    fact("call ", &|it| text(&it.tool_call_id));
    fact("", &|it| text(&it.protocol));
    fact("tokens in ", &|it| it.usage_input_tokens.map(|n| n.to_string()));
    fact("tokens out ", &|it| it.usage_output_tokens.map(|n| n.to_string()));
    fact("cache ", &|it| it.usage_cache_read_input_tokens.map(|n| n.to_string()));
    fact("$", &|it| it.cost_nanos.map(dollars));
    fact("policy ", &|it| text(&it.policy_id));
    fact("approver ", &|it| text(&it.approver_id));
    facts.extend(step.also.iter().map(|other| {
        let of = other.session.as_deref().map(|of| format!(" in session {of}"));
        format!("also told at {}{}", other.at, of.unwrap_or_default())
    }));
    for envelope in &envelopes {
        for retrieval in &envelope.retrievals {
            let score = retrieval.score.map_or_else(String::new, |score| format!(" ({score})"));
            facts.push(format!("from {}/{}{score}", retrieval.source, retrieval.document_id));
        }
        for evaluation in &envelope.evaluations {
            let score = evaluation.score.map_or_else(String::new, |score| format!(" {score}"));
            let label = evaluation.label.as_deref().unwrap_or_default();
            facts.push(format!("{}{score} {label}", evaluation.name).trim_end().to_owned());
        }
    }
    facts
}

fn text(value: &Option<Cow<'_, str>>) -> Option<String> {
    value.as_deref().map(str::to_owned)
}

pub(super) fn sums(totals: &Totals) -> String {
    let mut parts = vec![
        format!("status {}", totals.status),
        format!("{} rows", totals.rows),
        format!("{} model calls", totals.model_calls),
        format!("{} tool calls", totals.tool_calls),
        format!("tokens {} in, {} out", totals.input_tokens, totals.output_tokens),
    ];
    if totals.cost_nanos > 0 {
        parts.push(format!("${}", dollars(totals.cost_nanos)));
    }
    if totals.repeats > 0 {
        parts.push(format!("{} repeats left out", totals.repeats));
    }
    parts.join(" · ")
}

fn dollars(nanos: u64) -> String {
    format!("{}.{:06}", nanos / 1_000_000_000, nanos % 1_000_000_000 / 1000)
}

/// A duration for people.
pub(super) fn duration(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{} ms", micros / 1_000),
        1_000_000..600_000_000 => {
            format!("{}.{:02} s", micros / 1_000_000, micros % 1_000_000 / 10_000)
        }
        _ => format!("{} min", micros / 60_000_000),
    }
}

/// The time of an RFC 3339 text, to the millisecond.
fn time_of_day(time: Micros) -> String {
    let text = time.to_string();
    text.get(11..23).map_or_else(|| text.clone(), str::to_owned)
}
