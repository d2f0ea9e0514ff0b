//! Single requests and what becomes of them.

use std::collections::BTreeSet;

use schemas::{Admission, Micros, Salt};
use serde_json::{Value, json};

use super::bench::{Bench, NOW, Sent, read};
use super::*;

fn call(texts: &[&str]) -> Value {
    let item = |text: &&str| json!({"role": "user", "text": text});
    json!({"session_id": "s", "kind": "llm.call", "contents": texts.iter().map(item).collect::<Vec<_>>()})
}

#[test]
fn a_body_goes_by_digest_once_an_event_that_carries_it_was_acknowledged() {
    let mut bench = Bench::new();
    let event =
        json!({"session_id": "s", "kind": "a", "contents": [{"text": "one"}, {"text": "one"}]});
    let (first, _) = bench.send(&event).unwrap();
    let (second, _) = bench.send(&event).unwrap();
    bench.settle(&first[0], false);
    let third = bench.write(&event);
    let fourth = bench.write(&event);
    let other =
        bench.write(&json!({"session_id": "t", "kind": "a", "contents": [{"text": "one"}]}));
    let events = [&first[0], &second[0], &third, &fourth, &other].map(read);
    assert_eq!(events.clone().map(|event| event.bodies.len()), [1, 1, 1, 0, 1]);
    let digests = events.map(|event| event.envelope.contents[0].digest);
    assert!(digests[..4].iter().all(|digest| *digest == digests[0]));
    assert_ne!(digests[4], digests[0], "each session has its own salts");
}

#[test]
fn a_repeated_context_is_folded_onto_the_longest_that_was_acknowledged() {
    let mut bench = Bench::new();
    let first = bench.write(&call(&["a", "b", "c"]));
    let (lost, _) = bench.send(&call(&["a", "b", "c", "d", "e"])).unwrap();
    let folded = bench.write(&call(&["a", "b", "c", "d", "e", "f"]));
    bench.settle(&lost[0], false);
    let again = bench.write(&call(&["a", "b", "c", "d", "e", "f", "g"]));
    let one = bench.write(&call(&["a", "x", "y"]));
    let prefix = |sent: &Sent| {
        let prefix = read(sent).envelope.context_prefix;
        prefix.map(|prefix| (prefix.event_digest, prefix.count))
    };
    assert_eq!(prefix(&folded), Some((read(&first).event_digest, 3)));
    assert_eq!(prefix(&again), Some((read(&folded).event_digest, 6)));
    assert_eq!(prefix(&one), None, "one entry is not worth a reference");
    assert_eq!(read(&again).envelope.contents.len(), 1);
    let mut other = call(&["a", "b", "c"]);
    other["contents"][1]["role"] = json!("system");
    assert_eq!(prefix(&bench.write(&other)), None, "another role is another entry");
}

#[test]
fn a_base_ends_after_a_day_and_everything_is_sent_in_full() {
    let mut bench = Bench::new();
    let first = bench.write(&call(&["a", "b"]));
    bench.now.0 += 86_400_000_000 - 1;
    assert!(read(&bench.write(&call(&["a", "b"]))).bodies.is_empty());
    bench.now.0 += 1;
    let later = bench.write(&call(&["a", "b"]));
    assert_eq!(read(&later).bodies.len(), 2);
    assert_eq!(read(&later).envelope.context_prefix, None);
    assert_ne!(read(&first).bodies[0].salt, read(&later).bodies[0].salt);
}

#[test]
fn a_repeated_event_is_answered_as_before_and_another_with_its_id_is_a_conflict() {
    let mut bench = Bench::new();
    let id = "0199c0de-0000-7000-8000-000000000001";
    let event = json!({"session_id": "s", "kind": "a", "event_id": id});
    let other = json!({"session_id": "s", "kind": "b", "event_id": id});
    let (sent, first) = bench.send(&event).unwrap();
    let (none, repeat) = bench.send(&event).unwrap();
    assert!(none.is_empty() && matches!(repeat[0].outcome, Outcome::InFlight(0)));
    bench.settle(&sent[0], true);
    let (none, repeat) = bench.send(&event).unwrap();
    assert!(none.is_empty() && matches!(repeat[0].outcome, Outcome::Durable));
    assert_eq!(repeat[0].event_digest, first[0].event_digest);
    let refusal = bench.refusal(&json!([{"kind": "c"}, other]));
    assert_eq!(
        (refusal.code, refusal.field.as_deref()),
        (Code::Conflict, Some("events[1].event_id"))
    );
    let elsewhere = json!({"session_id": "t", "kind": "b", "event_id": id});
    assert_eq!(bench.send(&elsewhere).unwrap().0.len(), 1);
}

