//! Events in Avro over a real connection, signed and not.

use std::path::Path;

use ingest::sources::{self, New, Source, Sources};
use ingest::{Auth, Config, Gateway, Sink};
use reqwest::StatusCode;
use schemas::signature::{ALGORITHM, SigningKey, from_pem, sign};
use schemas::{
    Body, Content, Digest, Envelope, EventId, Hasher, Micros, Published, Salt, Signature, Tenant,
    body_digest, encode_value,
};
use serde_json::{Value, json};
use spool::Spool;

use crate::served::{Served, code, event, gzip, parts};

const ONE: &str = "application/avro";
const MANY: &str = "application/vnd.chancery.avro-frames";

/// An event of session `s`, signed by whoever is named.
fn message(id: u8, producer: Option<&str>, signer: Option<(&str, &SigningKey)>) -> Vec<u8> {
    let (salt, text) = (Salt([id; 16]), format!("text {id}"));
    let digest = body_digest(&salt, text.as_bytes());
    let size = u64::try_from(text.len()).unwrap();
    let [role, kind, media_type] = ["user", "text", "text/plain"].map(Into::into);
    let envelope = Envelope {
        event_id: EventId([id; 16]),
        nonce: salt,
        tenant: "acme".into(),
        session_id: "s".into(),
        kind: "user.message".into(),
        capture_source: "sdk".into(),
        occurred_at: Micros(1_790_000_000_000_000),
        producer_id: producer.map(Into::into),
        contents: vec![Content { role, kind, media_type, size, digest }],
        ..Envelope::blank()
    };
    let (schema, envelope) = (Published::LATEST, envelope.to_bytes());
    let event = Hasher::new("event").bytes(&schema.digest.0).bytes(&envelope).finish();
    let signature = signer.map(|(key_id, key)| {
        let value = sign(key, &event).to_bytes();
        Signature { key_id: key_id.into(), alg: ALGORITHM.into(), value: &value }.to_bytes()
    });
    let bodies = [Body { digest, salt: Some(salt), data: Some(text.as_bytes()), enc: None }];
    encode_value(&schema, &envelope, signature.as_deref(), None, &bodies)
}

fn series(messages: &[Vec<u8>]) -> Vec<u8> {
    let length = |message: &Vec<u8>| u32::try_from(message.len()).unwrap().to_be_bytes();
    messages.iter().flat_map(|message| [&length(message)[..], message].concat()).collect()
}

impl Served {
    async fn avro(&self, media_type: &str, body: Vec<u8>) -> (StatusCode, Value) {
        let url = format!("http://{}/v1/events", self.address);
        let request = self.client.post(url).header("content-type", media_type).body(body);
        parts(request.send().await.unwrap()).await
    }
}

/// A gateway that checks signatures by the file `sources.toml`, and who is in it.
async fn with_sources(add: impl FnOnce(&Path, &Path)) -> Served {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sources.toml");
    add(&path, dir.path());
    let (spool, _) = Spool::open(&dir.path().join("spool"), spool::Config::default()).unwrap();
    let auth = Auth::loopback(Tenant::new("acme").unwrap());
    let sink = Sink::spool(spool.clone()).unwrap();
    let gateway = Gateway::new(Config::default(), sink, auth, 7).unwrap();
    Served::run(dir, spool, gateway.with_sources(Sources::open(&path).unwrap())).await
}

fn source(path: &Path, folder: &Path, producer: Option<&str>) -> (Source, SigningKey) {
    let (tenant, required) = ("acme".to_owned(), producer.is_some());
    let private = folder.join(format!("{}.pem", producer.unwrap_or("any")));
    let producer_id = producer.map(str::to_owned);
    let new = New { tenant, key_id: None, producer_id, required };
    let source = sources::create(path, &private, new).unwrap();
    (source, from_pem(&std::fs::read_to_string(private).unwrap()).unwrap())
}

