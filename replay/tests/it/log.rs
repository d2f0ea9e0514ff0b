//! Stores with a log of segments: what the chain alone cannot show is found, and what is only late is no finding.

use replay::{LogOptions, Report, Sample, Since, VerifyOptions, verify};
use schemas::tlog::{Checkpoint, Entry};

use crate::kit::judged::{chain, golden_trust, judged, only, report, seal, trusting};
use crate::kit::log::{Log, policy, signer};
use crate::kit::{Objects, delete, get, keys, kinds, loaded, put, store};

async fn after(objects: &Objects, seen: Checkpoint) -> Report {
    let remembered = [seen];
    judged(objects, LogOptions { remembered: &remembered, ..LogOptions::default() }).await
}

/// Removes everything of the segments whose key has this in it.
async fn drop_all(objects: &Objects, of: &str) {
    for key in keys(objects).await.iter().filter(|key| !key.starts_with("log/")) {
        if key.contains(of) {
            delete(objects, key).await;
        }
    }
}

#[tokio::test]
async fn a_store_and_its_log_agree() {
    let (objects, _) = chain(3).await;
    let mut log = Log::of(&objects).await;
    for _ in 0..3 {
        let beats = (0..200).map(|_| log.heartbeat()).collect();
        log.commit(beats).await;
    }
    let report = trusting(&objects, &policy(1, "")).await;
    assert_eq!(report.findings, []);
    let told = report.log.unwrap();
    assert_eq!((told.size, told.records, told.openings, told.heartbeats), (605, 3, 1, 601));
    assert_eq!((told.commits, told.checkpoints, told.pending), (8, 8, 0));
    assert_eq!(told.trust.key, Some(signer(1).verifier().to_string()));
    assert_eq!(told.newest.heartbeat.unwrap().age, Some(60));
    assert!(told.ok && told.warnings.is_empty(), "{told:?}");
}

#[tokio::test]
async fn golden_stores_with_a_log_agree_with_it() {
    for name in ["store", "store-epochs"] {
        let objects = loaded(name).await;
        let mut log = Log::new(&objects);
        log.enrol().await;
        assert_eq!(kinds(&report(&objects).await), [""; 0], "{name}");
    }
}

#[tokio::test]
async fn any_object_of_the_golden_store_with_a_log_that_is_gone_is_found() {
    let (objects, trust) = (loaded("store-log").await, golden_trust("store-log.vkey"));
    for key in keys(&objects).await {
        // A partial tile may go when it has become full; a cosignature is nobody's duty.
        let may_go = ["/tile/0/000.p/", "/tile/entries/000.p/", "/cosignatures/"];
        let bytes = get(&objects, &key).await;
        delete(&objects, &key).await;
        let found = trusting(&objects, &trust).await;
        let free = may_go.iter().any(|part| key.contains(part));
        assert_eq!(found.ok, free, "{key}: {:?}", found.findings);
        put(&objects, &key, bytes).await;
    }
}

#[tokio::test]
async fn a_last_segment_dropped_with_its_record_is_found() {
    let (objects, _) = chain(3).await;
    Log::of(&objects).await;
    drop_all(&objects, "/00000000000000000002.").await;
    let found = report(&objects).await;
    let (kind, object, reason) = only(&found);
    assert_eq!(
        (kind, object),
        ("dropped", "segments/events/00000/0000000000/00000000000000000002.parquet")
    );
    assert!(reason.contains("entry 3"), "{reason}");
    assert!(found.log.unwrap().ok, "the log itself is as it must be");
}

#[tokio::test]
async fn a_whole_partition_dropped_is_found() {
    let (objects, _) = chain(3).await;
    Log::of(&objects).await;
    drop_all(&objects, "events").await;
    let found = report(&objects).await;
    let (kind, object, reason) = only(&found);
    assert_eq!((kind, object), ("dropped", "segments/events/00000"));
    assert!(reason.contains("4 links"), "{reason}");
}

