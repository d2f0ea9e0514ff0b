//! What is enrolled, what a start finds of it, and what it says where the store holds less.

use std::collections::BTreeMap;

use schemas::signature::SigningKey;
use schemas::tlog::{Entry, KeyName, LogKey, LogSigner, SignedCheckpoint};

use super::*;
use crate::change::change_key;
use crate::config::LogConfig;
use crate::enrol::Desk;
use crate::enroller::heartbeats;
use crate::links::Confirmed;
use crate::log::Log as Enrolled;

fn signer(seed: u8) -> LogSigner {
    let key = SigningKey::from_bytes(&[seed; 32]);
    LogSigner::new(KeyName::new("stage/log").unwrap(), key)
}

impl Stage {
    fn desk(&self, signers: &[u8]) -> Desk {
        let lane = self.lane();
        let signers = signers.iter().map(|seed| signer(*seed)).collect();
        Desk { store: lane.store, topic: lane.origin.topic, keeping: lane.keeping, signers }
    }

    /// As a sealer does that starts, finds the log and enrols up to `head`.
    async fn enrol(&self, signers: &[u8], head: &Head, now: Seconds) -> Result<Enrolled, Error> {
        let desk = self.desk(signers);
        let mut log = desk.load(1).await?;
        let (config, ends) = (LogConfig::default(), BTreeMap::from([(P0, Offset(7))]));
        let beats = |log: &Enrolled| heartbeats(log, 1, now, &config, &ends);
        desk.enrol(&mut log, std::slice::from_ref(head), now, beats).await?;
        Ok(log)
    }

    /// Starts a sealer, which seals so many segments.
    async fn seal_some(&self, rows: usize, segments: usize) -> Head {
        let lane = self.lane();
        let mut head = load(&lane, NOW).await.unwrap();
        for _ in 0..segments {
            head = sealed(&lane, head.clone(), self.batch(head.next, rows), [1; 32])
                .await
                .unwrap()
                .head;
        }
        head
    }

    async fn checkpoint(&self) -> SignedCheckpoint {
        SignedCheckpoint::parse(&self.object(&LogKey::Checkpoint.to_string())).unwrap()
    }
}

/// 301 links: an opening and 300 records, in two commits, over the edge of a tile; then an hour passes.
#[tokio::test]
async fn a_chain_is_enrolled_whole_and_a_start_finds_where() {
    let stage = Stage::new(300);
    let head = stage.seal(1).await.unwrap();
    let log = stage.enrol(&[1], &head, NOW).await.unwrap();
    // The heartbeat is the last entry.
    assert_eq!(log.size(), 302);
    assert_eq!(stage.checkpoint().await.checkpoint.size, 302);
    stage.checkpoint().await.check(&signer(1).verifier()).unwrap();
    assert_eq!(stage.object("log/tile/1/000.p/1").len(), 32);
    let found = stage.desk(&[1]).load(1).await.unwrap();
    assert_eq!((found.size(), found.enrolled(P0)), (302, log.enrolled(P0)));
    assert_eq!(found.last_beat(0), Some(NOW));
    // Nothing new, and no heartbeat due: nothing is written.
    assert_eq!(stage.enrol(&[1], &head, Seconds(NOW.0 + 3599)).await.unwrap().size(), 302);
    assert_eq!(stage.enrol(&[1], &head, Seconds(NOW.0 + 3600)).await.unwrap().size(), 303);
    let beat = stage.desk(&[1]).commit_at(302).await.unwrap().unwrap().entries.remove(0);
    let Entry::Heartbeat(beat) = beat else { panic!("{beat:?}") };
    assert_eq!((beat.beats[0].next, beat.beats[0].end), (Offset(300), Some(Offset(7))));
    assert_eq!(beat.beats[0].leaf, head.prev);
}

#[tokio::test]
async fn a_last_segment_that_was_taken_away_stops_and_a_resumption_seals_it_again() {
    let stage = Stage::new(30);
    let head = stage.seal(10).await.unwrap();
    stage.enrol(&[1], &head, NOW).await.unwrap();
    for key in [key(20), key(20).replace("segments", "records").replace("parquet", "record")] {
        std::fs::remove_file(stage.folder.path().join(key)).unwrap();
    }
    let shorter = load(&stage.lane(), NOW).await.unwrap();
    assert_eq!(shorter.next, Offset(20), "the chain alone does not show it");
    let desk = stage.desk(&[1]);
    let log = desk.load(1).await.unwrap();
    let Confirmed::Dropped(enrolled) = desk.confirm(&log, &shorter).await.unwrap() else {
        panic!("it was not noticed");
    };
    assert_eq!(enrolled.next, Offset(30));
    let plan = || {
        let (source, keys) = (Source::Memory(stage.log.clone()), Some(vec![signer(1)]));
        Resumption::plan(source, stage.store(), P0, "standard", None, keys, NOW)
    };
    let plan = plan().await.unwrap().unwrap();
    assert!(plan.to_string().contains("what was sealed was taken away"), "{plan}");
    assert!(matches!(plan.write().await.unwrap(), Resumed::Opened(_)));
    let head = stage.seal(10).await.unwrap();
    assert_eq!((head.chain.epoch.0, head.next), (1, Offset(30)));
    let log = stage.enrol(&[1], &head, NOW).await.unwrap();
    assert_eq!(log.enrolled(P0).map(|at| at.leaf), Some(head.prev));
}

