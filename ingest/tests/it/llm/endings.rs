//! How exchanges end other than well, and what is on record then.

use futures_util::StreamExt;
use ingest::{Config, Upstream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::record::{Seen, read};
use super::upstream::{Api, Broken, next, part};
use super::{CHAT, before, config};
use crate::served::Served;

const DATA: &str = "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Hel\"}}]}\n\n";

impl Served {
    async fn stream(&self) -> reqwest::Response {
        let request = self.client.post(self.llm("/v1/chat/completions")).body(CHAT);
        request.header("content-type", "application/json").send().await.unwrap()
    }
}

fn last(served: &Served) -> Seen {
    read(served).pop().unwrap()
}

/// Whether the answer breaks off after its first part, once something was done to it.
async fn breaks(answer: reqwest::Response, done: impl Future<Output = ()>) -> bool {
    let mut parts = answer.bytes_stream();
    assert_eq!(parts.next().await.unwrap().unwrap(), DATA);
    done.await;
    matches!(parts.next().await, Some(Err(_)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_ends_the_upstreams_work_and_what_came_is_on_record() {
    let (api, streams) = Api::streaming().await;
    let mut served = before(&api, |_| {}).await;
    let answer = served.stream().await;
    let stream = next(&streams).await;
    stream.send(part(DATA)).await.unwrap();
    let mut parts = answer.bytes_stream();
    assert_eq!(parts.next().await.unwrap().unwrap(), DATA);
    drop(parts);
    stream.closed().await;
    served
        .metric("chancery_ingest_llm_exchanges_total{route=\"api\",outcome=\"client_abort\"} 1")
        .await;
    served.end().await;
    let event = last(&served);
    assert_eq!((&*event.envelope.phase, &*event.envelope.status), ("complete", "cancelled"));
    let http = &event.http()[1];
    assert_eq!((http["ended"].as_str(), event.rebuilt(http)), (Some("client_abort"), DATA.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_before_the_answer_is_on_record_too() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let upstream = Upstream { url, ..Upstream::default() };
    let config = Config { llm: [("api".to_owned(), upstream)].into(), ..Config::default() };
    let mut served = Served::new(config).await;
    let mut client = TcpStream::connect(&served.address).await.unwrap();
    let head = "POST /llm/api/x HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc";
    client.write_all(head.as_bytes()).await.unwrap();
    let mut upstream = listener.accept().await.unwrap().0;
    let mut bytes = vec![0; 1000];
    let read_first = upstream.read(&mut bytes).await.unwrap();
    assert!(read_first > 0);
    drop(client);
    while !matches!(upstream.read(&mut bytes).await, Ok(0) | Err(_)) {}
    served.end().await;
    let event = last(&served);
    assert_eq!(event.envelope.status, "cancelled");
    assert_eq!(event.rebuilt(&event.http()[0]), b"abc");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_breaks_off_falls_silent_or_is_not_there_is_told_apart() {
    let (api, streams) = Api::streaming().await;
    let mut served = before(&api, |upstream| upstream.answer_pause_ms = Some(100)).await;
    let answer = served.stream().await;
    let stream = next(&streams).await;
    stream.send(part(DATA)).await.unwrap();
    assert!(breaks(answer, async { stream.send(Err(Broken)).await.unwrap() }).await);
    let answer = served.stream().await;
    let silent = next(&streams).await;
    silent.send(part(DATA)).await.unwrap();
    assert!(breaks(answer, async {}).await);
    silent.closed().await;
    // No connection is open any more: both were cut off.
    api.end().await;
    let (status, answer) = served.chat(CHAT).await;
    assert!(status == 502 && answer.contains("upstream_failed"), "{status} {answer}");
    served.end().await;
    let events = read(&served);
    let ended: Vec<_> =
        events.iter().map(|event| event.http()[1]["ended"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ended[..2], ["upstream_cut", "timeout"]);
    assert_eq!(ended.last().unwrap(), "upstream_error");
    assert_eq!(events[0].rebuilt(&events[0].http()[1]), DATA.as_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_does_not_answer_in_time_is_a_504() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let upstream = Upstream { url, answer_timeout_ms: 50, ..Upstream::default() };
    let config = Config { llm: [("api".to_owned(), upstream)].into(), ..Config::default() };
    let mut served = Served::new(config).await;
    let (status, answer) = served.chat(CHAT).await;
    assert!(status == 504 && answer.contains("upstream_timeout"), "{answer}");
    served.end().await;
    assert_eq!((&*last(&served).envelope.status, served.records().len()), ("timeout", 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_dawdles_with_its_request_is_let_go() {
    let api = Api::saying("{}").await;
    let served = before(&api, |upstream| upstream.request_pause_ms = 50).await;
    let head =
        "POST /llm/api/x HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 3\r\n\r\na";
    let answer = served.raw(head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

/// The answer fills all buffers, and the client reads none of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_nothing_is_given_up() {
    let (api, streams) = Api::streaming().await;
    let mut config = config(&api, |_| {});
    config.write_timeout_ms = 100;
    let mut served = Served::new(config).await;
    let mut client = TcpStream::connect(&served.address).await.unwrap();
    client.write_all(b"GET /llm/api/x HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let stream = next(&streams).await;
    let text: &'static str = "x".repeat(1 << 20).leak();
    while stream.send(part(text)).await.is_ok() {}
    served
        .metric("chancery_ingest_llm_exchanges_total{route=\"api\",outcome=\"client_abort\"} 1")
        .await;
    served.end().await;
    let http = &last(&served).http()[1];
    assert!(http["body"]["size"].as_u64().unwrap() >= 1 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_stops_lets_answers_end_and_cuts_off_those_that_do_not() {
    let (api, streams) = Api::streaming().await;
    let mut config = config(&api, |_| {});
    config.drain_timeout_ms = 300;
    let mut served = Served::new(config).await;
    let (good, long) = (served.stream().await, served.stream().await);
    let (one, two) = (next(&streams).await, next(&streams).await);
    for stream in [&one, &two] {
        stream.send(part(DATA)).await.unwrap();
    }
    served.cancel.cancel();
    drop(one);
    let ended = futures_util::future::join(good.bytes(), long.bytes()).await;
    assert!(ended.0.is_ok() != ended.1.is_ok(), "one of them ends well");
    two.closed().await;
    served.end().await;
    let events = read(&served);
    let mut ended: Vec<_> =
        events.iter().map(|event| event.http()[1]["ended"].to_string()).collect();
    ended.sort();
    assert_eq!(ended, ["\"complete\"", "\"gateway_stopped\""]);
    let stopped = events.iter().find(|event| event.http()[1]["ended"] == "gateway_stopped");
    let envelope = &stopped.unwrap().envelope;
    assert_eq!(
        (&*envelope.status, envelope.error_type.as_deref()),
        ("error", Some("gateway_stopped"))
    );
}
