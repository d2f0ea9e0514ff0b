//! What the spool promises to the threads that use it.

#![cfg(test)]

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use spool::{Config, Error, Kind, Message, Spool};

fn message(value: impl Into<Vec<u8>>) -> Message {
    Message { timestamp_ms: 1, key: None, value: value.into() }
}

fn small() -> Config {
    Config { segment_bytes_max: 1000, bytes_max: 4000, record_bytes_max: 500 }
}

#[test]
fn a_second_open_is_refused_until_the_first_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = Spool::open(dir.path(), small()).unwrap();
    let error = Spool::open(dir.path(), small()).unwrap_err();
    assert!(matches!(error, Error::Locked { .. }), "{error:?}");
    assert_eq!(error.kind(), Kind::Conflict);
    drop(spool);
    Spool::open(dir.path(), small()).unwrap();
}

#[test]
fn a_message_that_can_never_fit_is_refused_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = Spool::open(dir.path(), small()).unwrap();
    spool.append(vec![message([1; 500])]).unwrap();
    let error = spool.append(vec![message([1]), message([1; 501])]).unwrap_err();
    assert!(matches!(error, Error::TooLarge { bytes: 501, bytes_max: 500 }), "{error:?}");
    let error = spool.append(vec![message([1; 500]); 8]).unwrap_err();
    assert_eq!(error.kind(), Kind::Refused);
    assert_eq!(spool.next(), 1);
}

#[test]
fn a_full_spool_takes_appends_again_after_truncation() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = Spool::open(dir.path(), small()).unwrap();
    let error = loop {
        if let Err(error) = spool.append(vec![message([1; 400])]) {
            break error;
        }
    };
    assert!(matches!(error, Error::Full { .. }), "{error:?}");
    assert_eq!(error.kind(), Kind::Transient);
    assert!(spool.bytes() <= 4000);
    let next = spool.next();
    spool.truncate_head(3).unwrap();
    assert_eq!(spool.append(vec![message([1; 400])]).unwrap(), next..next + 1);
}

#[test]
fn offsets_never_go_back_after_truncation_to_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..4 {
        let (spool, recovery) = Spool::open(dir.path(), small()).unwrap();
        assert_eq!((recovery.start, recovery.next), (round * 3, round * 3));
        assert_eq!(spool.append(vec![message("a"); 3]).unwrap(), round * 3..round * 3 + 3);
        spool.truncate_head(spool.next()).unwrap();
        spool.truncate_head(spool.next()).unwrap();
        assert_eq!((spool.start(), spool.next()), (round * 3 + 3, round * 3 + 3));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "one file and the lock");
        assert!(spool.read(spool.next(), 1).unwrap().is_empty());
    }
}

#[test]
fn truncation_ahead_of_the_spool_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = Spool::open(dir.path(), small()).unwrap();
    let error = spool.truncate_head(1).unwrap_err();
    assert!(matches!(error, Error::Ahead { offset: 1, next: 0 }), "{error:?}");
}

#[test]
fn a_wait_ends_when_its_record_is_durable() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = Spool::open(dir.path(), small()).unwrap();
    assert!(!spool.wait(0, Duration::from_millis(1)));
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| spool.wait(1, Duration::MAX));
        spool.append(vec![message("a")]).unwrap();
        spool.append(vec![message("b")]).unwrap();
        assert!(waiter.join().unwrap());
    });
    assert!(spool.wait(0, Duration::ZERO));
}

#[test]
fn concurrent_appends_are_all_there_once_and_in_order() {
    const THREADS: u64 = 16;
    const CALLS: u64 = 40;
    let config = Config { segment_bytes_max: 20_000, ..Config::default() };
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = Spool::open(dir.path(), config).unwrap();
    let mut acked = BTreeMap::new();
    std::thread::scope(|scope| {
        let spool = &spool;
        let append = move |thread: u64| {
            let call = |call| {
                let value = |index: u64| format!("{thread} {call} {index}").into_bytes();
                let values = (0..1 + call % 4).map(value).collect::<Vec<_>>();
                let messages = values.iter().map(|value| message(value.clone())).collect();
                spool.append(messages).unwrap().zip(values).collect::<Vec<_>>()
            };
            (0..CALLS).flat_map(call).collect::<Vec<_>>()
        };
        // A reader that goes along sees every offset, each once.
        let total = THREADS * (0..CALLS).map(|call| 1 + call % 4).sum::<u64>();
        let reader = scope.spawn(move || {
            let mut next = 0;
            while next < total && spool.wait(next, Duration::MAX) {
                for record in spool.read(next, 5000).unwrap() {
                    assert_eq!(record.offset, next);
                    next += 1;
                }
            }
        });
        let threads = (0..THREADS).map(|thread| scope.spawn(move || append(thread)));
        for thread in threads.collect::<Vec<_>>() {
            let ours = thread.join().unwrap();
            assert!(ours.is_sorted_by_key(|(offset, _)| *offset));
            acked.extend(ours);
        }
        reader.join().unwrap();
    });
    drop(spool);
    let (spool, _) = Spool::open(dir.path(), config).unwrap();
    let there = spool.read(0, usize::MAX).unwrap();
    assert!(there.into_iter().map(|record| (record.offset, record.value)).eq(acked));
}

#[test]
fn readers_and_truncation_do_not_disturb_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = Spool::open(dir.path(), Config { bytes_max: 1 << 20, ..small() }).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for offset in 0..200 {
                spool.append(vec![message([7; 200])]).unwrap();
                spool.truncate_head(offset / 2).unwrap();
            }
        });
        let mut from = 0;
        while from < 200 {
            assert!(spool.wait(from, Duration::MAX));
            match spool.read(from, 700) {
                Ok(records) => from += u64::try_from(records.len()).unwrap(),
                Err(Error::Forgotten { start, .. }) => from = start,
                Err(error) => panic!("{error:?}"),
            }
        }
    });
}