#[tokio::test]
async fn a_suffix_rewritten_with_its_records_is_found() {
    let (objects, _) = chain(2).await;
    Log::of(&objects).await;
    let (other, mut writer) = chain(1).await;
    writer.fresh::<16>();
    seal(&mut writer).await;
    for key in keys(&other).await.iter().filter(|key| key.contains("/00000000000000000001.")) {
        put(&objects, key, get(&other, key).await).await;
    }
    let found = report(&objects).await;
    let (kind, _, reason) = only(&found);
    assert_eq!(kind, "forked");
    assert!(reason.contains("it and the record beside it"), "{reason}");
}

#[tokio::test]
async fn what_is_sealed_and_not_yet_enrolled_or_published_is_counted_and_no_finding() {
    let (objects, mut writer) = chain(2).await;
    let mut log = Log::of(&objects).await;
    let beat = log.heartbeat();
    log.commit_only(vec![beat]).await;
    seal(&mut writer).await;
    seal(&mut writer).await;
    let found = report(&objects).await;
    assert_eq!(found.findings, []);
    let told = found.log.unwrap();
    assert_eq!((told.pending, told.size, told.committed), (2, 4, 5));
}

#[tokio::test]
async fn a_log_that_went_back_or_was_written_anew_is_found_by_what_an_earlier_run_saw() {
    let (objects, mut writer) = chain(1).await;
    let mut log = Log::of(&objects).await;
    let before = log.checkpoint();
    let old = get(&objects, "log/checkpoint").await;
    seal(&mut writer).await;
    log.enrol().await;
    let seen = log.checkpoint();
    let kept = after(&objects, before.clone()).await;
    assert_eq!((kinds(&kept), kept.log.unwrap().remembered), (vec![], Some(3)));
    assert_eq!(kinds(&after(&objects, seen.clone()).await), [""; 0]);

    let newest = get(&objects, "log/checkpoint").await;
    put(&objects, "log/checkpoint", old).await;
    let found = after(&objects, seen.clone()).await;
    assert_eq!(only(&found).0, "rolled_back", "only the checkpoint went back");
    put(&objects, "log/checkpoint", newest).await;

    let other = Checkpoint { root: before.root, ..seen.clone() };
    assert_eq!(only(&after(&objects, other).await).0, "rewritten");
    let between = Checkpoint { size: 2, ..before };
    assert_eq!(only(&after(&objects, between).await).0, "rewritten");

    // The whole log is another one, shorter, and signed by the same key.
    for key in keys(&objects).await.iter().filter(|key| key.starts_with("log/")) {
        delete(&objects, key).await;
    }
    let mut log = Log::new(&objects);
    let first = log.links_in_store().await.swap_remove(0);
    log.commit(vec![first]).await;
    assert_eq!(kinds(&report(&objects).await), [""; 0], "by itself it is a log");
    assert_eq!(only(&after(&objects, seen).await).0, "rolled_back");
}

#[tokio::test]
async fn a_log_that_is_gone_is_found_where_one_was_seen() {
    let (objects, _) = chain(1).await;
    let origin = signer(1).verifier().name().clone();
    let log = LogOptions { expected: Some(&origin), ..LogOptions::default() };
    let found = judged(&objects, log).await;
    assert_eq!(only(&found).0, "rolled_back");
    let found = report(&objects).await;
    assert!(found.ok && found.log.is_none());
    let words = "the log of segments: this store has none";
    assert!(found.not_checked.iter().any(|what| what == words));
}

#[tokio::test]
async fn a_link_that_is_enrolled_twice_or_out_of_order_is_found() {
    let (objects, _) = chain(2).await;
    let mut log = Log::of(&objects).await;
    let links = log.links_in_store().await;
    log.commit(vec![links[1].clone()]).await;
    let found = report(&objects).await;
    assert!(only(&found).2.contains("enrolled twice, first as entry 1"), "{:?}", found.findings);

    let (objects, _) = chain(2).await;
    let mut log = Log::new(&objects);
    let links = log.links_in_store().await;
    log.commit(vec![links[0].clone(), links[2].clone()]).await;
    let found = report(&objects).await;
    assert_eq!(only(&found).0, "entry");
    assert!(only(&found).2.contains("not enrolled before it"), "{:?}", found.findings);
}

