//! OTLP as exporters speak it: both transports, both formats, and what they get for an answer.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::HeaderMap;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use ingest::Config;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use reqwest::Response;
use serde_json::json;
use tokio::net::TcpStream;

use crate::served::{Served, event, gzip};

pub(crate) const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const LOGS: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
const METRICS: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
const MESSAGES: &str = r#"[{"role":"user","parts":[{"type":"text","content":"where is it?"}]}]"#;

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

/// A chat's span, the `id`th of a trace.
pub(crate) fn span(id: u8) -> Span {
    Span {
        trace_id: vec![7; 16],
        span_id: vec![id; 8],
        name: "chat gpt-4o".to_owned(),
        start_time_unix_nano: 1_700_000_000_000_000_000,
        end_time_unix_nano: 1_700_000_001_500_000_000,
        attributes: vec![
            attribute("gen_ai.operation.name", "chat"),
            attribute("gen_ai.request.model", "gpt-4o"),
            attribute("gen_ai.input.messages", MESSAGES),
            attribute("custom", "kept"),
        ],
        ..Span::default()
    }
}

pub(crate) fn traces(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }
}

fn logs() -> ExportLogsServiceRequest {
    let body = Some(AnyValue { value: Some(Value::StringValue("hello".to_owned())) });
    let log_records = vec![LogRecord { time_unix_nano: 5, body, ..LogRecord::default() }];
    let scope_logs = vec![ScopeLogs { log_records, ..ScopeLogs::default() }];
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }],
    }
}

pub(crate) async fn post(served: &Served, path: &str, media_type: &str, body: Vec<u8>) -> Response {
    let request = served.client.post(format!("http://{}{path}", served.address));
    request.header("content-type", media_type).body(body).send().await.unwrap()
}

pub(crate) async fn protobuf(served: &Served, path: &str, body: Vec<u8>) -> Response {
    post(served, path, "application/x-protobuf", body).await
}

/// A unary call: status, message and the answer's message.
pub(crate) async fn call(
    served: &Served,
    method: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> (i32, String, Bytes) {
    let stream = TcpStream::connect(&served.address).await.unwrap();
    let (mut client, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut request = hyper::Request::post(format!("http://{}{method}", served.address))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::from(body))).unwrap();
    let (head, body) = client.send_request(request).await.unwrap().into_parts();
    assert_eq!(head.status, 200);
    let body = body.collect().await.unwrap();
    let trailers = body.trailers().cloned().unwrap_or_default();
    let text = |headers: &HeaderMap, name: &str| {
        headers.get(name).map(|value| value.to_str().unwrap().to_owned())
    };
    let of = |name: &str| text(&head.headers, name).or_else(|| text(&trailers, name));
    let status = of("grpc-status").unwrap().parse().unwrap();
    let message = of("grpc-message").unwrap_or_default();
    drop(client);
    connection.await.unwrap().unwrap();
    (status, message, body.to_bytes())
}

