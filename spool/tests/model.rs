//! The spool against a list in memory: whatever the order of calls and reopenings, they agree.

#![cfg(test)]

use proptest::prelude::*;
use spool::{Config, Error, Message, Record, Spool};

const CONFIG: Config = Config { segment_bytes_max: 600, bytes_max: 6000, record_bytes_max: 700 };

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<(Option<Vec<u8>>, Vec<u8>)>),
    Read(prop::sample::Index, usize),
    Truncate(prop::sample::Index),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let bytes = |max| prop::collection::vec(any::<u8>(), 0..max);
    let message = (prop::option::of(bytes(8)), bytes(400));
    prop_oneof![
        6 => prop::collection::vec(message, 0..5).prop_map(Step::Append),
        5 => (any::<prop::sample::Index>(), 0usize..2000).prop_map(|(at, max)| Step::Read(at, max)),
        2 => any::<prop::sample::Index>().prop_map(Step::Truncate),
        1 => Just(Step::Reopen),
    ]
}

/// Everything that was ever acknowledged, whether forgotten by now or not.
type Model = Vec<Record>;

fn wide(length: usize) -> u64 {
    length.try_into().unwrap()
}

fn append(spool: &Spool, model: &mut Model, payloads: Vec<(Option<Vec<u8>>, Vec<u8>)>) {
    let next = wide(model.len());
    let records = payloads.into_iter().zip(next..).map(|((key, value), offset)| Record {
        offset,
        timestamp_ms: i64::try_from(offset).unwrap() - 3,
        key,
        value,
    });
    let records = records.collect::<Vec<_>>();
    let message = |record: &Record| {
        let Record { timestamp_ms, key, value, .. } = record.clone();
        Message { timestamp_ms, key, value }
    };
    let before = spool.bytes();
    match spool.append(records.iter().map(message).collect()) {
        Ok(range) => {
            assert_eq!(range, next..next + wide(records.len()));
            model.extend(records);
        }
        Err(error) => {
            assert!(matches!(error, Error::Full { .. }), "{error:?}");
            let wanted = wide(records.iter().map(frame_bytes).sum());
            assert!(before + wanted + 28 > CONFIG.bytes_max);
            assert_eq!(spool.bytes(), before);
        }
    }
}

fn frame_bytes(record: &Record) -> usize {
    36 + record.key.as_ref().map_or(0, Vec::len) + record.value.len()
}

/// What a read is to return: as many records as fit, but one at least.
fn expected(model: &[Record], bytes_max: usize) -> &[Record] {
    let mut room = bytes_max;
    let fits = |record: &&Record| {
        let bytes = frame_bytes(record);
        let fits = bytes <= room;
        room = room.saturating_sub(bytes);
        fits
    };
    let count = model.iter().take_while(fits).count();
    &model[..count.max(1).min(model.len())]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..Default::default() })]

    #[test]
    fn the_spool_agrees_with_a_list(steps in prop::collection::vec(step(), 1..50)) {
        let dir = tempfile::tempdir().unwrap();
        let mut model = Model::new();
        let (mut spool, _) = Spool::open(dir.path(), CONFIG).unwrap();
        for step in steps {
            let (start, next) = (spool.start(), wide(model.len()));
            match step {
                Step::Append(payloads) => append(&spool, &mut model, payloads),
                Step::Read(at, bytes_max) => {
                    let at = at.index(model.len() + 2);
                    let from = wide(at);
                    match spool.read(from, bytes_max) {
                        Ok(records) => {
                            prop_assert!((start..=next).contains(&from));
                            prop_assert_eq!(records, expected(&model[at..], bytes_max));
                        }
                        Err(Error::Forgotten { .. }) => prop_assert!(from < start),
                        Err(Error::Ahead { .. }) => prop_assert!(from > next),
                        Err(error) => return Err(TestCaseError::fail(format!("{error:?}"))),
                    }
                }
                Step::Truncate(at) => {
                    let before = wide(at.index(model.len() + 1));
                    spool.truncate_head(before).unwrap();
                    prop_assert!((start..=before.max(start)).contains(&spool.start()));
                    prop_assert!(before < next || spool.start() == next);
                }
                Step::Reopen => {
                    let bytes = spool.bytes();
                    drop(spool);
                    let (reopened, recovery) = Spool::open(dir.path(), CONFIG).unwrap();
                    prop_assert_eq!((recovery.start, recovery.next), (start, next));
                    prop_assert_eq!((recovery.torn_bytes, recovery.torn_file), (0, None));
                    prop_assert_eq!(reopened.bytes(), bytes);
                    spool = reopened;
                }
            }
            prop_assert_eq!(spool.next(), wide(model.len()));
            prop_assert!(spool.bytes() <= CONFIG.bytes_max + 28);
        }
    }
}
