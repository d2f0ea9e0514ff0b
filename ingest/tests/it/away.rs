//! Kafka goes away and comes back, as librdkafka's own broker plays it: what is answered is on the topic, and in order.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use ingest::{Auth, Config, Error, Gateway, KafkaConfig, Sink, Sinks, serve};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message as _;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rdkafka::{Offset, TopicPartitionList};
use schemas::{Message, Partition, Place, Tenant, Timestamp};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const TOPIC: &str = "events";
const PARTITIONS: i32 = 3;
const PATIENCE: Duration = Duration::from_millis(300);

type Cluster = MockCluster<'static, DefaultProducerContext>;

fn cluster() -> Cluster {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, PARTITIONS, 1).unwrap();
    cluster
}

fn kafka(cluster: &Cluster) -> KafkaConfig {
    let (brokers, topic) = (cluster.bootstrap_servers(), TOPIC.to_owned());
    // The broker of the tests comes back at once, and so should the client. It does not look at sequence numbers, either: what
    // stands behind a request that it refuses it takes, and the client knows from that that the first is there, as it would be.
    let properties =
        [("reconnect.backoff.max.ms", "100"), ("max.in.flight.requests.per.connection", "1")];
    let properties = properties.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    KafkaConfig { brokers, topic, properties, ..KafkaConfig::default() }
}

fn sink(cluster: &Cluster, dir: &Path) -> Sink {
    loop {
        match Sink::kafka_with_spool(&kafka(cluster), dir, 1 << 30, PATIENCE) {
            // The thread of the gateway before still ends.
            Err(Error::Spool { source, .. }) if matches!(*source, spool::Error::Locked { .. }) => {}
            opened => return opened.unwrap(),
        }
    }
}

/// A gateway that can be ended, or dropped as a kill would.
struct Served {
    url: String,
    client: reqwest::Client,
    cancel: CancellationToken,
    task: JoinHandle<Result<(), Error>>,
}

