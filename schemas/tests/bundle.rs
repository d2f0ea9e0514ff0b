//! The texts of a bundle: printed and read again they are the same, and a text that was changed is refused or is spelled as it
//! would be printed.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use schemas::tlog::KeyName;
use schemas::{
    BundleName, Claim, Claimed, Digest, KafkaKey, Monitor, Neighbour, Offset, Partition,
    RangeProof, Reason, Rows, Seconds, SessionKey, Shown, ShownBody, ShownContent, ShownEvent,
    ShownRow, Timestamp, TimestampType, Topic,
};

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest)
}

fn time() -> impl Strategy<Value = Timestamp> {
    let kinds = vec![TimestampType::None, TimestampType::CreateTime, TimestampType::LogAppendTime];
    (select(kinds), any::<i64>()).prop_map(|(kind, millis)| {
        let millis = if kind == TimestampType::None { 0 } else { millis };
        Timestamp { kind, millis }
    })
}

fn content() -> impl Strategy<Value = ShownContent> {
    let body = (digest(), proptest::option::of(digest()))
        .prop_map(|(digest, item)| ShownBody { digest, item });
    let bytes = || vec(any::<u8>(), 0..40);
    let optional = || proptest::option::of(bytes());
    let event = (digest(), bytes(), bytes(), optional(), optional(), vec(body, 0..3)).prop_map(
        |(schema, frame, envelope, signature, admission, bodies)| {
            let event = ShownEvent { schema, frame, envelope, signature, admission, bodies };
            ShownContent::Event(event)
        },
    );
    let raw = (digest(), select(Reason::ALL.to_vec()));
    prop_oneof![event, raw.prop_map(|(digest, reason)| ShownContent::Raw(digest, reason))]
}

fn shown() -> impl Strategy<Value = Shown> {
    let other = (digest(), any::<u64>(), digest()).prop_map(|(session, offset, row)| {
        Shown::Other(Neighbour { session: SessionKey(session), offset: Offset(offset), row })
    });
    let row = (any::<u64>(), time(), digest(), content()).prop_map(
        |(offset, timestamp, headers, content)| {
            let row = ShownRow { offset: Offset(offset), timestamp, headers, content };
            Shown::Row(Box::new(row))
        },
    );
    prop_oneof![other, row]
}

fn rows() -> impl Strategy<Value = Rows> {
    let hashes = || vec(digest(), 0..4);
    (any::<u64>(), any::<u64>(), hashes(), hashes(), vec(shown(), 0..5)).prop_map(
        |(size, start, left, right, shown)| Rows {
            size,
            start,
            range: RangeProof { left, right },
            shown,
        },
    )
}

fn claim() -> impl Strategy<Value = Claim> {
    let what = prop_oneof![
        digest().prop_map(Claimed::Event),
        Just(Claimed::Session),
        (any::<i32>(), 1_i64..1 << 40).prop_map(|(from, length)| {
            Claimed::Absent(i64::from(from)..i64::from(from) + length)
        }),
    ];
    let seconds = || (0_i64..1 << 34).prop_map(Seconds);
    let monitor = proptest::option::of((any::<u64>(), seconds()));
    let numbers = any::<[u64; 4]>();
    (what, "[a-z0-9-]{1,8}/.{1,20}", numbers, monitor, seconds()).prop_map(
        |(what, key, [size, links, disclosed, withheld], monitor, made_at)| Claim {
            what,
            origin: KeyName::new("example.org/log").unwrap(),
            size,
            topic: Topic::new("events").unwrap(),
            partition: Partition(3),
            key: KafkaKey::parse(key.as_bytes()).unwrap(),
            links,
            disclosed,
            withheld,
            monitor: monitor.map(|(size, at)| Monitor { size, at }),
            made_at,
            writer: "chancery/1".to_owned(),
        },
    )
}

