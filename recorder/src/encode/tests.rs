//! Messages are read back by the format's own reader, and resolved as a reader resolves them, who has only what was acknowledged.

use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;
use schemas::signature::{SigningKey, check_record, to_pem};
use schemas::{SessionId, read};

use super::*;
use crate::queue::{Queue, State};

const DAY_US: i64 = 86_400_000_000;

fn identity() -> Identity {
    Identity {
        tenant: Tenant::new("acme").unwrap(),
        agent: Agent { name: "bot".to_owned(), ..Agent::default() },
        producer_id: "p".to_owned(),
        producer_epoch: 7,
        retention_class: "standard".to_owned(),
        signer: None,
        event_bytes_max: 64 << 10,
    }
}

/// A session, and all that a reader has of it.
struct Run {
    identity: Identity,
    queue: Queue,
    state: Arc<State>,
    drawn: u128,
    /// By digest: bodies, and whole contexts by role, kind and data.
    bodies: HashMap<Digest, Vec<u8>>,
    contexts: HashMap<Digest, Vec<(String, String, Vec<u8>)>>,
}

impl Run {
    fn new(identity: Identity) -> Self {
        let state = Arc::new(State::new(SessionId::new("s").unwrap(), true));
        let (bodies, contexts) = (HashMap::new(), HashMap::new());
        Self { identity, queue: Queue::new(1 << 30), state, drawn: 0, bodies, contexts }
    }

    fn encode(&mut self, event: Event, now: i64) -> Message {
        self.queue.push(&self.state, event, schemas::EventId::default);
        let item = self.queue.take_batch(1, usize::MAX).remove(0);
        let drawn = &mut self.drawn;
        let mut draw = || {
            *drawn += 1;
            Ok(drawn.to_be_bytes())
        };
        encode(item, &self.identity, Micros(now), &mut draw).unwrap()
    }

    /// Stores the message as a reader will find it; its whole context.
    fn store(&mut self, message: &Message) -> Vec<(String, String, Vec<u8>)> {
        let event = event_of(message);
        for body in &event.bodies {
            self.bodies.insert(body.digest, body.data.unwrap().to_vec());
        }
        let envelope = &event.envelope;
        let mut whole = match &envelope.context_prefix {
            None => Vec::new(),
            Some(prefix) => self.contexts[&prefix.event_digest][..folded_count(prefix)].to_vec(),
        };
        whole.extend(envelope.contents.iter().map(|content| {
            let data = self.bodies[&content.digest].clone();
            (content.role.to_string(), content.kind.to_string(), data)
        }));
        self.contexts.insert(event.event_digest, whole.clone());
        whole
    }
}

fn event_of(message: &Message) -> schemas::Event<'_> {
    let (key, value) = (Some(message.key.as_slice()), Some(message.value.as_slice()));
    let (offset, timestamp) = (schemas::Offset(0), schemas::Timestamp::default());
    let place = schemas::Place { partition: schemas::Partition(0), partitions: 1 };
    read(&schemas::Message { offset, timestamp, key, value }, place).unwrap()
}

fn whole(event: &Event) -> Vec<(String, String, Vec<u8>)> {
    let parts = |c: &Content| (c.role.to_string(), c.kind.to_string(), c.data.to_vec());
    event.contents.iter().map(parts).collect()
}

/// A conversation's next call: it keeps so many entries of the one before, and adds these.
fn step() -> impl Strategy<Value = (usize, Vec<u8>, bool, bool, i64)> {
    let new = prop::collection::vec(0..6_u8, 0..5);
    let pause = prop_oneof![9 => 0..1000_i64, 1 => Just(DAY_US), 1 => Just(-5000)];
    (0..12_usize, new, prop::bool::weighted(0.7), any::<bool>(), pause)
}

proptest! {
    /// Several events are made before any outcome is known, as in a batch.
    #[test]
    fn whatever_is_acknowledged_resolves_to_what_was_recorded(
        batches in prop::collection::vec(prop::collection::vec(step(), 1..4), 1..12),
    ) {
        let mut run = Run::new(identity());
        let (mut now, mut said) = (0, Vec::<u8>::new());
        for batch in batches {
            let mut sent = Vec::new();
            for (kept, new, is_durable, is_call, pause) in batch {
                now += pause;
                said.truncate(kept);
                said.extend(new);
                let mut event = Event::new(if is_call { "llm.call" } else { "agent.message" });
                event.contents =
                    said.iter().map(|n| Content::text("user", format!("text {n}"))).collect();
                let expected = whole(&event);
                let message = run.encode(event, now);
                sent.push((message, expected, is_durable));
            }
            for (message, expected, is_durable) in sent {
                if is_durable {
                    prop_assert_eq!(run.store(&message), expected);
                    run.state.memory().acknowledge(message.receipt);
                }
            }
        }
    }
}

#[test]
fn a_body_goes_by_digest_only_once_it_is_durable() {
    let mut run = Run::new(identity());
    let event = || Event::new("agent.message").with(Content::text("user", "hi"));
    let first = run.encode(event(), 0);
    let second = run.encode(event(), 0);
    assert_eq!([&first, &second].map(|message| event_of(message).bodies.len()), [1, 1]);
    assert_eq!(first.receipt.carried, second.receipt.carried, "one salt for one body");
    run.state.memory().acknowledge(second.receipt);
    let third = run.encode(event(), 0);
    assert_eq!(event_of(&third).bodies.len(), 0);
    let after_a_day = run.encode(event(), DAY_US);
    assert_eq!(event_of(&after_a_day).bodies.len(), 1);
}

