//! Breaking it: real processes on real servers, under load, and everything that a deployment meets. However it goes, what was
//! acknowledged is sealed, once, in order, in one chain.
//!
//! `CHANCERY_KILLS` says how many kills a run has, `CHANCERY_SEED` which; the run prints both.
#![expect(clippy::panic, reason = "a test fails by panicking")]

mod check;
mod disk;
mod faults;
mod fleet;
mod load;
mod stack;

use std::path::Path;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tokio::sync::Mutex;

use crate::binary::expect;
use crate::proxy::Proxy;
use crate::services::{PARTITIONS, client};
use check::Store;
use disk::Disk;
use faults::{Random, Scene};
use fleet::{Fleet, INGEST, Servers};
use load::{Agents, TENANTS};
use stack::Stack;

const TOPIC: &str = "events";
/// A load that is none would prove nothing: so many events are acknowledged between two leaders' ends, and at the end.
const EVENTS: u64 = 200;

/// Each test has servers of its own, and the machine has not room for all of them.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// A number of the environment.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// A file of keys, and the key of each tenant in it.
fn keys(folder: &Path) -> (String, [String; TENANTS.len()]) {
    let file = folder.join("keys.toml").to_str().unwrap().to_owned();
    let create = |tenant| expect(0, &["keys", "create", "--keys", &file, "--tenant", tenant]);
    let keys = TENANTS.map(|tenant| create(tenant).trim().to_owned());
    (file, keys)
}

