//! Segments of a topic with Confluent framing.

use schemas::{
    Body, Chain, Content, Envelope, Epoch, EventId, KafkaKey, Offset, PUBLISHED, Partition, Reason,
    Salt, SchemaId, SessionId, Tenant, Timestamp, Topic, body_digest, encode_framed,
};

use super::*;
use crate::decode;

const OURS: SchemaId = SchemaId(7);
const OTHER: SchemaId = SchemaId(8);

fn value(frame: &[u8]) -> Vec<u8> {
    let (salt, data) = (Salt([1; 16]), b"hello");
    let digest = body_digest(&salt, data);
    let [role, kind, media_type] = ["user", "text", "text/plain"].map(Into::into);
    let envelope = Envelope {
        event_id: EventId([1; 16]),
        tenant: "acme".into(),
        session_id: "s".into(),
        kind: "a".into(),
        contents: vec![Content { role, kind, media_type, size: 5, digest }],
        ..Envelope::blank()
    };
    let body = Body { digest, salt: Some(salt), data: Some(data), enc: None };
    encode_framed(frame, &envelope.to_bytes(), None, None, &[body])
}

fn batch(values: &[Vec<u8>]) -> Batch {
    let (tenant, session) = (Tenant::new("acme").unwrap(), SessionId::new("s").unwrap());
    let key = KafkaKey { tenant, session }.to_bytes();
    let mut batch = Batch::new(Offset(0));
    for (offset, value) in (0..).zip(values) {
        let message = Message {
            offset: Offset(offset),
            timestamp: Timestamp::default(),
            key: Some(key.clone()),
            headers: Vec::new(),
            value: Some(value.clone()),
            leader_epoch: None,
        };
        batch.push(message, 0).unwrap();
    }
    batch
}

fn encoded(batch: &Batch) -> Result<Encoded, Error> {
    let chain = Chain {
        cluster: None,
        topic_id: None,
        topic: Topic::new("events").unwrap(),
        partition: Partition(0),
        partitions: 1,
        framing: Framing::Confluent,
        epoch: Epoch(0),
    };
    let head = Head { chain, next: Offset(0), total: 0, prev: Digest::ZERO, leader_epoch: None };
    let terms = Terms { retention_class: "standard".into(), writer: "t/1".into(), lock: None };
    encode(batch, &head, &terms, &[5; 32], &mut Claims::default()).map(Option::unwrap)
}

#[test]
fn a_segment_keeps_confluent_frames_and_seals_raw_what_they_do_not_name() {
    let values = [
        value(&OURS.frame()),
        value(&OTHER.frame()),
        value(&Published::LATEST.frame()),
        vec![0, 0, 0],
        [&OURS.frame()[..], b"garbage"].concat(),
        [&OTHER.frame()[..], b"garbage"].concat(),
    ];
    let mut batch = batch(&values);
    assert_eq!(batch.unknown(), [OURS, OTHER].into());
    batch.learn(OURS, PUBLISHED.last());
    batch.learn(OTHER, None);
    let Encoded { bytes, record } = encoded(&batch).unwrap();
    assert_eq!(record.segment.chain.framing, Framing::Confluent);
    let mut found = Vec::new();
    decode::visit(&bytes, |stored| {
        found.push((stored.message.value.unwrap().to_vec(), stored.raw.map(|(reason, _)| reason)));
        Ok(())
    })
    .unwrap();
    let reasons = [
        None,
        Some(Reason::Schema),
        Some(Reason::Frame),
        Some(Reason::Frame),
        Some(Reason::Encoding),
        Some(Reason::Schema),
    ];
    assert_eq!(found, values.into_iter().zip(reasons).collect::<Vec<_>>());
}

/// A registry that has not answered must not make a message raw.
#[test]
fn nothing_is_encoded_while_it_is_unknown_what_a_frame_names() {
    let mut batch = batch(&[value(&OURS.frame())]);
    assert!(matches!(encoded(&batch), Err(Error::Encode { .. })));
    batch.learn(OURS, PUBLISHED.last());
    assert!(encoded(&batch).is_ok());
}

#[test]
fn what_was_learnt_stays_when_another_has_sealed_a_part() {
    let mut batch = batch(&[value(&OURS.frame()), value(&OURS.frame())]);
    batch.learn(OURS, PUBLISHED.last());
    batch.adopt(Offset(1));
    assert!(batch.unknown().is_empty() && batch.messages().len() == 1);
}
