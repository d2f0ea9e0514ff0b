//! What the door refuses, and how: bodies too large, too slow, wrongly packed, or too many.

use ingest::Config;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::served::{Served, code, gzip, parts};

#[tokio::test(flavor = "multi_thread")]
async fn gzip_is_read_and_whatever_is_wrong_with_it_is_refused() {
    let served = Served::new(Config::default()).await;
    let send = async |encoding: &str, body: Vec<u8>| {
        let request = served.request().header("content-encoding", encoding);
        let (status, answer) = parts(request.body(body).send().await.unwrap()).await;
        (status.as_u16(), answer["error"]["limit"].as_str().unwrap_or_default().to_owned())
    };
    let good = gzip(b"{\"kind\":\"a\"}");
    assert_eq!(send("gzip", good.clone()).await, (200, String::new()));
    assert_eq!(send("identity", b"{\"kind\":\"a\"}".to_vec()).await, (200, String::new()));
    assert_eq!(send("gzip", good[..good.len() - 3].to_vec()).await, (400, String::new()));
    assert_eq!(send("gzip", b"{\"kind\":\"a\"}".to_vec()).await, (400, String::new()));
    assert_eq!(send("gzip", gzip(&good)).await, (400, String::new()));
    for (encoding, status) in
        [("gzip, gzip", 415), ("br", 415), ("", 415), ("zstd", 400), ("deflate", 400)]
    {
        assert_eq!(send(encoding, good.clone()).await, (status, String::new()), "{encoding}");
    }
    let zstd = zstd::encode_all(&b"{\"kind\":\"a\"}"[..], 3).unwrap();
    assert_eq!(send("zstd", zstd).await, (200, String::new()));
    let bomb = gzip(&vec![b' '; 20 << 20]);
    assert_eq!(send("gzip", bomb).await, (413, "decompressed_ratio_max".to_owned()));
    let twice =
        served.request().header("content-encoding", "gzip").header("content-encoding", "gzip");
    assert_eq!(twice.body(gzip(&good)).send().await.unwrap().status().as_u16(), 415);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_are_refused_announced_or_not() {
    let config = Config { body_bytes_max: 1000, ..Config::default() };
    let served = Served::new(config).await;
    let (status, answer) = served.post(vec![b' '; 1001]).await;
    assert_eq!((status.as_u16(), &answer["error"]["limit"]), (413, &json!("body_bytes_max")));
    let chunks = (0..11).map(|_| Ok::<_, std::io::Error>(vec![b' '; 100]));
    let stream = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
    let (status, answer) = served.post(stream).await;
    assert_eq!((status.as_u16(), code(&answer)), (413, "too_large"));
    assert_eq!(
        served.post(format!("{{\"kind\":\"a\"}}{}", " ".repeat(900))).await.0,
        StatusCode::OK
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_error_is_json() {
    let served = Served::new(Config::default()).await;
    let head = "POST /v1/events HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: ";
    for (request, status, code) in [
        (
            "GET /nothing HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".to_owned(),
            404,
            "not_found",
        ),
        (
            "PUT /v1/events HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".to_owned(),
            405,
            "method_not_allowed",
        ),
        (
            "POST /v1/events HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".to_owned(),
            415,
            "unsupported_media_type",
        ),
        (
            format!("{head}text/plain\r\ncontent-length: 2\r\n\r\n{{}}"),
            415,
            "unsupported_media_type",
        ),
        (format!("{head}application/json\r\ncontent-length: 2\r\n\r\n{{}}"), 400, "invalid_field"),
        (format!("{head}application/json\r\ncontent-length: 0\r\n\r\n"), 400, "invalid_body"),
        (format!("{head}application/json\r\ncontent-length: 3\r\n\r\n{{}}]"), 400, "invalid_body"),
        (
            format!("{head}application/json\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n{{}}\r\n"),
            400,
            "invalid_body",
        ),
    ] {
        let answer = served.raw(request.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
        let body: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
        assert_eq!(body["error"]["code"], code, "{request}");
        assert!(body["error"]["message"].is_string());
    }
    assert!(served.records().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_dawdle_are_let_go() {
    let config = Config { header_timeout_ms: 50, body_timeout_ms: 50, ..Config::default() };
    let served = Served::new(config).await;
    assert_eq!(served.raw(b"POST /v1/events HTTP/1.1\r\nhost: a\r\n").await, "");
    let head = "POST /v1/events HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
                connection: close\r\ncontent-length: 9\r\n\r\n{";
    let answer = served.raw(head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("\"timeout\""), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn overload_is_503_and_says_when_to_try_again() {
    let limits = spool::Config { bytes_max: 2000, ..spool::Config::default() };
    let served = Served::with(Config::default(), limits, None).await;
    assert_eq!(served.get("/readyz").await.0, StatusCode::OK);
    let body = json!({"kind": "a", "event_id": "0199c0de-0000-7000-8000-000000000001", "session_id": "s",
        "contents": [{"text": "x".repeat(1500)}]});
    let response = served.request().body(body.to_string()).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let mut more = body.clone();
    more["event_id"] = json!("0199c0de-0000-7000-8000-000000000002");
    more["session_id"] = json!("t");
    for _ in 0..2 {
        let response = served.request().body(more.to_string()).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()["retry-after"], "1");
        assert_eq!(code(&parts(response).await.1), "unavailable");
    }
    let (status, why) = served.get("/readyz").await;
    assert!(status == StatusCode::SERVICE_UNAVAILABLE && why.contains("spool is full"), "{why}");
    assert_eq!(served.get("/healthz").await, (StatusCode::OK, "ok\n".to_owned()));
    assert_eq!(served.post(body.to_string()).await.0, StatusCode::OK, "a repeat needs no room");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bytes_under_way_are_bounded() {
    let config = Config {
        body_bytes_max: 10_000,
        decompressed_bytes_max: 20_000,
        in_flight_bytes_max: 20_000,
        ..Config::default()
    };
    let served = Served::new(config).await;
    let head = "POST /v1/events HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
                content-length: 10000\r\n\r\n";
    let mut sockets = Vec::new();
    for _ in 0..2 {
        let mut socket = TcpStream::connect(&served.address).await.unwrap();
        socket.write_all(head.as_bytes()).await.unwrap();
        sockets.push(socket);
    }
    while !served.get("/metrics").await.1.contains("in_flight_bytes 20000") {
        tokio::task::yield_now().await;
    }
    assert_eq!(served.post("{\"kind\":\"a\"}").await.0, StatusCode::SERVICE_UNAVAILABLE);
    drop(sockets);
    while !served.get("/metrics").await.1.contains("in_flight_bytes 0") {
        tokio::task::yield_now().await;
    }
    assert_eq!(served.post("{\"kind\":\"a\"}").await.0, StatusCode::OK);
}
