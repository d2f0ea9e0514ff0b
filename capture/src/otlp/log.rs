//! A log record as an event. It has no id of its own: its bytes are its identity, and its span is its parent.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message;
use schemas::{Hasher, SpanId, TraceId};

use super::attributes::Attributes;
use super::frame::{Rest, id, micros};
use super::origin::{Origin, check};
use super::value::write;
use super::{Limits, Rejection};
use crate::convention::{self, Reading, Signal};
use crate::happening::Happening;

/// Before events had names of their own, an attribute named them.
const EVENT_NAME: &str = "event.name";

/// Reads a log record.
pub(super) fn read(
    mut record: LogRecord,
    origin: &Origin,
    limits: &Limits,
) -> Result<Vec<Happening>, Rejection> {
    let body = KeyValue { value: record.body.take(), ..KeyValue::default() };
    check(record.attributes.iter().chain([&body]), limits)?;
    record.body = body.value;
    let identity = Hasher::new("otlp.log").finish_with(&record.encode_to_vec());

    let attributes = Attributes::new(std::mem::take(&mut record.attributes));
    let name = match record.event_name.as_str() {
        "" => attributes.text(EVENT_NAME).unwrap_or_default().to_owned(),
        name => name.to_owned(),
    };
    let mut reading = Reading::new(Signal::Log, &name, &origin.scope, limits);
    reading.attributes = attributes;
    reading.dropped = u64::from(record.dropped_attributes_count);
    let envelope = &mut reading.envelope;
    envelope.trace_id = id(&record.trace_id).map(TraceId);
    envelope.parent_span_id = id(&record.span_id).map(SpanId);
    let (time, observed) = (record.time_unix_nano, record.observed_time_unix_nano);
    envelope.occurred_at = micros(if time == 0 { observed } else { time });
    reading.body = record.body.take().and_then(|body| body.value);

    let mut rest = write_frame(&record);
    convention::read(&mut reading);
    rest.attributes(&reading);
    if let Some(body) = reading.body.take() {
        rest.key("body");
        write(Some(&body), &mut rest.0);
    }
    Ok(vec![rest.finish(reading, origin, Some(identity))])
}

fn write_frame(record: &LogRecord) -> Rest {
    let mut rest = Rest::new();
    rest.text("event_name", &record.event_name);
    rest.text("severity_text", &record.severity_text);
    if record.severity_number != 0 {
        rest.number("severity_number", record.severity_number);
    }
    rest.count("time_unix_nano", record.time_unix_nano);
    rest.count("observed_time_unix_nano", record.observed_time_unix_nano);
    rest.count("flags", record.flags);
    rest.odd_id::<16>("trace_id", &record.trace_id);
    rest.odd_id::<8>("span_id", &record.span_id);
    rest.count("dropped_attributes_count", record.dropped_attributes_count);
    rest
}