#[test]
fn a_repeat_within_a_request_is_one_message_and_after_a_failure_it_is_a_new_one() {
    let mut bench = Bench::new();
    let event =
        json!({"session_id": "s", "kind": "a", "event_id": "0199c0de-0000-7000-8000-000000000001"});
    let (sent, answers) = bench.send(&json!([event, {"kind": "b"}, event])).unwrap();
    assert_eq!(sent.len(), 2);
    assert!(matches!(answers[2].outcome, Outcome::Message(0)));
    assert_eq!(answers[2].event_digest, answers[0].event_digest);
    bench.settle(&sent[0], false);
    let (again, _) = bench.send(&event).unwrap();
    assert_eq!(again.len(), 1);
    // The first one's outcome, should it come late, is not the second one's.
    bench.settle(&sent[0], false);
    assert!(matches!(bench.send(&event).unwrap().1[0].outcome, Outcome::InFlight(_)));
}

#[test]
fn a_refused_request_leaves_nothing_behind() {
    let mut bench = Bench::new();
    bench.event_bytes_max = 2000;
    let id = "0199c0de-0000-7000-8000-000000000001";
    let good =
        json!({"session_id": "s", "kind": "a", "event_id": id, "contents": [{"text": "one"}]});
    let large = json!({"session_id": "s", "kind": "a", "contents": [{"text": "x".repeat(2000)}]});
    let refusal = bench.refusal(&json!([good, large]));
    assert_eq!(
        (refusal.code, refusal.limit, refusal.event),
        (Code::TooLarge, Some("event_bytes_max"), Some(1))
    );
    let (sent, _) = bench.send(&good).unwrap();
    let event = read(&sent[0]);
    let admission = Admission::from_bytes(event.admission.unwrap()).unwrap();
    assert_eq!((admission.gateway_seq, &*admission.credential_id), (0, "k1"));
    assert_eq!(event.bodies.len(), 1);
}

