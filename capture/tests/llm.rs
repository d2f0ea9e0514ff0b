//! Exchanges with model APIs: whatever they say, their bytes can be rebuilt from the contents, and nothing panics.

#![cfg(test)]

use std::io::{Read, Write};

use bytes::Bytes;
use capture::llm::{Answer, Answered, Asked, Ended, Headers, Name, Request, ask};
use capture::{Content, Happening, is_name};
use proptest::prelude::*;
use schemas::{Cut, Digest};
use serde_json::{Value, json};

const CHAT: &str = r#"{"model":"gpt-4o","tools":[{"type":"function"}],"messages":[{"role":"system","content":"s"}, {"role":"user","content":"ä"}],"temperature":0.5,"seed":7,"max_tokens":9}"#;
const CHAT_ANSWER: &str = r#"{"id":"c-1","model":"gpt-4o-1","choices":[{"index":0,"message":{"role":"assistant","content":"Hi!"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2}}"#;
const CHAT_STREAM: &str = concat!(
    r#"data: {"id":"c-1","model":"gpt-4o-1","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
    "\n\n",
    r#"data: {"id":"c-1","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}"#,
    "\n\n",
    r#"data: {"id":"c-1","choices":[{"index":0,"delta":{"content":"!"},"finish_reason":null}]}"#,
    "\n\n",
    r#"data: {"id":"c-1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
    "\n\ndata: [DONE]\n\n",
);
const MESSAGES: &str = r#"{"model":"claude","max_tokens":10,"system":[{"type":"text","text":"s"}],"messages":[{"role":"user","content":[{"type":"text","text":"ä","cache_control":{"type":"ephemeral"}}]}]}"#;
const MESSAGES_STREAM: &str = concat!(
    "event: message_start\r\n",
    r#"data: {"type":"message_start","message":{"id":"m","model":"claude-1","content":[],"usage":{"input_tokens":3,"cache_read_input_tokens":4,"output_tokens":1}}}"#,
    "\r\n\r\n",
    r#"data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
    "\r\n\r\n",
    r#"data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi!"}}"#,
    "\r\n\r\n",
    r#"data: {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t1","name":"f","input":{}}}"#,
    "\r\n\r\n",
    r#"data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"a\":1}"}}"#,
    "\r\n\r\n",
    r#"data: {"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":9}}"#,
    "\r\n\r\n",
    "event: message_stop\r\ndata: {\"type\":\"message_stop\"}\r\n\r\n",
);
const RESPONSES: &str = r#"{"model":"gpt-5","instructions":"s","input":[{"role":"user","content":[{"type":"input_text","text":"ä"}]}]}"#;
const RESPONSES_STREAM: &str = concat!(
    r#"data: {"type":"response.created","response":{"id":"resp_1","model":"gpt-5-1","status":"in_progress","output":[]}}"#,
    "\n\n",
    r#"data: {"type":"response.output_item.added","output_index":0,"item":{"id":"msg_1","type":"message","status":"in_progress","content":[],"role":"assistant"}}"#,
    "\n\n",
    r#"data: {"type":"response.content_part.added","output_index":0,"content_index":0,"part":{"type":"output_text","text":""}}"#,
    "\n\n",
    r#"data: {"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"Hi!"}"#,
    "\n\n",
    r#"data: {"type":"response.completed","response":{"id":"resp_1","model":"gpt-5-1","status":"completed","output":[{"id":"msg_1","type":"message","role":"assistant","content":[{"type":"output_text","text":"Hi!"}]}],"usage":{"input_tokens":1,"output_tokens":2}}}"#,
    "\n\n",
);
const GEMINI: &str = r#"{"contents":[{"parts":[{"text":"ä"}]}],"systemInstruction":{"parts":[{"text":"s"}]},"generationConfig":{"topP":0.5}}"#;
const GEMINI_STREAM: &str = concat!(
    r#"data: {"candidates":[{"content":{"parts":[{"text":"H"}],"role":"model"}}],"modelVersion":"g-1","responseId":"r"}"#,
    "\r\n\r\n",
    r#"data: {"candidates":[{"content":{"parts":[{"text":"i!"}],"role":"model"},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2,"thoughtsTokenCount":5}}"#,
    "\r\n\r\n",
);
const OLLAMA: &str = r#"{"model":"llama3","messages":[{"role":"user","content":"ä"}]}"#;
const OLLAMA_STREAM: &str = concat!(
    r#"{"model":"llama3","message":{"role":"assistant","content":"Hi"},"done":false}"#,
    "\n",
    r#"{"model":"llama3","message":{"role":"assistant","content":"!"},"done":true,"done_reason":"stop","prompt_eval_count":2,"eval_count":3}"#,
    "\n",
);
const EMBEDDINGS: &str = r#"{"model":"e","input":["one","two"]}"#;
const EMBEDDED: &str =
    r#"{"data":[{"embedding":[0.5]}],"model":"e-1","usage":{"prompt_tokens":2,"total_tokens":2}}"#;

