//! The tamper matrix on a real S3 server: whatever is done to a sealed chain, `verify --storage` names it, and finds the
//! original where there is one. Each case has a prefix of its own.
#![expect(clippy::panic, reason = "a test fails by panicking")]

mod chain;

use chain::{SESSION, Sealed, lock, record_key};
use schemas::{Epoch, TerminalObject};
use serde_json::Value;

use crate::binary::{expect, run};

/// What `verify --storage` says, and how it ends.
fn verified(sealed: &Sealed) -> (Option<i32>, Value) {
    let output = run(&["verify", &sealed.address, "--storage", "--json"]);
    let report = serde_json::from_slice(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), report.unwrap_or_else(|_| Value::from(errors)))
}

/// The findings: kind and object of each, and all reasons.
fn found(sealed: &Sealed) -> (Vec<(String, String)>, String) {
    let (exit, report) = verified(sealed);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let findings = report["findings"].as_array().unwrap_or_else(|| panic!("{report}"));
    assert_eq!(exit, Some(if findings.is_empty() { 0 } else { 3 }), "{report}");
    let named = findings.iter().map(|found| (text(&found["kind"]), text(&found["object"])));
    let reasons = findings.iter().map(|found| text(&found["reason"]) + "\n");
    (named.collect(), reasons.collect())
}

