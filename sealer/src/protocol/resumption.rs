//! What stops a partition, and what its resumption writes.

use super::*;

#[tokio::test]
async fn a_re_created_topic_stops_and_a_resumption_begins_it_anew() {
    let stage = Stage::new(20);
    let before = stage.seal(10).await.unwrap();
    stage.log.with(|state| state.topic_id = "id-2".to_owned());
    stage.log.held(P0, |held| *held = Held::default());
    stage.append(5);
    assert!(matches!(stage.stop().await, Stop::Recreated { .. }));
    let opening = stage.resume().await;
    assert_eq!(
        (opening.reason.as_str(), opening.start, opening.total),
        ("recreated", Offset(0), 20)
    );
    assert_eq!((opening.prev, opening.missing), (Some(before.prev), vec![]));
    assert_eq!(opening.chain.topic_id.as_deref(), Some("id-2"));
    let head = stage.seal(10).await.unwrap();
    assert_eq!((head.next, head.total, head.chain.epoch.0), (Offset(5), 25, 1));
}

#[tokio::test]
async fn a_truncated_log_stops_and_a_resumption_begins_where_the_log_ends() {
    let stage = Stage::new(20);
    stage.seal(10).await.unwrap();
    stage.log.held(P0, |held| held.truncate(7));
    assert!(matches!(stage.stop().await, Stop::Truncated { end: Offset(7), .. }));
    let opening = stage.resume().await;
    assert_eq!(
        (opening.reason.as_str(), opening.start, opening.missing),
        ("truncated", Offset(7), vec![])
    );
}

/// The log was cut in the middle of the first segment of three, and then grew past all that was sealed.
#[tokio::test]
async fn a_log_written_anew_stops_and_a_resumption_begins_where_it_parts_from_what_was_sealed() {
    let stage = Stage::new(30);
    stage.seal(10).await.unwrap();
    stage.log.held(P0, |held| {
        held.truncate(7);
        (7..40).for_each(|_| held.append(message("other")));
    });
    for hint in [None, Some(Offset(20))] {
        stage.log.held(P0, |held| held.hint = hint);
        assert!(matches!(stage.stop().await, Stop::Differs { offset: Offset(20), .. }));
    }
    let opening = stage.resume().await;
    assert_eq!((opening.reason.as_str(), opening.start), ("truncated", Offset(7)));
    assert_eq!(stage.seal(100).await.unwrap().total, 30 + 33);
}

/// What parts lies in the middle of the chain, before segments that the log holds as they are.
#[tokio::test]
async fn what_stops_a_start_from_an_early_hint_is_a_reason_to_resume() {
    let stage = Stage::new(30);
    stage.seal(10).await.unwrap();
    let other = Message { offset: Offset(12), ..message("other") };
    stage.log.held(P0, |held| drop(held.messages.insert(12, other)));
    stage.log.held(P0, |held| held.hint = Some(Offset(20)));
    assert_eq!(stage.seal(10).await.unwrap().next, Offset(30), "it is not looked at");
    assert!(stage.plan().await.is_none());
    stage.log.held(P0, |held| held.hint = Some(Offset(0)));
    assert!(matches!(stage.stop().await, Stop::Differs { offset: Offset(12), .. }));
    let opening = stage.resume().await;
    assert_eq!((opening.reason.as_str(), opening.start), ("truncated", Offset(12)));
    assert_eq!(stage.seal(100).await.unwrap().total, 30 + 18);
}

#[tokio::test]
async fn being_overtaken_stops_and_a_resumption_names_what_is_missing() {
    let stage = Stage::new(20);
    stage.seal(10).await.unwrap();
    stage.append(20);
    stage.log.held(P0, |held| held.delete_before(33));
    let expected = Stop::Overtaken { next: Offset(20), start: Offset(33) };
    assert_eq!(stage.stop().await, expected);
    let opening = stage.resume().await;
    assert_eq!(opening.reason, "overtaken");
    let gap = 20..33;
    assert_eq!((opening.start, opening.missing), (Offset(33), vec![gap]));
    assert_eq!(stage.seal(10).await.unwrap().next, Offset(40));
}

#[tokio::test]
async fn a_grown_topic_stops_every_partition_and_the_new_one_until_all_are_resumed() {
    let stage = Stage::new(20);
    stage.seal(10).await.unwrap();
    stage.log.with(|state| state.partitions = 2);
    assert_eq!(stage.stop().await, Stop::Partitions { sealed: 1, found: 2 });
    let new = stage.lane_of(Partition(1));
    let refused = load(&new, NOW).await.unwrap_err();
    assert!(matches!(refused, Error::Stopped { stop: Stop::Partitions { .. }, .. }), "{refused}");
    let opening = stage.resume().await;
    assert_eq!((opening.reason.as_str(), opening.start), ("operator", Offset(20)));
    assert_eq!(opening.chain.partitions, 2);
    load(&new, NOW).await.unwrap();
}

