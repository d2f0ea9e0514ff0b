//! Recorded exchanges with more than twenty APIs, where they are present beside the repository: what the client gets is what
//! the API sent, and the record rebuilds both directions byte for byte.

use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::Value;

use super::record::{is_anywhere, read};
use super::upstream::{Api, whole};
use super::{CHAT, SAID, before};
use crate::served::gzip;

/// Says which exchange a request is of.
const NUMBER: &str = "x-number";
const SECRET: &str = "sk-very-secret-0123456789";
/// Set by whoever sends.
const OWN: [&str; 5] = ["content-length", "transfer-encoding", "connection", "host", "date"];

/// An exchange to be replayed.
struct Exchange {
    method: String,
    path: String,
    request_headers: Vec<(String, String)>,
    request: Bytes,
    status: u16,
    response_headers: Vec<(String, String)>,
    response: Bytes,
}

fn exchanges() -> Vec<Exchange> {
    let path = "../../shared/data/llm-http-cassettes/exchanges.jsonl";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let mut all: Vec<_> =
        text.lines().enumerate().map(|(number, line)| exchange(number, line)).collect();
    all.push(Exchange {
        method: "POST".into(),
        path: "/v1/chat/completions".into(),
        request_headers: vec![("content-type".into(), "application/json".into())],
        request: CHAT.into(),
        status: 200,
        response_headers: vec![("content-type".into(), "application/json".into())],
        response: SAID.into(),
    });
    all
}

/// Bodies were stored decoded: of those that had an encoding half lose it, and half get it back.
fn exchange(number: usize, line: &str) -> Exchange {
    let json: Value = serde_json::from_str(line).unwrap();
    let text = |name: &str| json[name].as_str().unwrap_or_default();
    let body = |name: &str| match json[format!("{name}_encoding")].as_str() {
        Some("base64") => STANDARD.decode(text(name)).unwrap(),
        _ => text(name).as_bytes().to_vec(),
    };
    let headers = |name: &str| -> Vec<(String, String)> {
        let lines = json[name].as_object().unwrap().iter();
        let lines =
            lines.map(|(name, value)| (name.to_lowercase(), value.as_str().unwrap().into()));
        lines.filter(|(name, _)| !OWN.contains(&name.as_str())).collect()
    };
    let path = text("uri").splitn(4, '/').nth(3).unwrap().split('#').next().unwrap();
    let (mut response_headers, mut response) = (headers("response_headers"), body("response_body"));
    if response_headers.iter().any(|(name, _)| name == "content-encoding") {
        response_headers.retain(|(name, _)| name != "content-encoding");
        if number.is_multiple_of(2) {
            response_headers.push(("content-encoding".into(), "gzip".into()));
            response = gzip(&response);
        }
    }
    Exchange {
        method: text("method").to_uppercase(),
        path: format!("/{path}"),
        request_headers: headers("request_headers"),
        request: body("request_body").into(),
        status: u16::try_from(json["status"].as_u64().unwrap()).unwrap(),
        response_headers,
        response: response.into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_exchanges_pass_untouched_and_are_rebuilt_byte_for_byte() {
    let all: Arc<Vec<Exchange>> = Arc::new(exchanges());
    let answers = Arc::clone(&all);
    let api = Api::new(move |asked| {
        let number: usize = asked.headers[NUMBER].to_str().unwrap().parse().unwrap();
        let exchange = &answers[number];
        assert_eq!((&asked.method, &asked.target), (&exchange.method, &exchange.path));
        assert_eq!(asked.body, exchange.request);
        assert_eq!(asked.headers["authorization"], format!("Bearer {SECRET}"));
        let headers = exchange.response_headers.iter();
        let headers: Vec<_> = headers.map(|(name, value)| (&**name, &**value)).collect();
        whole(exchange.status, &headers, exchange.response.clone())
    })
    .await;
    let mut served = before(&api, |upstream| upstream.start_after_ms = 600_000).await;
    let (served_ref, all_ref) = (&served, &all);
    let send = async |number: usize| {
        let exchange = &all_ref[number];
        let method = exchange.method.parse().unwrap();
        let mut request = served_ref.client.request(method, served_ref.llm(&exchange.path));
        for (name, value) in &exchange.request_headers {
            request = request.header(name, value);
        }
        let request = request.header(NUMBER, number).bearer_auth(SECRET);
        let request = request.header("x-api-key", SECRET).header("cookie", SECRET);
        let answer = request.body(exchange.request.clone()).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), exchange.status);
        for (name, value) in &exchange.response_headers {
            let mut given = answer.headers().get_all(name).iter();
            assert!(given.any(|given| given.as_bytes() == value.as_bytes()), "{number}: {name}");
        }
        assert_eq!(answer.bytes().await.unwrap(), exchange.response, "{number}");
    };
    futures_util::stream::iter(0..all.len()).for_each_concurrent(8, send).await;
    served.end().await;

    let events = read(&served);
    assert_eq!(events.len(), all.len(), "one event each");
    let mut seen = vec![false; all.len()];
    for event in &events {
        let http = event.http();
        let [asked, answered] = http.as_slice() else { panic!("{http:?}") };
        let headers = asked["headers"].as_array().unwrap();
        let number = headers.iter().find(|line| line[0] == NUMBER).unwrap();
        let number: usize = number[1].as_str().unwrap().parse().unwrap();
        assert!(!std::mem::replace(&mut seen[number], true));
        let exchange = &all[number];
        assert_eq!(event.rebuilt(asked), exchange.request, "{number}");
        assert_eq!(event.rebuilt(answered), exchange.response, "{number}");
        assert_eq!(
            (&answered["status"], &answered["ended"]),
            (&exchange.status.into(), &"complete".into())
        );
        assert_eq!(
            (&*event.envelope.phase, &*event.envelope.capture_source),
            ("complete", "llm_proxy")
        );
    }
    let mut numbers: Vec<_> = events.iter().map(|event| event.envelope.producer_seq).collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().map(Option::unwrap).eq(0..u64::try_from(all.len()).unwrap()));
    assert!(!is_anywhere(&served, SECRET.as_bytes()));
    assert!(is_anywhere(&served, b"Be brief."));
}
