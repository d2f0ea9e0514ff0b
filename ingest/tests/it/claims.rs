//! Claim checks: events larger than what Kafka takes, over a store in a folder.

use std::path::Path;
use std::sync::Arc;

use ingest::{Auth, Claims, Config, Error, Gateway, KafkaConfig, Sink, serve};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use schemas::{LockMode, Tenant};
use serde_json::{Value, json};
use store::{Retention, Store};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

fn claims(store: &Path, class: &str) -> Claims {
    let retention = Retention::new(Some(LockMode::Governance), [(class.to_owned(), 2192)].into());
    Claims::new(Store::open(store.to_str().unwrap()).unwrap(), retention.unwrap())
}

fn gateway(cluster: &MockCluster<'static, DefaultProducerContext>) -> Gateway {
    cluster.create_topic("events", 1, 1).unwrap();
    let (brokers, topic) = (cluster.bootstrap_servers(), "events".to_owned());
    let kafka = KafkaConfig { brokers, topic, event_bytes_max: 10_000, ..KafkaConfig::default() };
    let auth = Auth::loopback(Tenant::new("acme").unwrap());
    Gateway::new(Config::default(), Sink::kafka(&kafka).unwrap(), auth, 7).unwrap()
}

async fn served(gateway: Gateway) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/events", listener.local_addr().unwrap());
    tokio::spawn(serve(vec![listener], Arc::new(gateway), CancellationToken::new()));
    url
}

async fn post(url: &str, body: &Value) -> u16 {
    let request = reqwest::Client::new().post(url).header("content-type", "application/json");
    request.body(body.to_string()).send().await.unwrap().status().as_u16()
}

fn large(session: &str, text: &str) -> Value {
    json!({"kind": "a", "session_id": session, "contents": [{"text": text.repeat(50_000)}, {"text": "small"}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bodies_of_a_large_event_are_in_the_store_before_it_is_answered() {
    let cluster = MockCluster::new(1).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let url = served(gateway(&cluster).with_claims(claims(dir.path(), "standard")).unwrap()).await;
    assert_eq!(post(&url, &large("s", "x")).await, 200);
    assert_eq!(post(&url, &large("s", "x")).await, 200);
    assert_eq!(post(&url, &json!([large("s", "y"), large("t", "x")])).await, 200);
    let mut alone = large("", "x");
    alone["session_id"] = Value::Null;
    assert_eq!(post(&url, &alone).await, 200, "in a session that the gateway makes");
    let store = Store::open(dir.path().to_str().unwrap()).unwrap();
    let keys = store.list("bodies", None).await.unwrap();
    assert_eq!(keys.len(), 4, "a body of a session is put once: {keys:?}");
    for key in keys {
        let body = store.get(&key, 1 << 20).await.unwrap().unwrap();
        assert!(body.len() == 50_000, "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_takes_no_bodies_is_503_and_no_event_is_written() {
    let cluster = MockCluster::new(1).unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("bodies"), "where a folder should be").unwrap();
    let url = served(gateway(&cluster).with_claims(claims(dir.path(), "standard")).unwrap()).await;
    assert_eq!(post(&url, &large("s", "x")).await, 503);
    assert_eq!(post(&url, &json!({"kind": "a", "session_id": "s"})).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_store_a_large_event_is_refused_and_a_store_needs_a_period_for_each_class() {
    let cluster = MockCluster::new(1).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let error = gateway(&cluster).with_claims(claims(dir.path(), "financial")).unwrap_err();
    assert!(matches!(error, Error::Retention { ref class, .. } if class == "standard"));
    let cluster = MockCluster::new(1).unwrap();
    assert_eq!(post(&served(gateway(&cluster)).await, &large("s", "x")).await, 413);
}