/// Every API: path, request, media type of the answer, answer.
const APIS: [(&str, &str, &str, &str); 8] = [
    ("/v1/chat/completions", CHAT, "application/json", CHAT_ANSWER),
    ("/v1/chat/completions", CHAT, "text/event-stream", CHAT_STREAM),
    ("/v1/messages", MESSAGES, "text/event-stream; charset=utf-8", MESSAGES_STREAM),
    ("/v1/responses", RESPONSES, "text/event-stream", RESPONSES_STREAM),
    ("/v1beta/models/gemini-2:streamGenerateContent", GEMINI, "text/event-stream", GEMINI_STREAM),
    ("/api/chat", OLLAMA, "application/x-ndjson", OLLAMA_STREAM),
    ("/v1/embeddings", EMBEDDINGS, "application/json", EMBEDDED),
    ("/anything", "not JSON", "text/plain", "nor this"),
];

fn request(target: &str, body: &[u8]) -> Request {
    Request {
        method: "POST".into(),
        target: target.into(),
        headers: vec![("content-type".into(), b"application/json".to_vec())],
        body: Bytes::copy_from_slice(body),
        ..Request::default()
    }
}

fn answer(headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec())).collect();
    Answer { status: Some(200), headers, body: Bytes::copy_from_slice(body), ..Answer::default() }
}

fn exchange(target: &str, body: &str, media_type: &str, answered: &str) -> Answered {
    let answered = answer(&[("Content-Type", media_type)], answered.as_bytes());
    ask(request(target, body.as_bytes())).answer(answered)
}

/// The bodies of request and response, as the contents of kind `http` say to rebuild them.
fn rebuild(happening: &Happening) -> Vec<Vec<u8>> {
    let contents = &happening.contents;
    let data = |index: usize| contents.get(index).map(|content| &*content.data);
    let place = |value: &Value| data(usize::try_from(value.as_u64()?).ok()?);
    let mut bodies = Vec::new();
    for http in contents.iter().filter(|content| content.kind == "http") {
        let http: Value = serde_json::from_slice(&http.data).unwrap();
        let body = &http["body"];
        let bytes = if let Some(content) = place(&body["content"]) {
            content.to_vec()
        } else if let Some(frame) = place(&body["zstd"]) {
            zstd::decode_all(frame).unwrap()
        } else if body.is_null() {
            Vec::new()
        } else {
            Cut::from_json(&body["cut"]).unwrap().fill(data).unwrap()
        };
        if !body.is_null() {
            assert_eq!(body["size"], bytes.len());
            assert_eq!(body["sha256"], Digest::of(&bytes).to_string());
        }
        bodies.push(bytes);
    }
    bodies
}

