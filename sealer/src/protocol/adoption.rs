//! What a start and a writer adopt of what they find, and what they do not.

use super::*;

#[tokio::test]
async fn a_start_goes_on_where_the_chain_ends_with_a_hint_or_without() {
    let stage = Stage::new(95);
    let head = stage.seal(10).await.unwrap();
    assert_eq!((head.next, head.total, head.leader_epoch), (Offset(95), 95, Some(3)));
    for hint in [None, Some(90), Some(50), Some(55), Some(7)] {
        stage.log.held(P0, |held| held.hint = hint.map(Offset));
        assert_eq!(load(&stage.lane(), NOW).await.unwrap(), head, "{hint:?}");
    }
}

#[tokio::test]
async fn a_source_that_has_given_up_what_is_sealed_is_no_reason_to_stop() {
    let stage = Stage::new(20);
    let head = stage.seal(10).await.unwrap();
    for start in [15, 20] {
        stage.log.held(P0, |held| held.delete_before(start));
        assert_eq!(load(&stage.lane(), NOW).await.unwrap(), head);
    }
}

#[tokio::test]
async fn the_lock_is_in_the_record() {
    let stage = Stage::new(3);
    let class = "development".to_owned();
    let mode = Some(schemas::LockMode::Governance);
    let retention = store::Retention::new(mode, [(class.clone(), 2)].into()).unwrap();
    let keeping = Keeping { class, retention: Some(retention) };
    let lane = Lane { keeping, ..stage.lane() };
    let head = load(&lane, NOW).await.unwrap();
    sealed(&lane, head, stage.batch(Offset(0), 9), [1; 32]).await.unwrap();
    let record = crate::check(&stage.object(&key(0)), lane.origin.place()).unwrap();
    assert_eq!((record.lock, record.retain_until), (mode, Some(Seconds(NOW.0 + 3 * 86_400))));
}

#[tokio::test]
async fn junk_elsewhere_is_no_reason_to_stop() {
    let stage = Stage::new(20);
    stage.seal(10).await.unwrap();
    for start in [3, 15, 18, 4_000] {
        stage.put(&key(start), Bytes::from_static(b"junk")).await;
    }
    stage.append(5);
    for hint in [None, Some(Offset(10)), Some(Offset(3))] {
        stage.log.held(P0, |held| held.hint = hint);
        assert_eq!(load(&stage.lane(), NOW).await.unwrap().next, Offset(20));
    }
    assert_eq!(stage.seal(10).await.unwrap().next, Offset(25));
}

/// A well-formed segment that continues the chain and holds something else, planted before a start.
#[tokio::test]
async fn an_invented_segment_is_not_adopted_at_a_start() {
    type Change = fn(&mut Held);
    let other = |held: &mut Held| {
        drop(held.messages.insert(22, Message { offset: Offset(22), ..message("other") }))
    };
    let missing = |held: &mut Held| drop(held.messages.remove(&22));
    let longer = |held: &mut Held| held.append(message("more"));
    let cases: [(Change, &str); 3] = [
        (other, "at offset 22 its row is not the message"),
        (missing, "at offset 22 it lacks a message"),
        (longer, "the log was truncated: it ends at 25"),
    ];
    for (change, how) in cases {
        let stage = Stage::new(20);
        stage.seal(10).await.unwrap();
        stage.append(5);
        let (key, forged) = stage.forged(100, change).await;
        stage.put(&key, forged).await;
        for hint in [None, Some(Offset(10))] {
            stage.log.held(P0, |held| held.hint = hint);
            let stop = stage.stop().await.to_string();
            assert!(stop.contains(how), "{stop}");
        }
    }
}

/// The same, planted while a sealer has its batch ready; its own batch reaches less far than the forged one.
#[tokio::test]
async fn an_invented_segment_is_not_adopted_at_the_next_key() {
    let stage = Stage::new(20);
    let lane = stage.lane();
    let head = load(&lane, NOW).await.unwrap();
    let other = |held: &mut Held| {
        drop(held.messages.insert(18, Message { offset: Offset(18), ..message("other") }))
    };
    let (key, forged) = stage.forged(20, other).await;
    stage.put(&key, forged).await;
    let stopped = sealed(&lane, head, stage.batch(Offset(0), 5), [1; 32]).await.unwrap_err();
    assert!(stopped.to_string().contains("at offset 18"), "{stopped}");
}

#[tokio::test]
async fn anothers_segment_that_holds_what_the_source_holds_is_adopted_whole() {
    let stage = Stage::new(20);
    let lane = stage.lane();
    let head = load(&lane, NOW).await.unwrap();
    let (key, theirs) = stage.forged(15, |_| ()).await;
    stage.put(&key, theirs).await;
    let sealed: Sealed = sealed(&lane, head, stage.batch(Offset(0), 5), [1; 32]).await.unwrap();
    assert_eq!((sealed.head.next, sealed.adopted, sealed.bytes), (Offset(15), 1, 0));
}

/// A segment far from the chain's end that holds what the source holds, but continues nothing.
#[tokio::test]
async fn a_segment_that_continues_nothing_is_not_taken_for_the_last() {
    let stage = Stage::new(40);
    let lane = stage.lane();
    let head = load(&lane, NOW).await.unwrap();
    let planted = Head { next: Offset(30), ..head.clone() };
    sealed(&lane, planted, stage.batch(Offset(30), 5), [1; 32]).await.unwrap();
    for hint in [None, Some(Offset(30))] {
        stage.log.held(P0, |held| held.hint = hint);
        assert_eq!(load(&lane, NOW).await.unwrap(), head);
    }
}