#[tokio::test]
async fn the_second_of_two_links_after_one_is_found_and_does_not_count() {
    let (objects, _) = chain(2).await;
    let mut log = Log::of(&objects).await;
    let (other, mut writer) = chain(1).await;
    writer.fresh::<16>();
    seal(&mut writer).await;
    let rival = Log::new(&other).links_in_store().await.swap_remove(2);
    log.commit(vec![rival]).await;
    let found = report(&objects).await;
    assert!(only(&found).2.contains("already followed by entry 2"), "{:?}", found.findings);
}

#[tokio::test]
async fn a_heartbeat_that_says_what_is_not_so_is_found() {
    let (objects, mut writer) = chain(1).await;
    let mut log = Log::of(&objects).await;
    let Entry::Heartbeat(early) = log.heartbeat() else { unreachable!() };
    seal(&mut writer).await;
    log.enrol().await;
    let silent = schemas::tlog::Heartbeat { beats: vec![], ..early.clone() };
    log.commit(vec![Entry::Heartbeat(early), Entry::Heartbeat(silent)]).await;
    let found = report(&objects).await;
    let reasons: Vec<&str> = found.findings.iter().map(|one| one.reason.as_str()).collect();
    assert!(reasons[0].contains("says that partition 0 is at 1 of epoch 0, and it is at 2"));
    assert!(reasons[1].contains("does not tell of partition 0"), "{reasons:?}");
}

#[tokio::test]
async fn fewer_segments_are_read_and_a_dropped_one_is_found_all_the_same() {
    let (objects, mut writer) = chain(6).await;
    let mut log = Log::of(&objects).await;
    seal(&mut writer).await;
    let read = |since, sample| {
        let objects = objects.clone();
        async move {
            let options = VerifyOptions { since, sample, ..VerifyOptions::default() };
            let report = verify(&store(&objects), options).await.unwrap();
            (report.segments, report.unread, kinds(&report))
        }
    };
    let sample = |count| Some(Sample { count, seed: [5; 32] });
    // What waits to be enrolled is always read.
    assert_eq!(read(Some(Since::Size(5)), None).await, (3, 4, vec![]));
    assert_eq!(read(Some(Since::Time(1_790_000_000_004)), None).await, (3, 4, vec![]));
    assert_eq!(read(Some(Since::Size(5)), sample(2)).await, (5, 2, vec![]));
    assert_eq!(read(None, sample(1)).await, (2, 5, vec![]));

    log.enrol().await;
    drop_all(&objects, "/00000000000000000006.").await;
    assert_eq!(read(Some(Since::Size(100)), None).await, (0, 6, vec!["dropped"]));
    assert_eq!(read(None, sample(0)).await, (0, 6, vec!["dropped"]));
    // A record that is not the log's is no reason not to look.
    let record = "records/events/00000/0000000000/00000000000000000003.record";
    delete(&objects, record).await;
    let (segments, unread, kinds) = read(None, sample(0)).await;
    assert_eq!((segments, unread), (1, 5));
    assert_eq!(kinds, ["dropped", "missing_record"]);
}

#[tokio::test]
async fn an_epoch_may_set_aside_what_was_enrolled() {
    let (objects, mut writer) = chain(1).await;
    let mut log = Log::of(&objects).await;
    let head = writer.head();
    let key = seal(&mut writer).await;
    log.enrol().await;
    let bytes = get(&objects, &key).await;
    delete(&objects, &key.replace("segments", "records").replace("parquet", "record")).await;
    writer.set_aside(head, &key, schemas::Digest::of(&bytes)).await;
    seal(&mut writer).await;
    log.enrol().await;
    let found = report(&objects).await;
    assert_eq!(found.findings, []);
    assert_eq!(found.log.unwrap().abandoned, [3]);
}
