//! Texts that repeat what was sent before: what is long in them is stored once, and every byte is there.

use std::collections::HashSet;

use capture::Happening;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use proptest::prelude::*;
use schemas::Cut;
use serde_json::json;

use crate::kit::{content, read_span, rest, span, text};

/// The text that an attribute had.
fn told(happening: &Happening, key: &str) -> String {
    let value = &rest(happening)["attributes"][key];
    if let Some(text) = value.as_str() {
        return text.to_owned();
    }
    let cut = Cut::from_json(&value["$cut"]).unwrap();
    let part = |place: usize| Some(&*happening.contents.get(place)?.data);
    String::from_utf8(cut.fill(part).unwrap()).unwrap()
}

fn is_cut(happening: &Happening, key: &str) -> bool {
    rest(happening)["attributes"][key].get("$cut").is_some()
}

fn message(number: usize) -> String {
    let role = if number.is_multiple_of(2) { "user" } else { "assistant" };
    let said = format!("{number}: {}", "what was said, “in full” ".repeat(40));
    json!({ "role": role, "content": said }).to_string()
}

/// A call as OpenInference tells of it: flattened, and the request as it was.
fn call(messages: usize) -> Happening {
    let history: Vec<String> = (0..messages).map(message).collect();
    let tool = json!({ "type": "function", "function": { "name": "f".repeat(80) } });
    let request = format!(
        r#"{{"model": "m", "messages": [{}], "system": "{}", "tools": [{tool}]}}"#,
        history.join(", "),
        "be brief ".repeat(40),
    );
    let mut list = vec![
        ("openinference.span.kind".to_owned(), text("LLM")),
        ("input.value".to_owned(), text(&request)),
        ("llm.output_messages.0.message.content".to_owned(), text("yes")),
    ];
    for (number, said) in history.iter().enumerate() {
        let said: serde_json::Value = serde_json::from_str(said).unwrap();
        for part in ["role", "content"] {
            let key = format!("llm.input_messages.{number}.message.{part}");
            list.push((key, text(said[part].as_str().unwrap())));
        }
    }
    let list: Vec<(&str, Value)> = list.iter().map(|(key, it)| (&**key, it.clone())).collect();
    let happening = read_span("app", span("chat", &list)).remove(0);
    assert_eq!(told(&happening, "input.value"), request);
    happening
}

#[test]
fn a_conversation_is_stored_once() {
    let turns: Vec<Happening> = (1..=60).map(|turn| call(2 * turn)).collect();
    let distinct = |turns: &[Happening]| {
        let all: HashSet<(String, Vec<u8>)> = turns
            .iter()
            .flat_map(|turn| &turn.contents)
            .map(|content| (content.kind.to_string(), content.data.to_vec()))
            .collect();
        all.iter().map(|(_, data)| data.len()).sum::<usize>()
    };
    // What each turn adds: two messages, flattened and as they were, and where each belongs.
    let (half, whole) = (distinct(&turns[..30]), distinct(&turns));
    let history: usize = (0..120).map(|number| message(number).len()).sum();
    assert!(whole < 4 * history, "{whole} bytes of a history of {history}");
    assert!(whole < 3 * half, "{half} bytes, then {whole}");
}

