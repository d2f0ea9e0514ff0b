//! Nothing panics, and bytes are always rebuilt.

use proptest::prelude::*;
use serde_json::Value;

use crate::kit::{APIS, CHAT, answer, check, request};

/// JSON that is like what APIs say, but for its shapes.
fn odd_json() -> impl Strategy<Value = Value> {
    let keys = prop::sample::select(vec![
        "role",
        "content",
        "messages",
        "choices",
        "message",
        "delta",
        "index",
        "type",
        "text",
        "tool_calls",
        "id",
        "model",
        "usage",
        "input",
        "output",
        "parts",
        "contents",
        "candidates",
        "response",
        "item",
        "output_index",
        "content_index",
        "error",
        "name",
        "function",
        "thought",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::String),
        prop::sample::select(vec![
            "user",
            "assistant",
            "message_start",
            "content_block_delta",
            "response.completed",
            "response.output_item.added"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            prop::collection::vec((keys.clone(), inner), 0..6).prop_map(|members| members
                .into_iter()
                .map(|(k, v)| (k.to_owned(), v))
                .collect::<serde_json::Map<_, _>>()
                .into()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_json_is_rebuilt(asked in odd_json(), answered in prop::collection::vec(odd_json(), 1..6), api in 0..APIS.len(), framing in 0..3) {
        let lines: Vec<String> = answered.iter().map(|value| match framing {
            0 => value.to_string(),
            1 => format!("data: {value}\n\n"),
            _ => format!("{value}\n"),
        }).collect();
        let (target, _, media_type, _) = APIS[api];
        check(request(target, asked.to_string().as_bytes()), answer(&[("content-type", media_type)], lines.concat().as_bytes()));
        check(request(target, asked.to_string().as_bytes()), answer(&[], lines.concat().as_bytes()));
    }

    #[test]
    fn a_damaged_exchange_is_rebuilt(api in 0..APIS.len(), at in any::<prop::sample::Index>(), with in prop::collection::vec(any::<u8>(), 0..6), cut in 0..6_usize) {
        let (target, asked, media_type, answered) = APIS[api];
        let damage = |text: &str| {
            let mut bytes = text.as_bytes().to_vec();
            let from = at.index(bytes.len());
            let to = bytes.len().min(from + cut);
            bytes.splice(from..to, with.iter().copied());
            bytes
        };
        check(request(target, &damage(asked)), answer(&[("content-type", media_type)], answered.as_bytes()));
        check(request(target, asked.as_bytes()), answer(&[("content-type", media_type)], &damage(answered)));
    }

    #[test]
    fn any_bytes_under_any_encoding_are_kept(bytes in prop::collection::vec(any::<u8>(), 0..300), encoding in prop::sample::select(vec!["gzip", "deflate", "zstd", "br", "gzip, br", ""])) {
        let headers = [("content-type", "text/event-stream"), ("content-encoding", encoding)];
        check(request("/v1/chat/completions", CHAT.as_bytes()), answer(&headers, &bytes));
    }
}
