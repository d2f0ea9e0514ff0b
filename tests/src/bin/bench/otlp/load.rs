//! SHELL: clients that post spans of recorded model calls, each call with its whole history, as SDKs do.

use std::net::SocketAddr;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

use crate::client::Connection;
use crate::clock::now;
use crate::corpus::Corpus;
use crate::figure::wide;
use crate::traffic::{Happening, Traffic};

/// What is posted, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) key: Option<&'a str>,
    pub(crate) connections: usize,
    pub(crate) spans: usize,
    pub(crate) posting: Duration,
}

/// What was acknowledged.
#[derive(Debug, Default)]
pub(crate) struct Posted {
    pub(crate) spans: u64,
    pub(crate) bytes: u64,
    pub(crate) latencies: Vec<Duration>,
}

/// Posts on all connections at a time.
pub(crate) fn posted(corpus: &Corpus, load: Load<'_>) -> anyhow::Result<Posted> {
    let all: Vec<_> = std::thread::scope(|scope| {
        let client = |seed| scope.spawn(move || client(corpus, load, wide(seed)));
        let threads: Vec<_> = (0..load.connections).map(client).collect();
        threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
    });
    let mut sum = Posted::default();
    for joined in all {
        let posted = joined.map_err(|_| anyhow::anyhow!("a client panicked"))??;
        sum.spans += posted.spans;
        sum.bytes += posted.bytes;
        sum.latencies.extend(posted.latencies);
    }
    Ok(sum)
}

fn client(corpus: &Corpus, load: Load<'_>, seed: u64) -> anyhow::Result<Posted> {
    let mut connection = Connection::new(load.address, load.key)?;
    let calls = Traffic::new(corpus, usize::MAX, 100 + seed);
    let mut calls = calls.filter(|happening| happening.step.kind == "llm.call");
    let (started, mut done) = (now(), Posted::default());
    while started.elapsed() < load.posting {
        let spans = calls.by_ref().take(load.spans).map(|call| span(&call)).collect();
        let body = request(spans).encode_to_vec();
        let begun = now();
        connection.post("/v1/traces", "application/x-protobuf", &body)?;
        done.latencies.push(begun.elapsed());
        done.spans += wide(load.spans);
        done.bytes += wide(body.len());
    }
    Ok(done)
}

fn request(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let attributes = vec![text("service.name", "bench"), text("telemetry.sdk.language", "python")];
    let resource = Some(Resource { attributes, ..Resource::default() });
    let resource_spans = vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }
}

/// The span of a model call, as of the conventions for generative AI.
fn span(call: &Happening<'_>) -> Span {
    let (said, answer) = call.step.items.split_at(call.step.items.len().saturating_sub(1));
    let messages = |items: &[crate::corpus::Item]| {
        let texts: Vec<&str> = items.iter().map(|item| call.copy.part(item.part).0).collect();
        format!("[{}]", texts.join(","))
    };
    let start = u64::try_from(call.at.0).unwrap_or_default() * 1000;
    let id = call.event_id.0;
    Span {
        trace_id: call.copy.event_id(0).0.to_vec(),
        span_id: id.get(8..).unwrap_or_default().to_vec(),
        name: "chat gpt-4o".to_owned(),
        kind: 3,
        start_time_unix_nano: start,
        end_time_unix_nano: start + 1_000_000_000,
        attributes: vec![
            text("gen_ai.operation.name", "chat"),
            text("gen_ai.provider.name", "openai"),
            text("gen_ai.conversation.id", &call.copy.session_id),
            text("gen_ai.request.model", "gpt-4o"),
            text("gen_ai.response.model", "gpt-4o-2024-08-06"),
            text("server.address", "api.openai.com"),
            attribute("gen_ai.usage.input_tokens", Value::IntValue(1200)),
            attribute("gen_ai.usage.output_tokens", Value::IntValue(80)),
            text("gen_ai.input.messages", &messages(said)),
            text("gen_ai.output.messages", &messages(answer)),
        ],
        ..Span::default()
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}
