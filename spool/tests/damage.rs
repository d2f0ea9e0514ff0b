//! Files that are not as they were written: a torn tail is cut, anything else is refused.

#![cfg(test)]

use std::fs;
use std::path::{Path, PathBuf};

use spool::{Config, Error, Kind, Message, Record, Spool};

const CONFIG: Config =
    Config { segment_bytes_max: 300, bytes_max: 1 << 20, record_bytes_max: 1 << 16 };
const HEADER: usize = 28;
const HEAD: usize = 36;

/// A spool of two files, closed.
struct Sample {
    dir: tempfile::TempDir,
    records: Vec<Record>,
    last: PathBuf,
    /// Where the records of the last file end, after the end of its header.
    ends: Vec<usize>,
}

fn sample() -> Sample {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = Spool::open(dir.path(), CONFIG).unwrap();
    for (count, size) in [(2, 20), (1, 3), (2, 30), (1, 0), (1, 7)] {
        let key = Some(vec![b'k'; 3]);
        let message = Message { timestamp_ms: 5, key, value: vec![0xA5; size] };
        spool.append(vec![message; count]).unwrap();
    }
    let records = spool.read(0, usize::MAX).unwrap();
    let last = dir.path().join("00000000000000000003.log");
    let mut ends = vec![HEADER];
    for record in &records[3..] {
        ends.push(ends.last().unwrap() + HEAD + 3 + record.value.len());
    }
    assert_eq!(fs::metadata(&last).unwrap().len(), wide(*ends.last().unwrap()));
    Sample { dir, records, last, ends }
}

fn wide(length: usize) -> u64 {
    length.try_into().unwrap()
}

fn open(dir: &Path) -> Result<(Spool, spool::Recovery), Error> {
    Spool::open(dir, CONFIG)
}

#[test]
fn a_last_file_cut_anywhere_keeps_all_that_is_whole() {
    let Sample { dir, records, last, ends } = sample();
    let whole = fs::read(&last).unwrap();
    for len in 0..=whole.len() {
        fs::write(&last, &whole[..len]).unwrap();
        let (spool, recovery) = open(dir.path()).unwrap();
        let kept = ends.iter().rposition(|end| *end <= len);
        let good = kept.map_or(0, |kept| ends[kept]);
        let is_torn = kept.is_none() || good < len;
        assert_eq!(recovery.torn_bytes, wide(len - good), "cut at {len}");
        assert_eq!(recovery.torn_file, is_torn.then(|| last.canonicalize().unwrap()));
        let kept = 3 + kept.unwrap_or(0);
        assert_eq!(spool.read(0, usize::MAX).unwrap(), records[..kept]);

        // It goes on where it was cut.
        let message = Message { timestamp_ms: 9, key: None, value: b"after".to_vec() };
        assert_eq!(spool.append(vec![message]).unwrap().start, wide(kept));
        drop(spool);
        let (spool, recovery) = open(dir.path()).unwrap();
        assert_eq!((recovery.torn_file, recovery.next), (None, wide(kept) + 1));
        assert_eq!(spool.read(wide(kept), 1).unwrap()[0].value, b"after");
        // The append may have begun a file.
        fs::remove_file(dir.path().join(format!("{kept:020}.log"))).ok();
    }
}

#[test]
fn a_flipped_bit_is_a_tear_in_the_last_record_and_loud_elsewhere() {
    let Sample { dir, records, last, ends } = sample();
    let whole = fs::read(&last).unwrap();
    let last_record = ends[ends.len() - 2];
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            fs::write(&last, &bytes).unwrap();
            match open(dir.path()) {
                Ok((spool, recovery)) => {
                    assert!(at >= last_record, "flip at {at} was not seen");
                    assert_eq!(recovery.torn_bytes, wide(whole.len() - last_record));
                    let kept = records.len() - 1;
                    assert_eq!(spool.read(0, usize::MAX).unwrap(), records[..kept]);
                }
                Err(error) => {
                    assert!(at < last_record, "flip at {at}: {error:?}");
                    assert_eq!(error.kind(), Kind::Corrupt, "{error:?}");
                }
            }
        }
    }
}

#[test]
fn a_flipped_bit_in_an_earlier_file_is_named() {
    let Sample { dir, records, .. } = sample();
    let first = dir.path().canonicalize().unwrap().join("00000000000000000000.log");
    let whole = fs::read(&first).unwrap();
    let size = HEAD + 3 + records[0].value.len();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&first, &bytes).unwrap();
        let error = open(dir.path()).unwrap_err();
        let Error::Corrupt { file, position, offset, .. } = &error else { panic!("{error:?}") };
        assert_eq!(*file, first);
        let index = at.checked_sub(HEADER).map(|at| (at / size).min(2));
        assert_eq!(*offset, wide(index.unwrap_or(0)));
        assert_eq!(*position, wide(index.map_or(0, |index| HEADER + index * size)));
    }
}

