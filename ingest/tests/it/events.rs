//! The door over real connections: what is answered is on the log, once and in order.

use std::sync::Arc;
use std::time::Duration;

use ingest::{Auth, Config, Error, Gateway, Sink, keys, serve};
use reqwest::StatusCode;
use schemas::Tenant;
use serde_json::{Value, json};
use spool::Record;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::served::{Served, code, event, parts};

#[tokio::test(flavor = "multi_thread")]
async fn events_are_durable_when_they_are_answered() {
    let served = Served::new(Config::default()).await;
    let one = json!({"kind": "user.message", "session_id": "s", "contents": [{"role": "user", "text": "hi"}]});
    let (status, answer) = served.post(one.to_string()).await;
    assert_eq!((status, &answer["accepted"]), (StatusCode::OK, &json!(1)));
    let records = served.records();
    let first = event(&records[0]);
    assert_eq!(answer["events"][0]["event_id"], first.envelope.event_id.to_string());
    assert_eq!(answer["events"][0]["event_digest"], first.event_digest.to_string());
    assert_eq!(answer["events"][0].as_object().unwrap().len(), 2);
    assert_eq!(records[0].key.as_deref(), Some(&b"acme/s"[..]));
    assert_eq!(records[0].timestamp_ms / 60_000, first.envelope.occurred_at.0 / 60_000_000);
    assert_eq!(first.bodies[0].data, Some(&b"hi"[..]));

    let lines = "{\"kind\":\"a\"}\n{\"kind\":\"b\"}\n";
    let url = format!("http://{}/v1/events", served.address);
    let request =
        served.client.post(url).header("content-type", "Application/X-NDJSON; charset=utf-8");
    let (_, answer) = parts(request.body(lines).send().await.unwrap()).await;
    let sessions = [0, 1].map(|index| answer["events"][index]["session_id"].as_str().unwrap());
    assert_eq!(
        sessions[0], sessions[1],
        "events of a request that name no session share a new one"
    );
    let (_, answer) = served.post("[]").await;
    assert_eq!(answer, json!({"accepted": 0, "events": []}));
    assert_eq!(served.records().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_says_where_proofs_are_asked_for() {
    let place = "https://audit.example/receipts";
    let served =
        Served::new(Config { receipts: Some(place.to_owned()), ..Config::default() }).await;
    let (_, answer) = served.post(json!({"kind": "a", "session_id": "s"}).to_string()).await;
    assert_eq!((&answer["accepted"], &answer["receipts"]), (&json!(1), &json!(place)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_asked_for_before_the_body_is_read() {
    let served = Served::with(Config::default(), spool::Config::default(), Some("keys.toml")).await;
    // The body never comes, and is not waited for.
    let head = "POST /v1/events HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
                content-length: 99\r\nconnection: close\r\n\r\n";
    let answer = served.raw(head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert!(answer.contains("www-authenticate: Bearer") && answer.contains("\"unauthorized\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_writes_for_its_own_tenant_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.toml");
    let key = keys::create(&path, "acme").unwrap();
    let name = path.to_str().unwrap().to_owned();
    let served = Served::with(Config::default(), spool::Config::default(), Some(&name)).await;
    let send = async |body: Value| {
        let request = served.request().bearer_auth(&key).body(body.to_string());
        parts(request.send().await.unwrap()).await
    };
    assert_eq!(send(json!({"kind": "a", "tenant": "acme"})).await.0, StatusCode::OK);
    let (status, answer) = send(json!([{"kind": "a"}, {"kind": "a", "tenant": "other"}])).await;
    assert_eq!((status, code(&answer)), (StatusCode::FORBIDDEN, "forbidden"));
    assert_eq!(answer["error"]["field"], "events[1].tenant");
    let records = served.records();
    assert_eq!(records.len(), 1, "a refused request writes nothing");
    let first = event(&records[0]);
    let admission = schemas::Admission::from_bytes(first.admission.unwrap()).unwrap();
    assert_eq!(admission.credential_id, key.split('_').nth(1).unwrap());
    assert_eq!((admission.gateway_epoch, admission.gateway_seq), (7, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_it_serves_neither_the_network_nor_web_pages() {
    let served = Served::new(Config::default()).await;
    let request =
        served.request().header("origin", "https://page.example").body("{\"kind\":\"a\"}");
    assert_eq!(request.send().await.unwrap().status(), StatusCode::FORBIDDEN);

    let sink = Sink::spool(served.spool.clone()).unwrap();
    let auth = Auth::loopback(Tenant::new("acme").unwrap());
    let gateway = Arc::new(Gateway::new(Config::default(), sink, auth, 7).unwrap());
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let outcome = serve(vec![listener], gateway, CancellationToken::new()).await;
    assert!(matches!(outcome, Err(Error::NotLoopback { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_sent_by_many_at_once_is_written_once() {
    let served = Served::new(Config::default()).await;
    let body =
        json!({"kind": "a", "session_id": "s", "event_id": "0199c0de-0000-7000-8000-000000000001"});
    let sends = (0..20).map(|_| served.post(body.to_string()));
    let answers = futures_util::future::join_all(sends).await;
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(served.records().len(), 1);
    let mut other = body.clone();
    other["kind"] = json!("b");
    let (status, answer) = served.post(other.to_string()).await;
    assert_eq!((status, code(&answer)), (StatusCode::CONFLICT, "conflict"));
    assert_eq!(answer["error"]["field"], "events[0].event_id");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_has_the_order_of_admission() {
    let served = Served::new(Config::default()).await;
    let sends = (0..50).map(|number| {
        let event = json!({"kind": "a", "session_id": (number % 3).to_string()});
        served.post(json!([event, event]).to_string())
    });
    let answers = futures_util::future::join_all(sends).await;
    assert!(answers.iter().all(|(status, _)| *status == StatusCode::OK));
    let records = served.records();
    let seq = |record: &Record| {
        let admission = event(record).admission.unwrap().to_vec();
        schemas::Admission::from_bytes(&admission).unwrap().gateway_seq
    };
    assert!(records.iter().map(seq).eq(0..100));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_ends_what_was_begun_and_takes_nothing_more() {
    let served = Served::new(Config::default()).await;
    served.post("{\"kind\":\"a\"}").await;
    let mut socket = TcpStream::connect(&served.address).await.unwrap();
    let head = "POST /v1/events HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
                content-length: 12\r\n\r\n{\"kind\":";
    socket.write_all(head.as_bytes()).await.unwrap();
    while !served.get("/metrics").await.1.contains("in_flight_bytes 12") {
        tokio::task::yield_now().await;
    }
    served.cancel.cancel();
    socket.write_all(b"\"b\"}").await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let ended = tokio::time::timeout(Duration::from_secs(20), served.task).await;
    ended.unwrap().unwrap().unwrap();
    assert!(TcpStream::connect(&served.address).await.is_err());
    let records = served.spool.read(0, usize::MAX).unwrap();
    assert_eq!(records.len(), 2);
    drop(served.dir);
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_events_and_bodies() {
    let served = Served::new(Config::default()).await;
    let body = json!({"kind": "a", "session_id": "s", "contents": [{"text": "x"}]});
    for _ in 0..3 {
        served.post(body.to_string()).await;
    }
    served.post("{}").await;
    let (_, text) = served.get("/metrics").await;
    for line in [
        "chancery_ingest_events_total{outcome=\"accepted\"} 3",
        "chancery_ingest_bodies_total{outcome=\"inline\"} 1",
        "chancery_ingest_bodies_total{outcome=\"by_digest\"} 2",
        "chancery_ingest_requests_total{outcome=\"invalid_field\"} 1",
        "chancery_ingest_in_flight_bytes 0",
    ] {
        assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
    }
}
