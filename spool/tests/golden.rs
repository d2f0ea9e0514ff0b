//! Every version of the file format that was ever written stays readable, byte for byte.
//!
//! The files come from a script beside them, which shares nothing with the program.

#![cfg(test)]

use std::fs;
use std::path::Path;

use spool::{Config, Error, Message, Record, Spool};

const NAME: &str = "00000000000000000005.log";

fn golden(version: &str) -> Vec<u8> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    fs::read(dir.join(version).join(NAME)).unwrap()
}

fn record(offset: u64, timestamp_ms: i64, key: Option<&[u8]>, value: &[u8]) -> Record {
    Record { offset, timestamp_ms, key: key.map(<[u8]>::to_vec), value: value.to_vec() }
}

fn records() -> [Record; 3] {
    [
        record(5, 1_700_000_000_000, Some(b"acme/session-1"), b"first"),
        record(6, -1, None, b"second, of the same group"),
        record(7, 0, Some(b""), b""),
    ]
}

#[test]
fn every_version_has_its_test() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.collect::<Vec<_>>(), ["v1"]);
}

#[test]
fn version_1_is_read_as_it_was_written() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(NAME), golden("v1")).unwrap();
    let (spool, recovery) = Spool::open(dir.path(), Config::default()).unwrap();
    assert_eq!((recovery.start, recovery.next, recovery.torn_file), (5, 8, None));
    assert_eq!(spool.read(5, usize::MAX).unwrap(), records());
}

#[test]
fn version_1_is_what_is_written_but_for_the_salt() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = Spool::open(dir.path(), Config::default()).unwrap();
    let blank = || Message { timestamp_ms: 0, key: None, value: Vec::new() };
    spool.append((0..5).map(|_| blank()).collect()).unwrap();
    spool.truncate_head(5).unwrap();
    let mut messages = records()
        .map(|Record { timestamp_ms, key, value, .. }| Message { timestamp_ms, key, value })
        .to_vec();
    let last = messages.split_off(2);
    spool.append(messages).unwrap();
    spool.append(last).unwrap();

    let (mut ours, mut golden) = (fs::read(dir.path().join(NAME)).unwrap(), golden("v1"));
    assert_eq!(ours.len(), golden.len());
    // The salt, and every checksum, which depends on it.
    let frames = [28, 28 + 36 + 19, 28 + 36 + 19 + 36 + 25].map(|frame| frame + 4..frame + 8);
    for range in frames.into_iter().chain(std::iter::once(20..28)) {
        ours[range.clone()].fill(0);
        golden[range].fill(0);
    }
    assert_eq!(ours, golden);
}

#[test]
fn an_unknown_version_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut bytes = golden("v1");
    bytes[11] = 9;
    let mut crc = flate2::Crc::new();
    crc.update(&bytes[..24]);
    bytes[24..28].copy_from_slice(&crc.sum().to_be_bytes());
    fs::write(dir.path().join(NAME), bytes).unwrap();
    let error = Spool::open(dir.path(), Config::default()).unwrap_err();
    assert!(matches!(error, Error::Version { version: 9, .. }), "{error:?}");
}
