//! Topics with Confluent framing, with a real schema registry behind them, also while it is away.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use registry::{Config, Kind, Registry};
use reqwest::{Client, Method};
use schemas::{Envelope, EventId, Framing, PUBLISHED, Published, SchemaId, encode_framed};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::binary::{Service, chancery, expect};
use crate::services::{LOOK, LOOKS, client, create_topic, sealed, variable};

const SESSION: &str = r#"{"session_id":"s","messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"hello"}]}"#;
/// The start, two messages, the end.
const IMPORTED: u64 = 4;
/// And one in Avro.
const EVENTS: u64 = IMPORTED + 1;
const OTHER: &str = r#"{"type":"record","name":"Other","fields":[{"name":"a","type":"int"}]}"#;

fn open(url: &str) -> Registry {
    Registry::new(&Config { url: url.to_owned(), ..Config::default() }, None).unwrap()
}

fn unique() -> String {
    format!("events-{}", uuid::Uuid::now_v7().simple())
}

fn latest() -> &'static Published {
    PUBLISHED.last().unwrap()
}

/// Asks the registry as anybody would; its status and answer.
async fn ask(method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
    let url = format!("{}/{path}", variable("CHANCERY_TEST_REGISTRY"));
    let mut request = Client::new().request(method, url);
    if let Some(body) = body {
        let media_type = "application/vnd.schemaregistry.v1+json";
        request = request.header("content-type", media_type).body(body.to_string());
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap())
}

/// Passes connections on to the registry for as long as it lives; its URL. At an address of its own, or at `address`.
async fn forward(address: Option<SocketAddr>) -> (SocketAddr, JoinHandle<()>) {
    let to = variable("CHANCERY_TEST_REGISTRY");
    let to = to.strip_prefix("http://").and_then(|rest| rest.split('/').next()).unwrap().to_owned();
    let from = address.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
    let listener = TcpListener::bind(from).await.unwrap();
    let address = listener.local_addr().unwrap();
    let forwarding = tokio::spawn(async move {
        let mut open = tokio::task::JoinSet::new();
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            let mut far = TcpStream::connect(&to).await.unwrap();
            // Whoever hangs up first ends it; both may.
            open.spawn(
                async move { tokio::io::copy_bidirectional(&mut near, &mut far).await.ok() },
            );
        }
    });
    (address, forwarding)
}

fn url(address: SocketAddr) -> String {
    let path = variable("CHANCERY_TEST_REGISTRY");
    let path = path.splitn(4, '/').nth(3).unwrap().to_owned();
    format!("http://{address}/{path}")
}

#[tokio::test]
async fn the_schema_is_registered_once_and_held_to_full_compatibility() {
    let (registry, topic) = (open(&variable("CHANCERY_TEST_REGISTRY")), unique());
    let id = registry.register(&topic, latest()).await.unwrap();
    assert_eq!(registry.register(&topic, latest()).await.unwrap(), id);
    let fresh = open(&variable("CHANCERY_TEST_REGISTRY"));
    assert_eq!(fresh.published(id).await.unwrap(), Some(latest()));
    assert_eq!(fresh.published(SchemaId(987_654_321)).await.unwrap(), None);
    let (_, level) = ask(Method::GET, &format!("config/{topic}-value"), None).await;
    assert_eq!(level["compatibilityLevel"], "FULL_TRANSITIVE");
    let path = format!("subjects/{topic}-value/versions");
    let (status, _) = ask(Method::POST, &path, Some(json!({"schema": OTHER}))).await;
    assert_eq!(status, 409, "another schema is not compatible with ours");

    let taken = unique();
    let path = format!("subjects/{taken}-value/versions");
    let (status, other) = ask(Method::POST, &path, Some(json!({"schema": OTHER}))).await;
    assert_eq!(status, 200, "{other}");
    let refused = registry.register(&taken, latest()).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Refused, "{refused}");
    let id = SchemaId(other["id"].as_u64().unwrap().try_into().unwrap());
    assert_eq!(fresh.published(id).await.unwrap(), None, "it is there, and not ours");
}

#[tokio::test]
async fn what_was_learnt_outlives_an_outage() {
    let (address, forwarding) = forward(None).await;
    let registry = open(&url(address));
    let id = registry.register(&unique(), latest()).await.unwrap();
    let asked = open(&url(address));
    assert_eq!(asked.published(id).await.unwrap(), Some(latest()));
    forwarding.abort();
    assert!(forwarding.await.is_err());
    for registry in [&registry, &asked] {
        assert_eq!(registry.published(id).await.unwrap(), Some(latest()));
        let unknown = registry.published(SchemaId(987_654_321)).await.unwrap_err();
        assert_eq!(unknown.kind(), Kind::Transient, "{unknown}");
    }
}

