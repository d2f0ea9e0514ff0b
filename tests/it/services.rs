//! The pipeline on a real Kafka broker and a real S3 server, which `tests/stack/stack.sh` starts and names in the environment.
#![expect(clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::{Value, json};

use crate::binary::{Service, expect, run};

pub(crate) const PARTITIONS: i32 = 3;
const SESSIONS: usize = 20;
/// session.start, a question, the look-up, two answers, session.end.
const EVENTS: u64 = 6;
/// How often the store is looked at, and for how long at most.
pub(crate) const LOOK: Duration = Duration::from_millis(250);
pub(crate) const LOOKS: usize = 240;

pub(crate) fn variable(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run this through tests/stack/stack.sh"))
}

pub(crate) fn client(brokers: &str) -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", brokers);
    client
}

pub(crate) async fn create_topic(brokers: &str, topic: &str) {
    let admin: AdminClient<DefaultClientContext> = client(brokers).create().unwrap();
    let topic = NewTopic::new(topic, PARTITIONS, TopicReplication::Fixed(1));
    admin.create_topics(&[topic], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
}

fn line(number: usize) -> String {
    let call = json!({"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{\"n\": 1}"}});
    json!({
        "session_id": format!("s-{number}"), "reward": number,
        "messages": [
            {"role": "user", "content": format!("question {number}: où est ma commande ? 📦")},
            {"role": "assistant", "content": null, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "name": "look", "content": "shipped"},
            {"role": "assistant", "content": format!("answer {number}")},
        ],
    })
    .to_string()
}

fn messages(lines: &str) -> BTreeMap<String, Value> {
    let session = |line: &str| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        (line["session_id"].as_str().unwrap().to_owned(), line["messages"].take())
    };
    lines.lines().map(session).collect()
}

/// What nobody should write to the topic, and somebody will. The last ones lie behind each other in one transaction, whose
/// marker leaves a gap.
fn write_garbage(brokers: &str, topic: &str) -> u64 {
    let producer: BaseProducer = client(brokers).set("transactional.id", topic).create().unwrap();
    let wait = Duration::from_secs(30);
    producer.init_transactions(wait).unwrap();
    producer.begin_transaction().unwrap();
    let headers = || {
        OwnedHeaders::new()
            .insert(Header { key: "null", value: None::<&[u8]> })
            .insert(Header { key: "empty", value: Some("") })
    };
    let values: [Option<&[u8]>; 6] = [
        None,
        Some(b""),
        Some(b"garbage"),
        Some(b"\0\0\0\0\x07confluent"),
        Some(&[0xc3, 1, 9, 9, 9, 9, 9, 9, 9, 9, 0]),
        Some(b"{\"json\": true}"),
    ];
    let keys: [Option<&[u8]>; 4] = [None, Some(b""), Some(b"acme/s-1"), Some(b"\xff/../x")];
    let mut count = 0;
    for key in keys {
        for value in values {
            for partition in 0..PARTITIONS {
                let mut record =
                    BaseRecord::<[u8], [u8]>::to(topic).partition(partition).headers(headers());
                (record.key, record.payload) = (key, value);
                producer.send(record).map_err(|(error, _)| error).unwrap();
                count += 1;
            }
        }
    }
    producer.commit_transaction(wait).unwrap();
    count
}

/// The records say which cluster and topic they are of, and under which leader the messages were fetched.
async fn chain_is_of_the_topic(store: &str) {
    let store = store::Store::open(store).unwrap();
    let keys = store.list("records", None).await.unwrap();
    for key in &keys {
        let text = store.get(key, 1 << 20).await.unwrap().unwrap();
        let record =
            schemas::EnrolledRecord::parse(std::str::from_utf8(&text).unwrap()).unwrap().segment;
        let id = record.chain.topic_id.unwrap();
        assert!(id.len() == 22 && record.chain.cluster.is_some_and(|id| !id.is_empty()), "{id}");
        // One leader all the time; the first message may lie behind a transaction's marker.
        let epochs = record.leader_epochs.unwrap();
        let (first, epoch) = epochs.split_once(':').unwrap();
        assert!((record.start.0..record.next.0).contains(&first.parse().unwrap()), "{epochs}");
        assert_eq!(epoch, "0", "{epochs}");
    }
    assert!(keys.len() > 1, "{keys:?}");
}

