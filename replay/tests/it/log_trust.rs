//! Who vouches for a log: keys and their changes, witnesses, time-stamps, and how fresh they are.

use replay::{LogOptions, Stamped, VerifyOptions, verify};
use schemas::Seconds;
use schemas::tlog::{Entry, KeyChange, Policy};

use crate::kit::judged::{chain, golden_trust, judged, only, report, seal, trusting};
use crate::kit::log::{AT, Log, policy, signer, witness};
use crate::kit::{get, kinds, loaded, put, store};

#[tokio::test]
async fn the_golden_log_is_right_by_every_key_that_it_has_had_and_by_its_witnesses() {
    let objects = loaded("store-log").await;
    for name in ["store-log.policy", "store-log.vkey", "store-log.first.vkey"] {
        let found = trusting(&objects, &golden_trust(name)).await;
        assert_eq!(found.findings, [], "{name}");
        let log = found.log.unwrap();
        assert!(log.ok && log.pending == 0 && log.trust.key.is_some(), "{log:?}");
        assert_eq!(log.trust.quorum_size.is_some(), name.ends_with("policy"), "{log:?}");
    }
}

#[tokio::test]
async fn a_key_change_is_followed_from_a_key_that_is_trusted_and_a_forged_one_is_refused() {
    let (objects, mut writer) = chain(1).await;
    let mut log = Log::of(&objects).await;
    log.change_key(2).await;
    seal(&mut writer).await;
    log.enrol().await;
    log.change_key(3).await;
    for seed in [1, 2, 3] {
        let found = trusting(&objects, &policy(seed, "")).await;
        assert_eq!(found.findings, [], "key {seed}");
        assert_eq!(found.log.unwrap().trust.key, Some(signer(seed).verifier().to_string()));
    }
    assert_eq!(kinds(&report(&objects).await), [""; 0], "they fit each other");
    let found = trusting(&objects, &policy(4, "")).await;
    assert_eq!(only(&found).0, "untrusted");

    // Whoever has a key of his own changes it to another, and signs with that.
    log.sign_with(7);
    log.change_key(8).await;
    let beat = log.heartbeat();
    log.commit(vec![beat]).await;
    let found = trusting(&objects, &policy(1, "")).await;
    assert_eq!(kinds(&found), ["checkpoint", "entry"]);
    let entry = found.findings.iter().find(|one| one.kind.as_str() == "entry").unwrap();
    assert!(entry.reason.contains("not followed"), "{}", entry.reason);
}

#[tokio::test]
async fn a_log_signed_with_another_key_is_refused_whatever_it_says() {
    let (objects, _) = chain(1).await;
    let mut log = Log::new(&objects);
    log.sign_with(9);
    log.enrol().await;
    let found = trusting(&objects, &policy(1, "")).await;
    assert_eq!(kinds(&found), ["untrusted"], "{:?}", found.findings);
    let other = Policy::parse(&key_line(1, "other.org/log")).unwrap();
    assert!(only(&trusting(&objects, &other).await).2.contains("none of the keys"));
    // The key that the change names is the attacker's own.
    let change = KeyChange::new(&signer(9), &signer(1), Seconds(AT));
    log.commit(vec![Entry::KeyChange(Box::new(change))]).await;
    assert!(!trusting(&objects, &policy(1, "")).await.ok, "the last is not signed by both");
}

fn key_line(seed: u8, name: &str) -> String {
    let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
    let name = schemas::tlog::KeyName::new(name).unwrap();
    schemas::tlog::LogSigner::new(name, key).verifier().to_string()
}

#[tokio::test]
async fn witnesses_vouch_for_the_size_that_enough_of_them_have_signed() {
    let (objects, mut writer) = chain(1).await;
    let mut log = Log::of(&objects).await;
    let now = u64::try_from(AT).unwrap();
    let lines = format!(
        "witness a {}\nwitness b {}\ngroup both all a b\nquorum both\n",
        witness(21),
        witness(22)
    );
    let trust = policy(1, &lines);
    assert_eq!(only(&trusting(&objects, &trust).await).0, "untrusted");
    log.cosign(21, now).await;
    assert_eq!(only(&trusting(&objects, &trust).await).0, "untrusted");
    log.cosign(22, now).await;
    log.cosign(23, now).await;
    seal(&mut writer).await;
    log.enrol().await;
    log.cosign(21, now + 7).await;
    let found = trusting(&objects, &trust).await;
    assert_eq!(found.findings, []);
    let told = found.log.unwrap();
    assert_eq!((told.trust.quorum_size, told.trust.cosignatures), (Some(3), 3));
    assert_eq!(told.trust.cosignatures_of_others, 1);
    assert!(told.warnings[0].contains("the first 3 entries"), "{:?}", told.warnings);
    let sign = told.newest.cosignature.unwrap();
    assert_eq!((sign.size, sign.age), (4, Some(53)));
}

#[tokio::test]
async fn old_signs_of_life_are_told_and_are_findings_where_that_was_asked_for() {
    let (objects, _) = chain(1).await;
    Log::of(&objects).await;
    let store = store(&objects);
    let mut options =
        VerifyOptions { now: Some(Seconds(AT + 26 * 3600)), ..VerifyOptions::default() };
    let found = verify(&store, options).await.unwrap();
    assert!(found.ok);
    let warnings = found.log.unwrap().warnings;
    assert_eq!(warnings, ["the newest heartbeat is 26 hours old, that of size 2"]);
    options.log.fresh_hours = Some(2);
    assert_eq!(only(&verify(&store, options).await.unwrap()).0, "stale");
    options.log.fresh_hours = Some(27);
    assert!(verify(&store, options).await.unwrap().ok);
}

#[tokio::test]
async fn time_stamps_are_judged_by_whoever_knows_them() {
    let (objects, _) = chain(1).await;
    let log = Log::of(&objects).await;
    let of = schemas::Digest::of(&get(&objects, "log/checkpoint").await);
    let stamps = "log/timestamps/00000000000000000003";
    assert_eq!(log.size(), 3);
    for (name, bytes) in [("good", &of.0[..]), ("other", b"x"), ("unknown", b"?")] {
        put(&objects, &format!("{stamps}/{name}.tsr"), bytes.to_vec()).await;
    }
    let stamped = |at, root| Stamped { at: Seconds(at), authority: String::new(), root };
    let judge = |bytes: &[u8], of: &schemas::Digest| match bytes {
        b"?" => Ok(stamped(AT + 9, None)),
        bytes if bytes == of.0 => Ok(stamped(AT, Some("root".to_owned()))),
        _ => Err("it is of other data".to_owned()),
    };
    let found =
        judged(&objects, LogOptions { stamps: Some(&judge), ..LogOptions::default() }).await;
    let other = format!("{stamps}/other.tsr");
    assert_eq!(only(&found), ("timestamp", other.as_str(), "it is of other data"));
    let told = found.log.unwrap();
    assert_eq!((told.trust.timestamps, told.trust.timestamps_not_checked), (1, 1));
    assert_eq!(told.newest.timestamp.unwrap().age, Some(60));
    let found = report(&objects).await;
    assert!(found.ok);
    assert_eq!(found.log.unwrap().trust.timestamps_not_checked, 3);
}