#[tokio::test]
async fn a_topic_that_changes_while_a_batch_is_open_stops_before_it_is_sealed() {
    let stage = Stage::new(20);
    let lane = stage.lane();
    let head = load(&lane, NOW).await.unwrap();
    let batch = stage.batch(head.next, 10);
    stage.log.with(|state| state.topic_id = "id-2".to_owned());
    let stopped = sealed(&lane, head, batch, [1; 32]).await.unwrap_err();
    assert!(matches!(stopped, Error::Stopped { stop: Stop::Recreated { .. }, .. }), "{stopped}");
    assert!(!stage.path(&key(0)).exists());
}

#[tokio::test]
async fn a_compacted_topic_is_neither_sealed_nor_resumed() {
    let stage = Stage::new(3);
    stage.log.with(|state| state.compacted = true);
    assert_eq!(stage.stop().await, Stop::Compacted);
    let source = Source::Memory(stage.log.clone());
    assert!(Resumption::plan(source, stage.store(), P0, "x", None, None, NOW).await.is_err());
}

#[tokio::test]
async fn junk_at_the_next_key_stops_and_a_resumption_abandons_it() {
    let stage = Stage::new(20);
    stage.seal(10).await.unwrap();
    stage.append(5);
    stage.put(&key(20), Bytes::from_static(b"junk")).await;
    assert!(matches!(stage.stop().await, Stop::Object { key: at, .. } if at == key(20)));
    let opening = stage.resume().await;
    assert_eq!((opening.reason.as_str(), opening.start), ("operator", Offset(20)));
    assert_eq!(opening.abandoned, [(key(20), None, schemas::Digest::of(b"junk"))]);
    assert_eq!(stage.object(&key(20)), "junk");
    assert_eq!(stage.seal(10).await.unwrap().next, Offset(25));
}

#[tokio::test]
async fn a_damaged_last_segment_stops_and_what_it_held_is_sealed_again() {
    let stage = Stage::new(20);
    stage.seal(10).await.unwrap();
    let bytes = stage.object(&key(10));
    std::fs::write(stage.path(&key(10)), bytes.slice(..bytes.len() - 20)).unwrap();
    assert!(matches!(stage.stop().await, Stop::Object { key: at, .. } if at == key(10)));
    let opening = stage.resume().await;
    assert_eq!((opening.start, opening.total, opening.abandoned.len()), (Offset(10), 10, 1));
    assert_eq!(stage.seal(10).await.unwrap().total, 20);
}

#[tokio::test]
async fn a_sealer_that_was_asleep_cannot_extend_an_epoch_that_was_ended() {
    let stage = Stage::new(20);
    let lane = stage.lane();
    let head = load(&lane, NOW).await.unwrap();
    let batch = stage.batch(head.next, 10);
    stage.append(20);
    stage.log.held(P0, |held| held.delete_before(30));
    stage.resume().await;
    let ended = sealed(&lane, head, batch, [1; 32]).await.unwrap_err();
    assert!(matches!(ended, Error::Ended { .. }), "{ended}");
    assert_eq!(stage.seal(100).await.unwrap().chain.epoch.0, 1);
}

/// Ends between the two writes; somebody else does it again.
#[tokio::test]
async fn a_resumption_that_ended_half_way_is_finished_by_the_next() {
    let stage = Stage::new(20);
    let head = stage.seal(10).await.unwrap();
    let terminal = TerminalObject {
        topic: head.chain.topic.clone(),
        partition: P0,
        epoch: head.chain.epoch,
        start: head.next,
        prev: head.prev,
    };
    stage.put(&head.segment_key().to_string(), terminal.to_string().into()).await;
    stage.append(3);
    assert!(matches!(stage.stop().await, Stop::Ended { .. }));
    let opening = stage.resume().await;
    assert_eq!((opening.reason.as_str(), opening.start), ("operator", Offset(20)));
    assert_eq!(stage.seal(10).await.unwrap().next, Offset(23));
}

#[tokio::test]
async fn of_two_resumptions_one_counts_and_a_healthy_partition_is_refused() {
    let stage = Stage::new(20);
    stage.seal(10).await.unwrap();
    assert!(stage.plan().await.is_none());
    stage.append(20);
    stage.log.held(P0, |held| held.delete_before(30));
    let first = stage.plan().await.unwrap();
    stage.log.held(P0, |held| held.delete_before(35));
    let second = stage.plan().await.unwrap();
    assert_eq!(first.write().await.unwrap(), Resumed::Opened(schemas::Epoch(1)));
    assert_eq!(first.write().await.unwrap(), Resumed::Opened(schemas::Epoch(1)));
    assert_eq!(second.write().await.unwrap(), Resumed::Already(schemas::Epoch(1)));
    assert_eq!(stage.opening(1).start, Offset(30));
}

/// Between plan and write a sealer that has not noticed seals on.
#[tokio::test]
async fn a_resumption_does_not_end_an_epoch_that_has_gone_on() {
    let stage = Stage::new(20);
    stage.seal(10).await.unwrap();
    stage.log.with(|state| state.partitions = 2);
    let plan = stage.plan().await.unwrap();
    stage.log.with(|state| state.partitions = 1);
    stage.append(5);
    stage.seal(10).await.unwrap();
    assert_eq!(plan.write().await.unwrap(), Resumed::Moved(key(20)));
    assert!(!stage.path("epochs/t/00000/0000000001").exists());
}
