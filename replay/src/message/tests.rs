//! Messages of every shape, as they are read.

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Role, text, thoughts, calls as `id name arguments`, answers.
fn read(json: &Value) -> (String, String, String, Vec<String>, Vec<String>) {
    let message = Message::parse(json.to_string().as_bytes(), "assistant").unwrap();
    let calls = message.calls.iter().map(|c| format!("{} {} {}", c.id, c.name, c.arguments));
    (message.role, message.text, message.thoughts, calls.collect(), message.answers)
}

/// The same call, asked for in every shape.
#[test]
fn calls_are_found_in_every_shape() {
    let with_id = [
        json!({"role": "assistant", "content": null, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Paris\"}"}}]}),
        json!({"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "weather", "arguments": "{\"city\":\"Paris\"}", "status": "completed"}),
        json!([{"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Paris"}}]),
        json!({"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Paris"}}]}),
        json!({"role": "assistant", "parts": [{"type": "tool_call", "id": "c1", "name": "weather", "arguments": {"city": "Paris"}}], "finish_reason": "tool_call"}),
        json!({"role": "assistant", "content": [{"type": "tool-call", "toolCallId": "c1", "toolName": "weather", "input": {"city": "Paris"}}]}),
        json!({"role": "model", "parts": [{"functionCall": {"id": "c1", "name": "weather", "args": {"city": "Paris"}}}]}),
        json!({"role": "assistant", "content": [{"toolUse": {"toolUseId": "c1", "name": "weather", "input": {"city": "Paris"}}}]}),
        json!({"lc": 1, "type": "constructor", "id": ["AIMessage"], "kwargs": {"type": "ai", "content": "", "tool_calls": [{"id": "c1", "name": "weather", "args": {"city": "Paris"}}]}}),
        json!({"type": "ai", "content": "", "tool_calls": [{"id": "c1", "name": "weather", "args": {"city": "Paris"}}]}),
        json!({"role": "assistant", "tool_calls": [{"tool_call": {"id": "c1", "function": {"name": "weather", "arguments": "{\"city\":\"Paris\"}"}}}],
            "contents": [{"message_content": {"type": "tool_use"}, "tool_call": {"id": "c1"}}]}),
        json!({"role": "assistant", "tool_calls": [{"id": "c1", "name": "weather", "arguments": "{\"city\":\"Paris\"}"}]}),
    ];
    let call = vec!["c1 weather {\"city\":\"Paris\"}".to_owned()];
    for shape in with_id {
        let (role, text, _, calls, answers) = read(&shape);
        assert_eq!((role.as_str(), text.as_str(), &calls), ("assistant", "", &call), "{shape}");
        assert_eq!(answers, [""; 0], "{shape}");
    }
    let without = [
        json!({"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "weather", "arguments": {"city": "Paris"}}}]}),
        json!({"role": "model", "parts": [{"function_call": {"name": "weather", "args": {"city": "Paris"}}}]}),
    ];
    for shape in without {
        assert_eq!(read(&shape).3, [" weather {\"city\":\"Paris\"}"], "{shape}");
    }
}

#[test]
fn answers_are_found_in_every_shape() {
    let shapes = [
        (json!({"role": "tool", "tool_call_id": "c1", "content": "sunny"}), "c1"),
        (json!({"type": "function_call_output", "call_id": "c1", "output": "sunny"}), "c1"),
        (
            json!({"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "sunny"}]}),
            "c1",
        ),
        (
            json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "sunny"}]}]}),
            "c1",
        ),
        (
            json!({"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "sunny"}]}),
            "c1",
        ),
        (
            json!({"role": "user", "parts": [{"type": "tool_call_response", "id": "c1", "name": "weather", "result": "sunny"}]}),
            "c1",
        ),
        (
            json!({"role": "tool", "content": [{"type": "tool-result", "toolCallId": "c1", "toolName": "weather", "output": {"type": "text", "value": "sunny"}}]}),
            "c1",
        ),
        (
            json!({"role": "user", "content": [{"toolResult": {"toolUseId": "c1", "content": [{"text": "sunny"}]}}]}),
            "c1",
        ),
        (
            json!({"type": "tool", "data": {"content": "sunny", "tool_call_id": "c1", "type": "tool"}}),
            "c1",
        ),
        (json!({"role": "tool", "tool_name": "weather", "content": "sunny"}), "weather"),
    ];
    for (shape, key) in shapes {
        let (_, text, _, calls, answers) = read(&shape);
        assert_eq!((text.as_str(), answers), ("sunny", vec![key.to_owned()]), "{shape}");
        assert_eq!(calls, [""; 0]);
    }
    let gemini = json!({"role": "user", "parts": [{"functionResponse": {"name": "weather", "response": {"result": "sunny"}}}]});
    let (role, text, _, _, answers) = read(&gemini);
    assert_eq!(
        (role.as_str(), text.as_str(), answers),
        ("user", "{\"result\":\"sunny\"}", vec!["weather".to_owned()])
    );
}

