//! Kafka away, for real: a broker that is stopped and one that is killed, while agents send and the gateway is killed too.
//! And events that are too large for it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::binary::{Service, expect};
use crate::broker::{Stack, each_event};
use crate::services::{create_topic, sealed, variable};

const AGENTS: u64 = 4;
/// Events that each agent has had acknowledged before the next trouble.
const EVENTS: u64 = 40;
const TOPIC: &str = "events";

/// Where the gateway is at the moment, and what its clients have been told.
#[derive(Default)]
struct Agents {
    url: Mutex<String>,
    stop: AtomicBool,
    acknowledged: [AtomicU64; AGENTS as usize],
}

impl Agents {
    /// One agent: one event after the other, each again until it is acknowledged. Its ids, in their order.
    async fn send(self: Arc<Self>, agent: u64) -> Vec<String> {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
        let mut sent = Vec::new();
        while !self.stop.load(Ordering::Relaxed) {
            let id = uuid::Uuid::now_v7().to_string();
            let text = format!("{id} {}", "x".repeat(300));
            let event = json!({
                "event_id": id, "session_id": format!("agent-{agent}"), "kind": "user.message",
                "contents": [{"role": "user", "text": text}],
            });
            while post(&http, &self.url(), &event).await != Some(200) {}
            sent.push(id);
            self.acknowledged[agent as usize].fetch_add(1, Ordering::Relaxed);
        }
        sent
    }

    fn url(&self) -> String {
        self.url.lock().unwrap().clone()
    }