/// Asserts that just these kinds are found of these objects, and that the walk went on with the originals.
fn assert_found(sealed: &Sealed, expected: &[(&str, &str)]) -> String {
    let (mut named, reasons) = found(sealed);
    named.sort();
    let mut expected: Vec<_> =
        expected.iter().map(|(kind, key)| ((*kind).to_owned(), (*key).to_owned())).collect();
    expected.sort();
    assert_eq!(named, expected, "{reasons}");
    reasons
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_untouched_chain_is_good_and_its_locks_were_looked_at() {
    let sealed = Sealed::new("good").await;
    let (exit, report) = verified(&sealed);
    assert_eq!((exit, &report["ok"]), (Some(0), &Value::from(true)), "{report}");
    assert_eq!((&report["segments"], &report["events"]), (&3.into(), &3.into()), "{report}");
    // An opening, three segments, three records and a body.
    let storage = &report["storage"];
    assert_eq!((&storage["versions"], &storage["locks"]), (&8.into(), &8.into()), "{report}");
    let not_checked = report["not_checked"].to_string();
    assert!(!not_checked.contains("object lock: modes"), "{not_checked}");
    let without: Value =
        serde_json::from_str(&expect(0, &["verify", &sealed.address, "--json"])).unwrap();
    assert!(without["not_checked"].to_string().contains("object lock: modes"), "{without}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_over_any_object_is_named_and_the_original_is_read() {
    let sealed = Sealed::new("shadow").await;
    let (segment, opening) = (&sealed.segments[1], sealed.opening_key(Epoch(0)));
    for key in [segment, &record_key(segment), &opening, &sealed.body] {
        let original = sealed.version(key).await;
        sealed.put(key, b"shadow");
        let (named, reasons) = found(&sealed);
        assert!(named.contains(&("shadowed".to_owned(), key.clone())), "{named:?}");
        assert!(reasons.contains(&format!("the original is version {original}")), "{reasons}");
    }
    let all = [segment, &record_key(segment), &opening, &sealed.body];
    assert_found(&sealed, &all.map(|key| ("shadowed", key.as_str())));
    // Readers go on with the originals too.
    let trace: Value =
        serde_json::from_str(&expect(0, &["trace", &sealed.address, SESSION, "--json"])).unwrap();
    assert_eq!(trace["totals"]["rows"], 3, "{trace}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delete_marker_is_named_and_the_original_is_read() {
    let sealed = Sealed::new("marker").await;
    let key = &sealed.segments[0];
    let original = sealed.version(key).await;
    sealed.delete(key);
    let reasons = assert_found(&sealed, &[("shadowed", key)]);
    assert!(reasons.contains("a delete marker") && reasons.contains(&original), "{reasons}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delete_markers_over_everything_hide_nothing() {
    let sealed = Sealed::new("all-marked").await;
    let opening = sealed.opening_key(Epoch(0));
    let records: Vec<String> = sealed.segments.iter().map(|key| record_key(key)).collect();
    let all: Vec<&String> =
        sealed.segments.iter().chain(&records).chain([&opening, &sealed.body]).collect();
    all.iter().for_each(|key| sealed.delete(key));
    let expected: Vec<_> = all.iter().map(|key| ("shadowed", key.as_str())).collect();
    assert_found(&sealed, &expected);
    assert_eq!(verified(&sealed).1["events"], 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_marker_and_a_new_conditional_put_are_both_named() {
    let sealed = Sealed::new("marker-put").await;
    let key = &sealed.segments[2];
    let forged = sealed.get(&sealed.segments[1]).await;
    sealed.delete(key);
    // One server refuses the second step; the first is named all the same.
    let put = sealed.s3("PUT", key, "", &["If-None-Match:*"], &forged);
    let expected = [("shadowed", key.as_str()); 2];
    assert_found(&sealed, &expected[..if put { 2 } else { 1 }]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_segment_with_a_record_that_fits_does_not_pass_for_the_original() {
    let mut sealed = Sealed::new("forged").await;
    let (message, _) = sealed.message(9, None);
    let (encoded, original) = (sealed.encoded(vec![message], None), sealed.message(3, None).0);
    sealed.seal(vec![original], None).await;
    let key = encoded.record.key.clone();
    assert_eq!(Some(&key), sealed.segments.last());
    sealed.put(&key, &encoded.bytes);
    sealed.put(&record_key(&key), encoded.record.to_string().as_bytes());
    assert_found(&sealed, &[("shadowed", &key), ("shadowed", &record_key(&key))]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lies_under_the_next_key_is_junk_or_an_invented_segment() {
    let sealed = Sealed::new("junk").await;
    sealed.put(&sealed.next_key(), b"PAR1 junk PAR1");
    assert_found(&sealed, &[("junk", &sealed.next_key())]);

    let mut sealed = Sealed::new("invented").await;
    let (message, _) = sealed.message(3, None);
    let invented = sealed.encoded(vec![message], None);
    let key = sealed.next_key();
    sealed.put(&key, &invented.bytes);
    // It continues the chain in every way; but nobody enrolled it, and whoever made it up put no lock on it.
    let reasons = assert_found(&sealed, &[("lock", &key), ("unenrolled", &key)]);
    assert!(reasons.contains("it is not locked"), "{reasons}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_no_object_has_is_junk() {
    let sealed = Sealed::new("unknown").await;
    for key in ["segments/notes.txt", "records/events/00000/x", "epochs/events/0"] {
        sealed.put(key, b"no");
    }
    let keys = ["segments/notes.txt", "records/events/00000/x", "epochs/events/0"];
    assert_found(&sealed, &keys.map(|key| ("junk", key)));
}

/// Asserts that objects are found changed where they lie. A server may have lost their locks with their bytes; MinIO keeps
/// checksums of its own, and gives nothing that they do not fit.
fn assert_rewritten(sealed: &Sealed, kind: &str, keys: &[&String]) {
    let (named, reasons) = found(sealed);
    let is_minio = chain::variable("CHANCERY_TEST_S3_KIND").as_deref() == Some("minio");
    let kind = if is_minio { "unreadable" } else { kind };
    for key in keys {
        assert!(named.contains(&(kind.to_owned(), (*key).clone())), "{named:?} {reasons}");
    }
    let others = named
        .iter()
        .filter(|(found, key)| !(keys.contains(&key) && (found == kind || found == "lock")));
    assert_eq!(others.count(), 0, "{named:?} {reasons}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_rewritten_behind_the_server_s_back_are_named() {
    let sealed = Sealed::new("rewritten").await;
    let key = &sealed.segments[0];
    let mut bytes = sealed.get(key).await.to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    bytes[0] ^= 1;
    sealed.rewrite(key, bytes.into()).await;
    assert_rewritten(&sealed, "digest", &[key]);
    sealed.rewrite(&sealed.body, "another document".into()).await;
    let (named, _) = found(&sealed);
    assert!(named.contains(&("body".to_owned(), sealed.body.clone())), "{named:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn segments_swapped_behind_the_server_s_back_are_named() {
    let sealed = Sealed::new("swapped").await;
    let [first, _, last] = sealed.segments.as_slice() else { unreachable!("three segments") };
    let (one, other) = (sealed.get(first).await, sealed.get(last).await);
    sealed.rewrite(first, other).await;
    sealed.rewrite(last, one).await;
    assert_rewritten(&sealed, "misplaced", &[first, last]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn segments_swapped_through_the_front_door_are_shadowed() {
    let sealed = Sealed::new("swapped-versions").await;
    let [first, _, last] = sealed.segments.as_slice() else { unreachable!("three segments") };
    let (one, other) = (sealed.get(first).await, sealed.get(last).await);
    sealed.put(first, &other);
    sealed.put(last, &one);
    assert_found(&sealed, &[("shadowed", first), ("shadowed", last)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retention_cannot_be_shortened_and_a_lock_that_is_less_than_it_must_be_is_named() {
    let mut sealed = Sealed::new("locks").await;
    let key = sealed.segments[0].clone();
    let version = sealed.version(&key).await;
    let shorter = lock(2);
    assert!(sealed.store.s3().unwrap().retain(&key, Some(&version), shorter).await.is_err());
    assert_found(&sealed, &[]);

    let (message, _) = sealed.message(3, None);
    let encoded = sealed.encoded(vec![message], None);
    let key = encoded.record.key.clone();
    sealed.create(&key, encoded.bytes, Some(shorter)).await;
    sealed.create(&record_key(&key), encoded.record.to_string().into(), None).await;
    let reasons = assert_found(&sealed, &[("lock", &key), ("lock", &record_key(&key))]);
    assert!(reasons.contains("shortened") && reasons.contains("not locked"), "{reasons}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_epoch_accounts_for_what_it_abandoned_and_says_what_was_lost() {
    let mut sealed = Sealed::new("epochs").await;
    let taken = sealed.next_key();
    sealed.put(&taken, b"junk");
    let mut opening = sealed.opening("overtaken", 7);
    let version = sealed.version(&taken).await;
    opening.missing.push(3..7);
    opening.abandoned.push((taken.clone(), Some(version), schemas::Digest::of(b"junk")));
    sealed.open(&opening).await;
    let (message, _) = sealed.message(7, None);
    sealed.seal(vec![message], None).await;
    assert_found(&sealed, &[]);
    let text = expect(0, &["verify", &sealed.address, "--storage"]);
    assert!(
        text.contains("LOST: events/0: offsets 3 to 6 lost before they could be sealed"),
        "{text}"
    );
    assert!(text.contains("abandoned, says epoch 1: segments/"), "{text}");

    // Something else over what was abandoned is nothing that anybody accounted for.
    sealed.put(&taken, b"more junk");
    assert_found(&sealed, &[("junk", &taken)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_segment_after_the_end_of_its_epoch_is_named() {
    let mut sealed = Sealed::new("zombie").await;
    let (message, _) = sealed.message(3, None);
    let terminal = TerminalObject {
        topic: sealed.head.chain.topic.clone(),
        partition: sealed.head.chain.partition,
        epoch: sealed.head.chain.epoch,
        start: sealed.head.next,
        prev: sealed.head.prev,
    };
    let end = sealed.next_key();
    let (ended, opening) = (sealed.head.clone(), sealed.opening("operator", 3));
    let zombie = sealed.encoded(vec![message], None);
    sealed.create(&end, terminal.to_string().into(), Some(lock(50))).await;
    sealed.open(&opening).await;
    let (message, _) = sealed.message(3, None);
    sealed.seal(vec![message], None).await;
    assert_found(&sealed, &[]);

    // It holds an answer that it does not believe, and puts the segment after.
    sealed.head = sealer::Head::at(&zombie.record);
    let (message, _) = sealed.message(4, None);
    let late = sealed.encoded(vec![message], None);
    assert!(sealed.head.next > ended.next);
    sealed.create(&late.record.key, late.bytes, Some(sealed.lock)).await;
    sealed
        .create(&record_key(&late.record.key), late.record.to_string().into(), Some(lock(50)))
        .await;
    let reasons = assert_found(&sealed, &[("chain", &late.record.key)]);
    assert!(reasons.contains("after the end of its epoch"), "{reasons}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holds_are_put_on_originals_listed_and_taken_away() {
    let sealed = Sealed::new("holds").await;
    let key = &sealed.segments[1];
    let original = sealed.version(key).await;
    sealed.put(key, b"shadow");
    let lines = |action: &str| -> Vec<Value> {
        let text =
            expect(0, &["hold", action, &sealed.address, SESSION, "--tenant", "acme", "--json"]);
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let states = |lines: &[Value], held: bool, changed: bool| {
        // Three segments, their records, an opening and a body.
        assert_eq!(lines.len(), 8, "{lines:?}");
        let all = |line: &Value| line["held"] == held && line["changed"] == changed;
        assert!(lines.iter().all(all), "{lines:?}");
    };
    states(&lines("list"), false, false);
    let added = lines("add");
    states(&added, true, true);
    let shadowed = added.iter().find(|line| line["object"] == *key.as_str()).unwrap();
    assert_eq!(shadowed["version"], original.as_str());
    states(&lines("add"), true, false);
    states(&lines("list"), true, false);
    assert!(sealed.store.s3().unwrap().hold(key, Some(&original)).await.unwrap());
    states(&lines("remove"), false, true);
    states(&lines("remove"), false, false);
    expect(2, &["hold", "add", &sealed.address, "no-such-session"]);
}

#[test]
fn a_folder_has_nothing_to_look_at_and_nothing_to_hold() {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/golden/v1/store");
    let report: Value =
        serde_json::from_str(&expect(4, &["verify", golden, "--storage", "--json"])).unwrap();
    assert_eq!((&report["ok"], &report["storage"]), (&true.into(), &Value::Null), "{report}");
    assert!(report["not_checked"].to_string().contains("object lock: modes"), "{report}");
    expect(2, &["hold", "list", golden, SESSION]);
}
