//! What nobody means well with: rows of `docs/hostile.md` that no other test has.

use ingest::Config;
use prost::Message;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::llm::upstream::Api;
use crate::llm::{SAID, before};
use crate::otlp::{TRACES, call, framed, post, protobuf, span, traces};
use crate::served::{Served, gzip};

/// A span's export, and the same with a byte of its name that is not UTF-8.
fn export() -> (Vec<u8>, Vec<u8>) {
    let good = traces(vec![span(1)]).encode_to_vec();
    let mut bad = good.clone();
    let at = good.windows(4).position(|window| window == b"chat").unwrap();
    bad[at] = 0xff;
    (good, bad)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_cut_off_anywhere_is_refused_or_is_what_it_still_says() {
    let served = Served::new(Config::default()).await;
    let (good, _) = export();
    let mut refused = 0;
    for end in 0..good.len() {
        let status = protobuf(&served, "/v1/traces", good[..end].to_vec()).await.status().as_u16();
        assert!(status == 200 || status == 400, "{end}: {status}");
        refused += usize::from(status == 400);
    }
    // Only what ends with a whole message says anything, and there is but the empty one.
    assert_eq!((refused, served.records().len()), (good.len() - 1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn text_that_is_not_utf8_is_refused_by_both_transports() {
    let served = Served::new(Config::default()).await;
    let (_, bad) = export();
    assert_eq!(protobuf(&served, "/v1/traces", bad.clone()).await.status(), 400);
    assert_eq!(call(&served, TRACES, &[], framed(false, &bad)).await.0, 3);
    assert!(served.records().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn exports_that_inflate_without_end_or_are_too_large_are_refused_by_both_transports() {
    let config = Config { body_bytes_max: 1 << 20, ..Config::default() };
    let served = Served::new(config).await;
    let bomb = gzip(&vec![0; 20 << 20]);
    let url = format!("http://{}/v1/traces", served.address);
    let request = served.client.post(&url).header("content-type", "application/x-protobuf");
    let answer =
        request.header("content-encoding", "gzip").body(bomb.clone()).send().await.unwrap();
    assert_eq!(answer.status(), 413);
    let why = answer.bytes().await.unwrap();
    assert!(String::from_utf8_lossy(&why).contains("decompressed_ratio_max"), "{why:?}");
    let zip = [("grpc-encoding", "gzip")];
    let (status, why, _) = call(&served, TRACES, &zip, framed(true, &bomb)).await;
    assert!(status == 8 && why.contains("decompressed_ratio_max"), "{status} {why}");

    let large = vec![0; (1 << 20) + 1];
    assert_eq!(protobuf(&served, "/v1/traces", large.clone()).await.status(), 413);
    let (status, why, _) = call(&served, TRACES, &[], framed(false, &large)).await;
    assert!(status == 8 && why.contains("body_bytes_max"), "{status} {why}");
    assert!(served.records().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_for_nobody_or_in_other_words_is_refused() {
    let served = Served::new(Config::default()).await;
    let (good, _) = export();
    let (json, protobuf) = ("application/json", "application/x-protobuf");
    for (path, media_type, status) in [
        ("/v1/spans", protobuf, 404),
        ("/v1/traces/", protobuf, 404),
        ("/v1/../v1/traces", "application/grpc", 415),
        ("/v1/traces", "application/grpc", 415),
        ("/v1/traces", json, 400),
        ("/opentelemetry.proto.collector.trace.v1.TraceService/Delete", protobuf, 404),
    ] {
        let answer = post(&served, path, media_type, good.clone()).await;
        assert_eq!(answer.status(), status, "{path} {media_type}");
    }
    let answer = post(&served, TRACES, protobuf, framed(false, &good)).await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["grpc-status"]),
        (200, &"3".parse().unwrap())
    );
    let url = format!("http://{}/v1/traces", served.address);
    assert_eq!(served.client.get(&url).send().await.unwrap().status(), 405);
    for encoding in ["br", "gzip, gzip"] {
        let request = served.client.post(&url).header("content-type", protobuf);
        let request = request.header("content-encoding", encoding).body(good.clone());
        assert_eq!(request.send().await.unwrap().status(), 415, "{encoding}");
    }
    assert!(served.records().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_does_not_come_is_answered_so_that_it_is_sent_again() {
    let config = Config { body_timeout_ms: 50, ..Config::default() };
    let served = Served::new(config).await;
    let head = "POST /v1/traces HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-protobuf\r\n\
                connection: close\r\ncontent-length: 9\r\n\r\n\n";
    let answer = served.raw(head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: 1"), "{answer}");
}

/// What two readers might cut at different places: it is refused, or cut once, by us.
#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_smuggled_to_an_upstream_behind_another() {
    let api = Api::saying(SAID).await;
    let served = before(&api, |_| {}).await;
    let hidden = "GET /hidden HTTP/1.1\r\nhost: a\r\n\r\n";
    let chunks = format!("0\r\n\r\n{hidden}");
    let cases = [
        format!("content-length: {}\r\ntransfer-encoding: chunked\r\n\r\n{chunks}", chunks.len()),
        format!("transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n{chunks}"),
        format!("transfer-encoding: chunked, identity\r\n\r\n{chunks}"),
        format!("transfer-encoding: xchunked\r\ncontent-length: {}\r\n\r\n{hidden}", hidden.len()),
        format!("content-length: 0\r\ncontent-length: {}\r\n\r\n{hidden}", hidden.len()),
        format!("content-length: +{}\r\n\r\n{hidden}", hidden.len()),
        format!("content-length : {}\r\n\r\n{hidden}", hidden.len()),
        format!("x: y\r\n content-length: {}\r\n\r\n{hidden}", hidden.len()),
        format!("connection: content-length\r\ncontent-length: {}\r\n\r\n{hidden}", hidden.len()),
    ];
    for case in &cases {
        let request = format!("POST /llm/api/seen HTTP/1.1\r\nhost: a\r\n{case}");
        let mut socket = TcpStream::connect(&served.address).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        socket.shutdown().await.unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.ok();
        for asked in api.asked.lock().unwrap().drain(..) {
            // Its body is the client's to choose; another request of it is none of the upstream's business.
            assert_eq!(asked.target, "/seen", "{case}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_message_passes_to_an_mcp_server_and_is_recorded_as_it_came() {
    let api = Api::saying("not JSON either").await;
    let upstream = ingest::Upstream { url: api.url.clone(), ..ingest::Upstream::default() };
    let config = Config { mcp: [("files".to_owned(), upstream)].into(), ..Config::default() };
    let mut served = Served::new(config).await;
    let bodies: [&[u8]; 4] = [b"{\"jsonrpc\":\"2.0\",", b"\xff\xfe", b"[]", b"{\"id\":1}"];
    for body in bodies {
        let request = served.client.post(format!("http://{}/mcp/files", served.address));
        let request = request.header("content-type", "application/json").body(body);
        assert_eq!(request.send().await.unwrap().text().await.unwrap(), "not JSON either");
    }
    served.end().await;
    let passed: Vec<_> = api.asked().into_iter().map(|asked| asked.body).collect();
    assert_eq!(passed, bodies);
    let events = crate::llm::record::read(&served);
    let recorded: Vec<_> = events.iter().map(|event| event.rebuilt(&event.http()[0])).collect();
    assert_eq!(recorded, bodies);
    assert!(events.iter().all(|event| event.envelope.kind == "http.exchange"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_names_the_rule_and_never_what_was_sent() {
    let served = Served::new(Config::default()).await;
    let secret = "sk-ant-api03-AbCdEf0123456789_AbCdEf";
    for (path, body) in [
        ("/v1/events", format!(r#"{{"kind":"{secret}","#)),
        ("/v1/events", format!(r#"{{"kind":"a","event_id":"{secret}"}}"#)),
        ("/v1/events", format!(r#"{{"kind":"a","phase":"{secret}"}}"#)),
        ("/v1/traces", format!(r#"{{"resourceSpans":"{secret}"}}"#)),
        ("/v1/logs", format!(r#"{{"resourceLogs":[{{"resource":"{secret}"}}]}}"#)),
    ] {
        let answer = post(&served, path, "application/json", body.clone().into_bytes()).await;
        assert_eq!(answer.status(), 400, "{body}");
        let text = answer.text().await.unwrap();
        assert!(serde_json::from_str::<Value>(&text).is_ok() && !text.contains("sk-ant"), "{text}");
    }
}
