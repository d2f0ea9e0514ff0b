//! Which exchange a request continues.

use capture::llm::{Asked, Name, ask};
use serde_json::{Value, json};

use crate::kit::{CHAT, CHAT_ANSWER, RESPONSES_STREAM, answer, exchange, request};

fn asked(target: &str, body: &Value) -> Asked {
    ask(request(target, body.to_string().as_bytes()))
}

#[test]
fn a_history_is_recognised_in_the_words_of_any_api() {
    let first = exchange("/v1/chat/completions", CHAT, "application/json", CHAT_ANSWER);
    let known = first.continuation.unwrap();
    let messages = json!([{"role":"user","content":"ä"},{"role":"assistant","content":[{"type":"text","text":"Hi!"}]},{"role":"user","content":"more"}]);
    let items = json!([{"role":"user","content":"ä"},{"type":"reasoning","summary":[{"type":"summary_text","text":"hm"}]},
        {"type":"message","role":"assistant","content":[{"type":"output_text","text":"Hi!"}]},{"role":"user","content":"more"}]);
    for (target, body) in [
        (
            "/v1/chat/completions",
            json!({"model":"m","messages":[{"role":"developer","content":"another"},{"role":"user","content":[{"type":"text","text":"ä"}]},{"role":"assistant","content":"Hi!","refusal":null}]}),
        ),
        ("/v1/messages", json!({"model":"m","system":"x","messages":messages})),
        ("/v1/responses", json!({"model":"m","input":items})),
        (
            "/v1beta/models/g:generateContent",
            json!({"contents":[{"role":"user","parts":[{"text":"ä"}]},{"role":"model","parts":[{"text":"thought","thought":true},{"text":"Hi!"}]}]}),
        ),
    ] {
        let asked = asked(target, &body);
        assert_eq!(asked.clues().prefixes, [known], "{target}");
    }
    // The same first words alone, or another answer, continue nothing.
    for body in [
        json!({"model":"m","messages":[{"role":"user","content":"ä"}]}),
        json!({"model":"m","messages":[{"role":"user","content":"ä"},{"role":"assistant","content":"Ho!"}]}),
        json!({"model":"m","messages":[{"role":"user","content":"a"},{"role":"assistant","content":"Hi!"}]}),
    ] {
        assert!(!asked("/v1/chat/completions", &body).clues().prefixes.contains(&known));
    }
}

#[test]
fn tool_calls_tell_histories_apart_by_their_ids() {
    let call =
        |id: &str| json!({"id":id,"type":"function","function":{"name":"f","arguments":"{}"}});
    let answer = |id: &str| {
        let message = json!({"role":"assistant","content":null,"tool_calls":[call(id)]});
        let body =
            json!({"choices":[{"message":message,"finish_reason":"tool_calls"}]}).to_string();
        exchange("/v1/chat/completions", CHAT, "application/json", &body).continuation.unwrap()
    };
    assert_ne!(answer("call_1"), answer("call_2"));
    let items = json!([{"role":"user","content":"ä"},{"type":"function_call","call_id":"call_1","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"call_1","output":"7"}]);
    assert_eq!(
        asked("/v1/responses", &json!({"model":"m","input":items})).clues().prefixes,
        [answer("call_1")]
    );
    let blocks = json!([{"role":"user","content":"ä"},{"role":"assistant","content":[{"type":"tool_use","id":"call_1","name":"f","input":{}}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"call_1","content":"7"}]}]);
    let asked = asked("/v1/messages", &json!({"model":"m","messages":blocks}));
    assert_eq!(asked.clues().prefixes, [answer("call_1")]);
    // Who has only results of tools to say is the tool.
    assert_eq!(asked.start().contents[2].role, "tool");
}

#[test]
fn what_names_a_session_is_found_the_surest_first() {
    let body =
        json!({"model":"m","messages":[],"metadata":{"user_id":"user_1_account__session_abc"}});
    let mut asked = request("/v1/messages", body.to_string().as_bytes());
    asked.headers.push(("X-Claude-Code-Session-Id".into(), b"def".to_vec()));
    asked.headers.push((
        "traceparent".into(),
        b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_vec(),
    ));
    let asked = ask(asked);
    assert_eq!(asked.clues().names, [Name::Session("def".into()), Name::Session("abc".into())]);
    assert!(asked.start().envelope.trace_id.is_some());
    let body = json!({"model":"m","input":"x","previous_response_id":"resp_0","conversation":{"id":"conv_0"},"prompt_cache_key":"no"});
    let asked = ask(request("/v1/responses", body.to_string().as_bytes()));
    assert_eq!(
        asked.clues().names,
        [Name::Conversation("conv_0".into()), Name::Response("resp_0".into())]
    );
    let answered =
        asked.answer(answer(&[("content-type", "text/event-stream")], RESPONSES_STREAM.as_bytes()));
    assert_eq!(
        (answered.names, answered.continuation),
        (vec![Name::Response("resp_1".into())], None)
    );
}
