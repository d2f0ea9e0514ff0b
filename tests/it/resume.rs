//! What stops a partition on a real broker, the words it stops with, and the epoch that an operator opens then. And two
//! processes that share a topic.
#![expect(clippy::panic, reason = "a test fails by panicking")]

use std::io::Read as _;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

use rdkafka::Offset;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::topic_partition_list::TopicPartitionList;
use serde_json::Value;

use crate::binary::{chancery, expect, run};
use crate::services::{LOOK, LOOKS, client, variable};

/// A topic, a store, and the settings of a sealer between them.
struct Deployment {
    brokers: String,
    topic: String,
    store: String,
    admin: AdminClient<DefaultClientContext>,
}

impl Deployment {
    async fn new(partitions: i32, settings: &[(&str, &str)]) -> Self {
        let brokers = variable("CHANCERY_TEST_KAFKA");
        let unique = uuid::Uuid::now_v7().simple().to_string();
        let store = format!("s3://{}/it/{unique}", variable("CHANCERY_TEST_S3_BUCKET"));
        let admin = client(&brokers).create().unwrap();
        let deployment = Self { brokers, topic: format!("resume-{unique}"), store, admin };
        deployment.create(partitions, settings).await;
        deployment
    }

    async fn create(&self, partitions: i32, settings: &[(&str, &str)]) {
        let topic = NewTopic::new(&self.topic, partitions, TopicReplication::Fixed(1));
        let topic = settings.iter().fold(topic, |topic, (name, value)| topic.set(name, value));
        // A topic of this name that was deleted just now may still be in the way.
        for _ in 0..LOOKS {
            let made = self.admin.create_topics([&topic], &AdminOptions::new()).await.unwrap();
            if made[0].is_ok() {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
        panic!("{} could not be made", self.topic);
    }

    /// Messages that are no events: they are sealed raw, and that is all that counts here.
    fn produce(&self, partition: i32, count: usize) {
        let producer: BaseProducer = client(&self.brokers).create().unwrap();
        for number in 0..count {
            let value = format!("message {number} of {partition}");
            let record = BaseRecord::<[u8], [u8]>::to(&self.topic).partition(partition);
            producer.send(record.payload(value.as_bytes())).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(std::time::Duration::from_secs(30)).unwrap();
    }

    fn arguments(&self) -> Vec<&str> {
        let mut all =
            vec!["--kafka", &self.brokers, "--topic", &self.topic, "--store", &self.store];
        for setting in [
            "retention.mode=governance",
            "retention.classes.development=1",
            "sealer.retention_class=development",
            "sealer.segment_age_max_ms=200",
        ] {
            all.extend(["--set", setting]);
        }
        all
    }

    fn sealer(&self, settings: &[&str]) -> Sealer {
        let settings = settings.iter().flat_map(|setting| ["--set", setting]);
        let all: Vec<&str> =
            ["sealer"].into_iter().chain(self.arguments()).chain(settings).collect();
        Sealer::start(&all)
    }

    /// What resuming shows, and then does.
    fn resume(&self, partition: &str) -> String {
        let resume = ["sealer", "resume", "--partition", partition];
        let all: Vec<&str> = resume.into_iter().chain(self.arguments()).collect();
        let shown = expect(0, &all);
        let written = expect(0, &[&all[..], &["--yes"]].concat());
        let without_time = |text: &str| {
            text.lines()
                .filter(|line| !line.starts_with("opened_at"))
                .collect::<Vec<_>>()
                .join("\n")
        };
        assert_eq!(without_time(&shown), without_time(&written));
        shown
    }

    fn report(&self) -> (Option<i32>, Value) {
        let output = run(&["verify", &self.store, "--json"]);
        (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_default())
    }

    /// Looks at the store until it holds so many rows.
    async fn sealed(&self, rows: u64) -> (Option<i32>, Value) {
        for _ in 0..LOOKS {
            let (exit, report) = self.report();
            // A sealer at work may be between a segment and its record.
            let mut findings = report["findings"].as_array().into_iter().flatten();
            let is_enrolling = findings.any(|finding| finding["kind"] == "unenrolled");
            if report["raw"].as_u64().unwrap_or_default() >= rows && !is_enrolling {
                assert_eq!(report["raw"], rows, "{report}");
                return (exit, report);
            }
            tokio::time::sleep(LOOK).await;
        }
        panic!("{} does not hold {rows} rows in time: {}", self.store, self.report().1);
    }
}

/// A sealer, and what it says.
struct Sealer {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Sealer {
    fn start(arguments: &[&str]) -> Self {
        let mut child = chancery(arguments).stderr(Stdio::piped()).spawn().unwrap();
        let mut errors = child.stderr.take().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let heard = said.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = errors.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..count]);
                eprint!("{text}");
                heard.lock().unwrap().push_str(&text);
            }
        });
        Self { child, said }
    }

    /// Waits until it says this so many times.
    async fn says(&self, words: &str, times: usize) {
        for _ in 0..LOOKS {
            if self.said.lock().unwrap().matches(words).count() >= times {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
        panic!("it does not say {words:?} in time: {}", self.said.lock().unwrap());
    }

    fn end(mut self, signal: &str) -> Option<i32> {
        let id = self.child.id().to_string();
        assert!(std::process::Command::new("kill").args([signal, &id]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Sealer {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _waited = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_re_created_topic_stops_and_goes_on_after_a_resumption() {
    let deployment = Deployment::new(1, &[]).await;
    deployment.produce(0, 20);
    let sealer = deployment.sealer(&[]);
    deployment.sealed(20).await;
    let healthy = ["sealer", "resume", "--partition", "0"];
    expect(2, &healthy.into_iter().chain(deployment.arguments()).collect::<Vec<_>>());
    let deleted = deployment.admin.delete_topics(&[&deployment.topic], &AdminOptions::new()).await;
    deleted.unwrap().remove(0).unwrap();
    deployment.create(1, &[]).await;
    // More than before, so that the old position exists in the new topic.
    deployment.produce(0, 30);
    sealer.says("it was re-created", 1).await;
    sealer.says("chancery sealer resume", 1).await;
    let shown = deployment.resume("0");
    assert!(shown.contains("reason recreated\n") && shown.contains("start 0\n"), "{shown}");
    let (exit, report) = deployment.sealed(50).await;
    assert_eq!(exit, Some(0), "{report}");
    assert_eq!(sealer.end("-TERM"), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sealer_that_was_overtaken_stops_and_its_resumption_names_the_gap() {
    let deployment = Deployment::new(1, &[]).await;
    deployment.produce(0, 20);
    let first = deployment.sealer(&[]);
    deployment.sealed(20).await;
    assert_eq!(first.end("-TERM"), Some(0));
    deployment.produce(0, 30);
    let mut before = TopicPartitionList::new();
    before.add_partition_offset(&deployment.topic, 0, Offset::Offset(35)).unwrap();
    deployment.admin.delete_records(&before, &AdminOptions::new()).await.unwrap();
    let second = deployment.sealer(&[]);
    second.says("the offsets between were lost before they could be sealed", 1).await;
    let shown = deployment.resume("0");
    assert!(shown.contains("offsets 20 to 34 are missing for ever: 15"), "{shown}");
    assert!(shown.contains("reason overtaken\n") && shown.contains("missing 20 35\n"), "{shown}");
    let (exit, report) = deployment.sealed(35).await;
    assert_eq!(exit, Some(0), "{report}");
    assert_eq!(second.end("-TERM"), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_grew_stops_whole_and_goes_on_once_every_partition_is_resumed() {
    let deployment = Deployment::new(2, &[]).await;
    deployment.produce(0, 10);
    deployment.produce(1, 10);
    let sealer = deployment.sealer(&[]);
    deployment.sealed(20).await;
    let grown = [NewPartitions::new(&deployment.topic, 3)];
    let grown = deployment.admin.create_partitions(&grown, &AdminOptions::new()).await;
    grown.unwrap().remove(0).unwrap();
    // The two that there were, and the new one.
    sealer.says("sealed with 2 partitions and now has 3", 3).await;
    (0..3).for_each(|partition| deployment.produce(partition, 5));
    for partition in ["0", "1"] {
        let shown = deployment.resume(partition);
        assert!(shown.contains("partitions 3\n") && shown.contains("reason operator\n"), "{shown}");
        assert!(shown.contains("start 10\n"), "{shown}");
    }
    let (exit, report) = deployment.sealed(35).await;
    assert_eq!(exit, Some(0), "{report}");
    assert_eq!(sealer.end("-TERM"), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compacted_topic_is_not_sealed_until_it_is_compacted_no_more() {
    let deployment = Deployment::new(1, &[("cleanup.policy", "compact")]).await;
    let sealer = deployment.sealer(&[]);
    sealer.says("the topic is compacted", 1).await;
    let topic = ResourceSpecifier::Topic(&deployment.topic);
    let plain = AlterConfig::new(topic).set("cleanup.policy", "delete");
    let altered = deployment.admin.alter_configs([&plain], &AdminOptions::new()).await;
    altered.unwrap().remove(0).unwrap();
    deployment.produce(0, 10);
    assert_eq!(deployment.sealed(10).await.0, Some(0));
    assert_eq!(sealer.end("-TERM"), Some(0));
}

/// Two processes of one group: both have partitions, and what one had goes on at the other when it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_sealers_share_a_topic_by_the_group_and_one_takes_over_from_the_other() {
    let deployment = Deployment::new(4, &[]).await;
    (0..4).for_each(|partition| deployment.produce(partition, 10));
    let group = ["sealer.assignment=group", "kafka.properties.session.timeout.ms=6000"];
    let first = deployment.sealer(&group);
    first.says("epoch opened", 4).await;
    let second = deployment.sealer(&group);
    second.says("chain adopted", 2).await;
    (0..4).for_each(|partition| deployment.produce(partition, 10));
    let (exit, report) = deployment.sealed(80).await;
    assert_eq!(exit, Some(0), "{report}");
    second.says("segment sealed", 1).await;
    assert_eq!(first.end("-KILL"), None);
    (0..4).for_each(|partition| deployment.produce(partition, 10));
    let (exit, report) = deployment.sealed(120).await;
    assert_eq!(exit, Some(0), "{report}");
    assert_eq!(second.end("-TERM"), Some(0));
}

/// Junk is planted at the next key, under a lock or not: the partition stops, and goes on past it in a new epoch.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn junk_at_the_next_key_stops_and_a_resumption_leaves_it_behind() {
    let deployment = Deployment::new(1, &[]).await;
    deployment.produce(0, 10);
    let sealer = deployment.sealer(&[]);
    deployment.sealed(10).await;
    let store = store::Store::open(&deployment.store).unwrap();
    let next = format!("segments/{}/00000/0000000000/{:020}.parquet", deployment.topic, 10);
    store.create(&next, "junk".into(), None).await.unwrap();
    deployment.produce(0, 5);
    sealer.says(&format!("{next} does not belong to the chain"), 1).await;
    let shown = deployment.resume("0");
    let version = store.content(&next).await.unwrap().unwrap().version.unwrap();
    let digest = schemas::Digest::of(b"junk");
    assert!(shown.contains(&format!("abandoned {next} {version} {digest}\n")), "{shown}");
    let (exit, report) = deployment.sealed(15).await;
    assert_eq!(exit, Some(0), "{report}");
    assert_eq!(sealer.end("-TERM"), Some(0));
}

/// A body that ingest locked for less, and one that it did not lock: both are locked as long as the segment that names them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_checked_body_is_locked_as_long_as_the_segment_that_names_it() {
    use schemas::{Body, Content, Envelope, KafkaKey, Published, Salt, Seconds};

    let deployment = Deployment::new(1, &[]).await;
    let store = store::Store::open(&deployment.store).unwrap();
    let s3 = store.s3().unwrap();
    let key = KafkaKey::parse(b"acme/s-1").unwrap();
    let producer: BaseProducer = client(&deployment.brokers).create().unwrap();
    let soon = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let until = Seconds(soon.as_secs().cast_signed() + 3600);
    let short = store::Lock { mode: schemas::LockMode::Governance, until };
    let mut bodies = Vec::new();
    for (number, lock) in [(1_u8, Some(short)), (2, None)] {
        let content = format!("kept apart, {number}");
        let salt = Salt([number; 16]);
        let digest = schemas::body_digest(&salt, content.as_bytes());
        let body = schemas::body_key(&key.session_key(), &digest);
        store.create(&body, content.clone().into(), lock).await.unwrap();
        bodies.push(body);
        let mut envelope = Envelope::blank();
        envelope.event_id.0 = [number; 16];
        (envelope.tenant, envelope.session_id) = ("acme".into(), "s-1".into());
        envelope.kind = "user.message".into();
        let (role, kind, media_type) = ("user".into(), "text".into(), "text/plain".into());
        let size = content.len() as u64;
        envelope.contents.push(Content { role, kind, media_type, size, digest });
        let claim = Body { digest, salt: Some(salt), data: None, enc: None };
        let value =
            schemas::encode_value(&Published::LATEST, &envelope.to_bytes(), None, None, &[claim]);
        let (topic, session) = (&deployment.topic, key.to_bytes());
        let record = BaseRecord::to(topic).partition(0).key(&session).payload(&value);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(std::time::Duration::from_secs(30)).unwrap();
    let sealer = deployment.sealer(&[]);
    sealer.says("segment sealed", 1).await;
    assert_eq!(sealer.end("-TERM"), Some(0));
    let (exit, report) = deployment.report();
    assert_eq!((exit, &report["events"]), (Some(0), &Value::from(2)), "{report}");
    let mut retained = Vec::new();
    for record in store.list("records", None).await.unwrap() {
        let text = store.get(&record, 1 << 20).await.unwrap().unwrap();
        let record = schemas::EnrolledRecord::parse(std::str::from_utf8(&text).unwrap()).unwrap();
        let lock = s3.retention(&record.key, None).await.unwrap().unwrap();
        assert_eq!(Some(lock.until), record.segment.retain_until);
        assert_eq!(Some(lock.mode), record.segment.lock);
        retained.push(lock);
    }
    for body in bodies {
        let lock = s3.retention(&body, None).await.unwrap().unwrap();
        assert!(retained.contains(&lock), "{body}: {lock:?}");
    }
}
