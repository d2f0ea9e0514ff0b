//! Events that come as Avro, alone and between others of their session.

use std::collections::BTreeSet;

use schemas::{Admission, Enc, Micros, Salt, Signature, encode_framed};
use serde_json::{Value, json};

use super::bench::{Bench, Sent, read};
use super::*;
use crate::avro_door::Series;

const ID: EventId = EventId([1; 16]);

/// An event as a source writes it.
struct Source<'a> {
    envelope: Envelope<'a>,
    signature: Option<Vec<u8>>,
    admission: Option<Vec<u8>>,
    bodies: Vec<Body<'a>>,
    frame: Vec<u8>,
}

impl<'a> Source<'a> {
    fn new(id: EventId) -> Self {
        let mut envelope = Envelope::blank();
        (envelope.event_id, envelope.occurred_at) = (id, Micros(1));
        (envelope.tenant, envelope.session_id) = ("acme".into(), "s".into());
        (envelope.kind, envelope.capture_source) = ("a".into(), "sdk".into());
        let (signature, admission) = (None, None);
        let frame = Published::LATEST.frame().to_vec();
        Self { envelope, signature, admission, bodies: Vec::new(), frame }
    }

    fn with(mut self, salt: u8, data: &'a [u8]) -> Self {
        let salt = Salt([salt; 16]);
        let (digest, size) = (body_digest(&salt, data), data.len().try_into().unwrap());
        let [role, kind, media_type] = ["user", "text", "text/plain"].map(Into::into);
        self.envelope.contents.push(Content { role, kind, media_type, size, digest });
        self.bodies.push(Body { digest, salt: Some(salt), data: Some(data), enc: None });
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let (signature, admission) = (self.signature.as_deref(), self.admission.as_deref());
        encode_framed(&self.frame, &self.envelope.to_bytes(), signature, admission, &self.bodies)
    }
}

fn series(messages: &[Vec<u8>]) -> Vec<u8> {
    let length = |message: &Vec<u8>| u32::try_from(message.len()).unwrap().to_be_bytes();
    messages.iter().flat_map(|message| [&length(message)[..], message].concat()).collect()
}

fn bench(avro: Series) -> Bench {
    let mut bench = Bench::new();
    bench.avro = Some(avro);
    bench
}

/// Sends one event and learns that it is durable.
fn write(bench: &mut Bench, source: &Source<'_>) -> Sent {
    bench.avro = Some(Series::One);
    let sent = bench.send_bytes(&source.bytes()).unwrap().0.remove(0);
    bench.avro = None;
    bench.settle(&sent, true);
    sent
}

fn text(kind: &str, texts: &[&str]) -> Value {
    let item = |text: &&str| json!({"role": "user", "text": text});
    let contents: Vec<Value> = texts.iter().map(item).collect();
    json!({"session_id": "s", "kind": kind, "contents": contents})
}

#[test]
fn an_event_goes_on_as_it_came_under_an_admission() {
    let mut source = Source::new(ID).with(1, b"one").with(2, b"two");
    let value = [5; 64];
    let signature = Signature { key_id: "k".into(), alg: "ed25519".into(), value: &value };
    source.signature = Some(signature.to_bytes());
    for frame in [Published::LATEST.frame().to_vec(), vec![0, 0, 0, 0, 7]] {
        source.frame = frame;
        let (sent, answers) = bench(Series::One).send_bytes(&source.bytes()).unwrap();
        let event = read(&sent[0]);
        assert_eq!(sent[0].0, b"acme/s");
        assert_eq!(event.envelope_bytes, source.envelope.to_bytes());
        assert_eq!(event.signature, source.signature.as_deref());
        assert_eq!(event.bodies, source.bodies);
        assert_eq!(answers[0].event_digest, event.event_digest);
        let admission = Admission::from_bytes(event.admission.unwrap()).unwrap();
        assert_eq!((&*admission.credential_id, &*admission.capture_point), ("k1", "http"));
    }
}

#[test]
fn a_series_is_taken_in_its_order_and_all_or_nothing() {
    let sources = [1, 2, 3].map(|id| Source::new(EventId([id; 16])).bytes());
    let (sent, answers) = bench(Series::Many).send_bytes(&series(&sources)).unwrap();
    let ids: Vec<EventId> = sent.iter().map(|sent| read(sent).envelope.event_id).collect();
    assert_eq!(ids, [1, 2, 3].map(|id| EventId([id; 16])));
    assert_eq!(answers.len(), 3);
    let mut broken = series(&sources);
    let length = broken.len();
    broken[length - 1] = 1;
    let mut bench = bench(Series::Many);
    let refusal = bench.send_bytes(&broken).map(drop).unwrap_err();
    let at = sources[0].len() + sources[1].len() + 12;
    assert_eq!((refusal.code, refusal.event), (Code::InvalidBody, Some(2)));
    let begin = format!("events[2]: at byte {at}: encoding: ");
    assert!(refusal.message.starts_with(&begin), "{}", refusal.message);
    assert_eq!(bench.send_bytes(&series(&sources)).unwrap().0.len(), 3);
}

