//! A client that speaks HTTP/2 and opens no window for the answer.

use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use ingest::Config;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::config;
use super::record::read;
use super::upstream::{Api, next, part};
use crate::served::Served;

/// A gateway that soon gives up clients which take nothing.
async fn impatient(api: &Api) -> Served {
    Served::new(Config { write_timeout_ms: 100, ..config(api, |_| {}) }).await
}

/// A client, and its connection.
async fn client(
    served: &Served,
    window: impl Into<Option<u32>>,
) -> (http2::SendRequest<Empty<Bytes>>, JoinHandle<hyper::Result<()>>) {
    let stream = TcpStream::connect(&served.address).await.unwrap();
    let mut http = http2::Builder::new(TokioExecutor::new());
    http.initial_stream_window_size(window);
    let (client, connection) = http.handshake(TokioIo::new(stream)).await.unwrap();
    (client, tokio::spawn(connection))
}

fn request(served: &Served) -> hyper::Request<Empty<Bytes>> {
    hyper::Request::get(served.llm("/x")).body(Empty::new()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_opens_no_window_is_given_up() {
    let (api, streams) = Api::streaming().await;
    let mut served = impatient(&api).await;
    let (mut client, connection) = client(&served, 0).await;
    let answer = client.send_request(request(&served)).await.unwrap();
    assert_eq!(answer.status(), 200);
    let stream = next(&streams).await;
    stream.send(part("data: 1\n\n")).await.unwrap();
    // The upstream is let go, and the client's connection is closed.
    stream.closed().await;
    assert!(connection.await.unwrap().is_err());
    served
        .metric("chancery_ingest_llm_exchanges_total{route=\"api\",outcome=\"client_abort\"} 1")
        .await;
    served.end().await;
    let event = read(&served).pop().unwrap();
    assert_eq!(event.envelope.status, "cancelled");
}

/// Longer than it may be held up, but never by the client.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_waits_for_the_upstream_is_not() {
    let (api, streams) = Api::streaming().await;
    let mut served = impatient(&api).await;
    let (mut client, connection) = client(&served, None).await;
    let answer = client.send_request(request(&served)).await.unwrap();
    let quiet = next(&streams).await;
    // Nothing is asked of the clock: another client, which takes nothing, has been given up meanwhile.
    let mut held = TcpStream::connect(&served.address).await.unwrap();
    let head = b"GET /llm/api/x HTTP/1.1\r\nhost: a\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut held, head).await.unwrap();
    let flood = next(&streams).await;
    let text: &'static str = "x".repeat(1 << 20).leak();
    while flood.send(part(text)).await.is_ok() {}
    quiet.send(part("data: 1\n\n")).await.unwrap();
    drop(quiet);
    let body = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
    assert_eq!(&*body, b"data: 1\n\n");
    drop(client);
    connection.await.unwrap().unwrap();
    served.end().await;
    assert!(read(&served).iter().any(|event| event.envelope.status == "ok"));
}
