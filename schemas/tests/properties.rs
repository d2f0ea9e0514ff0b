//! What holds for any input: bytes from strangers are taken apart without a panic, what is taken apart is written as it was
//! read, and proofs of any range lead to the root.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use proptest::sample::Index;
use schemas::{
    Digest, EnrolledRecord, EpochOpening, Gaps, KafkaKey, Message, Neighbour, ObjectKey, Offset,
    Partition, Place, SegmentRecord, SessionKey, SessionProof, TerminalObject, Timestamp,
};

fn values() -> Vec<(Option<Vec<u8>>, Vec<u8>)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/v1/events.json");
    let cases: Vec<serde_json::Value> =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let bytes = |value: &serde_json::Value| {
        let digits = value.as_str()?;
        let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
        Some((0..digits.len()).step_by(2).map(byte).collect())
    };
    cases.iter().filter_map(|case| Some((bytes(&case["key"]), bytes(&case["value"])?))).collect()
}

/// Reads it; an event must be what its parts make.
fn take_apart(key: Option<&[u8]>, value: &[u8]) {
    let message =
        Message { offset: Offset(0), timestamp: Timestamp::default(), key, value: Some(value) };
    let Ok(event) = schemas::read(&message, Place { partition: Partition(0), partitions: 1 })
    else {
        return;
    };
    assert_eq!(event.envelope.to_bytes(), event.envelope_bytes);
    let parts = (event.signature, event.admission);
    let whole =
        schemas::encode_value(event.schema, event.envelope_bytes, parts.0, parts.1, &event.bodies);
    assert_eq!(whole, value);
}

proptest! {
    #[test]
    fn a_changed_message_is_refused_or_is_another_event(which: Index, changes: Vec<(Index, u8)>, cut: Option<Index>) {
        let values = values();
        let (key, mut value) = which.get(&values).clone();
        for (at, byte) in changes.iter().take(4) {
            if !value.is_empty() {
                let at = at.index(value.len());
                value[at] = *byte;
            }
        }
        if let Some(cut) = cut {
            value.truncate(cut.index(value.len() + 1));
        }
        take_apart(key.as_deref(), &value);
    }

    #[test]
    fn any_bytes_are_taken_apart_without_a_panic(value: Vec<u8>, text: String) {
        let framed = [&schemas::Published::LATEST.frame()[..], &value].concat();
        take_apart(None, &framed);
        take_apart(Some(text.as_bytes()), &value);
        let _key = KafkaKey::parse(&value);
        let _headers = schemas::parse_headers(&value);
        let _object = ObjectKey::parse(&text);
        let _gaps = Gaps::parse(&text);
        let _segment = SegmentRecord::parse(&text);
        let _enrolled = EnrolledRecord::parse(&text);
        let _opening = EpochOpening::parse(&text);
        let _terminal = TerminalObject::parse(&text);
    }

    #[test]
    fn a_range_of_any_tree_is_proven_and_nothing_else_is(size in 0_usize..300, a: Index, b: Index, other: [u8; 32]) {
        let leaves: Vec<Digest> = (0..size).map(|leaf| Digest::of(&leaf.to_be_bytes())).collect();
        let (a, b) = (a.index(size + 1), b.index(size + 1));
        let (a, b) = (a.min(b), a.max(b));
        let proof = schemas::range_proof(&leaves, a..b);
        let root = schemas::root(&leaves);
        prop_assert_eq!(schemas::root_from_range(&leaves[a..b], a, size, &proof), Some(root));
        let mut changed = leaves[a..b].to_vec();
        if let Some(leaf) = changed.first_mut() {
            *leaf = Digest(other);
            prop_assert_ne!(schemas::root_from_range(&changed, a, size, &proof), Some(root));
        }
    }

    /// Every session of a random segment is proven complete, any other absent, and a proof of the one is none of the other.
    #[test]
    fn sessions_are_complete_or_absent(rows in prop::collection::btree_set((0_u8..20, 0_u64..50), 0..60), asked in 0_u8..20) {
        let session = |number: u8| SessionKey(Digest([number; 32]));
        let row = |&(number, offset): &(u8, u64)| {
            Neighbour { session: session(number), offset: Offset(offset), row: Digest::of(&[number]) }
        };
        let all: Vec<Neighbour> = rows.iter().map(row).collect();
        let leaf = |row: &Neighbour| schemas::leaf(&row.session, row.offset, &row.row);
        let size = u64::try_from(all.len()).unwrap();
        let root = schemas::root(&all.iter().map(leaf).collect::<Vec<_>>());
        let proof = SessionProof::new(&all, session(asked));
        let own: Vec<Neighbour> = all.iter().filter(|row| row.session == session(asked)).copied().collect();
        prop_assert_eq!(proof.check(session(asked), root, size), Ok(own.as_slice()));
        prop_assert!(proof.check(session(asked), root, size + 1).is_err());
        for left_out in 0..proof.rows.len() {
            let mut fewer = proof.clone();
            fewer.rows.remove(left_out);
            prop_assert!(fewer.check(session(asked), root, size).is_err());
        }
    }
}
