//! Histories that went on in a second epoch, and events that their sources signed.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use replay::{Position, Source, Sources, VerifyOptions, trace, verify};
use schemas::signature::{SigningKey, sign};
use schemas::{Framing, Published, SchemaId, Signature, encode_value};

use crate::kit::writer::{KNOWN, Sent, Writer};
use crate::kit::{Objects, delete, empty, keys, kinds, report, store};

/// Two messages, and two others at the same offsets after the topic was cut short.
async fn cut_short() -> Objects {
    let objects = empty();
    let mut writer = Writer::new(&objects).await;
    for _ in 0..2 {
        let sent = [message(&mut writer), message(&mut writer)];
        writer.seal(&sent).await;
        if writer.epoch() == 0 {
            writer.go_on("truncated", 0, None).await;
        }
    }
    objects
}

fn message(writer: &mut Writer) -> Sent {
    let envelope = writer.envelope("s-1", "user.message");
    Writer::message(&envelope, &[]).0
}

#[tokio::test]
async fn offsets_that_come_again_are_told_and_never_mixed_up() {
    let objects = cut_short().await;
    let report = report(&objects).await;
    assert_eq!((report.ok, report.events), (true, 4), "{:?}", report.findings);
    let words: Vec<&str> = report.losses.iter().map(|loss| loss.words.as_str()).collect();
    assert!(words.len() == 1 && words[0].contains("offsets 0 to 1 in both"), "{words:?}");
    let trace = trace(&store(&objects), None, "s-1").await.unwrap();
    let at: Vec<Position> =
        trace.turns.iter().flat_map(|turn| &turn.steps).map(|step| step.at).collect();
    let position = |epoch, offset| Position { epoch, offset };
    assert_eq!(at, [position(0, 0), position(0, 1), position(1, 0), position(1, 1)]);
    assert_eq!((at[1].to_string(), at[2].to_string()), ("#1".into(), "#0 of epoch 1".into()));
}

#[tokio::test]
async fn an_epoch_that_was_not_closed_before_the_next_is_found() {
    let objects = cut_short().await;
    let end = "segments/events/00000/0000000000/00000000000000000002.parquet";
    assert!(keys(&objects).await.contains(&end.to_owned()));
    delete(&objects, end).await;
    assert_eq!(kinds(&report(&objects).await), ["epoch"]);
}

#[tokio::test]
async fn lost_offsets_are_named_and_no_finding() {
    let objects = empty();
    let mut writer = Writer::new(&objects).await;
    let sent = [message(&mut writer)];
    writer.seal(&sent).await;
    writer.go_on("overtaken", 5, Some(1..5)).await;
    let sent = [message(&mut writer)];
    writer.seal(&sent).await;
    let found = report(&objects).await;
    assert!(found.ok, "{:?}", found.findings);
    let loss = &found.losses[0];
    assert_eq!((loss.first, loss.next, loss.reason.as_str()), (Some(1), Some(5), "overtaken"));
    let mut out = Vec::new();
    replay::emit::terminal::report(&found, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(
        text.contains("LOST: events/0: offsets 1 to 4 lost before they could be sealed"),
        "{text}"
    );
}

#[tokio::test]
async fn a_chain_with_confluent_framing_is_read_like_any_other() {
    let objects = empty();
    let mut writer = Writer::framed(&objects, Framing::Confluent).await;
    let reframed = |(key, value): Sent, id: SchemaId| {
        let value = value.unwrap();
        (key, Some([&id.frame()[..], &value[10..]].concat()))
    };
    let mut sent: Vec<Sent> =
        [KNOWN, SchemaId(8)].map(|id| reframed(message(&mut writer), id)).into();
    sent.push(message(&mut writer));
    sent.push((b"acme/s-1".to_vec(), Some(vec![0, 0])));
    writer.seal(&sent).await;
    let report = report(&objects).await;
    assert_eq!((report.events, report.raw), (1, 3), "{:?}", report.findings);
    assert_eq!(report.findings, []);
    let trace = trace(&store(&objects), None, "s-1").await.unwrap();
    let steps: usize = trace.turns.iter().map(|turn| turn.steps.len()).sum();
    assert_eq!((steps, trace.totals.rows), (1, 4));
    let unknown = "undecodable message: schema";
    assert!(trace.holes.iter().any(|hole| hole.reason.starts_with(unknown)), "{:?}", trace.holes);
}

#[tokio::test]
async fn signatures_are_judged_by_the_keys_that_are_given() {
    let key = SigningKey::from_bytes(&[7; 32]);
    let objects = empty();
    let mut writer = Writer::new(&objects).await;
    let mut sent = Vec::new();
    // Right, by a key that nobody knows, another's signature, none at all, and none where none is needed.
    for (producer, signed) in
        [("p", Some("k")), ("q", Some("other")), ("p", Some("k")), ("p", None), ("q", None)]
    {
        let mut envelope = writer.envelope("s-1", "user.message");
        envelope.producer_id = Some(producer.into());
        let (_, digest) = Writer::message(&envelope, &[]);
        let over = if sent.len() == 2 { schemas::Digest::ZERO } else { digest };
        let value = sign(&key, &over).to_bytes();
        let record = signed.map(|key_id| {
            Signature { key_id: key_id.into(), alg: "ed25519".into(), value: &value }.to_bytes()
        });
        let (schema, bytes) = (&Published::LATEST, envelope.to_bytes());
        let value = encode_value(schema, &bytes, record.as_deref(), None, &[]);
        sent.push((b"acme/s-1".to_vec(), Some(value)));
    }
    writer.seal(&sent).await;

    let source = Source {
        key_id: "k".to_owned(),
        tenant: "acme".to_owned(),
        public_key: BASE64_STANDARD.encode(key.verifying_key().to_bytes()),
        required: true,
        producer_id: Some("p".to_owned()),
    };
    let sources = Arc::new(Sources::new(vec![source.clone()]).unwrap());
    let options = VerifyOptions { sources: Some(&sources), ..VerifyOptions::default() };
    let found = verify(&store(&objects), options).await.unwrap();
    let offsets: Vec<_> = found.findings.iter().map(|finding| finding.offset.unwrap()).collect();
    assert_eq!((kinds(&found), offsets), (vec!["signature"], vec![2, 3]), "{:?}", found.findings);
    let counts = found.signatures.unwrap();
    assert_eq!((counts.right, counts.unknown_keys, counts.unsigned), (1, 1, 1));
    let unknown = "signatures of 1 events: their keys are not among those given";
    assert!(found.not_checked.iter().any(|what| what == unknown), "{:?}", found.not_checked);
    assert!(report(&objects).await.ok, "without keys nothing is judged");

    let twice = Sources::new(vec![source.clone(), source.clone()]);
    let nobody = Sources::new(vec![Source { producer_id: None, ..source.clone() }]);
    let none = Sources::new(vec![Source { public_key: "AAAA".to_owned(), ..source }]);
    assert!(twice.is_err() && nobody.is_err() && none.is_err());
}