/// A message of gRPC.
pub(crate) fn framed(is_compressed: bool, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[u8::from(is_compressed)], &length[..], message].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_span_is_the_event_it_means_by_every_way_in() {
    let served = Served::new(Config::default()).await;
    let request = traces(vec![span(1)]);
    let answer = protobuf(&served, "/v1/traces", request.encode_to_vec()).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/x-protobuf");
    assert!(answer.bytes().await.unwrap().is_empty());

    // The same span in JSON, gzip'd, and by gRPC: repeats of what is there.
    let body = serde_json::to_vec(&request).unwrap();
    let answer = post(&served, "/v1/traces", "application/json; charset=utf-8", body).await;
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert_eq!((answer.status().as_u16(), answer.text().await.unwrap()), (200, "{}".to_owned()));
    let message = request.encode_to_vec();
    let answer = call(&served, TRACES, &[], framed(false, &message)).await;
    assert_eq!(answer, (0, String::new(), Bytes::from(framed(false, &[]))));
    let zip = [("grpc-encoding", "gzip")];
    assert_eq!(call(&served, TRACES, &zip, framed(true, &gzip(&message))).await.0, 0);

    let records = served.records();
    assert_eq!(records.len(), 1, "repeats collapse");
    let event = event(&records[0]);
    let envelope = &event.envelope;
    assert_eq!((&*envelope.kind, &*envelope.capture_source), ("llm.call", "otlp"));
    assert_eq!(envelope.session_id, "07".repeat(16));
    assert_eq!(envelope.request_model.as_deref(), Some("gpt-4o"));
    assert_eq!(
        (envelope.occurred_at.0, envelope.duration_us),
        (1_700_000_000_000_000, Some(1_500_000))
    );
    assert_eq!(
        schemas::Admission::from_bytes(event.admission.unwrap()).unwrap().capture_point,
        "otlp"
    );
    let bodies: Vec<&[u8]> = event.bodies.iter().filter_map(|body| body.data).collect();
    assert!(bodies.contains(&MESSAGES.trim_matches(['[', ']']).as_bytes()), "verbatim");
    assert!(bodies.iter().any(|body| String::from_utf8_lossy(body).contains(r#""kept""#)));
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_have_a_path_of_their_own_and_metrics_are_let_go() {
    let served = Served::new(Config::default()).await;
    let body = logs().encode_to_vec();
    let answer = protobuf(&served, "/v1/traces", body.clone()).await;
    assert_eq!(answer.status(), 400);
    let text = String::from_utf8_lossy(&answer.bytes().await.unwrap()).into_owned();
    assert!(text.contains("/v1/logs"), "{text}");
    for (path, body) in [
        ("/v1/traces", serde_json::to_vec(&logs()).unwrap()),
        ("/v1/logs", serde_json::to_vec(&traces(vec![span(1)])).unwrap()),
    ] {
        assert_eq!(post(&served, path, "application/json", body).await.status(), 400, "{path}");
    }
    let spans = traces(vec![span(1)]).encode_to_vec();
    assert_eq!(protobuf(&served, "/v1/logs", spans).await.status(), 400);
    assert!(served.records().is_empty());
    assert_eq!(protobuf(&served, "/v1/logs", body.clone()).await.status(), 200);
    assert_eq!(call(&served, LOGS, &[], framed(false, &body)).await.0, 0);
    assert_eq!(served.records().len(), 1);
    assert_eq!(event(&served.records()[0]).envelope.kind, "log");
    assert_eq!(protobuf(&served, "/v1/metrics", vec![1, 2, 3]).await.status(), 200);
    assert_eq!(call(&served, METRICS, &[], framed(false, b"x")).await.0, 0);
    assert_eq!(served.records().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_for_good_is_rejected_alone() {
    let config = Config { event_bytes_max: 20_000, ..Config::default() };
    let served = Served::new(config).await;
    let mut large = span(2);
    large.attributes.push(attribute("gen_ai.output.messages", &"x".repeat(30_000)));
    let mut nameless = span(3);
    nameless.span_id.clear();
    let request = traces(vec![span(1), large, nameless, span(4)]);
    let answer = protobuf(&served, "/v1/traces", request.encode_to_vec()).await;
    assert_eq!(answer.status(), 200);
    let answer = ExportTraceServiceResponse::decode(answer.bytes().await.unwrap()).unwrap();
    let partial = answer.partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 2, "{}", partial.error_message);
    assert_eq!(served.records().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_spool_is_unavailable_with_a_hint() {
    let limits = spool::Config { bytes_max: 10, ..spool::Config::default() };
    let served = Served::with(Config::default(), limits, None).await;
    let body = traces(vec![span(1)]).encode_to_vec();
    let answer = protobuf(&served, "/v1/traces", body.clone()).await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["retry-after"]),
        (503, &"1".parse().unwrap())
    );
    assert_eq!(call(&served, TRACES, &[], framed(false, &body)).await.0, 14);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_exports_are_refused_by_name() {
    let config = Config { otlp_messages_max: 1000, ..Config::default() };
    let served = Served::new(config).await;
    let many = traces(vec![Span::default(); 2000]).encode_to_vec();
    let mut deep = AnyValue::default();
    for _ in 0..90 {
        let values = vec![deep];
        let array = opentelemetry_proto::tonic::common::v1::ArrayValue { values };
        deep = AnyValue { value: Some(Value::ArrayValue(array)) };
    }
    let mut nested = span(1);
    nested.attributes[0].value = Some(deep);
    let nested = traces(vec![nested]).encode_to_vec();
    let empty_objects = format!(r#"{{"resourceSpans":[{}{{}}]}}"#, "{},".repeat(2000));
    let deep_json = format!(r#"{{"resourceSpans":{}"#, "[".repeat(200));
    for (media_type, body, status) in [
        ("application/x-protobuf", many, 413),
        ("application/x-protobuf", nested, 400),
        ("application/x-protobuf", b"\xff\xff\xff\xff".to_vec(), 400),
        ("application/json", empty_objects.into_bytes(), 413),
        ("application/json", deep_json.into_bytes(), 400),
        ("application/json", b"{\"resourceSpans\":5}".to_vec(), 400),
        ("application/json", b"\xff".to_vec(), 400),
        ("text/plain", b"{}".to_vec(), 415),
    ] {
        let answer = post(&served, "/v1/traces", media_type, body).await;
        assert_eq!(answer.status(), status, "{media_type}: {:?}", answer.bytes().await);
    }
    for (body, code) in
        [(vec![], 3), (vec![0; 4], 3), (framed(false, b"\xff"), 3), (framed(true, b"x"), 3)]
    {
        let headers = [("grpc-encoding", "zstd")];
        assert_eq!(call(&served, TRACES, &headers, body).await.0, code);
    }
    assert_eq!(call(&served, TRACES, &[("grpc-encoding", "br")], vec![]).await.0, 3);
    assert!(served.records().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn exporters_come_with_keys_in_the_headers_they_can_set() {
    let served = Served::with(Config::default(), spool::Config::default(), Some("keys.toml")).await;
    let key = ingest::keys::create(&served.dir.path().join("keys.toml"), "acme").unwrap();
    let body = framed(false, &traces(vec![span(1)]).encode_to_vec());
    // The file is looked at each second at most; a gateway made after the key knows it at once.
    let auth = ingest::Auth::keys(&served.dir.path().join("keys.toml")).unwrap();
    let sink = ingest::Sink::spool(served.spool.clone()).unwrap();
    let gateway = ingest::Gateway::new(Config::default(), sink, auth, 8).unwrap();
    let served = Served::run(tempfile::tempdir().unwrap(), served.spool.clone(), gateway).await;
    assert_eq!(call(&served, TRACES, &[], body.clone()).await.0, 16);
    let bearer = format!("Bearer {key}");
    assert_eq!(call(&served, TRACES, &[("authorization", &bearer)], body.clone()).await.0, 0);
    assert_eq!(call(&served, TRACES, &[("x-chancery-key", &key)], body).await.0, 0);
    assert_eq!(event(&served.records()[0]).envelope.tenant, "acme");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_span_told_in_two_ways_is_two_events() {
    let served = Served::new(Config::default()).await;
    let mut other = span(1);
    other.attributes.push(attribute("more", "of it"));
    for span in [span(1), other.clone(), other] {
        let answer = protobuf(&served, "/v1/traces", traces(vec![span]).encode_to_vec()).await;
        assert_eq!(answer.status(), 200);
    }
    let records = served.records();
    let ids: Vec<_> = records.iter().map(|record| event(record).envelope.event_id).collect();
    assert!(ids.len() == 2 && ids[0] != ids[1], "{ids:?}");
    let json = json!({}).to_string();
    assert_eq!(
        post(&served, "/v1/traces", "application/json", json.into_bytes()).await.status(),
        200
    );
}