/// Reads an exchange, checks what must hold of any, and returns what was read.
fn check(request: Request, answer: Answer) -> Answered {
    let (asked_body, answer_body) = (request.body.clone(), answer.body.clone());
    let asked = ask(request);
    let start = asked.start();
    assert_eq!(rebuild(&start), [asked_body.to_vec()]);
    let answered = asked.answer(answer);
    assert_eq!(rebuild(&answered.happening), [asked_body.to_vec(), answer_body.to_vec()]);
    assert!(answered.happening.contents.starts_with(&start.contents));
    let envelope = &answered.happening.envelope;
    let texts = [
        &envelope.request_model,
        &envelope.response_model,
        &envelope.response_id,
        &envelope.error_type,
    ];
    assert!(texts.into_iter().flatten().all(|text| is_name(text)));
    answered
}

fn outputs(happening: &Happening) -> Vec<&Content> {
    let after = happening.contents.iter().position(|content| content.kind == "http").unwrap();
    happening.contents.iter().skip(after).filter(|content| content.kind == "message").collect()
}

#[test]
fn every_api_is_read_and_its_bytes_are_rebuilt() {
    let said = [
        json!([{"role":"assistant","content":"Hi!"}]),
        json!([{"role":"assistant","content":"Hi!"}]),
        json!([[{"type":"text","text":"Hi!"},{"type":"tool_use","id":"t1","name":"f","input":{"a":1}}]]),
        json!([{"id":"msg_1","type":"message","role":"assistant","content":[{"type":"output_text","text":"Hi!"}]}]),
        json!([{"parts":[{"text":"Hi!"}],"role":"model"}]),
        json!([{"role":"assistant","content":"Hi!"}]),
        json!([]),
        json!([]),
    ];
    for ((target, asked, media_type, answered), said) in APIS.into_iter().zip(said) {
        let answer = answer(&[("Content-Type", media_type)], answered.as_bytes());
        let Answered { happening, .. } = check(request(target, asked.as_bytes()), answer);
        let outputs: Vec<Value> = outputs(&happening)
            .iter()
            .map(|content| serde_json::from_slice(&content.data).unwrap())
            .collect();
        assert_eq!(Value::Array(outputs), said, "{target}");
        assert_eq!(happening.envelope.status, "ok", "{target}");
        let is_known = target != "/anything";
        assert_eq!(happening.envelope.kind == "llm.call", is_known, "{target}");
    }
}