#[tokio::test]
async fn events_in_avro_go_to_the_log_as_they_came() {
    let served = Served::new(Config::default()).await;
    let messages = [1, 2, 3].map(|id| message(id, None, None));
    let (status, answer) = served.avro(ONE, messages[0].clone()).await;
    assert_eq!((status, &answer["accepted"]), (StatusCode::OK, &json!(1)), "{answer}");
    let (status, many) = served.avro(MANY, series(&messages)).await;
    assert_eq!((status, &many["accepted"]), (StatusCode::OK, &json!(3)), "{many}");
    assert_eq!(many["events"][0], answer["events"][0], "the first is a repeat");
    let records = served.records();
    let events: Vec<_> = records.iter().map(event).collect();
    assert_eq!(events.len(), 3);
    for (event, message) in events.iter().zip(&messages) {
        let begin = [event.frame, event.envelope_bytes].concat();
        assert!(message.starts_with(&begin));
        let digest: Digest = event.event_digest;
        assert!(
            many["events"]
                .as_array()
                .unwrap()
                .iter()
                .any(|e| e["event_digest"] == digest.to_string())
        );
    }
}

#[tokio::test]
async fn a_series_may_be_compressed_and_an_announcement_may_have_parameters() {
    let served = Served::new(Config::default()).await;
    let url = format!("http://{}/v1/events", served.address);
    let body = gzip(&series(&[message(1, None, None), message(2, None, None)]));
    let request = served.client.post(url).header("content-type", format!("{MANY}; v=1"));
    let response = request.header("content-encoding", "gzip").body(body).send().await.unwrap();
    let (status, answer) = parts(response).await;
    assert_eq!((status, &answer["accepted"]), (StatusCode::OK, &json!(2)), "{answer}");
    let (status, answer) = served.avro("avro/binary", message(3, None, None)).await;
    assert_eq!((status.as_u16(), code(&answer)), (415, "unsupported_media_type"));
    let (status, answer) = served.avro(ONE, vec![0, 0, 0, 0, 7]).await;
    assert_eq!((status.as_u16(), code(&answer)), (400, "invalid_body"), "there is no registry");
    assert_eq!(served.records().len(), 2);
}

#[tokio::test]
async fn signatures_are_checked_and_demanded_where_the_sources_say_so() {
    let mut keys = Vec::new();
    let served = with_sources(|path, folder| {
        keys.push(source(path, folder, None));
        keys.push(source(path, folder, Some("billing")));
    })
    .await;
    let [(any, any_key), (billing, billing_key)] = keys.try_into().unwrap();
    let (any, billing) = (any.key_id.as_str(), billing.key_id.as_str());
    for (id, producer, signer, expected) in [
        (1, None, None, 200),
        (2, None, Some((any, &any_key)), 200),
        (3, None, Some(("nobody", &any_key)), 200),
        (4, None, Some((any, &billing_key)), 422),
        (5, Some("billing"), Some((billing, &billing_key)), 200),
        (6, Some("billing"), None, 422),
        (7, Some("billing"), Some(("nobody", &billing_key)), 422),
        (8, Some("other"), Some((billing, &billing_key)), 422),
    ] {
        let (status, answer) = served.avro(ONE, message(id, producer, signer)).await;
        assert_eq!(status.as_u16(), expected, "{id}: {answer}");
        assert!(expected == 200 || code(&answer) == "signature", "{answer}");
    }
    let unsigned = json!({"session_id": "s", "kind": "a", "producer_id": "billing"}).to_string();
    let (status, answer) = served.post(unsigned).await;
    assert_eq!((status.as_u16(), code(&answer)), (422, "signature"), "nor in JSON");
    assert_eq!(answer["error"]["field"], "events[0].signature");
    // All or nothing, in a series too.
    let bad = series(&[message(9, None, None), message(10, Some("billing"), None)]);
    assert_eq!(served.avro(MANY, bad).await.0.as_u16(), 422);
    assert_eq!(served.records().len(), 4);
    let (_, metrics) = served.get("/metrics").await;
    for line in ["outcome=\"unsigned\"} 1", "outcome=\"unknown_key\"} 1", "outcome=\"good\"} 2"] {
        let line = format!("chancery_ingest_signatures_total{{{line}");
        assert!(metrics.lines().any(|other| other == line), "{line} is not in\n{metrics}");
    }
}