/// A listing that lags shows an older end; what is read directly does not lag.
#[tokio::test]
async fn an_end_that_is_only_not_listed_yet_is_none_that_was_taken_away() {
    let stage = Stage::new(30);
    let earlier = stage.seal_some(10, 1).await;
    let head = stage.seal(10).await.unwrap();
    stage.enrol(&[1], &head, NOW).await.unwrap();
    let desk = stage.desk(&[1]);
    let log = desk.load(1).await.unwrap();
    assert_eq!(desk.confirm(&log, &earlier).await.unwrap(), Confirmed::Whole);
}

#[tokio::test]
async fn a_chain_that_is_another_than_the_enrolled_one_is_refused() {
    let (stage, other) = (Stage::new(30), Stage::new(30));
    let head = stage.seal(10).await.unwrap();
    stage.enrol(&[1], &head, NOW).await.unwrap();
    let forged = other.seal(15).await.unwrap();
    let desk = Desk { store: stage.store(), ..other.desk(&[1]) };
    let log = desk.load(1).await.unwrap();
    let refused = desk.confirm(&log, &forged).await.unwrap_err();
    assert!(
        refused.to_string().contains("does not go on from what the log has enrolled"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_log_gets_another_key_and_only_who_has_it_goes_on() {
    let stage = Stage::new(20);
    let head = stage.seal_some(10, 1).await;
    stage.enrol(&[1], &head, NOW).await.unwrap();
    let change =
        |old, new| change_key(stage.store(), "standard", None, (signer(old), signer(new)), NOW);
    let size = change(1, 2).await.unwrap();
    let signed = stage.checkpoint().await;
    assert_eq!(signed.checkpoint.size, size);
    for seed in [1, 2] {
        signed.check(&signer(seed).verifier()).unwrap();
    }
    // Done once, it is done.
    assert_eq!(change(1, 2).await.unwrap(), size);
    assert!(change(3, 4).await.is_err(), "a key that was never in force changes nothing");
    let head = stage.seal(10).await.unwrap();
    let refused = stage.enrol(&[1], &head, NOW).await.unwrap_err();
    assert!(refused.to_string().contains("is not given"), "{refused}");
    let log = stage.enrol(&[2], &head, NOW).await.unwrap();
    assert_eq!(log.enrolled(P0).map(|at| at.leaf), Some(head.prev));
    let signed = stage.checkpoint().await;
    signed.check(&signer(2).verifier()).unwrap();
    assert!(signed.check(&signer(1).verifier()).is_err());
}

/// Whoever can write to the store can take the newest checkpoint away or make it junk: it is made anew from the commits.
#[tokio::test]
async fn a_newest_checkpoint_that_is_gone_or_junk_is_made_anew() {
    let stage = Stage::new(20);
    let head = stage.seal_some(10, 1).await;
    stage.enrol(&[1], &head, NOW).await.unwrap();
    let path = stage.folder.path().join("log/checkpoint");
    let before = std::fs::read(&path).unwrap();
    for junk in [None, Some("junk")] {
        match junk {
            None => std::fs::remove_file(&path).unwrap(),
            Some(junk) => std::fs::write(&path, junk).unwrap(),
        }
        stage.enrol(&[1], &head, NOW).await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), before, "{junk:?}");
    }
}

#[tokio::test]
async fn a_tile_that_is_not_what_was_committed_stops_enrolling_and_says_so() {
    let stage = Stage::new(20);
    let head = stage.seal_some(10, 1).await;
    stage.enrol(&[1], &head, NOW).await.unwrap();
    let tile = "log/tile/0/000.p/4";
    stage.put(tile, Bytes::from_static(b"planted")).await;
    let head = stage.seal(10).await.unwrap();
    let refused = stage.enrol(&[1], &head, NOW).await.unwrap_err();
    assert!(refused.to_string().contains(tile), "{refused}");
}