#[test]
fn what_is_no_series_is_refused_where_it_breaks() {
    let one = Source::new(ID).bytes();
    let good = series(std::slice::from_ref(&one));
    let at = |body: &[u8]| bench(Series::Many).send_bytes(body).map(drop).unwrap_err().message;
    assert_eq!(at(b""), "the body is empty");
    let second = format!("at byte {}: the body ends within a message", good.len());
    assert_eq!(at(&[&good[..], &[0, 0]].concat()), second);
    assert_eq!(at(&[&good[..], &[0, 0, 0, 1]].concat()), second);
    assert_eq!(at(&[&good[..], &[0xff; 4], &one].concat()), second);
    assert!(at(&[0; 4]).starts_with("events[0]: at byte 4: empty: "));
    let mut few = bench(Series::Many);
    few.config.events_max = 1;
    let refusal = few.send_bytes(&series(&[one.clone(), one])).map(drop).unwrap_err();
    assert_eq!((refusal.code, refusal.limit), (Code::TooLarge, Some("events_max")));
}

#[test]
fn what_a_frame_names_must_be_a_schema_of_ours() {
    let mut source = Source::new(ID);
    let mut refused = |frame: &[u8]| {
        source.frame = frame.to_vec();
        bench(Series::One).send_bytes(&source.bytes()).map(drop).unwrap_err().message
    };
    assert!(refused(&[0, 0, 0, 0, 8]).contains("schema: the frame's id"));
    assert!(refused(&[0xc3, 1, 0, 0, 0, 0, 0, 0, 0, 0]).contains("schema: "));
    assert!(refused(b"{").contains("frame: "));
    let many: Vec<Vec<u8>> = (0..17).map(|id| vec![0, 0, 0, 0, id]).collect();
    let refusal = bench(Series::Many).send_bytes(&series(&many)).map(drop).unwrap_err();
    assert!(refusal.message.starts_with("at byte 148: "), "{}", refusal.message);
}

#[test]
fn what_is_not_the_sources_to_say_is_refused() {
    let refused = |change: fn(&mut Source<'_>)| {
        let mut source = Source::new(ID);
        change(&mut source);
        let refusal = bench(Series::One).send_bytes(&source.bytes()).map(drop).unwrap_err();
        (refusal.code, refusal.field.unwrap_or_default())
    };
    let field = |name: &str| format!("events[0].{name}");
    let admitted = refused(|source| source.admission = Some(Admission::default().to_bytes()));
    assert_eq!(admitted, (Code::InvalidField, field("admission")));
    let other = refused(|source| source.envelope.tenant = "other".into());
    assert_eq!(other, (Code::Forbidden, field("tenant")));
    let class = refused(|source| source.envelope.retention_class = "financial".into());
    assert_eq!(class, (Code::InvalidField, field("retention_class")));
    let none = refused(|source| source.envelope.session_id = "".into());
    assert_eq!(none, (Code::InvalidBody, String::new()));
    let forged = refused(|source| source.bodies = Source::new(ID).with(1, b"x").bodies);
    assert_eq!(forged, (Code::InvalidBody, String::new()));
}

#[test]
fn a_repeat_is_answered_as_before_and_other_bytes_with_its_id_are_a_conflict() {
    let mut bench = bench(Series::One);
    let source = Source::new(ID).with(1, b"one");
    let (sent, first) = bench.send_bytes(&source.bytes()).unwrap();
    bench.settle(&sent[0], true);
    let (none, repeat) = bench.send_bytes(&source.bytes()).unwrap();
    assert!(none.is_empty() && matches!(repeat[0].outcome, Outcome::Durable));
    assert_eq!(repeat[0].event_digest, first[0].event_digest);
    // The same envelope, but nothing that carries its body.
    let bare = Source { bodies: Vec::new(), ..source };
    let refusal = bench.send_bytes(&bare.bytes()).map(drop).unwrap_err();
    assert_eq!(refusal.code, Code::Conflict);
    bench.avro = None;
    let id = "01010101-0101-0101-0101-010101010101";
    let other = bench.refusal(&json!({"session_id": "s", "kind": "a", "event_id": id}));
    assert_eq!(other.code, Code::Conflict);
}

