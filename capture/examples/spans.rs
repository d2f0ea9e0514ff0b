//! Spans that one core reads in a second: each model call of recorded runs as a span that has its whole history.
//!
//! `cargo run --release -p capture --example spans -- RUNS.json`, a list of objects with the messages of a run in `traj`.
#![expect(clippy::disallowed_methods, reason = "it measures time")]
#![expect(clippy::print_stdout, reason = "it prints what it measured")]

use std::error::Error;
use std::time::Instant;

use capture::otlp::{Limits, spans};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Spans of a request, as exporters send them.
const BATCH: usize = 512;
/// Times that all runs are read.
const ROUNDS: u32 = 5;

#[derive(Deserialize)]
struct Run {
    traj: Vec<Box<RawValue>>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("which file has the runs?")?;
    let runs: Vec<Run> = serde_json::from_slice(&std::fs::read(path)?)?;
    let all: Vec<Span> = (0_u64..).zip(runs.iter().flat_map(calls)).map(span).collect();
    let mut sizes: Vec<usize> = all.iter().map(Message::encoded_len).collect();
    sizes.sort_unstable();
    let median = sizes.get(sizes.len() / 2).copied().unwrap_or_default();
    let requests: Vec<Vec<u8>> =
        all.chunks(BATCH).map(|spans| request(spans.to_vec()).encode_to_vec()).collect();

    let (mut decoding, mut reading, mut events, mut contents) = (0.0, 0.0, 0, 0);
    for _ in 0..ROUNDS {
        for bytes in &requests {
            let start = Instant::now();
            let request = ExportTraceServiceRequest::decode(bytes.as_slice())?;
            let decoded = Instant::now();
            let read = spans(request, &Limits::default())?;
            reading += decoded.elapsed().as_secs_f64();
            decoding += (decoded - start).as_secs_f64();
            events += read.happenings.len();
            contents += read.happenings.iter().map(|it| it.contents.len()).sum::<usize>();
        }
    }
    let count = f64::from(u32::try_from(events)?);
    let bytes = f64::from(u32::try_from(requests.iter().map(Vec::len).sum::<usize>())?);
    println!("{} spans, median {median} bytes, {contents} contents", all.len());
    println!("read:            {:.0} spans/s", count / reading);
    println!("decode and read: {:.0} spans/s", count / (reading + decoding));
    println!("                 {:.0} MB/s", bytes * f64::from(ROUNDS) / (reading + decoding) / 1e6);
    Ok(())
}

/// The messages before each answer of the model, and the answer.
fn calls(run: &Run) -> impl Iterator<Item = (String, String)> {
    let answers = run.traj.iter().enumerate().filter(|(_, it)| role_is_assistant(it));
    answers.map(|(index, answer)| {
        let before: Vec<&str> = run.traj.iter().take(index).map(|it| it.get()).collect();
        (format!("[{}]", before.join(",")), format!("[{}]", answer.get()))
    })
}

fn role_is_assistant(message: &RawValue) -> bool {
    message.get().contains(r#""role": "assistant""#)
        || message.get().contains(r#""role":"assistant""#)
}

fn span((number, (input, output)): (u64, (String, String))) -> Span {
    let text = |key: &str, text: String| attribute(key, Value::StringValue(text));
    Span {
        trace_id: [[1; 8], (number + 1).to_be_bytes()].concat(),
        span_id: (number + 1).to_be_bytes().to_vec(),
        name: "chat gpt-4o".to_owned(),
        kind: 3,
        start_time_unix_nano: 1_790_000_000_000_000_000 + number,
        end_time_unix_nano: 1_790_000_001_000_000_000 + number,
        attributes: vec![
            text("gen_ai.operation.name", "chat".to_owned()),
            text("gen_ai.provider.name", "openai".to_owned()),
            text("gen_ai.request.model", "gpt-4o".to_owned()),
            text("server.address", "api.openai.com".to_owned()),
            attribute("server.port", Value::IntValue(443)),
            attribute("gen_ai.request.temperature", Value::DoubleValue(0.0)),
            text("gen_ai.response.model", "gpt-4o-2024-08-06".to_owned()),
            text("gen_ai.response.id", format!("chatcmpl-{number}")),
            attribute("gen_ai.usage.input_tokens", Value::IntValue(3000)),
            attribute("gen_ai.usage.output_tokens", Value::IntValue(100)),
            text("gen_ai.conversation.id", "conversation".to_owned()),
            text("gen_ai.input.messages", input),
            text("gen_ai.output.messages", output),
        ],
        ..Span::default()
    }
}

fn attribute(key: &str, value: Value) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn request(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let name = attribute("service.name", Value::StringValue("airline".to_owned()));
    let resource = Some(Resource { attributes: vec![name], ..Resource::default() });
    let scope =
        InstrumentationScope { name: "bench".to_owned(), ..InstrumentationScope::default() };
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }];
    let of_resource = ResourceSpans { resource, scope_spans, ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![of_resource] }
}