/// Messages that come with frames of their own: of a schema that is not ours, of none, and of single-object encoding.
async fn write_foreign(brokers: &str, topic: &str) -> u64 {
    let path = format!("subjects/{}/versions", unique());
    let (_, other) = ask(Method::POST, &path, Some(json!({"schema": OTHER}))).await;
    let other = SchemaId(other["id"].as_u64().unwrap().try_into().unwrap());
    let producer: BaseProducer = client(brokers).create().unwrap();
    let frames = [
        other.frame().to_vec(),
        SchemaId(987_654_321).frame().to_vec(),
        SchemaId(u32::MAX).frame().to_vec(),
        latest().frame().to_vec(),
    ];
    for frame in &frames {
        let value = [&frame[..], b"x"].concat();
        let record = BaseRecord::to(topic).key("acme/s").payload(&value);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(Duration::from_secs(30)).unwrap();
    frames.len() as u64
}

/// The least that an event says.
fn envelope() -> Vec<u8> {
    let envelope = Envelope {
        event_id: EventId([1; 16]),
        tenant: "acme".into(),
        session_id: "s".into(),
        kind: "a".into(),
        ..Envelope::blank()
    };
    envelope.to_bytes()
}

async fn post(url: &str, key: &str, message: Vec<u8>) -> u16 {
    let request = Client::new().post(format!("{url}/v1/events")).bearer_auth(key);
    let request = request.header("content-type", "application/avro").body(message);
    request.send().await.unwrap().status().as_u16()
}

/// A file of settings for gateway and sealer.
fn settings(folder: &Path, registry: &str, metrics: &str) -> String {
    let path = folder.join("settings.toml");
    let text = format!(
        "[kafka]\nframing = \"confluent\"\n[registry]\nurl = \"{registry}\"\n\
         [sealer]\nsegment_age_max_ms = 300\n[metrics]\n{metrics}\n"
    );
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

async fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// The sealer's counter of what it tried again.
async fn retries(metrics: SocketAddr) -> u64 {
    let Ok(answer) = reqwest::get(format!("http://{metrics}/metrics")).await else { return 0 };
    let text = answer.text().await.unwrap();
    let lines = text.lines().filter(|line| line.starts_with("chancery_sealer_retries_total{"));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_wait_for_a_registry_that_is_away_and_are_sealed_as_events() {
    let (brokers, topic) = (variable("CHANCERY_TEST_KAFKA"), unique());
    create_topic(&brokers, &topic).await;
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store").to_str().unwrap().to_owned();
    let keys = folder.path().join("keys.toml").to_str().unwrap().to_owned();
    let key = expect(0, &["keys", "create", "--keys", &keys, "--tenant", "acme"]);
    let to_registry = settings(folder.path(), &variable("CHANCERY_TEST_REGISTRY"), "");
    let ingest = Service::listening(&[
        "ingest",
        "--kafka",
        &brokers,
        "--topic",
        &topic,
        "--keys",
        &keys,
        "--listen",
        "127.0.0.1:0",
        "--config",
        &to_registry,
    ]);
    let file = folder.path().join("sessions.jsonl");
    std::fs::write(&file, SESSION).unwrap();
    let import = ["import", "openai-chat", file.to_str().unwrap(), "--to", &ingest.url()];
    let imported = chancery(&import).env("CHANCERY_KEY", key.trim()).output().unwrap();
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));

    let id = open(&variable("CHANCERY_TEST_REGISTRY")).register(&topic, latest()).await.unwrap();
    let framed = |frame: &[u8]| encode_framed(frame, &envelope(), None, None, &[]);
    assert_eq!(post(&ingest.url(), key.trim(), framed(&id.frame())).await, 200);
    assert_eq!(post(&ingest.url(), key.trim(), framed(&latest().frame())).await, 200, "a repeat");
    assert_eq!(post(&ingest.url(), key.trim(), framed(&SchemaId(987_654_321).frame())).await, 400);

    let (registry, metrics) = (free_address().await, free_address().await);
    let listen = format!("listen = \"{metrics}\"");
    let sealer_settings = settings(folder.path(), &url(registry), &listen);
    let sealer = Service::start(&[
        "sealer",
        "--kafka",
        &brokers,
        "--topic",
        &topic,
        "--store",
        &store,
        "--unsafe-no-lock",
        "--config",
        &sealer_settings,
    ]);
    let mut looks = 0..LOOKS;
    while retries(metrics).await == 0 {
        assert!(looks.next().is_some(), "the sealer never asked the registry again");
        tokio::time::sleep(LOOK).await;
    }
    let segments = Path::new(&store).join("segments");
    assert!(!segments.exists(), "nothing is sealed of which nobody knows what it is");

    let (_, forwarding) = forward(Some(registry)).await;
    let report = sealed(&store, EVENTS).await;
    assert_eq!((&report["events"], &report["raw"]), (&json!(EVENTS), &json!(0)));
    let foreign = write_foreign(&brokers, &topic).await;
    let report = sealed(&store, EVENTS + foreign).await;
    assert_eq!((&report["events"], &report["raw"]), (&json!(EVENTS), &json!(foreign)));
    forwarding.abort();
    let (sealer, ingest) = (sealer.end("-TERM"), ingest.end("-TERM"));
    assert_eq!((sealer, ingest), (Some(0), Some(0)));
    assert_eq!(framings(&store).await, BTreeSet::from(["confluent".to_owned()]));
}

async fn framings(store: &str) -> BTreeSet<String> {
    let store = store::Store::open(store).unwrap();
    let mut framings = BTreeSet::new();
    for key in store.list("records", None).await.unwrap() {
        let text = store.get(&key, 1 << 20).await.unwrap().unwrap();
        let record = schemas::EnrolledRecord::parse(std::str::from_utf8(&text).unwrap()).unwrap();
        framings.insert(record.segment.chain.framing.to_string());
    }
    framings
}

#[test]
fn confluent_framing_needs_a_registry() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys.toml").to_str().unwrap().to_owned();
    let (framing, topic) = (format!("kafka.framing={}", Framing::Confluent), unique());
    let args = ["ingest", "--kafka", "127.0.0.1:1", "--topic", &topic, "--keys", &keys];
    expect(2, &[&args[..], &["--set", &framing]].concat());
    expect(2, &[&args[..], &["--set", "kafka.framing=other"]].concat());
}
