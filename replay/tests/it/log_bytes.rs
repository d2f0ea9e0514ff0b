//! Every byte of a log: no object of any class can be another, and nothing that lies there makes a verifier fall.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use replay::{LogOptions, Report, Since, VerifyOptions, verify};
use schemas::Seconds;
use schemas::tlog::{LogKey, Policy};

use crate::kit::log::{AT, Log, policy, witness};
use crate::kit::writer::Writer;
use crate::kit::{Objects, delete, empty, get, keys, put, store};

/// A segment, and no log.
async fn sealed() -> Objects {
    let objects = empty();
    let mut writer = Writer::new(&objects).await;
    let envelope = writer.envelope("s-1", "user.message");
    let sent = Writer::message(&envelope, &[]).0;
    writer.seal(&[sent]).await;
    objects
}

/// A log with an object of each class, and whom to trust.
async fn whole() -> (Objects, Policy) {
    let objects = sealed().await;
    let log = Log::of(&objects).await;
    log.cosign(21, u64::try_from(AT).unwrap()).await;
    (objects, policy(1, &format!("witness w {}\n", witness(21))))
}

async fn found(objects: &Objects, trust: &Policy) -> Report {
    let log = LogOptions { trust: Some(trust), ..LogOptions::default() };
    // What a log says of segments is another test's; reading them takes the time.
    let (now, since) = (Some(Seconds(AT)), Some(Since::Size(u64::MAX)));
    let options = VerifyOptions { log, now, since, ..VerifyOptions::default() };
    verify(&store(objects), options).await.unwrap()
}

async fn log_keys(objects: &Objects) -> Vec<String> {
    keys(objects).await.into_iter().filter(|key| key.starts_with("log/")).collect()
}

#[tokio::test]
async fn a_byte_of_any_object_of_the_log_that_is_another_is_found_there_and_for_the_right_reason() {
    let (objects, trust) = whole().await;
    assert_eq!(found(&objects, &trust).await.findings, []);
    for key in log_keys(&objects).await {
        let kind = match LogKey::parse(&key).unwrap() {
            LogKey::Checkpoint | LogKey::CheckpointAt(_) => "checkpoint",
            LogKey::Commit(_) => "commit",
            LogKey::Tile(_) | LogKey::Bundle(..) => "tile",
            LogKey::Cosignature(..) => "cosignature",
            LogKey::Timestamp(..) => unreachable!("there is none"),
        };
        let bytes = get(&objects, &key).await;
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 1 << (at % 8);
            put(&objects, &key, other).await;
            let report = found(&objects, &trust).await;
            let named =
                report.findings.iter().any(|one| one.object == key && one.kind.as_str() == kind);
            // A line of a name that nobody knows is a witness's that nobody knows.
            let other = report.log.is_some_and(|log| log.trust.cosignatures_of_others == 1);
            assert!(named || (kind == "cosignature" && other), "{key} {at}: {:?}", report.findings);
        }
        put(&objects, &key, bytes).await;
    }
    assert_eq!(found(&objects, &trust).await.findings, []);
}

#[tokio::test]
async fn any_object_of_the_log_that_is_gone_is_found_but_partial_ones_that_became_full() {
    let (objects, trust) = (sealed().await, policy(1, ""));
    let mut log = Log::of(&objects).await;
    for _ in 0..3 {
        let beats = (0..100).map(|_| log.heartbeat()).collect();
        log.commit(beats).await;
    }
    for key in log_keys(&objects).await {
        let bytes = get(&objects, &key).await;
        delete(&objects, &key).await;
        let report = found(&objects, &trust).await;
        let may_go = match LogKey::parse(&key).unwrap() {
            LogKey::Bundle(0, width) => width < 256,
            LogKey::Tile(tile) => (tile.level, tile.index) == (0, 0) && tile.width < 256,
            LogKey::Cosignature(..) => true,
            _ => false,
        };
        assert_eq!(report.ok, may_go, "{key}: {:?}", report.findings);
        put(&objects, &key, bytes).await;
    }
}

#[tokio::test]
async fn what_nothing_accounts_for_under_log_is_found() {
    for key in [
        "log/other",
        "log/elsewhere/x",
        "log/tile/0/000.p/1.tmp",
        "log/tile/0/000.p/200",
        "log/tile/entries/001",
        "log/commits/1",
    ] {
        let (objects, trust) = whole().await;
        put(&objects, key, b"x".to_vec()).await;
        let report = found(&objects, &trust).await;
        let [one] = report.findings.as_slice() else { panic!("{key}: {:?}", report.findings) };
        assert_eq!(one.kind.as_str(), "junk");
        assert!(key.starts_with(&one.object), "{key} {}", one.object);
    }
    for (key, kind) in [
        ("log/commits/00000000000000000001", "commit"),
        ("log/commits/00000000000000000009", "commit"),
        ("log/checkpoints/00000000000000000009", "checkpoint"),
        ("log/cosignatures/00000000000000000009/00000000", "checkpoint"),
        ("log/timestamps/00000000000000000009/tsa.tsr", "checkpoint"),
    ] {
        let (objects, trust) = whole().await;
        put(&objects, key, b"x".to_vec()).await;
        let report = found(&objects, &trust).await;
        assert!(report.findings.iter().any(|one| one.kind.as_str() == kind), "{key}");
    }
}

/// Any object of the log, changed in any way, leads to a report and never to a fall.
#[test]
fn nothing_that_lies_in_a_log_makes_a_verifier_fall() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (objects, trust) = runtime.block_on(whole());
    let all = runtime.block_on(log_keys(&objects));
    let mut runner = TestRunner::new(Config { cases: 200, ..Config::default() });
    let change = (0..all.len(), any::<prop::sample::Index>(), any::<u16>(), any::<Vec<u8>>());
    let ran = runner.run(&change, |(of, at, cut, with)| {
        let (key, bytes) = (&all[of], runtime.block_on(get(&objects, &all[of])));
        let at = at.index(bytes.len());
        let end = (at + usize::from(cut % 64)).min(bytes.len());
        let changed = [&bytes[..at], &with, &bytes[end..]].concat();
        let same = changed == bytes;
        runtime.block_on(put(&objects, key, changed));
        let report = runtime.block_on(found(&objects, &trust));
        runtime.block_on(put(&objects, key, bytes));
        let others = report.log.is_some_and(|log| log.trust.cosignatures_of_others > 0);
        prop_assert_eq!(report.ok && !others, same, "{} {} {}", key, at, end);
        Ok(())
    });
    ran.unwrap();
}

proptest! {
    /// Most are near to a key.
    #[test]
    fn any_text_is_the_key_of_an_object_of_the_log_or_of_none(
        text in "log/(checkpoints?|commits|cosignatures|timestamps|tile/[0-9]{1,2}|tile/entries)?[/0-9a-fpx.-]{0,40}(.tsr)?",
        any in ".*",
    ) {
        for text in [text, any] {
            if let Some(key) = LogKey::parse(&text) {
                prop_assert_eq!(key.to_string(), text);
            }
        }
    }
}