#[test]
fn values_given_in_place_of_digests_become_contents() {
    let mut bench = Bench::new();
    let sent = bench.write(&json!({
        "kind": "a", "extra": {"b": [1]},
        "retrievals": [{"source": "s", "document_id": "d", "digest": {"text": "page"}}],
        "state_changes": [{"target": "t", "op": "add", "path": "/p", "after": {"json": {"x": 1}}}],
    }));
    let event = read(&sent);
    let contents = &event.envelope.contents;
    let kinds: Vec<&str> = contents.iter().map(|content| &*content.kind).collect();
    assert_eq!(kinds, ["document", "state_value", "attributes"]);
    assert_eq!(event.envelope.retrievals[0].digest, Some(contents[0].digest));
    assert_eq!(event.envelope.state_changes[0].after, Some(contents[1].digest));
    assert_eq!(event.envelope.state_changes[0].before, None);
    let datas: Vec<&[u8]> = event.bodies.iter().filter_map(|body| body.data).collect();
    assert_eq!(datas, [&b"page"[..], br#"{"x":1}"#, br#"{"extra":{"b":[1]}}"#]);
}

#[test]
fn what_is_not_said_has_its_default() {
    let mut bench = Bench::new();
    let sent = bench
        .write(&json!({"kind": "a", "agent_name": null, "occurred_at": "1970-01-01T00:00:00Z"}));
    let envelope = read(&sent).envelope;
    assert_eq!(
        [&*envelope.tenant, &*envelope.session_id, &*envelope.capture_source],
        ["acme", "made", "http"]
    );
    assert_eq!(envelope.occurred_at, Micros(0));
    assert_eq!(envelope.event_id.to_string().as_bytes()[14], b'7');
    assert_ne!(envelope.nonce, Salt::default());
    let sent = bench.write(&json!({"kind": "a", "capture_source": "sdk"}));
    let envelope = read(&sent).envelope;
    assert_eq!((envelope.occurred_at, &*envelope.capture_source), (NOW, "sdk"));
}

#[test]
fn every_field_refuses_what_it_cannot_be_by_name() {
    let mut bench = Bench::new();
    for field in Envelope::FIELDS {
        for bad in [json!({"x": 1}), json!([[]]), json!(true), json!(-1.5), json!("\u{1}")] {
            let is_double = ["temperature", "top_p"].contains(field);
            if is_double && bad.is_number() {
                continue;
            }
            let mut event = json!({"kind": "a"});
            event[*field] = bad.clone();
            let refusal = bench.refusal(&json!([{"kind": "a"}, event]));
            let path = refusal.field.unwrap_or_default();
            assert!(path.starts_with(&format!("events[1].{field}")), "{field}: {bad}: {path}");
            assert!(refusal.message.starts_with(&path), "{}", refusal.message);
            assert_eq!(refusal.event, Some(1));
        }
    }
}

#[test]
fn what_an_event_cannot_say_is_refused_by_name() {
    let mut bench = Bench::new();
    let digest = "0".repeat(64);
    for (event, field, code) in [
        (json!({}), "kind", Code::InvalidField),
        (json!({"kind": "k".repeat(65)}), "kind", Code::InvalidField),
        (json!({"kind": "a", "phase": "middle"}), "phase", Code::InvalidField),
        (json!({"kind": "a", "tenant": "other"}), "tenant", Code::Forbidden),
        (json!({"kind": "a", "session_id": "s".repeat(513)}), "session_id", Code::InvalidField),
        (json!({"kind": "a", "session_id": "a\u{7f}"}), "session_id", Code::InvalidField),
        (json!({"kind": "a", "retention_class": "long"}), "retention_class", Code::InvalidField),
        (json!({"kind": "a", "nonce": "00"}), "nonce", Code::InvalidField),
        (json!({"kind": "a", "context_digest": digest}), "context_digest", Code::InvalidField),
        (json!({"kind": "a", "context_prefix": {}}), "context_prefix", Code::InvalidField),
        (json!({"kind": "a", "max_tokens": -1}), "max_tokens", Code::InvalidField),
        (
            json!({"kind": "a", "max_tokens": 9_223_372_036_854_775_808_u64}),
            "max_tokens",
            Code::InvalidField,
        ),
        (json!({"kind": "a", "duration_us": 1.5}), "duration_us", Code::InvalidField),
        (json!({"kind": "a", "occurred_at": "yesterday"}), "occurred_at", Code::InvalidField),
        (json!({"kind": "a", "trace_id": "XYZ"}), "trace_id", Code::InvalidField),
        (
            json!({"kind": "a", "links": [{"trace_id": "0"}]}),
            "links[0].trace_id",
            Code::InvalidField,
        ),
        (
            json!({"kind": "a", "delegation": [{"who": "x"}]}),
            "delegation[0].who",
            Code::InvalidField,
        ),
        (json!({"kind": "a", "agent_id": "a".repeat(1025)}), "agent_id", Code::LimitExceeded),
        (
            json!({"kind": "a", "data_classes": vec!["x"; 1025]}),
            "data_classes",
            Code::LimitExceeded,
        ),
        (json!({"kind": "a", "agent_id": "a".repeat(300_000)}), "agent_id", Code::LimitExceeded),
        (
            json!({"kind": "a", "contents": vec![json!({"text": ""}); 8193]}),
            "contents",
            Code::LimitExceeded,
        ),
        (
            json!({"kind": "a", "state_changes": [{"before": {"text": 1}}]}),
            "state_changes[0].before.text",
            Code::InvalidField,
        ),
        (
            json!({"kind": "a", "state_changes": [{"before": "00"}]}),
            "state_changes[0].before",
            Code::InvalidField,
        ),
    ] {
        let refusal = bench.refusal(&event);
        let path = format!("events[0].{field}");
        assert_eq!((refusal.field, refusal.code), (Some(path), code), "{}", refusal.message);
    }
    for body in ["{\"kind\":\"a\",\"temperature\":1e999}", "{\"kind\":\"a\",\"seed\":1e3}"] {
        assert_eq!(
            bench.plan_without_claims(body.as_bytes()).unwrap_err().code,
            Code::InvalidField
        );
    }
    let fields: serde_json::Map<_, _> = (0..513).map(|n| (format!("f{n}"), json!(n))).collect();
    assert_eq!(bench.refusal(&fields.into()).limit, Some("fields_max"));
    let long =
        json!({"kind": "a", "contents": vec![json!({"text": "", "role": "r".repeat(1000)}); 1100]});
    assert_eq!(bench.refusal(&long).limit, Some("envelope_bytes_max"));
}

#[test]
fn dots_and_slashes_in_a_session_id_are_only_text() {
    let mut bench = Bench::new();
    let sent = bench.write(&json!({"kind": "a", "session_id": "../a/b"}));
    assert_eq!(sent.0, b"acme/../a/b");
    assert_eq!(read(&sent).envelope.session_id, "../a/b");
}

#[test]
fn bodies_of_an_event_over_the_limit_go_to_the_store_the_largest_first() {
    let mut bench = Bench::new();
    (bench.event_bytes_max, bench.stored) = (5000, Some(BTreeSet::new()));
    let texts = ["a".repeat(3000), "b".repeat(9000), "c".repeat(1000), "d".repeat(2500)];
    let event = call(&texts.each_ref().map(String::as_str));
    let Err(Halt::Claims(claims)) = bench.plan(event.to_string().as_bytes()) else { panic!() };
    let sizes: Vec<usize> = claims.iter().map(|claim| claim.data.len()).collect();
    assert_eq!(sizes, [9000, 3000], "no more than it takes");
    assert!(claims.iter().all(|claim| claim.key.ends_with(&claim.digest.to_string())));

    bench.stored = Some(claims.iter().map(|claim| claim.digest).collect());
    let first = bench.write(&event);
    assert!(first.1.len() <= 5000);
    let read_first = read(&first);
    let inline = read_first.bodies.iter().map(|body| body.data.map(<[u8]>::len));
    assert_eq!(inline.collect::<Vec<_>>(), [None, None, Some(1000), Some(2500)]);
    let whole: Vec<_> = read_first.envelope.contents.iter().map(|content| content.size).collect();
    assert_eq!(whole, [3000, 9000, 1000, 2500], "nothing is shortened");
    bench.stored = Some(BTreeSet::new());
    assert!(read(&bench.write(&event)).bodies.is_empty(), "they are known like any others");
}

#[test]
fn a_body_in_the_store_is_carried_again_until_an_event_that_has_it_was_acknowledged() {
    let mut bench = Bench::new();
    (bench.event_bytes_max, bench.stored) = (2000, Some(BTreeSet::new()));
    let event = call(&[&"x".repeat(4000)]);
    let claims = |bench: &mut Bench| match bench.plan(event.to_string().as_bytes()) {
        Err(Halt::Claims(claims)) => claims,
        other => panic!("{other:?}"),
    };
    let first = claims(&mut bench);
    assert_eq!(claims(&mut bench), first, "its digest stays");
    bench.stored = Some([first[0].digest].into());
    let (lost, _) = bench.send(&event).unwrap();
    bench.settle(&lost[0], false);
    assert_eq!(read(&bench.write(&event)).bodies.len(), 1);
}

#[test]
fn what_no_store_can_make_fit_is_refused() {
    let mut bench = Bench::new();
    (bench.event_bytes_max, bench.stored) = (1000, Some(BTreeSet::new()));
    let many = call(&["x"; 100]);
    assert_eq!(bench.refusal(&many).limit, Some("event_bytes_max"));
    bench.config.event_bytes_max = 5000;
    let large = call(&[&"x".repeat(5000)]);
    assert_eq!(bench.refusal(&large).limit, Some("event_bytes_max"));
    bench.stored = None;
    let small = call(&[&"x".repeat(1000)]);
    assert_eq!(bench.refusal(&small).limit, Some("event_bytes_max"), "without a store");
}

#[test]
fn a_session_keeps_the_class_of_its_first_event() {
    let mut bench = Bench::new();
    bench.config.topics = [("financial".to_owned(), "money".to_owned())].into();
    let event = |session: &str, class: Option<&str>| json!({"session_id": session, "kind": "a", "retention_class": class});
    let class = |sent: &Sent| (read(sent).envelope.retention_class.to_string(), sent.2.class);
    let standard = ("standard".to_owned(), Class(0));
    let financial = ("financial".to_owned(), Class(1));
    assert_eq!(class(&bench.write(&event("s", None))), standard);
    assert_eq!(class(&bench.write(&event("f", Some("financial")))), financial);
    assert_eq!(class(&bench.write(&event("f", None))), financial, "it need not say so again");
    bench.now.0 += 86_400_000_000;
    assert_eq!(class(&bench.write(&event("f", None))), financial, "nor on another day");

    let refusal = bench.refusal(&event("s", Some("financial")));
    assert_eq!((refusal.code, refusal.code.name_and_status().1), (Code::SessionClass, 409));
    assert!(refusal.message.contains("standard"), "{}", refusal.message);
    let within = json!([event("new", None), event("new", Some("financial"))]);
    assert_eq!(bench.refusal(&within).event, Some(1));
    assert_eq!(class(&bench.write(&event("new", Some("financial")))), financial);
    let unknown = bench.refusal(&event("other", Some("long")));
    assert_eq!(
        unknown.message,
        "events[0].retention_class must be one of standard, financial here"
    );
}
