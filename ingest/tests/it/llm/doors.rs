//! Who gets in, and what is turned away before anything is forwarded.

use ingest::{Auth, Gateway, Sink, keys};
use spool::Spool;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::record::{is_anywhere, read};
use super::upstream::Api;
use super::{CHAT, SAID, before, config};
use crate::served::{Served, code, parts};

#[tokio::test(flavor = "multi_thread")]
async fn with_keys_a_key_of_the_gateway_opens_and_goes_no_further() {
    let api = Api::saying(SAID).await;
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("keys.toml");
    let (key, other) =
        (keys::create(&keys, "acme").unwrap(), keys::create(&keys, "umbrella").unwrap());
    let (spool, _) = Spool::open(&dir.path().join("spool"), spool::Config::default()).unwrap();
    let sink = Sink::spool(spool.clone()).unwrap();
    let gateway = Gateway::new(config(&api, |_| {}), sink, Auth::keys(&keys).unwrap(), 7).unwrap();
    let mut served = Served::run(dir, spool, gateway).await;
    let ask = async |path: &str, header: Option<&str>| {
        let mut request =
            served.client.post(served.llm(path)).bearer_auth("sk-upstream").body(CHAT);
        if let Some(key) = header {
            request = request.header("x-chancery-key", key);
        }
        request.send().await.unwrap().status().as_u16()
    };
    let path = "/v1/chat/completions";
    assert_eq!(ask(path, None).await, 401);
    assert_eq!(ask(path, Some("chk_1_2")).await, 401);
    assert_eq!(ask(&format!("/chk_1_2{path}"), None).await, 401);
    assert_eq!(ask(&format!("/{key}{path}"), Some("chk_1_2")).await, 401, "the header goes first");
    assert!(api.asked().is_empty());
    assert_eq!(ask(path, Some(&key)).await, 200);
    assert_eq!(ask(&format!("/{other}{path}"), None).await, 200);
    assert_eq!(ask(&format!("/{key}{path}"), Some(&other)).await, 200);
    for asked in api.asked() {
        assert_eq!(
            (&*asked.target, &asked.headers["authorization"]),
            (path, &"Bearer sk-upstream".parse().unwrap())
        );
        assert!(!asked.headers.contains_key("x-chancery-key"));
    }
    served.end().await;
    let events = read(&served);
    let tenants: Vec<_> = events.iter().map(|event| &*event.envelope.tenant).collect();
    assert_eq!(tenants, ["acme", "umbrella", "umbrella"]);
    for key in [&key, &other] {
        let secret = key.rsplit('_').next().unwrap();
        assert!(!is_anywhere(&served, secret.as_bytes()));
    }
    assert!(!is_anywhere(&served, b"sk-upstream"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_for_the_upstream_is_turned_away() {
    let api = Api::saying(SAID).await;
    let served = before(&api, |_| {}).await;
    let ask = async |path: &str, line: (&str, &str)| {
        let request = served.client.post(format!("http://{}{path}", served.address));
        let (status, answer) = parts(request.header(line.0, line.1).send().await.unwrap()).await;
        (status.as_u16(), code(&answer).to_owned())
    };
    let plain = ("x", "y");
    assert_eq!(ask("/llm/other/v1", plain).await, (404, "not_found".into()));
    assert_eq!(
        ask("/llm/api/v1", ("origin", "https://a.example")).await,
        (403, "forbidden".into())
    );
    assert_eq!(ask("/llm/api/v1", ("upgrade", "websocket")).await, (501, "not_implemented".into()));
    let climbs = "POST /llm/api/v1/%2e%2e/admin HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    assert!(served.raw(climbs.as_bytes()).await.starts_with("HTTP/1.1 400 "));
    let huge = format!("POST /llm/api HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "x".repeat(10 << 20));
    // What is still being sent when the connection is closed may take the answer with it.
    let mut socket = TcpStream::connect(&served.address).await.unwrap();
    socket.write_all(huge.as_bytes()).await.ok();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.ok();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let twice =
        "POST /llm/api HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab";
    assert!(served.raw(twice.as_bytes()).await.starts_with("HTTP/1.1 400 "));
    assert!(api.asked().is_empty());
    assert!(served.records().is_empty());
}
