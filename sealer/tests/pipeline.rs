//! The embedded log sealed into a real folder, and what the sealer does with what it finds there.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use schemas::{
    Content, EnrolledRecord, Envelope, KafkaKey, Micros, Partition, Place, Published, Salt, Topic,
    body_digest, encode_value,
};
use sealer::{Config, Error, ErrorKind, Metrics, Source, Stop};
use spool::Spool;
use store::{Created, Store};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

const PLACE: Place = Place { partition: Partition(0), partitions: 1 };
const FIRST: &str = "segments/events/00000/0000000000/00000000000000000000.parquet";

struct Machine {
    dir: TempDir,
    spool: Spool,
}

impl Machine {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let (spool, _) = Spool::open(&dir.path().join("spool"), spool::Config::default()).unwrap();
        Self { dir, spool }
    }

    fn store(&self) -> Store {
        Store::open(self.dir.path().join("store").to_str().unwrap()).unwrap()
    }

    /// Runs the sealer until it has sealed all that the log holds.
    async fn seal(&self, config: Config) -> Result<(), Error> {
        let source = Source::Spool(self.spool.clone(), Topic::new("events").unwrap());
        let stop = CancellationToken::new();
        stop.cancel();
        sealer::run(source, self.store(), config, None, None, Metrics::default(), stop).await
    }

    fn append(&self, messages: Vec<(Option<Vec<u8>>, Vec<u8>)>) {
        let messages = messages.into_iter().map(|(key, value)| spool::Message {
            timestamp_ms: 1_790_000_000_000,
            key,
            value,
        });
        self.spool.append(messages.collect()).unwrap();
    }

    async fn segments(&self) -> Vec<(String, Bytes)> {
        let store = self.store();
        let mut segments = Vec::new();
        for key in store.list("segments", None).await.unwrap() {
            let bytes = store.get(&key, 1 << 30).await.unwrap().unwrap();
            segments.push((key, bytes));
        }
        segments
    }
}

/// An event of `session` with one body, as a gateway would write it.
fn event(session: &str, number: u64) -> (Option<Vec<u8>>, Vec<u8>) {
    let text = format!("body {number} of {session}");
    let salt = Salt([number.to_be_bytes()[7]; 16]);
    let digest = body_digest(&salt, text.as_bytes());
    let mut envelope = Envelope::blank();
    envelope.event_id.0 = u128::from(number).to_be_bytes();
    envelope.tenant = "acme".into();
    envelope.session_id = session.into();
    envelope.kind = "user.message".into();
    envelope.occurred_at = Micros(1_790_000_000_000_000);
    envelope.contents.push(Content {
        role: "user".into(),
        kind: "text".into(),
        media_type: "text/plain".into(),
        size: text.len().try_into().unwrap(),
        digest,
    });
    let body = schemas::Body { digest, salt: Some(salt), data: Some(text.as_bytes()), enc: None };
    let value = encode_value(&Published::LATEST, &envelope.to_bytes(), None, None, &[body]);
    let key = KafkaKey::parse(format!("acme/{session}").as_bytes()).unwrap().to_bytes();
    (Some(key), value)
}

fn config(rows: usize) -> Config {
    Config { segment_rows_max: rows, ..Config::default() }
}

#[tokio::test]
async fn everything_in_the_log_is_sealed_in_chained_segments_of_sorted_rows() {
    let machine = Machine::new();
    machine.append(
        (0..100)
            .map(|n| event(["a", "b", "c"].get(usize::try_from(n % 3).unwrap()).unwrap(), n))
            .collect(),
    );
    machine.append(vec![(None, b"garbage".to_vec()), (Some(b"acme/a".to_vec()), Vec::new())]);
    machine.seal(config(40)).await.unwrap();
    let segments = machine.segments().await;
    let mut next = 0;
    let mut prev = None;
    for (key, bytes) in &segments {
        let record = sealer::check(bytes, PLACE).unwrap();
        assert_eq!(record.start.0, next);
        next = record.next.0;
        let store = machine.store();
        let beside = key.replace("segments/", "records/").replace(".parquet", ".record");
        let text = store.get(&beside, 1 << 30).await.unwrap().unwrap();
        let enrolled = EnrolledRecord::parse(std::str::from_utf8(&text).unwrap()).unwrap();
        assert_eq!(enrolled.segment, record);
        assert!(prev.is_none_or(|prev| prev == record.prev));
        prev = Some(enrolled.leaf_hash());
    }
    assert_eq!((segments.len(), next), (3, 102));
    assert_eq!(machine.spool.next(), 102);
}

