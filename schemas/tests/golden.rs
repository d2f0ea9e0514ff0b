//! Vectors from `golden/make.py`, which shares no code with this crate.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use schemas::{
    Body, Carriage, Digest, EnrolledRecord, EpochOpening, Event, Gaps, Hasher, Header, KafkaKey,
    Malformed, Message, Neighbour, Offset, Partition, Place, Published, RangeProof, Reason, Salt,
    SegmentRecord, SessionKey, SessionProof, TerminalObject, Timestamp, TimestampType, signature,
};
use serde_json::Value;

fn load(name: &str) -> Value {
    let path = format!("{}/golden/v1/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    let digits = text(value);
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect()
}

fn opt(value: &Value) -> Option<Vec<u8>> {
    (!value.is_null()).then(|| bytes(value))
}

fn digest(value: &Value) -> Digest {
    text(value).parse().unwrap()
}

fn salt(value: &Value) -> Salt {
    Salt(bytes(value).try_into().unwrap())
}

fn size(value: &Value) -> usize {
    value.as_u64().unwrap().try_into().unwrap()
}

fn headers(value: &Value) -> Vec<(String, Option<Vec<u8>>)> {
    let pair = |pair: &Value| match pair {
        Value::Array(pair) => (text(&pair[0]).to_owned(), opt(&pair[1])),
        pair => (text(&pair["key"]).to_owned(), opt(&pair["value"])),
    };
    list(value).iter().map(pair).collect()
}

fn headers_bytes(value: &Value) -> Option<Vec<u8>> {
    let owned = headers(value);
    let borrowed: Vec<Header<'_>> =
        owned.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect();
    schemas::headers_bytes(&borrowed)
}

#[test]
fn digests_are_those_of_the_independent_script() {
    let mut checked = 0;
    for case in list(&load("digests")) {
        let (name, inputs, expected) = (text(&case["name"]), &case["inputs"], &case["expected"]);
        let computed = match name {
            "session_key" => {
                let key = format!("{}/{}", text(&inputs["tenant"]), text(&inputs["session_id"]));
                KafkaKey::parse(key.as_bytes()).unwrap().session_key().0
            }
            "body_digest" => {
                schemas::body_digest(&salt(&inputs["salt"]), &bytes(&inputs["content"]))
            }
            "event_digest" => {
                let schema = bytes(&inputs["schema_digest"]);
                Hasher::new("event").bytes(&schema).bytes(&bytes(&inputs["envelope"])).finish()
            }
            "raw_digest" => {
                schemas::raw_digest(&salt(&inputs["salt"]), opt(&inputs["value"]).as_deref())
            }
            "context_digest" => {
                let digests: Vec<Digest> = list(&inputs["digests"]).iter().map(digest).collect();
                schemas::context_digest(&digests)
            }
            "headers_digest" => match headers_bytes(&inputs["headers"]) {
                None => Digest::ZERO,
                Some(headers) => schemas::headers_digest(&salt(&inputs["salt"]), &headers),
            },
            "row_digest" => schemas::row_digest(
                &digest(&inputs["event_digest"]),
                &digest(&inputs["carriage_digest"]),
            ),
            "leaf" => {
                let offset = Offset(inputs["offset"].as_u64().unwrap());
                schemas::leaf(
                    &SessionKey(digest(&inputs["session_key"])),
                    offset,
                    &digest(&inputs["row_digest"]),
                )
            }
            "schema_digest" => Digest::of(Published::LATEST.text.as_bytes()),
            // Carriages and items come whole, inside messages, in `events.json`.
            _ => continue,
        };
        assert_eq!(computed, digest(expected), "{name} {inputs}");
        checked += 1;
    }
    assert!(checked > 25, "{checked}");
}

#[test]
fn headers_partitions_and_the_frame_are_those_of_the_independent_script() {
    for case in list(&load("digests")) {
        let (inputs, expected) = (&case["inputs"], &case["expected"]);
        match text(&case["name"]) {
            "headers" => {
                let Some(encoded) = headers_bytes(&inputs["headers"]) else { continue };
                assert_eq!(encoded, bytes(expected));
                let parsed = schemas::parse_headers(&encoded).unwrap();
                assert_eq!(schemas::headers_bytes(&parsed).unwrap(), encoded);
            }
            "partition" => {
                let partitions = u32::try_from(size(&inputs["partitions"])).unwrap();
                let partition = schemas::partition_of(&bytes(&inputs["key"]), partitions);
                assert_eq!(u64::from(partition.0), expected.as_u64().unwrap());
            }
            "frame" => assert_eq!(Published::LATEST.frame().to_vec(), bytes(expected)),
            "fingerprint" => {
                assert_eq!(format!("{:016x}", Published::LATEST.fingerprint), text(expected));
            }
            _ => {}
        }
    }
}

#[test]
fn signatures_are_good_where_the_independent_script_says_so() {
    let cases = load("signatures");
    for case in list(&cases) {
        let (alg, value) = (text(&case["alg"]), bytes(&case["value"]));
        let record = schemas::Signature { key_id: "k".into(), alg: alg.into(), value: &value };
        let key = signature::public_key(&bytes(&case["key"]));
        let event = digest(&case["event_digest"]);
        let good = key.is_some_and(|key| signature::check_record(&key, &event, &record));
        assert_eq!(Some(good), case["good"].as_bool(), "{}", text(&case["name"]));
    }
    assert!(list(&cases).len() > 15);
}

#[test]
fn every_message_becomes_the_row_the_independent_script_expects() {
    let (mut events, mut raws) = (0, std::collections::BTreeSet::new());
    for case in list(&load("events")) {
        let name = text(&case["name"]);
        let (key, value) = (opt(&case["key"]), opt(&case["value"]));
        let kind =
            TimestampType::from_code(case["timestamp_type"].as_i64().unwrap().try_into().unwrap())
                .unwrap();
        let message = Message {
            offset: Offset(case["offset"].as_u64().unwrap()),
            timestamp: Timestamp { kind, millis: case["timestamp"].as_i64().unwrap_or_default() },
            key: key.as_deref(),
            value: value.as_deref(),
        };
        let number = |field: &str| u32::try_from(size(&case[field])).unwrap();
        let place =
            Place { partition: Partition(number("partition")), partitions: number("partitions") };
        let expected = &case["expected"];
        let headers_digest = match headers_bytes(&case["headers"]) {
            None => Digest::ZERO,
            Some(headers) => schemas::headers_digest(&salt(&expected["headers_salt"]), &headers),
        };
        assert_eq!(headers_digest, digest(&expected["headers_digest"]), "{name}");
        let carriage = Carriage { timestamp: message.timestamp, key: message.key, headers_digest };
        let read = match &case["registry"] {
            Value::Null => schemas::read(&message, place),
            ids => schemas::read_confluent(&message, place, |id| {
                Published::of_digest(&digest(ids.get(id.to_string())?))
            }),
        };
        let (session, event, carriage) = match read {
            Ok(event) => {
                assert_eq!(text(&expected["kind"]), "event", "{name}");
                check_event(name, message.value.unwrap(), &event, expected);
                events += 1;
                (event.session_key, event.event_digest, carriage.of_event(&event))
            }
            Err(Malformed { reason, session_key, detail }) => {
                assert_eq!(text(&expected["kind"]), "raw", "{name}: {detail}");
                assert_eq!(
                    Some(reason),
                    Reason::parse(text(&expected["reason"])),
                    "{name}: {detail}"
                );
                raws.insert(reason);
                let event = schemas::raw_digest(&salt(&expected["raw_salt"]), message.value);
                (session_key, event, carriage.of_raw(reason))
            }
        };
        let row = schemas::row_digest(&event, &carriage);
        for (computed, field) in [
            (session.0, "session_key"),
            (event, "event_digest"),
            (carriage, "carriage_digest"),
            (row, "row_digest"),
            (schemas::leaf(&session, message.offset, &row), "leaf"),
        ] {
            assert_eq!(computed, digest(&expected[field]), "{name}: {field}");
        }
    }
    assert!(events >= 10, "{events}");
    assert_eq!(raws.len(), Reason::ALL.len(), "every reason has a vector: {raws:?}");
}

fn check_event(name: &str, value: &[u8], event: &Event<'_>, expected: &Value) {
    assert_eq!(event.frame, bytes(&expected["frame"]), "{name}");
    assert_eq!(event.envelope_bytes, bytes(&expected["envelope"]), "{name}");
    assert_eq!(event.envelope.to_bytes(), event.envelope_bytes, "{name}: written as it was read");
    assert_eq!(event.signature.map(<[u8]>::to_vec), opt(&expected["signature"]), "{name}");
    assert_eq!(event.admission.map(<[u8]>::to_vec), opt(&expected["admission"]), "{name}");
    let mut rebuilt = Vec::new();
    schemas::write_framed(
        &mut rebuilt,
        event.frame,
        event.envelope_bytes,
        event.signature,
        event.admission,
        &event.bodies,
    );
    assert_eq!(rebuilt, value, "{name}: rebuilt");
    let derived: Vec<Digest> = event.bodies.iter().filter_map(derived).collect();
    let inline: Vec<Digest> =
        event.bodies.iter().filter(|body| body.is_inline_clear()).map(|body| body.digest).collect();
    assert_eq!(derived, inline, "{name}");
}

fn derived(body: &Body<'_>) -> Option<Digest> {
    body.is_inline_clear().then(|| schemas::body_digest(&body.salt.unwrap(), body.data.unwrap()))
}

#[test]
fn trees_and_proofs_are_those_of_the_independent_script() {
    let vectors = load("merkle");
    let leaves: Vec<Digest> = list(&vectors["leaves"]).iter().map(digest).collect();
    let root = |n: usize| schemas::root(&leaves[..n]);
    for case in list(&vectors["roots"]) {
        assert_eq!(root(size(&case["n"])), digest(&case["root"]));
    }
    let digests = |value: &Value| list(value).iter().map(digest).collect::<Vec<_>>();
    for case in list(&vectors["inclusion"]) {
        let (n, i, proof) = (size(&case["n"]), size(&case["i"]), digests(&case["proof"]));
        assert_eq!(schemas::inclusion_proof(&leaves[..n], i), proof, "{case}");
        assert_eq!(schemas::root_from_inclusion(&leaves[i], i, n, &proof), Some(root(n)));
        let longer = [proof.as_slice(), &[Digest::ZERO]].concat();
        assert_eq!(schemas::root_from_inclusion(&leaves[i], i, n, &longer), None);
    }
    for case in list(&vectors["ranges"]) {
        let (n, a, b) = (size(&case["n"]), size(&case["a"]), size(&case["b"]));
        let proof = RangeProof { left: digests(&case["left"]), right: digests(&case["right"]) };
        assert_eq!(schemas::range_proof(&leaves[..n], a..b), proof, "{case}");
        assert_eq!(schemas::root_from_range(&leaves[a..b], a, n, &proof), Some(root(n)), "{case}");
        if n > 0 {
            let mut more = proof.clone();
            more.left.push(Digest::ZERO);
            assert_eq!(schemas::root_from_range(&leaves[a..b], a, n, &more), None, "{case}");
        }
    }
}

#[test]
fn records_are_those_of_the_independent_script() {
    let vectors = load("records");
    for name in ["segment_record", "segment_record_embedded"] {
        let record = text(&vectors[name]);
        assert_eq!(SegmentRecord::parse(record).unwrap().to_string(), record);
    }
    let enrolled = &vectors["enrolled_record"];
    let record = EnrolledRecord::parse(text(&enrolled["text"])).unwrap();
    assert_eq!(record.leaf_hash(), digest(&enrolled["leaf_hash"]));
    for name in ["epoch_opening_genesis", "epoch_opening_later"] {
        let opening = EpochOpening::parse(text(&vectors[name]["text"])).unwrap();
        assert_eq!(opening.leaf_hash(), digest(&vectors[name]["leaf_hash"]));
    }
    let terminal = vectors["terminal"].get("text").unwrap_or(&vectors["terminal"]);
    assert!(TerminalObject::is_at_head_of(text(terminal).as_bytes()));
    TerminalObject::parse(text(terminal)).unwrap();
    let gaps = Gaps::parse(text(&vectors["gaps"]["text"])).unwrap();
    assert_eq!(gaps.summary().digest, Some(digest(&vectors["gaps"]["digest"])));
    for name in ["claims", "claims_one_absent"] {
        let claims = schemas::Counted::of("claims", Some(text(&vectors[name]["text"])));
        assert_eq!(claims.digest, Some(digest(&vectors[name]["digest"])));
    }
}

/// One changed byte of a record is another text, and every text that parses prints itself.
#[test]
fn a_record_that_is_spelled_otherwise_is_refused() {
    let vectors = load("records");
    let record = text(&vectors["segment_record"]);
    for other in [
        record.replace("epoch 2", "epoch 02"),
        record.replace("epoch 2", "epoch +2"),
        record.replace('\n', "\r\n"),
        format!("{record}\n"),
        format!("{record}more 1\n"),
        record.trim_end().to_owned(),
        record.replace("rows 12", "rows -12"),
        record.replace("2033-01-01T00:00:00Z", "2033-01-01T00:00:00+00:00"),
    ] {
        assert!(SegmentRecord::parse(&other).is_err(), "{other}");
    }
}

#[test]
fn sessions_are_proven_complete_or_absent_as_the_independent_script_does() {
    for case in list(&load("proofs")) {
        let neighbour = |value: &Value| Neighbour {
            session: SessionKey(digest(&value["session_key"])),
            offset: Offset(value["offset"].as_u64().unwrap()),
            row: digest(&value["row_digest"]),
        };
        let shown: Vec<Neighbour> = [&case["before"]]
            .into_iter()
            .chain(list(&case["leaves"]))
            .chain([&case["after"]])
            .filter(|value| !value.is_null())
            .map(neighbour)
            .collect();
        let digests = |value: &Value| list(value).iter().map(digest).collect();
        let proof = SessionProof {
            size: size(&case["rows"]),
            start: size(&case["range"][0]),
            rows: shown,
            range: RangeProof { left: digests(&case["left"]), right: digests(&case["right"]) },
        };
        let session = SessionKey(digest(&case["session_key"]));
        let root = digest(&case["root"]);
        let rows = case["rows"].as_u64().unwrap();
        let found = proof.check(session, root, rows).unwrap_or_else(|why| panic!("{why}: {case}"));
        assert_eq!(found.len(), list(&case["leaves"]).len(), "{case}");
        assert!(proof.check(session, Digest::ZERO, rows).is_err());
        let mut fewer = proof.clone();
        if fewer.rows.pop().is_some() {
            assert!(fewer.check(session, root, rows).is_err(), "a row left out is found: {case}");
        }
    }
}
