//! The object store's own promises on a real S3 server: what is locked stays, what was replaced is still to be had.
#![expect(clippy::panic, reason = "a test fails by panicking")]

use std::io::Write as _;
use std::process::{Command, Stdio};

use bytes::Bytes;
use schemas::{Digest, LockMode, Seconds};
use store::{Created, Lock, Page, Store, VersionMarker};
use tokio::task::JoinSet;

/// So long are the probes of a test locked: their bucket goes with the server.
const SHORT: i64 = 90;

/// A folder of its own in the test bucket.
fn address() -> String {
    let bucket = std::env::var("CHANCERY_TEST_S3_BUCKET").unwrap();
    format!("s3://{bucket}/it store/{}", uuid::Uuid::now_v7().simple())
}

fn open() -> Store {
    Store::open(&address()).unwrap()
}

/// A request of the test's own, by the script that makes the test bucket.
pub(crate) fn s3(arguments: &[&str], body: &str) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stack/s3.py");
    let mut sent = Command::new("python3")
        .arg(script)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    sent.stdin.take().unwrap().write_all(body.as_bytes()).unwrap();
    assert!(sent.wait().unwrap().success(), "{arguments:?}");
}

fn later(seconds: i64) -> Seconds {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Seconds(i64::try_from(now.as_secs()).unwrap() + seconds)
}

/// Writes under a lock; the version that came of it.
async fn create(store: &Store, key: &str, text: &'static str, lock: Option<Lock>) -> String {
    let created = store.create(key, Bytes::from(text), lock).await.unwrap();
    assert_eq!(created, Created::New);
    store.content(key).await.unwrap().unwrap().version.unwrap()
}

/// What S3 refuses is refused, however the server puts it: 403 or 400.
fn refused<T: std::fmt::Debug>(result: Result<T, store::Error>) {
    let error = result.unwrap_err();
    let refusal = error.refusal().unwrap_or_else(|| panic!("{error:?}"));
    assert!(matches!(refusal.status, 400 | 403), "{error:?}");
    assert_eq!(error.kind(), store::Kind::Refused);
}

#[tokio::test]
async fn a_lock_travels_with_the_write_and_can_be_lengthened_but_not_shortened() {
    let store = open();
    let s3 = store.s3().unwrap();
    for mode in [LockMode::Governance, LockMode::Compliance] {
        let key = format!("a/p={mode} .parquet");
        let lock = Lock { mode, until: later(SHORT) };
        let version = create(&store, &key, "evidence", Some(lock)).await;
        assert_eq!(s3.retention(&key, Some(&version)).await.unwrap(), Some(lock));
        assert_eq!(s3.retention(&key, None).await.unwrap(), Some(lock));
        let head = s3.head(&key, Some(&version)).await.unwrap().unwrap();
        assert_eq!((head.lock, head.hold, head.bytes), (Some(lock), false, 8));
        assert_eq!(head.version.as_deref(), Some(version.as_str()));

        let longer = Lock { until: Seconds(lock.until.0 + 60), ..lock };
        s3.retain(&key, Some(&version), longer).await.unwrap();
        assert_eq!(s3.retention(&key, Some(&version)).await.unwrap(), Some(longer));
        refused(s3.retain(&key, Some(&version), lock).await);
        refused(s3.try_delete(&key, &version).await);
        assert_eq!(s3.retention(&key, Some(&version)).await.unwrap(), Some(longer));
    }
}

#[tokio::test]
async fn a_hold_is_set_and_taken_away() {
    let store = open();
    let s3 = store.s3().unwrap();
    let version = create(&store, "held", "evidence", None).await;
    assert_eq!(s3.retention("held", Some(&version)).await.unwrap(), None);
    assert!(!s3.hold("held", Some(&version)).await.unwrap());
    s3.set_hold("held", Some(&version), true).await.unwrap();
    assert!(s3.hold("held", Some(&version)).await.unwrap());
    assert!(s3.head("held", None).await.unwrap().unwrap().hold);
    refused(s3.try_delete("held", &version).await);
    s3.set_hold("held", Some(&version), false).await.unwrap();
    assert!(!s3.hold("held", None).await.unwrap());
    s3.try_delete("held", &version).await.unwrap();
    assert_eq!(s3.head("held", None).await.unwrap(), None);
    assert_eq!(store.get("held", 9).await.unwrap(), None);
}

