//! Processes that are killed, or run out of disk, in the middle of their appends.
//!
//! Each test starts itself once more as the child; an environment variable tells the two apart.

#![cfg(test)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use spool::{Config, Error, Kind, Message, Spool};

const DIR: &str = "SPOOL_TEST_DIR";

fn child_dir() -> Option<PathBuf> {
    std::env::var_os(DIR).map(PathBuf::from)
}

fn config() -> Config {
    Config { segment_bytes_max: 100_000, ..Config::default() }
}

/// Tells one value from another, and a whole one from a part.
fn value(seed: u64, bytes: usize) -> Vec<u8> {
    format!("{seed:06} ").bytes().cycle().take(bytes).collect()
}

fn append(spool: &Spool, seed: u64, bytes: usize) -> Result<u64, Error> {
    let message = Message { timestamp_ms: 1, key: None, value: value(seed, bytes) };
    spool.append(vec![message]).map(|range| range.start)
}

#[test]
fn a_killed_process_loses_nothing_it_acknowledged() {
    const NAME: &str = "a_killed_process_loses_nothing_it_acknowledged";
    if let Some(dir) = child_dir() {
        append_for_ever(&dir);
    }
    let dir = tempfile::tempdir().unwrap();
    let mut acked = BTreeMap::new();
    for kill_after in [1, 10, 75, 300] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", NAME, "--nocapture"])
            .env(DIR, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut count = 0;
        for line in lines {
            let words = line.split(' ').collect::<Vec<_>>();
            if let ["acked", offset, seed, bytes] = words[..] {
                let value = value(seed.parse().unwrap(), bytes.parse().unwrap());
                assert_eq!(acked.insert(offset.parse::<u64>().unwrap(), value), None);
                count += 1;
            }
            if count == kill_after {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(count >= kill_after);
    }
    let (spool, recovery) = Spool::open(dir.path(), config()).unwrap();
    assert_eq!(recovery.start, 0);
    let there = spool.read(0, usize::MAX).unwrap();
    assert!(there.iter().zip(0..).all(|(record, offset)| record.offset == offset));
    for (offset, value) in acked {
        assert_eq!(there[usize::try_from(offset).unwrap()].value, value);
    }
}

/// Four threads append records of all sizes and say so, until the process is killed.
fn append_for_ever(dir: &Path) -> ! {
    let (spool, _) = Spool::open(dir, config()).unwrap();
    let output = Mutex::new(std::io::stdout());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (spool, output) = (&spool, &output);
            scope.spawn(move || {
                for seed in (thread..).step_by(4) {
                    let bytes = usize::try_from(seed * 7919 % 30_000).unwrap();
                    let offset = append(spool, seed, bytes).unwrap();
                    let mut output = output.lock().unwrap();
                    writeln!(output, "\nacked {offset} {seed} {bytes}").unwrap();
                    output.flush().unwrap();
                }
            });
        }
    });
    unreachable!("its threads never end")
}

#[test]
fn a_full_disk_refuses_appends_and_the_spool_goes_on_when_there_is_room() {
    const NAME: &str = "a_full_disk_refuses_appends_and_the_spool_goes_on_when_there_is_room";
    if let Some(dir) = child_dir() {
        return fill_the_disk(&dir);
    }
    // A limit of 40 blocks of 512 bytes (1024 in some shells) on a file's size stands for the disk.
    let dir = tempfile::tempdir().unwrap();
    let status = Command::new("sh")
        .args(["-c", r#"trap "" XFSZ; ulimit -f 40; exec "$0" --exact "$1""#])
        .arg(std::env::current_exe().unwrap())
        .arg(NAME)
        .env(DIR, dir.path())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let (spool, recovery) = Spool::open(dir.path(), config()).unwrap();
    assert_eq!(recovery.torn_file, None);
    let there = spool.read(recovery.start, usize::MAX).unwrap();
    let seeds = there.iter().map(|record| (record.offset, record.value[..6].to_vec()));
    assert!(seeds.eq((recovery.start..recovery.next).map(|seed| (seed, value(seed, 6)))));
    assert_eq!(recovery.next - recovery.start, 1);
}

fn fill_the_disk(dir: &Path) {
    let (spool, _) = Spool::open(dir, config()).unwrap();
    let mut seed = 0;
    // The value is as its offset would be, so that the parent can tell what was acknowledged.
    let error = loop {
        match append(&spool, seed, 3000) {
            Ok(offset) => assert_eq!(offset, seed),
            Err(error) => break error,
        }
        seed += 1;
    };
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
    assert_eq!(error.kind(), Kind::Transient);
    assert!(append(&spool, 999_999, 3000).is_err(), "the disk is still full");
    assert_eq!(spool.next(), seed);
    let file = dir.join("00000000000000000000.log");
    assert_eq!(std::fs::metadata(file).unwrap().len(), spool.bytes(), "what was begun is undone");

    // What is smaller fits; and then, after truncation, there is room for all.
    assert_eq!(append(&spool, seed, 6).unwrap(), seed);
    assert_eq!(spool.read(0, usize::MAX).unwrap().last().unwrap().offset, seed);
    spool.truncate_head(spool.next()).unwrap();
    assert_eq!(append(&spool, seed + 1, 3000).unwrap(), seed + 1);
}