#[test]
fn the_envelope_says_what_the_bodies_do_and_nothing_that_they_do_not() {
    let happening =
        exchange("/v1/chat/completions?api-version=1", CHAT, "application/json", CHAT_ANSWER)
            .happening;
    let envelope = &happening.envelope;
    assert_eq!(envelope.request_model.as_deref(), Some("gpt-4o"));
    assert_eq!(envelope.response_model.as_deref(), Some("gpt-4o-1"));
    assert_eq!(
        (envelope.temperature, envelope.seed, envelope.max_tokens),
        (Some(0.5), Some(7), Some(9))
    );
    assert_eq!((envelope.usage_input_tokens, envelope.usage_output_tokens), (Some(5), Some(2)));
    assert_eq!(envelope.usage_cache_read_input_tokens, None);
    assert_eq!(envelope.finish_reasons, ["stop"]);
    let roles: Vec<&str> = happening.contents.iter().map(|content| &*content.role).collect();
    assert_eq!(roles, ["", "system", "user", "", "assistant", ""]);
    assert_eq!(happening.contents[2].data, r#"{"role":"user","content":"ä"}"#);
    // A stream that was not asked for its usage does not say it.
    let stream = exchange("/v1/chat/completions", CHAT, "text/event-stream", CHAT_STREAM).happening;
    assert_eq!(stream.envelope.usage_input_tokens, None);
    // Cached input is input.
    let cached = exchange("/v1/messages", MESSAGES, "text/event-stream", MESSAGES_STREAM).happening;
    assert_eq!(
        (cached.envelope.usage_input_tokens, cached.envelope.usage_output_tokens),
        (Some(7), Some(9))
    );
}

#[test]
fn a_stream_cut_anywhere_is_read_as_far_as_it_came() {
    for (target, asked, media_type, answered) in
        APIS.into_iter().filter(|api| api.2 != "text/plain")
    {
        let mut longest = 0;
        for end in 0..answered.len() {
            let mut cut = answer(&[("content-type", media_type)], &answered.as_bytes()[..end]);
            cut.ended = Ended::UpstreamCut;
            let read = check(request(target, asked.as_bytes()), cut);
            assert_eq!(read.happening.envelope.status, "error");
            let said = outputs(&read.happening).first().map_or(0, |content| content.data.len());
            longest = longest.max(said);
        }
        let is_stream = media_type != "application/json";
        assert_eq!(longest > 0, is_stream, "{target}");
    }
}

#[test]
fn an_answer_that_was_compressed_is_kept_as_it_came_and_read_all_the_same() {
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let zlib = |bytes: &[u8]| {
        let mut encoder =
            flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    for (encoding, bytes) in [
        ("gzip", gzip(CHAT_ANSWER.as_bytes())),
        ("deflate", zlib(CHAT_ANSWER.as_bytes())),
        ("zstd", zstd::encode_all(CHAT_ANSWER.as_bytes(), 3).unwrap()),
    ] {
        let headers = [("content-type", "application/json"), ("Content-Encoding", encoding)];
        let read =
            check(request("/v1/chat/completions", CHAT.as_bytes()), answer(&headers, &bytes));
        assert_eq!(outputs(&read.happening).len(), 1, "{encoding}");
        assert_eq!(read.happening.envelope.usage_input_tokens, Some(5));
    }
    let headers = [("content-type", "application/json"), ("content-encoding", "br")];
    let read =
        check(request("/v1/chat/completions", CHAT.as_bytes()), answer(&headers, &[1, 2, 3]));
    assert!(outputs(&read.happening).is_empty());
    assert_eq!(read.happening.envelope.capture_convention.as_deref(), Some("openai.chat+http"));
    // A request too.
    let mut asked = request("/v1/chat/completions", &zstd::encode_all(CHAT.as_bytes(), 3).unwrap());
    asked.headers.push(("content-encoding".into(), b"zstd".to_vec()));
    let read =
        check(asked, answer(&[("content-type", "application/json")], CHAT_ANSWER.as_bytes()));
    assert_eq!(read.happening.envelope.request_model.as_deref(), Some("gpt-4o"));
}

#[test]
fn a_body_that_grows_without_bound_is_opaque() {
    let bomb = zstd::encode_all(std::io::repeat(b' ').take(64 << 20), 3).unwrap();
    let headers = [("content-type", "application/json"), ("content-encoding", "zstd")];
    let read = check(request("/v1/chat/completions", CHAT.as_bytes()), answer(&headers, &bomb));
    assert!(outputs(&read.happening).is_empty());
}

#[test]
fn credentials_leave_only_their_names() {
    let mut asked = request(
        "/v1beta/models/g:generateContent?alt=sse&key=AIzaHidden&Access_Token=hidden",
        GEMINI.as_bytes(),
    );
    let secret = [
        ("Authorization", "Bearer hidden"),
        ("x-api-key", "hidden"),
        ("api-key", "hidden"),
        ("X-Goog-Api-Key", "hidden"),
        ("cookie", "hidden"),
        ("proxy-authorization", "hidden"),
        ("x-my-secret", "hidden"),
        ("x-custom", "Bearer hidden"),
        ("x-other", "sk-hidden"),
        ("x-amz-security-token", "hidden"),
    ];
    let open = [
        ("openai-organization", "org"),
        ("x-ratelimit-remaining-tokens", "7"),
        ("user-agent", "a"),
        ("idempotency-key", "i"),
    ];
    let headers = |pairs: &[(&str, &str)]| -> Headers {
        pairs.iter().map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec())).collect()
    };
    asked.headers = headers(&secret);
    asked.headers.extend(headers(&open));
    let answered = answer(&[("set-cookie", "hidden"), ("x-request-id", "r")], b"{}");
    let happening = ask(asked).answer(answered).happening;
    for content in &happening.contents {
        assert!(
            !String::from_utf8_lossy(&content.data).to_lowercase().contains("hidden"),
            "{content:?}"
        );
    }
    let http: Vec<Value> = happening
        .contents
        .iter()
        .filter(|c| c.kind == "http")
        .map(|c| serde_json::from_slice(&c.data).unwrap())
        .collect();
    assert_eq!(http[0]["target"], "/v1beta/models/g:generateContent?alt=sse");
    let dropped = http[0]["headers_dropped"].as_array().unwrap();
    assert_eq!(dropped.len(), secret.len() + 2);
    assert!(dropped.contains(&json!("?key")) && dropped.contains(&json!("?Access_Token")));
    assert_eq!(http[0]["headers"].as_array().unwrap().len(), open.len());
    assert_eq!(http[1]["headers_dropped"], json!(["set-cookie"]));
}

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