#[tokio::test]
async fn a_restart_goes_on_where_the_chain_ends() {
    let machine = Machine::new();
    for round in 0..3 {
        machine.append((0..10).map(|n| event("a", round * 10 + n)).collect());
        machine.seal(config(1000)).await.unwrap();
        machine.seal(config(1000)).await.unwrap();
    }
    assert_eq!(
        machine.segments().await.len(),
        3,
        "nothing is sealed twice and nothing empty is sealed"
    );
}

/// A crash between the segment's PUT and its record's: start-up adopts the one and writes the other.
#[tokio::test]
async fn a_segment_without_its_record_is_adopted_and_the_record_written() {
    let machine = Machine::new();
    machine.append(vec![event("a", 1)]);
    machine.seal(config(1000)).await.unwrap();
    let record = "records/events/00000/0000000000/00000000000000000000.record";
    let path = machine.dir.path().join("store").join(record);
    let before = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    machine.append(vec![event("a", 2)]);
    machine.seal(config(1000)).await.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(machine.segments().await.len(), 2);
}

/// Two machines that hold the same messages, one store: the second finds the first's segments, other bytes and all.
#[tokio::test]
async fn anothers_segment_with_the_same_messages_is_adopted() {
    let (first, second) = (Machine::new(), Machine::new());
    for machine in [&first, &second] {
        machine.append((0..20).map(|n| event("a", n)).collect());
    }
    first.seal(config(12)).await.unwrap();
    let source = Source::Spool(second.spool.clone(), Topic::new("events").unwrap());
    let stop = CancellationToken::new();
    stop.cancel();
    sealer::run(source, first.store(), config(7), None, None, Metrics::default(), stop)
        .await
        .unwrap();
    assert_eq!(first.segments().await.len(), 2);
}

#[tokio::test]
async fn junk_at_the_next_key_stops_the_partition_and_is_left_alone() {
    let machine = Machine::new();
    machine.append(vec![event("a", 1)]);
    machine.seal(config(1000)).await.unwrap();
    let next = "segments/events/00000/0000000000/00000000000000000001.parquet";
    machine.store().create(next, Bytes::from_static(b"junk"), None).await.unwrap();
    machine.append(vec![event("a", 2)]);
    let stopped = machine.seal(config(1000)).await.unwrap_err();
    assert_eq!(stopped.kind(), ErrorKind::Corrupt);
    assert!(stopped.to_string().contains(next), "{stopped}");
    assert_eq!(machine.store().get(next, 1 << 30).await.unwrap().unwrap(), "junk");
}

/// A well-formed segment that continues the chain, with rows the log does not hold, planted while the sealer runs.
#[tokio::test]
async fn an_invented_segment_at_the_next_key_is_not_adopted() {
    let (machine, forger) = (Machine::new(), Machine::new());
    let source = Source::Spool(machine.spool.clone(), Topic::new("events").unwrap());
    let config = Config { segment_age_max_ms: 1, ..Config::default() };
    let stop = CancellationToken::new();
    let running = tokio::spawn(sealer::run(
        source,
        machine.store(),
        config.clone(),
        None,
        None,
        Metrics::default(),
        stop,
    ));
    let opening = loop {
        if let Some(opening) =
            machine.store().get("epochs/events/00000/0000000000", 1 << 30).await.unwrap()
        {
            break opening;
        }
        tokio::task::yield_now().await;
    };
    forger.store().create("epochs/events/00000/0000000000", opening, None).await.unwrap();
    forger.append(vec![event("a", 2)]);
    forger.seal(config).await.unwrap();
    let invented = forger.store().get(FIRST, 1 << 30).await.unwrap().unwrap();
    machine.store().create(FIRST, invented, None).await.unwrap();
    machine.append(vec![event("a", 1)]);
    let stopped = running.await.unwrap().unwrap_err();
    assert_eq!(stopped.kind(), ErrorKind::Corrupt);
    assert!(stopped.to_string().contains("not the message that the source holds"), "{stopped}");
    assert_eq!(machine.spool.start(), 0, "the log still holds the event");
}

