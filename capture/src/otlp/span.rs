//! A span as the events it means: its own, and one for each evaluation of it.

use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::Link;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use schemas::{Digest, Hasher, SpanId, TraceId};

use super::attributes::Attributes;
use super::event;
use super::frame::{Rest, id, micros};
use super::origin::{Origin, check, write_attributes};
use super::{Limits, Rejection};
use crate::convention::{self, Reading, Signal};
use crate::happening::{Content, Happening};

/// Reads a span.
pub(super) fn read(
    mut span: Span,
    origin: &Origin,
    limits: &Limits,
) -> Result<Vec<Happening>, Rejection> {
    let of_events = span.events.iter().flat_map(|event| &event.attributes);
    let of_links = span.links.iter().flat_map(|link| &link.attributes);
    check(span.attributes.iter().chain(of_events).chain(of_links), limits)?;
    let (trace_id, span_id) = ids(&span)?;

    let mut reading = Reading::new(Signal::Span, &span.name, &origin.scope, limits);
    reading.dropped = dropped(&span);
    let envelope = &mut reading.envelope;
    envelope.trace_id = Some(trace_id);
    envelope.span_id = Some(span_id);
    envelope.parent_span_id = id(&span.parent_span_id).map(SpanId);
    envelope.links = span.links.iter().filter_map(link).take(limits.list_items_max).collect();
    let (start, end) = (span.start_time_unix_nano, span.end_time_unix_nano);
    envelope.occurred_at = micros(if start == 0 { end } else { start });
    if start > 0 {
        envelope.duration_us = end.checked_sub(start).map(|nanos| nanos / 1000);
    }
    reading.attributes = Attributes::new(std::mem::take(&mut span.attributes));
    let mut rest = write_frame(&span);
    read_status(&mut span, &mut reading, &mut rest);
    let (events, evaluations) = event::read(std::mem::take(&mut span.events), &mut reading);
    convention::read(&mut reading);
    rest.attributes(&reading);
    rest.list("events", events);
    rest.list("links", span.links.iter().map(link_json).collect());

    let own = rest.finish(reading, origin, Some(identity(trace_id, span_id, 0)));
    let mut happenings = vec![own];
    for (index, evaluation) in (1..).zip(evaluations) {
        let mut reading = Reading::new(Signal::Event, event::EVALUATION, &origin.scope, limits);
        happenings.first().into_iter().for_each(|own| reading.belongs_to(&own.envelope));
        let rest = evaluation.read(&mut reading);
        let identity = Some(identity(trace_id, span_id, index));
        happenings.push(rest.finish(reading, origin, identity));
    }
    Ok(happenings)
}

/// Equal for a span that is sent again.
fn identity(trace: TraceId, span: SpanId, index: u32) -> Digest {
    let hasher = Hasher::new("otlp.span").bytes(&trace.0).bytes(&span.0);
    hasher.bytes(&index.to_be_bytes()).finish()
}

fn ids(span: &Span) -> Result<(TraceId, SpanId), Rejection> {
    let not = |what: &str, bytes: usize| {
        Rejection(format!(
            "has no valid {what} id: it must be {bytes} bytes, not all zero; the exporter must set it"
        ))
    };
    let trace = id(&span.trace_id).map(TraceId).ok_or_else(|| not("trace", 16))?;
    let span = id(&span.span_id).map(SpanId).ok_or_else(|| not("span", 8))?;
    Ok((trace, span))
}

fn dropped(span: &Span) -> u64 {
    let own = [span.dropped_attributes_count, span.dropped_events_count, span.dropped_links_count];
    let of_events = span.events.iter().map(|event| event.dropped_attributes_count);
    let of_links = span.links.iter().map(|link| link.dropped_attributes_count);
    own.into_iter().chain(of_events).chain(of_links).map(u64::from).sum()
}

fn write_frame(span: &Span) -> Rest {
    let mut rest = Rest::new();
    rest.text("name", &span.name);
    rest.kind(span.kind);
    rest.count("start_time_unix_nano", span.start_time_unix_nano);
    rest.count("end_time_unix_nano", span.end_time_unix_nano);
    rest.count("flags", span.flags);
    rest.text("trace_state", &span.trace_state);
    rest.odd_id::<8>("parent_span_id", &span.parent_span_id);
    rest.count("dropped_attributes_count", span.dropped_attributes_count);
    rest.count("dropped_events_count", span.dropped_events_count);
    rest.count("dropped_links_count", span.dropped_links_count);
    rest
}

fn read_status(span: &mut Span, reading: &mut Reading<'_>, rest: &mut Rest) {
    let Some(status) = span.status.take() else { return };
    let envelope = &mut reading.envelope;
    match StatusCode::try_from(status.code) {
        Ok(StatusCode::Unset) => {}
        Ok(StatusCode::Ok) => envelope.status = "ok".into(),
        Ok(StatusCode::Error) => envelope.status = "error".into(),
        Err(_) => rest.number("status_code", status.code),
    }
    if envelope.status == "error" && !status.message.is_empty() {
        reading.errors.push(Content::text("", "error", status.message));
    } else {
        rest.text("status_message", &status.message);
    }
}

fn link(link: &Link) -> Option<schemas::Link> {
    let (trace_id, span_id) = (id(&link.trace_id).map(TraceId)?, id(&link.span_id).map(SpanId)?);
    Some(schemas::Link { trace_id, span_id })
}

fn link_json(link: &Link) -> Vec<u8> {
    let mut rest = Rest::new();
    rest.hex("trace_id", &link.trace_id);
    rest.hex("span_id", &link.span_id);
    rest.text("trace_state", &link.trace_state);
    rest.count("flags", link.flags);
    if !link.attributes.is_empty() {
        rest.key("attributes");
        write_attributes(&link.attributes, &mut rest.0);
    }
    rest.count("dropped_attributes_count", link.dropped_attributes_count);
    rest.close()
}