    /// Waits until every agent has got on by so much.
    async fn get_on(&self) {
        let counts = || self.acknowledged.each_ref().map(|count| count.load(Ordering::Relaxed));
        let from = counts();
        while counts().iter().zip(from).any(|(count, from)| *count < from + EVENTS) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn post(http: &reqwest::Client, url: &str, event: &Value) -> Option<u16> {
    let request = http.post(format!("{url}/v1/events")).header("content-type", "application/json");
    let request = request.bearer_auth(KEY.get().unwrap()).body(event.to_string());
    Some(request.send().await.ok()?.status().as_u16())
}

static KEY: std::sync::OnceLock<String> = std::sync::OnceLock::new();

/// The file of keys; the one key in it is everybody's.
fn keys(folder: &Path) -> String {
    let keys = folder.join("keys.toml").to_str().unwrap().to_owned();
    let key = expect(0, &["keys", "create", "--keys", &keys, "--tenant", "acme"]);
    KEY.set(key.trim().to_owned()).unwrap();
    keys
}

async fn metric(url: &str, name: &str) -> u64 {
    let text = reqwest::get(format!("{url}/metrics")).await.unwrap().text().await.unwrap();
    let line = format!("chancery_ingest_{name}{{topic=\"{TOPIC}\"}} ");
    text.lines().find_map(|it| it.strip_prefix(&line)).unwrap().parse().unwrap()
}

async fn becomes(url: &str, name: &str, value: u64) {
    while metric(url, name).await != value {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The ids of each session on the topic, in the order in which they first stand there, and how many stand there twice.
fn on_topic(brokers: &str) -> (BTreeMap<String, Vec<String>>, usize) {
    let (mut sessions, mut seen, mut repeated) = (BTreeMap::new(), BTreeSet::new(), 0);
    each_event(brokers, TOPIC, |event| {
        let envelope = &event.envelope;
        if seen.insert(envelope.event_id.to_string()) {
            let ids: &mut Vec<String> =
                sessions.entry(envelope.session_id.to_string()).or_default();
            ids.push(envelope.event_id.to_string());
        } else {
            repeated += 1;
        }
    });
    (sessions, repeated)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_while_kafka_was_away_gets_onto_the_topic_in_order() {
    let stack = Stack::up();
    let (brokers, folder) = (stack.brokers(), tempfile::tempdir().unwrap());
    create_topic(&brokers, TOPIC).await;
    let (keys, spool) = (keys(folder.path()), folder.path().join("spool"));
    let spool = spool.to_str().unwrap();
    let gateway = ["ingest", "--kafka", &brokers, "--topic", TOPIC, "--keys", &keys];
    let gateway = [&gateway[..], &["--listen", "127.0.0.1:0", "--spool", spool]].concat();
    let agents = Arc::new(Agents::default());
    let mut ingest = Service::listening(&gateway);
    let set_url = |ingest: &Service| *agents.url.lock().unwrap() = ingest.url();
    set_url(&ingest);
    let sending: Vec<_> =
        (0..AGENTS).map(|agent| tokio::spawn(Arc::clone(&agents).send(agent))).collect();
    agents.get_on().await;

    // A broker that answers nothing, with its connections open; and a gateway killed meanwhile.
    stack.signal("-STOP");
    becomes(&ingest.url(), "spool_in_use", 1).await;
    agents.get_on().await;
    assert_eq!(ingest.end("-KILL"), None);
    ingest = Service::listening(&gateway);
    set_url(&ingest);
    assert_eq!(metric(&ingest.url(), "spool_in_use").await, 1);
    agents.get_on().await;
    stack.signal("-CONT");
    becomes(&ingest.url(), "spool_in_use", 0).await;
    agents.get_on().await;

    // A broker that is gone.
    let mut again = stack.kill();
    becomes(&ingest.url(), "spool_in_use", 1).await;
    agents.get_on().await;
    full_spools_are_503(&gateway, folder.path()).await;
    stack.start(&mut again);
    becomes(&ingest.url(), "spool_in_use", 0).await;
    agents.get_on().await;

    agents.stop.store(true, Ordering::Relaxed);
    let mut acknowledged = BTreeMap::new();
    for (agent, sending) in sending.into_iter().enumerate() {
        acknowledged.insert(format!("agent-{agent}"), sending.await.unwrap());
    }
    assert_eq!(ingest.end("-TERM"), Some(0));
    let (topic, repeated) = on_topic(&brokers);
    let count: usize = acknowledged.values().map(Vec::len).sum();
    eprintln!("{count} events acknowledged, all on the topic; {repeated} stand there twice");
    for (session, sent) in acknowledged {
        assert_eq!(topic[&session], sent, "{session}");
    }
}

/// Another gateway, with hardly any room, while there is no broker.
async fn full_spools_are_503(gateway: &[&str], folder: &Path) {
    let spool = folder.join("small");
    let spool = spool.to_str().unwrap();
    let small = ["--spool", spool, "--set", "ingest.spool_bytes_max=50000"];
    let small = Service::listening(&[&gateway[..gateway.len() - 2], &small].concat());
    let http = reqwest::Client::new();
    let event = json!({"kind": "a", "contents": [{"text": "x".repeat(5000)}]});
    let mut taken = 0;
    let refused = loop {
        match post(&http, &small.url(), &event).await {
            Some(200) => taken += 1,
            refused => break refused,
        }
    };
    assert!(refused == Some(503) && taken > 3, "{refused:?} after {taken}");
    let ready = reqwest::get(format!("{}/readyz", small.url())).await.unwrap();
    assert_eq!(ready.status(), 503);
    assert_eq!(small.end("-TERM"), Some(0), "what it has acknowledged stays in its spool");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_too_large_for_kafka_is_sealed_and_read_back_whole() {
    let (brokers, bucket) = (variable("CHANCERY_TEST_KAFKA"), variable("CHANCERY_TEST_S3_BUCKET"));
    let unique = uuid::Uuid::now_v7().simple().to_string();
    let (topic, store) = (format!("large-{unique}"), format!("s3://{bucket}/it/{unique}"));
    create_topic(&brokers, &topic).await;
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("settings.toml").to_str().unwrap().to_owned();
    let text = "[ingest]\nretention_class = 'development'\n[sealer]\nretention_class = 'development'\n\
        segment_age_max_ms = 300\n[retention]\nmode = 'governance'\nclasses.development = 1\n";
    std::fs::write(&settings, text).unwrap();
    let keys = folder.path().join("keys.toml").to_str().unwrap().to_owned();
    let key = expect(0, &["keys", "create", "--keys", &keys, "--tenant", "acme"]);
    let common = ["--kafka", &brokers, "--topic", &topic, "--store", &store, "--config", &settings];
    let ingest = [&["ingest"], &common[..], &["--keys", &keys, "--listen", "127.0.0.1:0"]].concat();
    let ingest = Service::listening(&ingest);
    let sealer = Service::start(&[&["sealer"], &common[..]].concat());

    let texts = ["a".repeat(3_000_000), "b".repeat(2_000_000), "c".repeat(10)];
    let contents: Vec<Value> = texts.iter().map(|text| json!({"text": text})).collect();
    let event = json!({"session_id": "s", "kind": "a", "contents": contents});
    for _ in 0..2 {
        let request = reqwest::Client::new().post(format!("{}/v1/events", ingest.url()));
        let request = request.header("content-type", "application/json").bearer_auth(key.trim());
        let answer = request.body(event.to_string()).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    }
    sealed(&store, 2).await;
    assert_eq!((ingest.end("-TERM"), sealer.end("-TERM")), (Some(0), Some(0)));
    let bodies = store::Store::open(&store).unwrap().list("bodies", None).await.unwrap();
    assert_eq!(bodies.len(), 2, "the second event names what the first has: {bodies:?}");
    let exported = expect(0, &["export", &store, "--as", "jsonl"]);
    assert_eq!(exported.lines().count(), 2);
    for line in exported.lines() {
        for text in &texts {
            assert!(line.contains(text.as_str()), "a content is not whole");
        }
    }
}