/// The text with a few bytes changed, as far as it is text.
fn changed(text: &str, changes: &[(Index, u8)]) -> Option<String> {
    let mut bytes = text.as_bytes().to_vec();
    for (at, byte) in changes {
        let at = at.index(bytes.len());
        bytes[at] = *byte;
    }
    String::from_utf8(bytes).ok()
}

proptest! {
    #[test]
    fn rows_are_read_as_they_were_printed(rows in rows(), changes in vec((any::<Index>(), any::<u8>()), 1..3)) {
        let text = rows.to_string();
        prop_assert_eq!(Rows::parse(&text), Ok(rows));
        if let Some(text) = changed(&text, &changes)
            && let Ok(read) = Rows::parse(&text)
        {
            prop_assert_eq!(read.to_string(), text);
        }
    }

    #[test]
    fn a_claim_is_read_as_it_was_printed(claim in claim(), changes in vec((any::<Index>(), any::<u8>()), 1..3)) {
        let text = claim.to_string();
        prop_assert_eq!(Claim::parse(&text), Ok(claim));
        if let Some(text) = changed(&text, &changes)
            && let Ok(read) = Claim::parse(&text)
        {
            prop_assert_eq!(read.to_string(), text);
        }
    }

    #[test]
    fn no_text_is_read_with_a_panic(text: String) {
        let _rows = Rows::parse(&format!("chancery/rows@v1\n{text}"));
        let _claim = Claim::parse(&format!("chancery/bundle@v1\n{text}"));
        if let Some(name) = BundleName::parse(&text) {
            prop_assert_eq!(name.to_string(), text);
        }
    }

    #[test]
    fn a_proof_of_a_tree_of_any_size_is_refused_without_a_panic(size: u64, start: u64, hashes in vec(digest(), 0..70)) {
        let rows = Rows {
            size,
            start,
            range: RangeProof { left: hashes.clone(), right: hashes.clone() },
            shown: vec![],
        };
        let key = KafkaKey::parse(b"t/s").unwrap();
        let proof = rows.proof(&key);
        prop_assert!(proof.check(key.session_key(), Digest::ZERO, size).is_err());
        let (index, size) = (usize::try_from(start).unwrap(), usize::try_from(size).unwrap());
        let root = schemas::root_from_inclusion(&Digest::ZERO, index, size, &hashes);
        prop_assert_ne!(root, Some(Digest::ZERO));
    }
}

#[test]
fn names_are_those_of_the_format() {
    let names = [
        (BundleName::Claim, "bundle"),
        (BundleName::Entry(7), "links/00000007/entry"),
        (BundleName::Timestamp("tsa-1".to_owned()), "timestamps/tsa-1.tsr"),
        (BundleName::HeartbeatProof, "heartbeat/proof"),
        (BundleName::Page, "bundle.html"),
    ];
    for (name, text) in names {
        assert_eq!((name.to_string().as_str(), BundleName::parse(text)), (text, Some(name)));
    }
    let others = ["", "/bundle", "links/7/entry", "links/00000007/entries", "timestamps/A.tsr"];
    for other in others {
        assert_eq!(BundleName::parse(other), None, "{other}");
    }
}

#[test]
fn an_absence_of_no_time_is_no_claim() {
    let (from, to) = (5, 5);
    let text = format!(
        "chancery/bundle@v1\nclaim absent\norigin o\nsize 1\ntopic t\npartition 0\nkey dC9z\nevent -\nfrom {from}\nto {to}\nlinks 1\n\
         disclosed 0\nwithheld 0\nmonitor -\nmade_at 2026-01-01T00:00:00Z\nwriter x/1\n"
    );
    assert!(Claim::parse(&text).is_err());
    assert!(Claim::parse(&text.replace("to 5", "to 6")).is_ok());
    assert!(
        Claim::parse(
            &text.replace("to 5", "to 6").replace("event -", &format!("event {}", Digest::ZERO))
        )
        .is_err()
    );
}