#[test]
fn a_history_that_grows_begins_as_it_did() {
    let (before, after) = (call(40), call(42));
    let is_told = |it: &&capture::Content| !matches!(&*it.kind, "resource" | "attributes");
    let contents: Vec<_> = before.contents.iter().filter(is_told).collect();
    let same = contents.iter().zip(&after.contents).take_while(|(a, b)| **a == *b).count();
    // Forty messages, each with what of the request it is, one after the other.
    assert_eq!(same, 80);
    let roles: Vec<&str> = after.contents.iter().take(4).map(|it| &*it.role).collect();
    assert_eq!(roles, ["user", "", "assistant", ""]);
    let answer = after.contents.iter().rposition(|it| it.role == "assistant").unwrap();
    assert_eq!(&*after.contents[answer].data, br#"{"content":"yes"}"#);
    assert!(after.contents[answer..].iter().all(|it| it.kind != "raw"));
}

#[test]
fn what_is_short_or_no_json_stays() {
    let long = "x".repeat(5000);
    for value in ["{\"messages\": []}", &*long, &format!("{{\"messages\": [\"{long}\"")] {
        let list = [
            ("openinference.span.kind", text("LLM")),
            ("input.value", text(value)),
            ("llm.input_messages.0.message.content", text("hi")),
        ];
        let happening = read_span("app", span("chat", &list)).remove(0);
        assert_eq!(rest(&happening)["attributes"]["input.value"], value);
        assert!(content(&happening, "raw").is_none());
    }
}

#[test]
fn a_state_is_cut_where_its_messages_are() {
    let messages = [message(0), message(1)].join(",");
    let more = format!(r#"{{"messages":[[{messages}]],"remaining_steps":24}}"#);
    let only = format!(r#"{{"messages":[{messages}]}}"#);
    for (kind, marker, key) in [
        ("langsmith.span.kind", "chain", "gen_ai.prompt"),
        ("openinference.span.kind", "CHAIN", "input.value"),
    ] {
        let read = |value: &str| {
            read_span("app", span("node", &[(kind, text(marker)), (key, text(value))])).remove(0)
        };
        let happening = read(&more);
        assert_eq!(told(&happening, key), more);
        assert!(is_cut(&happening, key));
        let said: Vec<_> =
            happening.contents.iter().filter(|it| it.kind == "message").cloned().collect();
        assert_eq!(said.len(), 2, "{key}");
        assert_eq!((&*said[1].role, &*said[1].data), ("assistant", message(1).as_bytes()));
        let happening = read(&only);
        assert!(rest(&happening)["attributes"].get(key).is_none());
        assert_eq!(happening.contents.iter().filter(|it| it.kind == "message").count(), 2);
    }
}

#[test]
fn a_map_that_looks_like_a_cut_is_told_apart() {
    use opentelemetry_proto::tonic::common::v1::KeyValueList;
    let inner = crate::kit::attribute("$cut", text("mine"));
    let map = Value::KvlistValue(KeyValueList { values: vec![inner] });
    let happening = read_span("app", span("x", &[("mine", map)])).remove(0);
    assert_eq!(rest(&happening)["attributes"]["mine"], json!({ "$$cut": "mine" }));
}

/// What rules leave of a call, whose third message has a secret.
fn redacted(rule: &str) -> (Happening, String) {
    let rules = format!("version = \"v\"\n[[rule]]\nname = \"r\"\n{rule}");
    let rules = capture::redact::Rules::parse(&rules, None).unwrap();
    let mut happening = call(6);
    let before = told(&happening, "input.value");
    assert!(rules.apply_to(&mut happening).unwrap() > 0);
    (happening, before)
}

#[test]
fn a_text_that_was_cut_is_redacted_as_if_it_were_whole() {
    // In a message, and in what is between them: the model is `m`.
    for place in ["", "field = \"input.value\"\n"] {
        let rule = format!("action = \"mask\"\n{place}pattern = '3: what|^m$'");
        let (happening, before) = redacted(&rule);
        let expected = before.replace("3: what", "[redacted:r]");
        let expected = expected.replace("\"m\"", "\"[redacted:r]\"");
        assert_eq!(told(&happening, "input.value"), expected, "{place}");
        let elsewhere = happening.contents.iter().any(|it| {
            it.kind == "message" && String::from_utf8_lossy(&it.data).contains("3: what")
        });
        assert_eq!(elsewhere, !place.is_empty());
    }
}

#[test]
fn an_attribute_that_is_dropped_takes_its_parts_along() {
    let (happening, _) = redacted("action = \"drop\"\nfield = \"input.value\"");
    assert!(rest(&happening)["attributes"]["input.value"].is_null());
    let raw: Vec<_> = happening.contents.iter().filter(|it| it.kind == "raw").collect();
    assert!(!raw.is_empty() && raw.iter().all(|it| &*it.data == b"null"));
}

fn member() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        any::<i32>().prop_map(serde_json::Value::from),
        ".{0,300}".prop_map(serde_json::Value::from),
        Just(serde_json::Value::Null),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
            proptest::collection::btree_map("[a-z]{1,8}", inner, 0..4)
                .prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    /// Whatever stands in a text, spaced as it may be, it is to be had again to the byte.
    #[test]
    fn every_byte_of_a_text_is_there(
        members in proptest::collection::vec(("[a-z]{1,8}|messages", member()), 0..6),
        pretty in any::<bool>(),
        marker in proptest::sample::select(vec!["LLM", "CHAIN"]),
    ) {
        let value: serde_json::Value = members.into_iter().collect();
        let write = if pretty { serde_json::to_string_pretty } else { serde_json::to_string };
        let value = write(&value).unwrap();
        let list = [
            ("openinference.span.kind", text(marker)),
            ("input.value", text(&value)),
            ("llm.input_messages.0.message.content", text("hi")),
        ];
        let happening = read_span("app", span("x", &list)).remove(0);
        prop_assert_eq!(told(&happening, "input.value"), value);
    }
}
