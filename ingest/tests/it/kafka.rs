//! The Kafka sink against librdkafka's own broker: where messages go, and what a broker that is away means.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ingest::{Auth, Config, Error, Gateway, KafkaConfig, Sink, serve};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message as _;
use rdkafka::mocking::MockCluster;
use schemas::{Message, Offset, Partition, Place, Tenant, Timestamp, partition_of};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const TOPIC: &str = "events";
const PARTITIONS: u32 = 5;

fn config(brokers: String) -> KafkaConfig {
    KafkaConfig {
        brokers,
        topic: TOPIC.to_owned(),
        message_timeout_ms: 1000,
        ..KafkaConfig::default()
    }
}

async fn served(kafka: &KafkaConfig) -> String {
    let auth = Auth::loopback(Tenant::new("acme").unwrap());
    let gateway = Gateway::new(Config::default(), Sink::kafka(kafka).unwrap(), auth, 7).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(serve(vec![listener], Arc::new(gateway), CancellationToken::new()));
    url
}

async fn post(url: &str, body: &Value) -> (u16, Value) {
    let request = reqwest::Client::new().post(format!("{url}/v1/events"));
    let request = request.header("content-type", "application/json").body(body.to_string());
    let response = request.send().await.unwrap();
    let retry = response.headers().get("retry-after").cloned();
    let status = response.status().as_u16();
    assert_eq!(status == 503, retry.is_some_and(|value| value == "1"));
    (status, serde_json::from_str(&response.text().await.unwrap()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_is_where_its_key_belongs() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, i32::try_from(PARTITIONS).unwrap(), 1).unwrap();
    let url = served(&config(cluster.bootstrap_servers())).await;
    let events: Vec<Value> = (0..40)
        .map(|n| json!({"kind": "a", "session_id": format!("session-{}", n % 20)}))
        .collect();
    let (status, answer) = post(&url, &json!(events)).await;
    assert_eq!((status, &answer["accepted"]), (200, &json!(40)));

    let mut consumer = ClientConfig::new();
    consumer.set("bootstrap.servers", cluster.bootstrap_servers()).set("group.id", "test");
    consumer.set("auto.offset.reset", "earliest");
    let consumer: BaseConsumer = consumer.create().unwrap();
    consumer.subscribe(&[TOPIC]).unwrap();
    for _ in 0..events.len() {
        // Some polls have other news than a message.
        let message = std::iter::repeat_with(|| consumer.poll(Duration::from_secs(1)));
        let message = message.take(60).flatten().next().unwrap().unwrap();
        let partition = Partition(u32::try_from(message.partition()).unwrap());
        assert_eq!(partition, partition_of(message.key().unwrap(), PARTITIONS));
        let (offset, timestamp) = (Offset(0), Timestamp::default());
        let read = Message { offset, timestamp, key: message.key(), value: message.payload() };
        schemas::read(&read, Place { partition, partitions: PARTITIONS }).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_away_is_503_until_it_is_back() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, 1, 1).unwrap();
    let url = served(&config(cluster.bootstrap_servers())).await;
    let event =
        json!({"kind": "a", "session_id": "s", "event_id": "0199c0de-0000-7000-8000-000000000001"});
    cluster.broker_down(1).unwrap();
    assert_eq!(post(&url, &event).await.0, 503);
    let ready = reqwest::get(format!("{url}/readyz")).await.unwrap();
    assert_eq!(ready.status().as_u16(), 503);
    cluster.broker_up(1).unwrap();
    while post(&url, &event).await.0 == 503 {}
    let large = json!({"kind": "a", "contents": [{"text": "x".repeat(900_000)}]});
    let (status, answer) = post(&url, &large).await;
    assert_eq!((status, &answer["error"]["limit"]), (413, &json!("event_bytes_max")));
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let small = KafkaConfig { message_max_bytes: 900_000, ..config(String::new()) };
    assert!(matches!(Sink::kafka(&small), Err(Error::Config { field: "message_max_bytes", .. })));
    let properties = BTreeMap::from([("no.such.property".to_owned(), "secret".to_owned())]);
    let unknown = KafkaConfig { properties, ..config("localhost:1".to_owned()) };
    assert!(!format!("{unknown:?}").contains("secret"));
    assert!(matches!(Sink::kafka(&unknown), Err(Error::Kafka { .. })));
}
