//! A broker that a test has to itself, and what lies on its topics.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};

use crate::services::{PARTITIONS, client};

/// A stack that only one test has, so that its broker may be stopped.
pub(crate) struct Stack {
    dir: PathBuf,
    _folder: tempfile::TempDir,
}

impl Stack {
    pub(crate) fn up() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("stack");
        let up = stack(&["up", dir.to_str().unwrap()]);
        assert!(up, "the stack did not start");
        Self { dir, _folder: folder }
    }

    pub(crate) fn brokers(&self) -> String {
        let env = std::fs::read_to_string(self.dir.join("env")).unwrap();
        let line = env.lines().find_map(|line| line.strip_prefix("export CHANCERY_TEST_KAFKA="));
        line.unwrap().to_owned()
    }

    fn pid(&self) -> String {
        std::fs::read_to_string(self.dir.join("kafka.pid")).unwrap().trim().to_owned()
    }

    pub(crate) fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.pid()]).status().unwrap().success());
    }

    /// Kills the broker; what it gives back starts it again.
    pub(crate) fn kill(&self) -> Command {
        let line = std::fs::read(format!("/proc/{}/cmdline", self.pid())).unwrap();
        let line = String::from_utf8(line).unwrap();
        let mut words = line.split_terminator('\0');
        let mut command = Command::new(words.next().unwrap());
        command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.signal("-KILL");
        while Path::new(&format!("/proc/{}/exe", self.pid())).read_link().is_ok() {
            std::thread::yield_now();
        }
        command
    }

    pub(crate) fn start(&self, command: &mut Command) {
        let child = command.spawn().unwrap();
        std::fs::write(self.dir.join("kafka.pid"), child.id().to_string()).unwrap();
        // Whoever ends the stack kills it; this thread only buries it.
        std::thread::spawn(move || child.wait_with_output());
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        stack(&["down", self.dir.to_str().unwrap()]);
    }
}

fn stack(args: &[&str]) -> bool {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stack/stack.sh");
    Command::new(script).args(args).status().unwrap().success()
}

/// Each event on the topic, in the order of its partition.
pub(crate) fn each_event(brokers: &str, topic: &str, mut each: impl FnMut(&schemas::Event<'_>)) {
    let consumer: BaseConsumer = client(brokers).set("group.id", "away").create().unwrap();
    let mut places = TopicPartitionList::new();
    let mut left = BTreeMap::new();
    for partition in 0..PARTITIONS {
        places.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
        let limit = Duration::from_secs(30);
        left.insert(partition, consumer.fetch_watermarks(topic, partition, limit).unwrap().1);
    }
    consumer.assign(&places).unwrap();
    left.retain(|_, high| *high > 0);
    while !left.is_empty() {
        let Some(Ok(message)) = consumer.poll(Duration::from_secs(1)) else { continue };
        if left.get(&message.partition()).is_some_and(|high| message.offset() + 1 >= *high) {
            left.remove(&message.partition());
        }
        let read = schemas::Message {
            offset: schemas::Offset(0),
            timestamp: schemas::Timestamp::default(),
            key: message.key(),
            value: message.payload(),
        };
        let place = schemas::Place { partition: schemas::Partition(0), partitions: 1 };
        each(&schemas::read(&read, place).unwrap());
    }
}