#[tokio::test]
async fn a_log_that_begins_after_the_chain_ends_is_a_loss_and_said_so() {
    let machine = Machine::new();
    machine.append((0..10).map(|n| event("a", n)).collect());
    machine.seal(config(1000)).await.unwrap();
    let other = Machine::new();
    other.append((0..20).map(|n| event("a", n)).collect());
    other.spool.truncate_head(20).unwrap();
    let source = Source::Spool(other.spool.clone(), Topic::new("events").unwrap());
    let stop = CancellationToken::new();
    stop.cancel();
    let lost =
        sealer::run(source, machine.store(), config(1000), None, None, Metrics::default(), stop)
            .await
            .unwrap_err();
    assert!(matches!(lost, Error::Stopped { stop: Stop::Overtaken { .. }, .. }), "{lost}");
}

/// One claim-checked body is in the store, the other is not: both are listed, and neither holds up what lies behind.
#[tokio::test]
async fn claim_checked_bodies_are_listed_as_they_were_found() {
    let machine = Machine::new();
    let (key, _) = event("a", 1);
    let session = KafkaKey::parse(key.as_deref().unwrap()).unwrap().session_key();
    let claim = |content: &[u8]| {
        let salt = Salt([9; 16]);
        let digest = body_digest(&salt, content);
        let mut envelope = Envelope::blank();
        (envelope.tenant, envelope.session_id) = ("acme".into(), "a".into());
        envelope.kind = "user.message".into();
        let size = content.len().try_into().unwrap();
        let (role, kind, media_type) = ("user".into(), "text".into(), "text/plain".into());
        envelope.contents.push(Content { role, kind, media_type, size, digest });
        let body = schemas::Body { digest, salt: Some(salt), data: None, enc: None };
        (digest, encode_value(&Published::LATEST, &envelope.to_bytes(), None, None, &[body]))
    };
    let ((there, first), (absent, second)) = (claim(b"kept apart"), claim(b"never sent"));
    let object = Bytes::from_static(b"kept apart");
    machine
        .store()
        .create(&schemas::body_key(&session, &there), object.clone(), None)
        .await
        .unwrap();
    machine.append(vec![(key.clone(), first), (key, second), event("a", 3)]);
    machine.seal(config(1000)).await.unwrap();
    let segments = machine.segments().await;
    let footer = sealer::visit(&segments.first().unwrap().1, |_| Ok(())).unwrap();
    let mut lines = [
        format!("{session} {there} 10 {}\n", schemas::Digest::of(&object)),
        format!("{session} {absent} - -\n"),
    ];
    lines.sort();
    let (salt, listed) = footer.claims.as_deref().unwrap().split_once('\n').unwrap();
    let salt = salt.strip_prefix("salt ").unwrap();
    assert!(salt.len() == 32 && salt.bytes().all(|byte| byte.is_ascii_hexdigit()), "{salt}");
    assert_eq!(listed, lines.concat());
    assert_eq!((footer.record.rows, footer.record.claims.count), (3, 3));
}

#[tokio::test]
async fn a_local_create_takes_a_key_once() {
    let machine = Machine::new();
    let store = machine.store();
    assert_eq!(store.create("a/b/c", Bytes::from_static(b"1"), None).await.unwrap(), Created::New);
    assert_eq!(
        store.create("a/b/c", Bytes::from_static(b"2"), None).await.unwrap(),
        Created::Exists
    );
    assert_eq!(store.get("a/b/c", 1 << 30).await.unwrap().unwrap(), "1");
    assert_eq!(store.list("a", None).await.unwrap(), ["a/b/c"]);
    assert_eq!(store.get("a/b/d", 1 << 30).await.unwrap(), None);
}
