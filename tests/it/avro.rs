//! Events in Avro through a whole deployment, between events in JSON of the same session.

use schemas::signature::{ALGORITHM, from_pem, sign};
use schemas::{
    Body, Content, ContextPrefix, Envelope, EventId, Hasher, Micros, Published, Salt, Signature,
    body_digest, context_digest, encode_value,
};
use serde_json::{Value, json};

use crate::binary::{expect, up, verified};

/// What a source sends, and what it must know of it afterwards.
struct Sent {
    message: Vec<u8>,
    event_digest: schemas::Digest,
    contents: Vec<schemas::Digest>,
}

/// A signed model call with these new contents, after the first `before` of an earlier one.
fn call(id: u8, key: (&str, &str), before: Option<(&Sent, u64)>, texts: &[&'static str]) -> Sent {
    let [role, kind, media_type] = ["user", "text", "text/plain"];
    let salt = |text: &str| Salt(u128::from(text.as_bytes()[0]).to_be_bytes());
    let digest = |text: &&str| body_digest(&salt(text), text.as_bytes());
    let content = |text: &&str| Content {
        role: role.into(),
        kind: kind.into(),
        media_type: media_type.into(),
        size: text.len().try_into().unwrap(),
        digest: digest(text),
    };
    let count = before.map_or(0, |(_, count)| usize::try_from(count).unwrap());
    let mut whole = before.map_or(Vec::new(), |(sent, _)| sent.contents[..count].to_vec());
    whole.extend(texts.iter().map(digest));
    let envelope = Envelope {
        event_id: EventId([id; 16]),
        nonce: Salt([id; 16]),
        tenant: "default".into(),
        session_id: "s".into(),
        kind: "llm.call".into(),
        capture_source: "sdk".into(),
        occurred_at: Micros(1_790_000_000_000_000 + i64::from(id)),
        context_prefix: before
            .map(|(sent, count)| ContextPrefix { event_digest: sent.event_digest, count }),
        context_digest: Some(context_digest(&whole)),
        contents: texts.iter().map(content).collect(),
        ..Envelope::blank()
    };
    let (schema, envelope) = (Published::LATEST, envelope.to_bytes());
    let event_digest = Hasher::new("event").bytes(&schema.digest.0).bytes(&envelope).finish();
    let pem = std::fs::read_to_string(key.1).unwrap();
    let value = sign(&from_pem(&pem).unwrap(), &event_digest).to_bytes();
    let signature = Signature { key_id: key.0.into(), alg: ALGORITHM.into(), value: &value };
    let body = |text: &&'static str| Body {
        digest: digest(text),
        salt: Some(salt(text)),
        data: Some(text.as_bytes()),
        enc: None,
    };
    let bodies: Vec<Body<'_>> = texts.iter().map(body).collect();
    let message = encode_value(&schema, &envelope, Some(&signature.to_bytes()), None, &bodies);
    Sent { message, event_digest, contents: whole }
}

async fn post(url: &str, media_type: &str, body: Vec<u8>) -> Value {
    let request = reqwest::Client::new().post(format!("{url}/v1/events"));
    let answer = request.header("content-type", media_type).body(body).send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert!(status.is_success(), "{text}");
    serde_json::from_str(&text).unwrap()
}

async fn json_call(url: &str, texts: &[&str]) {
    let item = |text: &&str| json!({"role": "user", "text": text});
    let contents: Vec<Value> = texts.iter().map(item).collect();
    let event = json!({"session_id": "s", "kind": "llm.call", "contents": contents});
    post(url, "application/json", event.to_string().into()).await;
}

#[tokio::test]
async fn signed_events_in_avro_and_events_in_json_make_one_session() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (sources, pem) = (path("sources.toml"), path("key.pem"));
    let new = ["sources", "new", "--tenant", "default", "--sources", &sources, "-o", &pem];
    let key_id = expect(0, &new);
    let key = (key_id.trim(), pem.as_str());
    let listed = expect(0, &["sources", "list", "--sources", &sources, "--json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!((&listed["key_id"], &listed["tenant"]), (&json!(key.0), &json!("default")));
    expect(5, &new); // the file of the private key is there

    let dir = folder.path().join("dir");
    let up = up(&dir);
    json_call(&up.url(), &["a", "b"]).await;
    let first = call(1, key, None, &["c", "d"]);
    let second = call(2, key, Some((&first, 2)), &["e"]);
    let length = |sent: &Sent| u32::try_from(sent.message.len()).unwrap().to_be_bytes();
    let series = [&length(&first)[..], &first.message, &length(&second), &second.message].concat();
    let answer = post(&up.url(), "application/vnd.chancery.avro-frames", series).await;
    let digests = [&first, &second].map(|sent| json!(sent.event_digest.to_string()));
    assert_eq!(
        [&answer["events"][0], &answer["events"][1]].map(|e| e["event_digest"].clone()),
        digests
    );
    json_call(&up.url(), &["a", "b", "c", "d", "e", "f"]).await;
    let third = call(3, key, Some((&second, 3)), &["g"]);
    post(&up.url(), "application/avro", third.message).await;
    assert_eq!(up.end("-TERM"), Some(0));
    assert_eq!(verified(dir.to_str().unwrap()), 5);
}
