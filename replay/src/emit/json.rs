//! A trace and other results for programs. A body stands once, under its digest; steps name digests.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use schemas::Digest;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::error::Error;
use crate::session::{Body, Content, Position, SessionEvent};
use crate::totals::Totals;
use crate::trace::{Outcome, Request, Step, Trace};

/// Writes a trace as one JSON object on one line.
///
/// # Errors
/// What writing fails with.
pub fn trace(trace: &Trace, out: &mut impl Write) -> Result<(), Error> {
    let mut bodies = BTreeMap::new();
    let turns: Vec<Value> = trace
        .turns
        .iter()
        .map(|turn| {
            let steps: Vec<Value> = turn.steps.iter().map(|s| step(s, &mut bodies)).collect();
            json!({ "steps": steps })
        })
        .collect();
    let holes =
        trace.holes.iter().map(|hole| {
            let (epoch, offset) = hole.at.map(|at| (at.epoch, at.offset)).unzip();
            json!({"session_id": hole.session.as_deref(), "epoch": epoch, "offset": offset, "reason": hole.reason})
        });
    let bodies: Map<String, Value> = bodies
        .into_iter()
        .map(|(digest, content)| (digest.to_string(), Value::Object(body(&content))))
        .collect();
    let object = json!({
        "session_id": trace.key.session.as_str(),
        "tenant": trace.key.tenant.as_str(),
        "trace_id": trace.trace_id.map(|trace| trace.to_string()),
        "partitions": trace.partitions,
        "other_sessions": trace.others,
        "sources": trace.sources,
        "totals": totals(&trace.totals),
        "turns": turns,
        "holes": holes.collect::<Vec<_>>(),
        "checks": trace.checks,
        "bodies": bodies,
    });
    serde_json::to_writer(&mut *out, &object).map_err(std::io::Error::from)?;
    out.write_all(b"\n")?;
    Ok(())
}

fn totals(totals: &Totals) -> Value {
    json!({
        "rows": totals.rows,
        "repeats": totals.repeats,
        "model_calls": totals.model_calls,
        "tool_calls": totals.tool_calls,
        "input_tokens": totals.input_tokens,
        "output_tokens": totals.output_tokens,
        "cache_read_tokens": totals.cache_read_tokens,
        "reasoning_tokens": totals.reasoning_tokens,
        "cost_nanos": totals.cost_nanos,
        "first": totals.first.map(|time| time.to_string()),
        "last": totals.last.map(|time| time.to_string()),
        "status": totals.status,
        "agents": totals.agents,
        "principals": totals.principals,
    })
}

fn step(step: &Step, bodies: &mut BTreeMap<Digest, Arc<Content>>) -> Value {
    let also = step.also.iter().flat_map(|it| [Some(&it.event), it.end.as_ref().map(|end| &end.1)]);
    let also = also.flatten().flat_map(|event| &event.contents);
    for content in step.contents.iter().chain(also) {
        bodies.entry(content.digest).or_insert_with(|| content.clone());
    }
    let requests = step.requests.iter().map(|Request { call, outcome }| {
        let outcome = match outcome {
            Outcome::Missing => "missing",
            Outcome::Told => "told",
            Outcome::Made => "made",
        };
        json!({"id": call.id, "name": call.name, "arguments": call.arguments, "outcome": outcome})
    });
    let changes = step.changes.iter().map(|change| {
        let fields = change
            .fields
            .iter()
            .map(|field| json!({"path": field.path, "before": field.before, "after": field.after}));
        let fields: Vec<Value> = fields.collect();
        json!({"target": change.target, "op": change.op, "path": change.path, "fields": fields})
    });
    // Children nest no deeper than the tree lets them.
    let children: Vec<Value> =
        step.children.iter().map(|child| self::step(child, bodies)).collect();
    let (at, session) = (step.at, step.session.as_deref());
    let also = step.also.iter().map(|it| {
        let mut also = event(it.at, &it.event, it.end.as_ref(), it.session.as_deref());
        let last = it.end.as_ref().map_or(&it.event, |(_, end)| end);
        let contents = last.contents.iter().map(|content| reference(content));
        also.insert("contents".to_owned(), contents.collect());
        Value::Object(also)
    });
    let mut object = event(at, &step.event, step.end.as_ref(), session);
    let rest = json!({
        "contents": step.contents.iter().map(|content| reference(content)).collect::<Vec<_>>(),
        "known": step.known,
        "answer": step.answer,
        "requests": requests.collect::<Vec<_>>(),
        "changes": changes.collect::<Vec<_>>(),
        "marks": step.marks,
        "also": also.collect::<Vec<_>>(),
        "children": children,
    });
    object.extend(rest.as_object().cloned().unwrap_or_default());
    Value::Object(object)
}