#[test]
fn a_bit_flipped_while_the_spool_is_open_is_seen_by_the_read() {
    let Sample { dir, records, last, ends } = sample();
    let (spool, _) = open(dir.path()).unwrap();
    let mut bytes = fs::read(&last).unwrap();
    bytes[ends[1] + HEAD] ^= 1;
    fs::write(&last, &bytes).unwrap();
    assert_eq!(spool.read(2, usize::MAX).unwrap(), records[2..4]);
    let error = spool.read(4, usize::MAX).unwrap_err();
    assert!(matches!(error, Error::Corrupt { offset: 4, .. }), "{error:?}");
}

#[test]
fn a_missing_or_misnamed_file_is_corruption() {
    let Sample { dir, last, .. } = sample();
    let first = dir.path().join("00000000000000000000.log");
    fs::rename(&last, dir.path().join("00000000000000000004.log")).unwrap();
    assert!(matches!(open(dir.path()).unwrap_err(), Error::Corrupt { offset: 3, .. }));
    fs::rename(dir.path().join("00000000000000000004.log"), &last).unwrap();
    fs::rename(&first, dir.path().join("00000000000000000001.log")).unwrap();
    assert!(matches!(open(dir.path()).unwrap_err(), Error::Corrupt { offset: 1, .. }));
    fs::rename(dir.path().join("00000000000000000001.log"), &first).unwrap();
    fs::write(dir.path().join("7.log"), "").unwrap();
    assert!(matches!(open(dir.path()).unwrap_err(), Error::Corrupt { .. }));
    fs::remove_file(dir.path().join("7.log")).unwrap();
    open(dir.path()).unwrap();
}

#[test]
fn an_earlier_file_that_ends_early_is_corruption() {
    let Sample { dir, .. } = sample();
    let first = dir.path().join("00000000000000000000.log");
    let whole = fs::read(&first).unwrap();
    for len in 0..whole.len() {
        fs::write(&first, &whole[..len]).unwrap();
        assert_eq!(open(dir.path()).unwrap_err().kind(), Kind::Corrupt, "cut at {len}");
    }
}

#[test]
fn zeros_at_the_end_are_a_tear() {
    let Sample { dir, records, last, .. } = sample();
    let mut bytes = fs::read(&last).unwrap();
    bytes.resize(bytes.len() + 10_000, 0);
    fs::write(&last, &bytes).unwrap();
    let (spool, recovery) = open(dir.path()).unwrap();
    assert_eq!(recovery.torn_bytes, 10_000);
    assert_eq!(spool.read(0, usize::MAX).unwrap(), records);
}

#[test]
fn zeros_over_a_header_are_corruption_where_records_follow() {
    let Sample { dir, last, .. } = sample();
    let mut bytes = fs::read(&last).unwrap();
    bytes[..HEADER].fill(0);
    fs::write(&last, &bytes).unwrap();
    assert_eq!(open(dir.path()).unwrap_err().kind(), Kind::Corrupt);
}

/// A file of one group of four large records, the second of which has a block that was never
/// written; then, perhaps, another group.
fn spool_with_a_hole(has_later_group: bool) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { segment_bytes_max: 1 << 20, ..CONFIG };
    let (spool, _) = Spool::open(dir.path(), config).unwrap();
    let message = Message { timestamp_ms: 5, key: None, value: vec![0xA5; 10_000] };
    spool.append(vec![message.clone(); 4]).unwrap();
    if has_later_group {
        spool.append(vec![message]).unwrap();
    }
    let file = dir.path().join("00000000000000000000.log");
    let mut bytes = fs::read(&file).unwrap();
    bytes[12_288..16_384].fill(0);
    fs::write(&file, bytes).unwrap();
    dir
}

#[test]
fn a_block_missing_inside_the_last_group_is_a_tear() {
    let dir = spool_with_a_hole(false);
    let (spool, recovery) = open(dir.path()).unwrap();
    assert_eq!((recovery.next, recovery.torn_bytes), (1, 3 * 10_036));
    assert_eq!(spool.read(0, usize::MAX).unwrap().len(), 1);
}

#[test]
fn a_block_missing_before_a_later_group_is_corruption() {
    let dir = spool_with_a_hole(true);
    let error = open(dir.path()).unwrap_err();
    assert!(matches!(error, Error::Corrupt { offset: 1, position: 10_064, .. }), "{error:?}");
}

#[test]
fn a_torn_record_that_holds_records_of_another_spool_is_still_a_tear() {
    // Frames with offsets that would be plausible, but for the salt of their file.
    let hostile = {
        let Sample { dir, .. } = sample();
        fs::read(dir.path().join("00000000000000000000.log")).unwrap()
    };
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path()).unwrap();
    spool.append(vec![Message { timestamp_ms: 5, key: None, value: hostile }]).unwrap();
    drop(spool);
    let file = dir.path().join("00000000000000000000.log");
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() - 1]).unwrap();
    let (_, recovery) = open(dir.path()).unwrap();
    assert_eq!((recovery.next, recovery.torn_bytes), (0, wide(whole.len() - 1 - HEADER)));
}