async fn create_topic(stack: &Stack, replicas: i32) {
    let brokers = stack.variable("CHANCERY_TEST_KAFKA");
    let admin: AdminClient<DefaultClientContext> = client(brokers).create().unwrap();
    let topic = NewTopic::new(TOPIC, PARTITIONS, TopicReplication::Fixed(replicas));
    admin.create_topics(&[topic], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
    // A broker may still not know of what the controller has made.
    while (0..PARTITIONS).any(|partition| leader(stack, partition).is_none()) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The node that leads a partition now.
fn leader(stack: &Stack, partition: i32) -> Option<i32> {
    let brokers = stack.variable("CHANCERY_TEST_KAFKA");
    let consumer: BaseConsumer = client(brokers).create().unwrap();
    let metadata = consumer.fetch_metadata(Some(TOPIC), Duration::from_secs(30)).unwrap();
    let partitions = metadata.topics().first()?.partitions();
    let leader = partitions.iter().find(|found| found.id() == partition)?.leader();
    (leader >= 0).then_some(leader)
}

/// Stops the agents, lets everything drain, and checks it all.
async fn finish(agents: Agents, mut fleet: Fleet, store: Store<'_>, folder: &Path) {
    fleet.tend();
    agents.load.get_on(EVENTS).await;
    let refused = agents.load.refused();
    let acknowledged = agents.stop().await;
    drained(&mut fleet).await;
    fleet.end_ingest();
    if !store.is_whole(TOPIC).await {
        fleet.fail("not everything is sealed");
    }
    fleet.end_sealers();
    let report = store.check_chain();
    let (events, repeats) = store.check_events(&acknowledged, folder);
    store.check_independently(folder);
    let told: usize = acknowledged.values().map(Vec::len).sum();
    eprintln!(
        "{told} events acknowledged, 0 lost; {events} sealed and {repeats} repeats of them, {} segments, 0 duplicated, \
         0 forks; {refused} requests answered 503; {} processes gave up and were started again",
        report["segments"], fleet.gave_up
    );
}

/// Waits until the gateway's spool is empty.
async fn drained(fleet: &mut Fleet) {
    let url = fleet.url().await;
    let line = format!("chancery_ingest_spool_in_use{{topic=\"{TOPIC}\"}} 0");
    while !reqwest::get(format!("{url}/metrics"))
        .await
        .unwrap()
        .text()
        .await
        .unwrap()
        .contains(&line)
    {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_kills_under_load_lose_nothing_duplicate_nothing_and_fork_nothing() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let kills = number("CHANCERY_KILLS", 12);
    let seed = number("CHANCERY_SEED", uuid::Uuid::now_v7().as_u64_pair().1 & 0xffff_ffff);
    eprintln!("CHANCERY_KILLS={kills} CHANCERY_SEED={seed}");
    let folder = tempfile::tempdir().unwrap();
    let stack = Stack::up(folder.path(), "1");
    create_topic(&stack, 1).await;

    let s3 = stack.variable("AWS_ENDPOINT_URL").strip_prefix("http://").unwrap();
    let to_s3 = Proxy::start("127.0.0.1:0", s3);
    let front = stack.variable("CHANCERY_TEST_KAFKA_FRONT");
    let to_kafka = Proxy::start(front, stack.variable("CHANCERY_TEST_KAFKA_BEHIND"));
    let address = format!("s3://{}/breaking", stack.variable("CHANCERY_TEST_S3_BUCKET"));
    let (file, keys) = keys(folder.path());
    let servers = Servers {
        stack: &stack,
        front: front.to_owned(),
        endpoint: format!("http://{}", to_s3.address()),
        topic: TOPIC,
        store: &address,
    };
    let spool = folder.path().join("spool");
    let mut fleet = Fleet::start(folder.path(), &file, &[spool.to_str().unwrap()], &servers);
    let agents = Agents::start(fleet.url().await, &keys);
    agents.load.get_on(EVENTS).await;

    let mut scene = Scene {
        stack: &stack,
        fleet: &mut fleet,
        load: &agents.load,
        to_s3: &to_s3,
        to_kafka: &to_kafka,
    };
    scene.break_things(&mut Random(seed), kills).await;
    eprintln!("to S3: {:?}; to Kafka: {:?}", to_s3.counts(), to_kafka.counts());
    finish(agents, fleet, Store { stack: &stack, address: &address }, folder.path()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_of_three_loses_its_leaders_and_nothing_else() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let stack = Stack::up(folder.path(), "3");
    create_topic(&stack, 3).await;
    let address = format!("s3://{}/leaders", stack.variable("CHANCERY_TEST_S3_BUCKET"));
    let (file, keys) = keys(folder.path());
    let servers = Servers {
        stack: &stack,
        front: stack.variable("CHANCERY_TEST_KAFKA").to_owned(),
        endpoint: stack.variable("AWS_ENDPOINT_URL").to_owned(),
        topic: TOPIC,
        store: &address,
    };
    let spool = folder.path().join("spool");
    let mut fleet = Fleet::start(folder.path(), &file, &[spool.to_str().unwrap()], &servers);
    let agents = Agents::start(fleet.url().await, &keys);
    agents.load.get_on(EVENTS).await;
    for partition in 0..PARTITIONS {
        let leader = format!("kafka-{}", leader(&stack, partition).unwrap());
        stack.kill(&leader);
        agents.load.get_on(EVENTS).await;
        stack.restart(&leader);
        agents.load.get_on(EVENTS).await;
        fleet.tend();
    }
    finish(agents, fleet, Store { stack: &stack, address: &address }, folder.path()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_under_the_spool_refuses_events_and_loses_none() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let stack = Stack::up(folder.path(), "1");
    create_topic(&stack, 1).await;
    let address = format!("s3://{}/disk", stack.variable("CHANCERY_TEST_S3_BUCKET"));
    let (file, keys) = keys(folder.path());
    let servers = Servers {
        stack: &stack,
        front: stack.variable("CHANCERY_TEST_KAFKA").to_owned(),
        endpoint: stack.variable("AWS_ENDPOINT_URL").to_owned(),
        topic: TOPIC,
        store: &address,
    };
    let disk = Disk::new(&folder.path().join("disk"));
    let mut fleet = Fleet::start(folder.path(), &file, &disk.spool(), &servers);
    let agents = Agents::start(fleet.url().await, &keys);
    agents.load.get_on(EVENTS).await;

    // A broker that says nothing; events go to the spool until that is full, and a gateway starts on a full one.
    stack.signal("-STOP", "kafka");
    agents.load.get_refused(EVENTS).await;
    fleet.kill(INGEST);
    agents.load.set_url(fleet.url().await);
    agents.load.get_refused(EVENTS).await;
    stack.signal("-CONT", "kafka");
    agents.load.get_on(EVENTS).await;
    finish(agents, fleet, Store { stack: &stack, address: &address }, folder.path()).await;
}