/// Looks at the store until it holds so many rows, all of them good.
pub(crate) async fn sealed(store: &str, rows: u64) -> Value {
    for _ in 0..LOOKS {
        let output = run(&["verify", store, "--json"]);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let count = |name: &str| report[name].as_u64().unwrap_or_default();
        // A sealer at work may be between a segment and its record.
        let mut findings = report["findings"].as_array().into_iter().flatten();
        let is_enrolling = findings.any(|finding| finding["kind"] == "unenrolled");
        if count("events") + count("raw") >= rows && !is_enrolling {
            assert_eq!(
                (output.status.code(), &report["findings"]),
                (Some(0), &json!([])),
                "{report}"
            );
            return report;
        }
        tokio::time::sleep(LOOK).await;
    }
    panic!("{store} does not hold {rows} rows in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_in_at_the_door_comes_out_of_the_bucket() {
    let (brokers, bucket) = (variable("CHANCERY_TEST_KAFKA"), variable("CHANCERY_TEST_S3_BUCKET"));
    let unique = uuid::Uuid::now_v7().simple().to_string();
    let (topic, store) = (format!("events-{unique}"), format!("s3://{bucket}/it/{unique}"));
    create_topic(&brokers, &topic).await;

    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys.toml").to_str().unwrap().to_owned();
    let key = expect(0, &["keys", "create", "--keys", &keys, "--tenant", "acme"]);
    let ingest = [
        "ingest",
        "--kafka",
        &brokers,
        "--topic",
        &topic,
        "--keys",
        &keys,
        "--listen",
        "127.0.0.1:0",
    ];
    let ingest = Service::listening(&ingest);
    let sealer = ["sealer", "--kafka", &brokers, "--topic", &topic, "--store", &store];
    let settings = [
        "--set",
        "sealer.segment_age_max_ms=300",
        "--set",
        "sealer.retention_class=development",
        "--set",
        "retention.mode=governance",
        "--set",
        "retention.classes.development=1",
    ];
    let sealer = [&sealer[..], &settings].concat();
    let first = Service::start(&sealer);

    let lines: String = (0..SESSIONS).map(|number| line(number) + "\n").collect();
    let file = folder.path().join("sessions.jsonl");
    std::fs::write(&file, &lines).unwrap();
    let url = ingest.url();
    let imported =
        crate::binary::chancery(&["import", "openai-chat", file.to_str().unwrap(), "--to", &url])
            .env("CHANCERY_KEY", key.trim())
            .output()
            .unwrap();
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    let good = EVENTS * SESSIONS as u64;
    sealed(&store, good).await;
    let garbage = write_garbage(&brokers, &topic);
    assert_eq!(first.end("-TERM"), Some(0));

    // Another sealer goes on where the chain ends, past the transaction's marker.
    let second = Service::start(&sealer);
    std::fs::write(&file, line(SESSIONS) + "\n").unwrap();
    let imported =
        crate::binary::chancery(&["import", "openai-chat", file.to_str().unwrap(), "--to", &url])
            .env("CHANCERY_KEY", key.trim())
            .status()
            .unwrap();
    assert!(imported.success());
    sealed(&store, good + garbage + EVENTS).await;
    assert_eq!((second.end("-TERM"), ingest.end("-TERM")), (Some(0), Some(0)));

    chain_is_of_the_topic(&store).await;
    let exported = expect(0, &["export", &store, "--as", "openai-chat"]);
    assert_eq!(messages(&exported), messages(&(lines + &line(SESSIONS))));
}