#[test]
fn words_and_thoughts_are_told_apart() {
    for (shape, text, thoughts) in [
        (json!("plain"), "plain", ""),
        (json!(["one", "two"]), "one\ntwo", ""),
        (json!([{"type": "text", "text": "a"}, {"type": "text", "content": "b"}]), "a\nb", ""),
        (json!({"role": "assistant", "content": "hi", "reasoning_content": "hm"}), "hi", "hm"),
        (json!({"role": "assistant", "content": "hi", "thinking": "hm"}), "hi", "hm"),
        (json!({"role": "assistant", "content": null, "refusal": "no"}), "[refusal] no", ""),
        (
            json!([{"type": "thinking", "thinking": "hm", "signature": "x"}, {"type": "text", "text": "hi"}]),
            "hi",
            "hm",
        ),
        (
            json!({"role": "assistant", "parts": [{"type": "reasoning", "content": "hm"}, {"type": "text", "content": "hi"}]}),
            "hi",
            "hm",
        ),
        (
            json!({"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]}),
            "",
            "hm",
        ),
        (
            json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hi"}]}),
            "hi",
            "",
        ),
        (
            json!({"role": "model", "parts": [{"text": "hm", "thought": true}, {"text": "hi"}]}),
            "hi",
            "hm",
        ),
        (json!({"role": "user", "parts": [{"inlineData": {"data": "AAAA"}}]}), "[inlineData]", ""),
        (
            json!({"role": "user", "content": [{"type": "image_url", "image_url": {}}]}),
            "[image_url]",
            "",
        ),
        (json!({"type": "web_search_call", "id": "ws_1"}), "[web_search_call]", ""),
        (json!({"city": "Paris"}), "{\"city\":\"Paris\"}", ""),
    ] {
        let (_, said, thought, ..) = read(&shape);
        assert_eq!((said.as_str(), thought.as_str()), (text, thoughts), "{shape}");
    }
}

#[test]
fn an_answer_is_the_same_in_other_spellings() {
    let parse = |json: Value| Message::parse(json.to_string().as_bytes(), "assistant").unwrap();
    let blocks = parse(
        json!([{"type": "thinking", "thinking": "hm"}, {"type": "tool_use", "id": "c1", "name": "w", "input": {"a": 1, "b": 2}}]),
    );
    let sent = parse(
        json!({"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "w", "input": {"b": 2, "a": 1}}]}),
    );
    assert!(blocks.says_the_same(&sent));
    let other = parse(
        json!({"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "w", "input": {"b": 2}}]}),
    );
    assert!(!blocks.says_the_same(&other));
}

#[test]
fn lists_within_lists_need_no_stack() {
    let mut deep = json!("end");
    for level in 0..40 {
        deep = match level % 3 {
            0 => json!({"role": "user", "content": [deep]}),
            1 => json!({"lc": 1, "kwargs": deep}),
            _ => json!([[deep]]),
        };
    }
    let _read = Message::parse(deep.to_string().as_bytes(), "");
}

fn hostile() -> impl Strategy<Value = Value> {
    let words = [
        "text",
        "tool_use",
        "tool_result",
        "tool_call",
        "tool_call_response",
        "function_call",
        "function_call_output",
        "reasoning",
        "thinking",
        "tool-call",
        "tool-result",
        "human",
        "ai",
        "assistant",
        "",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        proptest::sample::select(words.to_vec()).prop_map(Value::from),
    ];
    let names = [
        "role",
        "type",
        "content",
        "contents",
        "message_content",
        "parts",
        "tool_calls",
        "tool_call",
        "function",
        "name",
        "id",
        "call_id",
        "arguments",
        "args",
        "input",
        "output",
        "text",
        "result",
        "response",
        "functionCall",
        "functionResponse",
        "toolUse",
        "toolResult",
        "reasoningContent",
        "reasoningText",
        "lc",
        "kwargs",
        "data",
        "message",
        "summary",
        "thought",
    ];
    leaf.prop_recursive(5, 64, 6, move |inner| {
        let name = proptest::sample::select(names.to_vec());
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((name, inner), 0..6).prop_map(|members| {
                members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
            }),
        ]
    })
}

proptest! {
    #[test]
    fn hostile_shapes_are_read(json in hostile()) {
        let text = json.to_string();
        let message = Message::parse(text.as_bytes(), "user").unwrap();
        prop_assert!(message.text.len() <= text.len() * 8 + 64);
        prop_assert!(message.says_the_same(&message));
    }

    #[test]
    fn hostile_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let read = Message::parse(&bytes, "user");
        prop_assert_eq!(read.is_some(), serde_json::from_slice::<Value>(&bytes).is_ok());
    }
}
