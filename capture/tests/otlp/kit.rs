//! Requests of one span or record, and what was read of them in lines.

use std::fmt::Write;

use capture::otlp::{Limits, Read, logs, spans};
use capture::{Content, Happening};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};

pub(crate) fn text(text: &str) -> Value {
    Value::StringValue(text.to_owned())
}

pub(crate) fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

pub(crate) fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(any(value)), ..KeyValue::default() }
}

pub(crate) fn attributes(list: &[(&str, Value)]) -> Vec<KeyValue> {
    list.iter().map(|(key, value)| attribute(key, value.clone())).collect()
}

/// A span that took 5 ms.
pub(crate) fn span(name: &str, list: &[(&str, Value)]) -> Span {
    Span {
        trace_id: vec![0xa1; 16],
        span_id: vec![0xb2; 8],
        name: name.to_owned(),
        start_time_unix_nano: 1_790_000_000_000_000_001,
        end_time_unix_nano: 1_790_000_000_005_000_001,
        attributes: attributes(list),
        ..Span::default()
    }
}

pub(crate) fn record(name: &str, body: Option<Value>, list: &[(&str, Value)]) -> LogRecord {
    LogRecord {
        time_unix_nano: 1_790_000_000_000_000_000,
        event_name: name.to_owned(),
        body: body.map(any),
        attributes: attributes(list),
        ..LogRecord::default()
    }
}

pub(crate) fn request(scope: &str, all: Vec<Span>) -> ExportTraceServiceRequest {
    let scope = InstrumentationScope { name: scope.to_owned(), ..InstrumentationScope::default() };
    let of_scope = ScopeSpans { scope: Some(scope), spans: all, ..ScopeSpans::default() };
    let of_resource = ResourceSpans { scope_spans: vec![of_scope], ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![of_resource] }
}

pub(crate) fn read_spans(scope: &str, all: Vec<Span>) -> Read {
    spans(request(scope, all), &Limits::default()).unwrap()
}

/// What becomes of a span.
pub(crate) fn read_span(scope: &str, span: Span) -> Vec<Happening> {
    let read = read_spans(scope, vec![span]);
    assert_eq!((read.rejected, read.why), (0, None));
    read.happenings
}

pub(crate) fn read_record(scope: &str, record: LogRecord) -> Happening {
    let scope = InstrumentationScope { name: scope.to_owned(), ..InstrumentationScope::default() };
    let of_scope =
        ScopeLogs { scope: Some(scope), log_records: vec![record], ..ScopeLogs::default() };
    let of_resource = ResourceLogs { scope_logs: vec![of_scope], ..ResourceLogs::default() };
    let request = ExportLogsServiceRequest { resource_logs: vec![of_resource] };
    let mut read = logs(request, &Limits::default()).unwrap();
    assert_eq!((read.rejected, read.why), (0, None));
    read.happenings.remove(0)
}

/// The content of a kind.
pub(crate) fn content<'h>(happening: &'h Happening, kind: &str) -> Option<&'h Content> {
    happening.contents.iter().find(|content| content.kind == kind)
}

/// The content of kind `attributes`, as JSON.
pub(crate) fn rest(happening: &Happening) -> serde_json::Value {
    let content = content(happening, "attributes").unwrap();
    serde_json::from_slice(&content.data).unwrap()
}

/// A line for the envelope: each field that says something; and one for each content, but resource and attributes.
pub(crate) fn lines(happenings: &[Happening]) -> String {
    let mut out = String::new();
    for happening in happenings {
        let json = happening.envelope.to_json_object();
        let blank = schemas::Envelope::blank().to_json_object();
        let said = json.iter().filter(|(key, value)| {
            blank.get(key.as_str()) != Some(*value) && !OTHER.contains(&key.as_str())
        });
        let said: Vec<String> = said.map(|(key, value)| field(key, value)).collect();
        writeln!(out, "{}", said.join(" ")).unwrap();
        for content in &happening.contents {
            if !matches!(&*content.kind, "resource" | "attributes") {
                let text = String::from_utf8_lossy(&content.data);
                let text: String = text.chars().take(TEXT_CHARS).collect();
                let form = content.media_type.rsplit('/').next().unwrap();
                let label = [&content.role, &content.kind].map(|label| &**label).join(" ");
                writeln!(out, "  {} {form}: {}", label.trim(), text.replace('\n', "␤")).unwrap();
            }
        }
    }
    out
}

/// Characters of a content in a line.
const TEXT_CHARS: usize = 60;

/// What every happening has, or no two alike.
const OTHER: [&str; 10] = [
    "capture_source",
    "trace_id",
    "span_id",
    "parent_span_id",
    "occurred_at",
    "duration_us",
    "contents",
    "producer_id",
    "event_id",
    "nonce",
];

fn field(key: &str, value: &serde_json::Value) -> String {
    match (key, value) {
        ("kind", serde_json::Value::String(kind)) => kind.clone(),
        (_, serde_json::Value::String(text)) => format!("{key}={text}"),
        (_, value) => format!("{key}={value}"),
    }
}