impl Served {
    async fn new(config: Config, sinks: impl Into<Sinks>) -> Self {
        let auth = Auth::loopback(Tenant::new("acme").unwrap());
        let gateway = Arc::new(Gateway::new(config, sinks, auth, 7).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let cancel = CancellationToken::new();
        let task = tokio::spawn(serve(vec![listener], gateway, cancel.clone()));
        Self { url, client: reqwest::Client::new(), cancel, task }
    }

    async fn over(cluster: &Cluster, dir: &Path) -> Self {
        Self::new(Config::default(), sink(cluster, dir)).await
    }

    async fn post(&self, body: &Value) -> u16 {
        let request = self.client.post(format!("{}/v1/events", self.url));
        let request = request.header("content-type", "application/json").body(body.to_string());
        request.send().await.unwrap().status().as_u16()
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let answer = self.client.get(format!("{}{path}", self.url)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn metric(&self, line: &str) -> u64 {
        let (_, text) = self.get("/metrics").await;
        let value = text.lines().find_map(|it| it.strip_prefix(line)).unwrap();
        value.trim().parse().unwrap()
    }

    /// Waits until nothing is left in the spool.
    async fn drained(&self) {
        while self.metric("chancery_ingest_spool_messages{topic=\"events\"}").await > 0 {
            tokio::task::yield_now().await;
        }
    }

    async fn end(self) {
        self.cancel.cancel();
        self.task.await.unwrap().unwrap();
    }
}

fn event(session: u32, number: u32) -> Value {
    let id =
        uuid::Uuid::from_u128(u128::from(session) << 32 | u128::from(number) | 7 << 76 | 2 << 126);
    json!({"kind": "a", "session_id": session.to_string(), "event_id": id.to_string()})
}

fn id(event: &Value) -> String {
    event["event_id"].as_str().unwrap().to_owned()
}

/// The ids on the topic by session, each once, in the order in which they first stand there.
fn on_topic(cluster: &Cluster) -> BTreeMap<String, Vec<String>> {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", cluster.bootstrap_servers()).set("group.id", "test");
    let consumer: BaseConsumer = client.create().unwrap();
    let mut places = TopicPartitionList::new();
    let mut left = 0;
    for partition in 0..PARTITIONS {
        places.add_partition_offset(TOPIC, partition, Offset::Beginning).unwrap();
        let limit = Duration::from_secs(10);
        left += consumer.fetch_watermarks(TOPIC, partition, limit).unwrap().1;
    }
    consumer.assign(&places).unwrap();
    let (mut sessions, mut seen) = (BTreeMap::new(), BTreeSet::new());
    while left > 0 {
        let Some(message) = consumer.poll(Duration::from_secs(1)) else { continue };
        let Ok(message) = message else { continue };
        left -= 1;
        let place = Place { partition: Partition(0), partitions: 1 };
        let read = Message {
            offset: schemas::Offset(0),
            timestamp: Timestamp::default(),
            key: message.key(),
            value: message.payload(),
        };
        let envelope = schemas::read(&read, place).unwrap().envelope;
        if seen.insert(envelope.event_id.to_string()) {
            let ids: &mut Vec<String> =
                sessions.entry(envelope.session_id.to_string()).or_default();
            ids.push(envelope.event_id.to_string());
        }
    }
    sessions
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_spooled_while_kafka_is_away_and_get_onto_the_topic_in_order() {
    let (cluster, dir) = (cluster(), tempfile::tempdir().unwrap());
    let served = Served::over(&cluster, dir.path()).await;
    let mut sent = Vec::new();
    for number in 0..60 {
        match number {
            20 => cluster.broker_down(1).unwrap(),
            40 => cluster.broker_up(1).unwrap(),
            _ => {}
        }
        let event = event(1, number);
        assert_eq!(served.post(&event).await, 200);
        sent.push(id(&event));
        if number == 30 {
            let (status, why) = served.get("/readyz").await;
            assert_eq!(status, 200, "it takes events");
            assert!(why.contains("events: Kafka is away, 11 messages are spooled"), "{why}");
            assert_eq!(served.metric("chancery_ingest_spool_in_use{topic=\"events\"}").await, 1);
        }
    }
    served.drained().await;
    assert_eq!(served.get("/readyz").await, (200, "ready\n".to_owned()));
    assert_eq!(served.post(&event(1, 60)).await, 200);
    sent.push(id(&event(1, 60)));
    served.end().await;
    assert_eq!(on_topic(&cluster)["1"], sent);
}

async fn make_trouble(cluster: &Cluster, served: &Served, kind: u32) {
    let is_away = async |value| {
        while served.metric("chancery_ingest_spool_in_use{topic=\"events\"}").await != value {}
    };
    match kind {
        0 => {
            cluster.broker_down(1).unwrap();
            is_away(1).await;
            cluster.broker_up(1).unwrap();
        }
        1 => {
            cluster.broker_round_trip_time(1, PATIENCE * 3).unwrap();
            is_away(1).await;
            cluster.broker_round_trip_time(1, Duration::ZERO).unwrap();
            is_away(0).await;
        }
        2 => {
            let errors = [
                RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
                RDKafkaRespErr::RD_KAFKA_RESP_ERR__TRANSPORT,
                RDKafkaRespErr::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
            ];
            cluster.request_errors(RDKafkaApiKey::Produce, &errors);
        }
        _ => {
            cluster.broker_down(1).unwrap();
            cluster.broker_up(1).unwrap();
        }
    }
}

/// A broker that comes and goes, answers late, and answers with errors, while agents send and gateways are replaced.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_every_kind_of_trouble_what_is_answered_is_there_and_in_order() {
    let (cluster, dir) = (cluster(), tempfile::tempdir().unwrap());
    let mut acknowledged: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for round in 0..4 {
        let served = Arc::new(Served::over(&cluster, dir.path()).await);
        let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let agents: Vec<_> = (0..6)
            .map(|session| {
                let (served, stop) = (Arc::clone(&served), Arc::clone(&stop));
                let count = Arc::clone(&count);
                tokio::spawn(async move {
                    let mut sent = Vec::new();
                    for number in (0..).take_while(|_| !stop.load(Ordering::Relaxed)) {
                        let event = event(session, round << 20 | number);
                        while served.post(&event).await != 200 {}
                        sent.push(id(&event));
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                    (session, sent)
                })
            })
            .collect();
        let get_on = async || {
            let from = count.load(Ordering::Relaxed);
            while count.load(Ordering::Relaxed) < from + 100 {
                tokio::task::yield_now().await;
            }
        };
        for trouble in 0..4 {
            make_trouble(&cluster, &served, (round + trouble) % 4).await;
            get_on().await;
        }
        stop.store(true, Ordering::Relaxed);
        for agent in agents {
            let (session, sent) = agent.await.unwrap();
            acknowledged.entry(session).or_default().extend(sent);
        }
        let served = Arc::into_inner(served).unwrap();
        if round == 3 {
            served.drained().await;
        }
        served.end().await;
    }
    let topic = on_topic(&cluster);
    for (session, acknowledged) in acknowledged {
        assert_eq!(topic[&session.to_string()], acknowledged);
        assert!(acknowledged.len() > 20, "{} of session {session}", acknowledged.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_starts_while_kafka_is_away_and_the_next_start_sends_what_the_last_one_left() {
    let (cluster, dir) = (cluster(), tempfile::tempdir().unwrap());
    cluster.broker_down(1).unwrap();
    let served = Served::over(&cluster, dir.path()).await;
    for number in 0..10 {
        assert_eq!(served.post(&event(1, number)).await, 200);
    }
    served.end().await;
    cluster.broker_up(1).unwrap();
    let served = Served::over(&cluster, dir.path()).await;
    served.drained().await;
    assert_eq!(served.metric("chancery_ingest_spool_drained_total{topic=\"events\"}").await, 10);
    served.end().await;
    assert_eq!(on_topic(&cluster)["1"].len(), 10);
    let opened = || spool::Spool::open(dir.path(), spool::Config::default()).ok();
    let (spool, recovery) = std::iter::repeat_with(opened).flatten().next().unwrap();
    assert_eq!((recovery.start, spool.next()), (10, 10), "what was delivered is forgotten");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_spool_it_does_not_start_while_kafka_is_away_and_never_without_its_topic() {
    let (cluster, dir) = (cluster(), tempfile::tempdir().unwrap());
    let missing = KafkaConfig { topic: "other".to_owned(), ..kafka(&cluster) };
    assert!(matches!(Sink::kafka(&missing), Err(Error::Topic { topic, .. }) if topic == "other"));
    let spooled = Sink::kafka_with_spool(&missing, dir.path(), 1 << 30, PATIENCE);
    assert!(matches!(spooled, Err(Error::Topic { .. })));
    cluster.broker_down(1).unwrap();
    let error = Sink::kafka(&kafka(&cluster)).unwrap_err();
    assert!(matches!(&error, Error::Unreachable { .. }), "{error}");
    let _open = sink(&cluster, dir.path());
    let locked = Sink::kafka_with_spool(&kafka(&cluster), dir.path(), 1 << 30, PATIENCE);
    assert!(matches!(locked, Err(Error::Spool { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_spool_is_503_until_there_is_room() {
    let (cluster, dir) = (cluster(), tempfile::tempdir().unwrap());
    cluster.broker_down(1).unwrap();
    let sink = Sink::kafka_with_spool(&kafka(&cluster), dir.path(), 20_000, PATIENCE).unwrap();
    let served = Served::new(Config::default(), sink).await;
    let mut sent = Vec::new();
    loop {
        let event = event(1, u32::try_from(sent.len()).unwrap());
        if served.post(&event).await != 200 {
            break;
        }
        sent.push(id(&event));
    }
    assert!(sent.len() > 10);
    let (status, why) = served.get("/readyz").await;
    assert!(status == 503 && why.contains("spool is full"), "{why}");
    cluster.broker_up(1).unwrap();
    let last = event(1, u32::try_from(sent.len()).unwrap());
    while served.post(&last).await != 200 {}
    sent.push(id(&last));
    served.drained().await;
    served.end().await;
    assert_eq!(on_topic(&cluster)["1"], sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_broker_refuses_stays_in_the_spool_and_readiness_says_so() {
    let (cluster, dir) = (cluster(), tempfile::tempdir().unwrap());
    cluster.broker_down(1).unwrap();
    let served = Served::over(&cluster, dir.path()).await;
    assert_eq!(served.post(&event(1, 0)).await, 200);
    let refusal = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE];
    cluster.request_errors(RDKafkaApiKey::Produce, &refusal);
    cluster.broker_up(1).unwrap();
    while served.get("/readyz").await.0 == 200 {}
    let (_, why) = served.get("/readyz").await;
    assert!(why.contains("too large"), "{why}");
    assert_eq!(served.metric("chancery_ingest_spool_stuck{topic=\"events\"}").await, 1);
    assert_eq!(served.post(&event(1, 1)).await, 200, "events are still kept");
    // The broker has no more errors to give: as if somebody had changed its settings.
    served.drained().await;
    assert_eq!(served.get("/readyz").await.0, 200);
    served.end().await;
    assert_eq!(on_topic(&cluster)["1"], [id(&event(1, 0)), id(&event(1, 1))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_class_has_its_topic() {
    let (cluster, dir) = (cluster(), tempfile::tempdir().unwrap());
    cluster.create_topic("money", 1, 1).unwrap();
    let topics = [("financial".to_owned(), "money".to_owned())].into();
    let config = Config { topics, ..Config::default() };
    let sinks = Sinks::kafka(&kafka(&cluster), &config, Some(dir.path())).unwrap();
    assert!(dir.path().join("money").is_dir() && dir.path().join(TOPIC).is_dir());
    let served = Served::new(config.clone(), sinks).await;
    let mut financial = event(2, 0);
    financial["retention_class"] = json!("financial");
    let both = json!([event(1, 0), financial, event(1, 1), event(2, 1)]);
    assert_eq!(served.post(&both).await, 200);
    let mut other = event(1, 2);
    other["retention_class"] = json!("financial");
    assert_eq!(served.post(&other).await, 409);
    served.end().await;
    assert_eq!(
        on_topic(&cluster),
        [("1".to_owned(), vec![id(&event(1, 0)), id(&event(1, 1))])].into()
    );

    let topics = [("financial".to_owned(), TOPIC.to_owned())].into();
    let shared = Config { topics, ..Config::default() };
    let shared = Sinks::kafka(&kafka(&cluster), &shared, None);
    assert!(matches!(shared, Err(Error::Config { field: "topics", .. })));
}