#[test]
fn errors_are_named_by_the_api_or_by_their_status() {
    for (target, asked, status, body, named) in [
        (
            "/v1/chat/completions",
            CHAT,
            429,
            r#"{"error":{"message":"slow down","type":"rate_limit_error","code":null}}"#,
            "rate_limit_error",
        ),
        (
            "/v1/messages",
            MESSAGES,
            529,
            r#"{"type":"error","error":{"type":"overloaded_error"}}"#,
            "overloaded_error",
        ),
        (
            "/v1beta/models/g:generateContent",
            GEMINI,
            400,
            r#"{"error":{"code":400,"status":"INVALID_ARGUMENT"}}"#,
            "INVALID_ARGUMENT",
        ),
        ("/api/chat", OLLAMA, 404, r#"{"error":"model not found"}"#, "404"),
        ("/v1/chat/completions", CHAT, 502, "<html>", "502"),
    ] {
        let mut refused = answer(&[("content-type", "application/json")], body.as_bytes());
        refused.status = Some(status);
        let happening = check(request(target, asked.as_bytes()), refused).happening;
        assert_eq!(
            (&*happening.envelope.status, happening.envelope.error_type.as_deref()),
            ("error", Some(named))
        );
        assert!(
            happening
                .contents
                .iter()
                .any(|content| content.kind == "error" && content.data == body)
        );
    }
    for (ended, status, named) in [
        (Ended::UpstreamError("connect"), "error", Some("connect")),
        (Ended::ClientAbort, "cancelled", None),
        (Ended::Timeout, "timeout", Some("timeout")),
    ] {
        let none = Answer { ended, ..Answer::default() };
        let happening = check(request("/v1/chat/completions", CHAT.as_bytes()), none).happening;
        assert_eq!(
            (&*happening.envelope.status, happening.envelope.error_type.as_deref()),
            (status, named)
        );
    }
}

#[test]
fn what_is_not_quite_the_api_is_opaque() {
    let deep =
        format!(r#"{{"model":"m","messages":[{}1{}]}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let many = format!(r#"{{"model":"m","messages":[{}1]}}"#, "1,".repeat(100_000));
    let twice = r#"{"model":"m","messages":[],"messages":[{"role":"user","content":"x"}]}"#;
    for (body, kind) in [
        (deep.as_str(), "llm.call"),
        (&many, "llm.call"),
        (twice, "http.exchange"),
        (r#"{"messages":"x"}"#, "http.exchange"),
        (r#"{"model":"m"}"#, "http.exchange"),
        (r#"{"messages":[{"role":7,"content":{"a":[]}},{"content":"\ud800"},null]}"#, "llm.call"),
        ("", "http.exchange"),
    ] {
        for target in APIS.map(|api| api.0) {
            let read = check(request(target, body.as_bytes()), answer(&[], body.as_bytes()));
            assert!(read.happening.contents.len() <= 4200);
            if target == "/v1/chat/completions" {
                assert_eq!(read.happening.envelope.kind, kind, "{}", &body[..body.len().min(80)]);
            }
        }
    }
}

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
