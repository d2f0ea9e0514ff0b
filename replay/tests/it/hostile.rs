//! Bytes that somebody changed: found, whatever was changed, and nothing panics.

use crate::kit::chat::Sender;
use crate::kit::writer::Writer;
use crate::kit::{
    Objects, delete, empty, get, golden, keys, keys_below, loaded, put, report, store,
};
use proptest::prelude::*;
use replay::{Filter, sessions, trace};
use schemas::{Digest, EnrolledRecord};

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

/// Changes bytes of one object of a golden store.
async fn changed(key: &str, changes: &[(usize, u8)]) -> Objects {
    let objects = loaded("store").await;
    let mut bytes = get(&objects, key).await;
    for (at, value) in changes {
        let at = at % bytes.len();
        bytes[at] ^= value;
    }
    put(&objects, key, bytes).await;
    objects
}

/// Makes the record beside a segment that of the segment's bytes as they are now.
async fn enrol(objects: &Objects, segment: &str) {
    let beside = segment.replace("segments/", "records/").replace(".parquet", ".record");
    let text = String::from_utf8(get(objects, &beside).await).unwrap();
    let mut record = EnrolledRecord::parse(&text).unwrap();
    let bytes = get(objects, segment).await;
    record.size = u64::try_from(bytes.len()).unwrap();
    record.sha256 = Digest::of(&bytes);
    put(objects, &beside, record.to_string().into_bytes()).await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_change_of_any_object_is_found(
        object in any::<prop::sample::Index>(),
        changes in proptest::collection::vec((any::<usize>(), 1_u8..), 1..4),
    ) {
        let all = keys_below(&golden("store"));
        let key = object.get(&all);
        let mut distinct = changes;
        distinct.truncate(1);
        let found = run(async { report(&changed(key, &distinct).await).await });
        prop_assert!(!found.ok, "{key} {distinct:?}");
    }

    /// The record is made to fit, so that the parser sees the changed bytes. What it makes of them is its matter; that the
    /// chain no longer fits is found where a segment follows.
    #[test]
    fn no_change_makes_a_reader_panic(changes in proptest::collection::vec((any::<usize>(), 1_u8..), 1..6), tail in any::<bool>()) {
        let key = "segments/events/00000/0000000000/00000000000000000000.parquet";
        run(async {
            let length = get(&loaded("store").await, key).await.len();
            let near = |(at, value): (usize, u8)| (if tail { length - 1 - at % 4000 } else { at }, value);
            let changes: Vec<_> = changes.into_iter().map(near).collect();
            let objects = changed(key, &changes).await;
            enrol(&objects, key).await;
            let found = report(&objects).await;
            let unchanged = get(&objects, key).await == get(&loaded("store").await, key).await;
            assert!(!found.ok || unchanged);
            let _ = sessions(&store(&objects), &Filter::default()).await;
            let _ = trace(&store(&objects), None, "alpha-1").await;
        });
    }

    #[test]
    fn no_truncation_makes_a_reader_panic(length in any::<prop::sample::Index>()) {
        let key = "segments/events/00000/0000000000/00000000000000000000.parquet";
        run(async {
            let objects = loaded("store").await;
            let mut bytes = get(&objects, key).await;
            bytes.truncate(length.index(bytes.len()));
            put(&objects, key, bytes).await;
            enrol(&objects, key).await;
            assert!(!report(&objects).await.ok);
        });
    }
}

#[tokio::test]
async fn a_last_segment_rewritten_with_its_record_is_still_held_to_its_own_root() {
    let objects: Objects = empty();
    let mut writer = Writer::new(&objects).await;
    let mut chat = Sender::new(&mut writer, "s-1");
    chat.event("user.message", &[("user", "text", "transfer 10 to alice")]);
    let sent = chat.sent;
    let key = writer.seal(&sent).await;
    let mut bytes = get(&objects, &key).await;
    // Compressed pages hide the text; the key column's dictionary does not always. Any byte of the first page will do.
    bytes[40] ^= 1;
    put(&objects, &key, bytes).await;
    enrol(&objects, &key).await;
    assert!(!report(&objects).await.ok);
}

#[tokio::test]
async fn what_nothing_accounts_for_is_junk() {
    let objects = loaded("store").await;
    for key in [
        "segments/events/00000/0000000000/notes.txt",
        "segments/readme",
        "segments/events/0/x",
        "epochs/events/00000/1",
        "records/no such topic/00000/x",
    ] {
        put(&objects, key, b"?".to_vec()).await;
    }
    let report = report(&objects).await;
    assert_eq!(report.findings.len(), 5, "{:?}", report.findings);
    assert_eq!(crate::kit::kinds(&report), ["junk"]);
}

#[tokio::test]
async fn a_segment_past_its_retention_is_expired_and_no_finding() {
    let objects = loaded("store").await;
    let all = keys(&objects).await;
    for key in all.iter().filter(|key| key.starts_with("segments/") || key.starts_with("bodies/")) {
        delete(&objects, key).await;
    }
    let verify = async |now| {
        let options = replay::VerifyOptions { now, ..Default::default() };
        replay::verify(&store(&objects), options).await.unwrap()
    };
    assert!(!verify(None).await.ok);
    let later = verify(Some(schemas::Seconds(4_000_000_000))).await;
    assert_eq!((later.ok, later.expired), (true, 3), "{:?}", later.findings);
}

/// Where pages are compressed, the text of a value stands in clear in statistics and column indexes.
#[tokio::test]
async fn a_false_statistic_is_found() {
    let objects: Objects = empty();
    let mut writer = Writer::new(&objects).await;
    let mut chat = Sender::new(&mut writer, "s-1");
    for _ in 0..30 {
        chat.event_with("user.message", &[], |e| e.agent_name = Some("planner-of-trips".into()));
    }
    let sent = chat.sent;
    let key = writer.seal(&sent).await;
    let bytes = get(&objects, &key).await;
    let name = b"planner-of-trips";
    let places: Vec<usize> =
        (0..bytes.len() - name.len()).filter(|at| bytes[*at..].starts_with(name)).collect();
    let mut statistics = 0;
    for at in places {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        put(&objects, &key, changed).await;
        enrol(&objects, &key).await;
        let report = report(&objects).await;
        assert!(!report.ok, "at {at}");
        statistics += usize::from(crate::kit::kinds(&report) == ["statistics"]);
    }
    // Four row groups with a least and a greatest value each, and as many again for every page.
    assert!(statistics >= 16, "{statistics}");
}
