//! Vectors of the log from `golden/make.py` (`golden/v1/log.json` and the store `golden/v1/store-log`), which shares no code
//! with this crate.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::PathBuf;

use schemas::tlog::{
    self, Checkpoint, Commit, Edge, Entry, LogKey, LogSigner, Note, NoteSignature, Policy,
    SignedCheckpoint, Tile, TlogProof, VerifierKey, VerifierKind,
};
use schemas::{Counted, Digest, leaf_hash};
use serde_json::Value;

fn golden(path: &str) -> PathBuf {
    format!("{}/golden/v1/{path}", env!("CARGO_MANIFEST_DIR")).into()
}

fn read(path: &str) -> Vec<u8> {
    std::fs::read(golden(path)).unwrap()
}

fn log() -> Value {
    serde_json::from_slice(&read("log.json")).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn digest(value: &Value) -> Digest {
    text(value).parse().unwrap()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    let digits = text(value).as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// Whether each case is taken where the script says that it is good, and only there; gives the good ones.
fn judged<T>(name: &str, mut take: impl FnMut(&Value) -> Option<T>) -> Vec<(Value, T)> {
    let mut good = Vec::new();
    for case in list(&log()[name]) {
        let taken = take(case);
        let expected = case["good"].as_bool().unwrap();
        assert_eq!(taken.is_some(), expected, "{name}: {}", text(&case["name"]));
        good.extend(taken.map(|taken| (case.clone(), taken)));
    }
    assert!(!good.is_empty());
    good
}

#[test]
fn keys_are_taken_where_the_independent_script_says_so() {
    let taken = judged("keys", |case| text(&case["text"]).parse::<VerifierKey>().ok());
    for (case, key) in taken {
        assert_eq!(key.to_string(), text(&case["text"]));
        assert_eq!(key.id().to_vec(), bytes(&case["id"]));
        let kind = if number(&case["kind"]) == 1 {
            VerifierKind::Ed25519
        } else {
            VerifierKind::Cosignature
        };
        assert_eq!(key.kind(), kind);
        if let Some(private) = case["private"].as_str() {
            let signer = LogSigner::parse(private).unwrap();
            assert_eq!((signer.verifier(), signer.to_text()), (key, private.to_owned()));
        }
    }
}

#[test]
fn notes_are_signed_where_the_independent_script_says_so() {
    let taken = judged("notes", |case| {
        let key: VerifierKey = text(&case["vkey"]).parse().unwrap();
        let note = Note::parse(text(&case["text"]).as_bytes()).ok()?;
        note.is_signed_by(&key).is_ok().then_some(note)
    });
    for (case, note) in taken {
        assert_eq!(note.to_string(), text(&case["text"]));
    }
}

#[test]
fn checkpoints_are_read_where_the_independent_script_says_so() {
    for (case, checkpoint) in
        judged("checkpoints", |case| Checkpoint::parse(text(&case["text"])).ok())
    {
        assert_eq!(checkpoint.to_string(), text(&case["text"]));
        assert_eq!(checkpoint.origin.as_str(), text(&case["origin"]));
        assert_eq!(checkpoint.size, number(&case["size"]));
        assert_eq!(checkpoint.root, digest(&case["root"]));
    }
}

#[test]
fn cosignatures_are_good_and_of_the_time_that_the_independent_script_says() {
    let taken = judged("cosignatures", |case| {
        let key: VerifierKey = text(&case["vkey"]).parse().unwrap();
        let line: NoteSignature = text(&case["text"]).strip_suffix('\n')?.parse().ok()?;
        line.check(&key, text(&case["note_text"])).ok()
    });
    for (case, time) in taken {
        assert_eq!(time, number(&case["time"]));
    }
}

#[test]
fn tiles_are_named_as_by_the_independent_script() {
    let log = log();
    for case in list(&log["tile_names"]) {
        let (index, width) = (number(&case["index"]), number(&case["width"]));
        let name = match case["level"].as_u64() {
            None => tlog::bundle_key(index, width),
            Some(level) => Tile { level: level.try_into().unwrap(), index, width }.to_string(),
        };
        assert_eq!(name, text(&case["path"]));
    }
    for case in list(&log["tiles_of"]) {
        let size = number(&case["size"]);
        let of = |level| (0..).map_while(move |index| Tile::in_tree(level, index, size));
        let names: Vec<String> = (0..8).flat_map(of).map(|tile| tile.to_string()).collect();
        let expected: Vec<&str> = list(&case["paths"]).iter().map(text).collect();
        assert_eq!(names, expected, "{size}");
    }
}

#[test]
fn consistency_proofs_of_the_independent_script_hold_and_changed_ones_do_not() {
    for case in list(&log()["consistency"]) {
        let old = (number(&case["old"]), digest(&case["old_root"]));
        let new = (number(&case["new"]), digest(&case["new_root"]));
        let proof: Vec<Digest> = list(&case["proof"]).iter().map(digest).collect();
        tlog::check_consistency(old, new, &proof).unwrap();
        let more = [proof.as_slice(), &[Digest::ZERO]].concat();
        assert!(tlog::check_consistency(old, new, &more).is_err(), "{case}");
        if let Some((_, less)) = proof.split_last() {
            assert!(tlog::check_consistency(old, new, less).is_err(), "{case}");
        }
    }
}

#[test]
fn proofs_lead_to_their_checkpoint_where_the_independent_script_says_so() {
    let taken = judged("proofs", |case| {
        let proof = TlogProof::parse(text(&case["text"]).as_bytes()).ok()?;
        proof.check(&digest(&case["leaf_hash"])).is_ok().then_some(proof)
    });
    for (case, proof) in taken {
        assert_eq!(proof.to_string(), text(&case["text"]));
    }
}

#[test]
fn entries_and_commits_are_read_where_the_independent_script_says_so() {
    for (case, entry) in judged("entries", |case| Entry::parse(text(&case["text"])).ok()) {
        assert_eq!(entry.to_string(), text(&case["text"]));
        assert_eq!(entry.leaf_hash(), leaf_hash(text(&case["text"])));
    }
    for (case, commit) in judged("commits", |case| Commit::parse(&bytes(&case["data"])).ok()) {
        assert_eq!(commit.to_bytes(), bytes(&case["data"]));
        assert_eq!(u64::try_from(commit.entries.len()).unwrap(), number(&case["entries"]));
    }
}

#[test]
fn the_salt_is_one_of_the_lines_of_the_claims() {
    let case = &log()["claims"];
    let counted = Counted::of("claims", Some(text(&case["text"])));
    let shown = format!("{} {}", counted.count, counted.digest.unwrap());
    assert_eq!(shown, text(&case["counted"]));
}

/// Every object of the golden log follows from its commits and keys.
#[test]
fn the_golden_log_is_what_its_commits_make() {
    let held = |key: &LogKey| read(&format!("store-log/{key}"));
    let policy = Policy::parse(&String::from_utf8(read("store-log.policy")).unwrap()).unwrap();
    let mut keys = vec![policy.logs[0].clone()];
    let (mut edge, mut entries) = (Edge::default(), Vec::new());
    let mut bundles = BTreeSet::new();
    while golden(&format!("store-log/{}", LogKey::Commit(edge.size()))).exists() {
        let commit = Commit::parse(&held(&LogKey::Commit(edge.size()))).unwrap();
        assert_eq!(commit.start, edge.size());
        for (tile, bytes) in edge.append(commit.entries.iter().map(Entry::leaf_hash)) {
            assert_eq!(held(&LogKey::Tile(tile)), bytes, "{tile}");
            if tile.level == 0 {
                bundles.insert((tile.index, tile.width));
            }
        }
        assert_eq!((edge.size(), edge.root()), (commit.next(), commit.root));
        let signed = SignedCheckpoint::parse(&held(&LogKey::CheckpointAt(edge.size()))).unwrap();
        assert_eq!((signed.checkpoint.size, signed.checkpoint.root), (edge.size(), edge.root()));
        signed.check(keys.last().unwrap()).unwrap();
        if let Some(Entry::KeyChange(change)) = commit.entries.last() {
            assert_eq!(&change.old, keys.last().unwrap());
            keys.push(change.new.clone());
            signed.check(&change.new).unwrap();
        }
        entries.extend(commit.entries.iter().map(Entry::to_string));
    }
    for (index, width) in bundles {
        let from = usize::try_from(index * 256).unwrap();
        let to = from + usize::try_from(width).unwrap();
        let bundle = tlog::bundle(entries[from..to].iter().map(String::as_str));
        assert_eq!(held(&LogKey::Bundle(index, width)), bundle);
    }
    assert_eq!((edge.size(), keys.len()), (264, 2));
    assert_eq!(held(&LogKey::Checkpoint), held(&LogKey::CheckpointAt(264)));
    let mut newest = String::from_utf8(held(&LogKey::Checkpoint)).unwrap();
    let signer = LogSigner::parse(&String::from_utf8(read("store-log.key")).unwrap()).unwrap();
    let checkpoint = SignedCheckpoint::parse(newest.as_bytes()).unwrap().checkpoint;
    assert_eq!(checkpoint.sign(&[&signer]).to_string(), newest);

    for witness in &policy.witnesses {
        newest += &String::from_utf8(held(&LogKey::Cosignature(264, witness.key.id()))).unwrap();
    }
    let cosigned = policy.cosigned(&Note::parse(newest.as_bytes()).unwrap()).len();
    assert_eq!(cosigned, 2);
}
