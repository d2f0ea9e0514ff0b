//! A chain of one partition, written straight into the bucket as a sealer would, and what somebody with access to it can do.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use schemas::{
    Body, Chain, Content, Digest, Envelope, Epoch, EpochOpening, EventId, Framing, LockMode,
    ObjectKey, Offset, Partition, Published, Salt, Seconds, Timestamp, TimestampType, Topic,
    body_digest, body_key, encode_value,
};
use sealer::{Batch, Claims, Encoded, Head, Message, Terms, encode};
use store::{Created, Lock, Store};

const HOUR: i64 = 60 * 60;
pub(crate) const SESSION: &str = "s-1";

pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn needed(name: &str) -> String {
    variable(name).unwrap_or_else(|| panic!("{name} is not set: run this by tests/stack/stack.sh"))
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

/// A lock that ends in so many hours.
pub(crate) fn lock(hours: i64) -> Lock {
    Lock { mode: LockMode::Compliance, until: Seconds(now() + hours * HOUR) }
}

/// A partition's chain under a prefix of its own.
pub(crate) struct Sealed {
    pub(crate) address: String,
    bucket: String,
    prefix: String,
    pub(crate) store: Store,
    pub(crate) head: Head,
    pub(crate) segments: Vec<String>,
    pub(crate) body: String,
    /// The lock that segments are written under and name.
    pub(crate) lock: Lock,
    fresh: u64,
}

impl Sealed {
    /// An opening and three segments: of the same session in each, the second with a claim-checked body.
    pub(crate) async fn new(case: &str) -> Self {
        let bucket = needed("CHANCERY_TEST_S3_BUCKET");
        let prefix = format!("it/storage/{}/{case}", uuid::Uuid::now_v7().simple());
        let address = format!("s3://{bucket}/{prefix}");
        let store = Store::open(&address).unwrap();
        let chain = Chain {
            cluster: None,
            topic_id: None,
            topic: Topic::new("events").unwrap(),
            partition: Partition(0),
            partitions: 1,
            framing: Framing::SingleObject,
            epoch: Epoch(0),
        };
        let opening = EpochOpening {
            chain,
            start: Offset(0),
            total: 0,
            reason: "genesis".to_owned(),
            opened_at: Seconds(now()),
            prev: None,
            missing: vec![],
            abandoned: vec![],
        };
        let (segments, body, lock) = (Vec::new(), String::new(), lock(25));
        let head = Head::opened(&opening);
        let mut sealed =
            Self { address, bucket, prefix, store, head, segments, body, lock, fresh: 0 };
        sealed.open(&opening).await;
        for number in 0..3 {
            let (message, claim) =
                sealed.message(number, (number == 1).then_some("a long document"));
            sealed.seal(vec![message], claim).await;
        }
        sealed
    }

    /// Writes an opening and goes on from it.
    pub(crate) async fn open(&mut self, opening: &EpochOpening) {
        let key = self.opening_key(opening.chain.epoch);
        self.create(&key, opening.to_string().into(), Some(lock(50))).await;
        self.head = Head::opened(opening);
    }

    /// An opening of the next epoch.
    pub(crate) fn opening(&self, reason: &str, start: u64) -> EpochOpening {
        let mut chain = self.head.chain.clone();
        chain.epoch = Epoch(chain.epoch.0 + 1);
        EpochOpening {
            chain,
            start: Offset(start),
            total: self.head.total,
            reason: reason.to_owned(),
            opened_at: Seconds(now()),
            prev: Some(self.head.prev),
            missing: vec![],
            abandoned: vec![],
        }
    }

    pub(crate) fn opening_key(&self, epoch: Epoch) -> String {
        let chain = &self.head.chain;
        ObjectKey::Epoch(chain.topic.clone(), chain.partition, epoch).to_string()
    }

    pub(crate) fn next_key(&self) -> String {
        self.head.segment_key().to_string()
    }

    pub(crate) async fn create(&self, key: &str, bytes: Bytes, lock: Option<Lock>) {
        assert_eq!(self.store.create(key, bytes, lock).await.unwrap(), Created::New, "{key}");
    }

    /// A message of the session; its only body is claim-checked, where there is one.
    pub(crate) fn message(
        &mut self,
        number: u64,
        body: Option<&str>,
    ) -> (Message, Option<(Digest, Bytes)>) {
        self.fresh += 1;
        let fresh = Digest::of(&[self.prefix.as_bytes(), &self.fresh.to_be_bytes()].concat()).0;
        let mut envelope = Envelope::blank();
        envelope.event_id = EventId(std::array::from_fn(|at| fresh[at]));
        envelope.nonce = Salt(std::array::from_fn(|at| fresh[16 + at]));
        envelope.tenant = "acme".into();
        envelope.session_id = SESSION.into();
        envelope.kind = "user.message".into();
        envelope.occurred_at.0 = 1_790_000_000_000_000 + i64::try_from(number).unwrap();
        let mut bodies = Vec::new();
        let claim = body.map(|text| {
            let salt = Salt(std::array::from_fn(|at| fresh[8 + at]));
            let digest = body_digest(&salt, text.as_bytes());
            envelope.contents.push(Content {
                role: "user".into(),
                kind: "document".into(),
                media_type: "text/plain".into(),
                size: u64::try_from(text.len()).unwrap(),
                digest,
            });
            bodies.push(Body { digest, salt: Some(salt), data: None, enc: None });
            (digest, Bytes::copy_from_slice(text.as_bytes()))
        });
        let bytes = envelope.to_bytes();
        let message = Message {
            offset: Offset(self.head.next.0),
            timestamp: Timestamp { kind: TimestampType::LogAppendTime, millis: 1_790_000_000_000 },
            key: Some(format!("acme/{SESSION}").into_bytes()),
            headers: Vec::new(),
            value: Some(encode_value(&Published::LATEST, &bytes, None, None, &bodies)),
            leader_epoch: None,
        };
        (message, claim)
    }

    /// The segment that these messages would be, under the chain's lock.
    pub(crate) fn encoded(
        &self,
        messages: Vec<Message>,
        claim: Option<&(Digest, Bytes)>,
    ) -> Encoded {
        let mut batch = Batch::new(self.head.next);
        messages.into_iter().for_each(|message| batch.push(message, 0).unwrap());
        let terms = Terms {
            retention_class: "development".to_owned(),
            writer: "test/1".to_owned(),
            lock: Some(self.lock),
        };
        let mut claims = Claims::default();
        let mut encoded = encode(&batch, &self.head, &terms, &[7; 32], &mut claims).unwrap();
        for named in claims.unknown() {
            let (_, bytes) = claim.unwrap();
            claims.learn(named, Some((u64::try_from(bytes.len()).unwrap(), Digest::of(bytes))));
        }
        if encoded.is_none() {
            encoded = encode(&batch, &self.head, &terms, &[7; 32], &mut claims).unwrap();
        }
        encoded.unwrap()
    }

    /// Seals messages as a sealer does: the body's lock first, then the segment, then its record.
    pub(crate) async fn seal(&mut self, messages: Vec<Message>, claim: Option<(Digest, Bytes)>) {
        if let Some((digest, bytes)) = &claim {
            let session = schemas::KafkaKey::parse(format!("acme/{SESSION}").as_bytes());
            self.body = body_key(&session.unwrap().session_key(), digest);
            self.create(&self.body, bytes.clone(), Some(self.lock)).await;
        }
        let encoded = self.encoded(messages, claim.as_ref());
        let key = encoded.record.key.clone();
        self.create(&key, encoded.bytes, Some(self.lock)).await;
        let record = encoded.record.to_string();
        self.create(&record_key(&key), record.into(), Some(lock(50))).await;
        self.head = Head::at(&encoded.record);
        self.segments.push(key);
    }

    /// Sends one signed request past the store's own code.
    pub(crate) fn s3(
        &self,
        method: &str,
        key: &str,
        query: &str,
        headers: &[&str],
        body: &[u8],
    ) -> bool {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stack/s3.py");
        let target = format!("/{}/{}/{key}{query}", self.bucket, self.prefix);
        let mut child = Command::new("python3")
            .args([script, method, &target])
            .args(headers)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(body).unwrap();
        child.wait().unwrap().success()
    }

    /// Puts another version over an object.
    pub(crate) fn put(&self, key: &str, body: &[u8]) {
        assert!(self.s3("PUT", key, "", &[], body), "{key}");
    }

    /// Puts a delete marker over an object.
    pub(crate) fn delete(&self, key: &str) {
        assert!(self.s3("DELETE", key, "", &[], &[]), "{key}");
    }

    pub(crate) async fn get(&self, key: &str) -> Bytes {
        self.store.get(key, 1 << 30).await.unwrap().unwrap()
    }

    /// The version of an object that has one only.
    pub(crate) async fn version(&self, key: &str) -> String {
        let page = self.store.s3().unwrap().versions(key, None).await.unwrap();
        let [only] = page.versions.as_slice() else { unreachable!("{key}: {page:?}") };
        only.version.clone()
    }

    /// Writes other bytes under the same version id, behind the server's back.
    pub(crate) async fn rewrite(&self, key: &str, bytes: Bytes) {
        let version = self.version(key).await;
        if let Some(filer) = variable("CHANCERY_TEST_S3_FILER") {
            let folder =
                format!("http://{filer}/buckets/{}/{}/{key}.versions", self.bucket, self.prefix);
            let put = reqwest::Client::new().put(format!("{folder}/v_{version}")).body(bytes);
            put.send().await.unwrap().error_for_status().unwrap();
            return;
        }
        let data = needed("CHANCERY_TEST_S3_DATA");
        let held = self.get(key).await;
        let folder = std::path::Path::new(&data).join(&self.bucket).join(&self.prefix).join(key);
        assert!(rewrite_files(&folder, &held, &bytes) > 0, "{key} is in no file");
    }
}

/// Replaces what is held by other bytes in an object's file, or in every file of its folder.
fn rewrite_files(path: &std::path::Path, held: &[u8], bytes: &[u8]) -> usize {
    if path.is_dir() {
        let entries = std::fs::read_dir(path).unwrap();
        return entries.map(|entry| rewrite_files(&entry.unwrap().path(), held, bytes)).sum();
    }
    let mut file = std::fs::read(path).unwrap();
    let Some(at) = file.windows(held.len()).position(|window| window == held) else { return 0 };
    file.splice(at..at + held.len(), bytes.iter().copied());
    std::fs::write(path, file).unwrap();
    1
}

pub(crate) fn record_key(segment: &str) -> String {
    segment.replacen("segments/", "records/", 1).replacen(".parquet", ".record", 1)
}