#[test]
fn what_it_carries_in_clear_goes_by_digest_afterwards() {
    let mut bench = Bench::new();
    let source = Source::new(ID).with(1, b"one");
    bench.avro = Some(Series::One);
    let sent = bench.send_bytes(&source.bytes()).unwrap().0.remove(0);
    bench.avro = None;
    let before = bench.write(&text("b", &["one"]));
    assert_eq!(read(&before).bodies, source.bodies, "not acknowledged, so carried again");
    bench.settle(&sent, true);
    let after = bench.write(&text("c", &["one"]));
    assert!(read(&after).bodies.is_empty());
    assert_eq!(read(&after).envelope.contents[0].digest, source.bodies[0].digest);
}

/// Encrypted, in the store, or only named: the gateway cannot tell what content that is.
#[test]
fn what_it_does_not_carry_in_clear_counts_for_nothing() {
    let clear = || Source::new(ID).with(1, b"one");
    let enc = Enc { key_id: "k".into(), alg: "a".into(), nonce: &[1] };
    let mut sources = [clear(), clear(), clear()];
    (sources[0].bodies[0].salt, sources[0].bodies[0].enc) = (None, Some(enc));
    sources[1].bodies[0].data = None;
    sources[2].bodies.clear();
    for source in &sources {
        let mut bench = Bench::new();
        let sent = write(&mut bench, source);
        assert_eq!(read(&sent).bodies, source.bodies);
        let json = bench.write(&text("b", &["one"]));
        assert_eq!(read(&json).bodies[0].data, Some(&b"one"[..]));
        assert_ne!(read(&json).bodies[0].digest, source.envelope.contents[0].digest);
    }
}

/// A content has one salt in a session for what the gateway makes. Another event's copy under another salt was carried, but
/// not under the digest that the gateway will name.
#[test]
fn a_content_that_the_session_has_under_another_salt_keeps_it() {
    let mut bench = Bench::new();
    let (first, _) = bench.send(&text("a", &["one"])).unwrap();
    write(&mut bench, &Source::new(ID).with(1, b"one"));
    let second = bench.write(&text("b", &["one"]));
    assert_eq!(read(&second).bodies, read(&first[0]).bodies, "neither is acknowledged");
    let third = bench.write(&text("c", &["one"]));
    assert!(read(&third).bodies.is_empty());
    assert_eq!(read(&third).envelope.contents[0].digest, read(&first[0]).bodies[0].digest);
}

#[test]
fn contexts_fold_onto_those_that_the_gateway_made_alone() {
    let mut bench = Bench::new();
    let first = bench.write(&text("llm.call", &["a", "b"]));
    let mut source = Source::new(ID).with(1, b"x").with(2, b"y");
    source.envelope.kind = "llm.call".into();
    let context_prefix =
        schemas::ContextPrefix { event_digest: read(&first).event_digest, count: 2 };
    source.envelope.context_prefix = Some(context_prefix);
    let given = write(&mut bench, &source);
    assert_eq!(read(&given).envelope, source.envelope);
    let third = bench.write(&text("llm.call", &["a", "b", "x", "y", "z"]));
    let event = read(&third);
    let prefix = event.envelope.context_prefix.as_ref().unwrap();
    assert_eq!((prefix.event_digest, prefix.count), (read(&first).event_digest, 2));
    let digests: Vec<Digest> = event.envelope.contents.iter().map(|c| c.digest).collect();
    let named = |source: &Source<'_>| source.bodies.iter().map(|b| b.digest).collect::<Vec<_>>();
    assert_eq!(digests[..2], named(&source), "carried by the event that came as Avro");
    assert_eq!(event.bodies.len(), 1);
}

#[test]
fn large_bodies_go_to_the_store_and_the_envelope_stays() {
    let (large, small) = (vec![b'x'; 3000], vec![b'y'; 100]);
    let mut bench = bench(Series::One);
    (bench.event_bytes_max, bench.stored) = (2000, Some(BTreeSet::new()));
    let source = Source::new(ID).with(1, &large).with(2, &small);
    let Err(Halt::Claims(claims)) = bench.plan(&source.bytes()) else { panic!("no claims") };
    assert_eq!(claims.len(), 1);
    assert_eq!((claims[0].digest, &claims[0].data), (source.bodies[0].digest, &large));
    // Also what is in the store for another event of the request stays where it is.
    bench.stored = Some(source.bodies.iter().map(|body| body.digest).collect());
    let (sent, _) = bench.send_bytes(&source.bytes()).unwrap();
    let event = read(&sent[0]);
    assert_eq!(event.envelope_bytes, source.envelope.to_bytes());
    assert_eq!((event.bodies[0].data, event.bodies[1].data), (None, Some(&small[..])));
    bench.settle(&sent[0], true);
    bench.avro = None;
    let json = bench.write(&text("b", &[&"x".repeat(3000)]));
    assert!(read(&json).bodies.is_empty(), "it is where a reader finds it");
}