#[tokio::test]
async fn a_taken_key_is_refused_and_a_damaged_write_too() {
    let store = open();
    create(&store, "once", "first", None).await;
    let again = store.create("once", Bytes::from("second"), None).await.unwrap();
    assert_eq!(again, Created::Exists);
    assert_eq!(store.get("once", 9).await.unwrap().unwrap(), "first");
    let s3 = store.s3().unwrap();
    refused(s3.try_create_damaged("damaged", Bytes::from("sent"), b"meant").await);
    assert_eq!(s3.head("damaged", None).await.unwrap(), None);
}

#[tokio::test]
async fn what_lies_under_a_marker_is_still_to_be_had() {
    let address = address();
    let store = Store::open(&address).unwrap();
    let first = create(&store, "p/a", "first", None).await;
    let other = create(&store, "p/b", "other", None).await;
    let folder = address.strip_prefix("s3:/").unwrap().replace(' ', "%20");
    // Without a version, which leaves a marker.
    s3(&["DELETE", &format!("{folder}/p/a")], "");
    let s3 = store.s3().unwrap();
    assert_eq!(store.get("p/a", 9).await.unwrap(), None);
    assert_eq!(s3.get("p/a", Some(&first), 9).await.unwrap().unwrap(), "first");
    let content = s3.content("p/a", Some(&first)).await.unwrap().unwrap();
    assert_eq!((content.bytes, content.sha256), (5, Digest::of(b"first")));
    assert!(matches!(
        s3.get("p/a", Some(&first), 4).await,
        Err(store::Error::TooLarge { bytes: 5, .. })
    ));

    let page = s3.versions("p/", None).await.unwrap();
    assert_eq!(page.next, None);
    let found: Vec<_> = page
        .versions
        .iter()
        .map(|version| (version.key.as_str(), version.is_latest, version.is_delete_marker))
        .collect();
    assert_eq!(found, [("p/a", true, true), ("p/a", false, false), ("p/b", true, false)]);
    assert_eq!(page.versions[1].version, first);
    assert_eq!((page.versions[2].version.as_str(), page.versions[2].bytes), (other.as_str(), 5));
    assert!(page.versions.iter().all(|version| version.at.is_some()));
}

#[tokio::test]
async fn listings_come_in_pages_that_meet_without_gap_or_overlap() {
    const COUNT: usize = 2_100;
    let store = open();
    let keys: Vec<String> = (0..COUNT).map(|number| format!("many/{number:020}")).collect();
    for keys in keys.chunks(50) {
        let mut writes = JoinSet::new();
        for key in keys {
            let (store, key) = (store.clone(), key.clone());
            writes.spawn(async move { store.create(&key, Bytes::from("x"), None).await.unwrap() });
        }
        assert!(writes.join_all().await.iter().all(|created| *created == Created::New));
    }
    let page = store.page("many", None).await.unwrap();
    assert_eq!(page, Page { keys: keys[..1000].to_vec(), full: true });
    let page = store.page("many", Some(&keys[COUNT - 2])).await.unwrap();
    assert_eq!(page, Page { keys: keys[COUNT - 1..].to_vec(), full: false });
    assert_eq!(store.list("many", None).await.unwrap(), keys);
    assert_eq!(store.list("many", Some(&keys[41])).await.unwrap(), keys[42..]);
    assert_eq!(store.list("man", None).await.unwrap(), [""; 0]);

    let mut from: Option<VersionMarker> = None;
    let mut listed = Vec::new();
    loop {
        let page = store.s3().unwrap().versions("many/", from.as_ref()).await.unwrap();
        assert!(page.versions.len() <= 1000);
        listed.extend(page.versions.into_iter().map(|version| version.key));
        match page.next {
            Some(next) => from = Some(next),
            None => break,
        }
    }
    assert_eq!(listed, keys);
}

#[tokio::test]
async fn the_bucket_says_how_it_is_set_up() {
    let store = open();
    let bucket = store.s3().unwrap().bucket().await.unwrap();
    assert!(bucket.versioning && bucket.lock, "{bucket:?}");
    assert_eq!(bucket.default_retention, None);
    let off = bucket.clock.unwrap().0 - later(0).0;
    assert!(off.abs() < 30, "{bucket:?}");
    assert_eq!(store::probe(&store).await.unwrap(), [""; 0]);
    assert_eq!(store::probe(&store).await.unwrap(), [""; 0]);
}