/// An event, or a start and its end.
fn event(
    at: Position,
    event: &SessionEvent,
    end: Option<&(Position, Arc<SessionEvent>)>,
    session: Option<&str>,
) -> Map<String, Value> {
    let one = |at: Position, event: &SessionEvent| {
        let (epoch, offset) = (at.epoch.into(), at.offset.into());
        let names = ["epoch", "offset", "event_digest", "envelope", "admission"].map(str::to_owned);
        let digest = Value::String(event.digest.to_string());
        let envelope = Value::Object(event.envelope().to_json_object());
        names.into_iter().zip([epoch, offset, digest, envelope, admission(event)])
    };
    let mut object: Map<String, Value> = one(at, event).collect();
    let end = end.map(|(at, end)| Value::Object(one(*at, end).collect()));
    object.insert("end".to_owned(), end.unwrap_or_default());
    object.extend(session.map(|session| ("session_id".to_owned(), session.into())));
    object
}

fn reference(content: &Content) -> Value {
    json!({
        "role": content.role,
        "kind": content.kind,
        "media_type": content.media_type,
        "size": content.size,
        "digest": content.digest.to_string(),
    })
}

/// What the gateway added, in the words of the schema.
pub(crate) fn admission(event: &SessionEvent) -> Value {
    event.admission().map_or(Value::Null, |admission| {
        json!({
            "observed_at": admission.observed_at.to_string(),
            "credential_id": admission.credential_id,
            "gateway_id": admission.gateway_id,
            "gateway_epoch": admission.gateway_epoch,
            "gateway_seq": admission.gateway_seq,
            "capture_point": admission.capture_point,
        })
    })
}

/// A body under one of `json`, `text`, `data_base64`, `encrypted_with`, `absent`.
fn body(content: &Content) -> Map<String, Value> {
    let (name, value) = match &content.body {
        Body::Encrypted(key) => ("encrypted_with", Value::String(key.clone())),
        Body::Absent(why) => ("absent", Value::String((*why).to_owned())),
        Body::Clear(bytes) => match std::str::from_utf8(bytes) {
            Err(_) => ("data_base64", Value::String(BASE64_STANDARD.encode(bytes))),
            Ok(text) => match Some(text).filter(|_| is_json(content)).map(serde_json::from_str) {
                Some(Ok(value)) => ("json", value),
                _ => ("text", Value::String(text.to_owned())),
            },
        },
    };
    Map::from_iter([(name.to_owned(), value)])
}

/// Whether a content says it is JSON.
pub(crate) fn is_json(content: &Content) -> bool {
    let essence = content.media_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
        || essence.to_ascii_lowercase().ends_with("+json")
}

/// JSON as it was, but on one line: line breaks can only stand between its tokens.
pub(crate) fn verbatim(bytes: &[u8]) -> Option<Box<RawValue>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let text =
        if text.contains(['\n', '\r']) { text.replace(['\n', '\r'], " ") } else { text.to_owned() };
    RawValue::from_string(text).ok()
}