#[test]
fn an_end_neither_folds_nor_is_folded_onto() {
    let mut run = Run::new(identity());
    let call = |count: usize| {
        let mut event = Event::new("llm.call");
        event.contents = (0..count).map(|n| Content::text("user", format!("{n}"))).collect();
        event
    };
    let start = run.encode(call(3), 0);
    let started = start.receipt.event_digest;
    run.state.memory().acknowledge(start.receipt);
    let mut end = call(3);
    end.envelope.phase = "end".into();
    let end = run.encode(end, 0);
    assert_eq!(event_of(&end).envelope.context_prefix, None);
    run.state.memory().acknowledge(end.receipt);
    let next = run.encode(call(4), 0);
    let next = event_of(&next).envelope;
    let prefix = next.context_prefix.unwrap();
    assert_eq!((prefix.count, next.contents.len()), (3, 1));
    assert_eq!(prefix.event_digest, started);
}

#[test]
fn each_event_names_the_one_before_and_its_places() {
    let mut run = Run::new(identity());
    let first = run.encode(Event::new("session.start"), 0);
    let second = run.encode(Event::new("session.end"), 0);
    let (first, second) = (event_of(&first), event_of(&second));
    assert_eq!(first.envelope.prev_event_digest, None);
    assert_eq!(second.envelope.prev_event_digest, Some(first.event_digest));
    assert_eq!(second.envelope.session_seq, Some(1));
    assert_eq!(second.envelope.session_event_count, Some(2));
    assert_eq!(second.envelope.producer_seq, Some(1));
    assert_eq!(second.envelope.agent_name.as_deref(), Some("bot"));
    assert_eq!((second.signature, second.admission), (None, None));
    assert_ne!(first.envelope.nonce, second.envelope.nonce);
}

#[test]
fn a_signed_event_is_signed_by_its_key() {
    let key = SigningKey::from_bytes(&[3; 32]);
    let signer = Signer::from_pem("k1", &to_pem(&key)).unwrap();
    assert!(!format!("{signer:?}").contains("3, 3"));
    let mut run = Run::new(Identity { signer: Some(signer), ..identity() });
    let message = run.encode(Event::new("x"), 0);
    let event = event_of(&message);
    let record = schemas::Signature::from_bytes(event.signature.unwrap()).unwrap();
    assert_eq!(record.key_id, "k1");
    assert!(check_record(&key.verifying_key(), &event.event_digest, &record));
}

#[test]
fn metadata_that_break_a_rule_are_kept_whole_in_a_content() {
    let mut run = Run::new(identity());
    let mut event = Event::new("k".repeat(100)).with(Content::text("r".repeat(9000), "said"));
    event.envelope.tool_name = Some("n".repeat(5000).into());
    event.envelope.temperature = Some(f64::NAN);
    let message = run.encode(event, 0);
    let event = event_of(&message);
    assert_eq!(event.envelope.kind, "k".repeat(64));
    assert_eq!(event.envelope.tool_name, None);
    assert_eq!(event.envelope.session_seq, Some(0));
    let kinds: Vec<_> = event.envelope.contents.iter().map(|content| &*content.kind).collect();
    assert_eq!(kinds, ["text", "attributes"]);
    let kept: Value = serde_json::from_slice(event.bodies[1].data.unwrap()).unwrap();
    assert_eq!(kept["tool_name"], "n".repeat(5000));
}

#[test]
fn an_event_that_is_too_large_is_cut_and_says_so() {
    let mut run = Run::new(identity());
    let texts = [300_000, 20_000, 10].map(|count| "x".repeat(count));
    let event = Event::new("tool.call");
    let event = texts.iter().fold(event, |event, text| event.with(text.as_str().into()));
    let message = run.encode(event, 0);
    assert!(message.value.len() <= 64 << 10);
    let event = event_of(&message);
    assert_eq!(event.envelope.capture_fidelity, "truncated");
    let sizes: u64 = event.envelope.contents.iter().map(|content| content.size).sum();
    assert_eq!(event.envelope.source_dropped, Some(320_010 - sizes));
    let sizes = [1, 2].map(|index| event.envelope.contents[index].size);
    assert_eq!(sizes, [20_000, 10], "the longest alone");
}

#[test]
fn documents_and_changes_are_named_by_their_digests() {
    let mut run = Run::new(identity());
    let mut event = Event::new("retrieval").with("query".into());
    let text = Some("text".to_owned());
    event.push_document(crate::Document { id: "d".into(), text, ..Default::default() });
    let after = Some(serde_json::json!({"a": 1}));
    event.push_change(crate::Change { op: "add".into(), after, ..Default::default() });
    let message = run.encode(event, 0);
    let envelope = event_of(&message).envelope;
    let digest = |index: usize| Some(envelope.contents[index].digest);
    assert_eq!(envelope.retrievals[0].digest, digest(1));
    assert_eq!(
        (envelope.state_changes[0].before, envelope.state_changes[0].after),
        (None, digest(2))
    );
}
