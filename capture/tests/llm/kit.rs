//! Exchanges for tests, and how their bodies are put together again.

use bytes::Bytes;
use capture::llm::{Answer, Answered, Request, ask};
use capture::{Content, Happening, is_name};
use schemas::{Cut, Digest};
use serde_json::Value;

pub(crate) const CHAT: &str = r#"{"model":"gpt-4o","tools":[{"type":"function"}],"messages":[{"role":"system","content":"s"}, {"role":"user","content":"ä"}],"temperature":0.5,"seed":7,"max_tokens":9}"#;
pub(crate) const CHAT_ANSWER: &str = r#"{"id":"c-1","model":"gpt-4o-1","choices":[{"index":0,"message":{"role":"assistant","content":"Hi!"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2}}"#;
pub(crate) const CHAT_STREAM: &str = concat!(
    r#"data: {"id":"c-1","model":"gpt-4o-1","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
    "\n\n",
    r#"data: {"id":"c-1","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}"#,
    "\n\n",
    r#"data: {"id":"c-1","choices":[{"index":0,"delta":{"content":"!"},"finish_reason":null}]}"#,
    "\n\n",
    r#"data: {"id":"c-1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
    "\n\ndata: [DONE]\n\n",
);
pub(crate) const MESSAGES: &str = r#"{"model":"claude","max_tokens":10,"system":[{"type":"text","text":"s"}],"messages":[{"role":"user","content":[{"type":"text","text":"ä","cache_control":{"type":"ephemeral"}}]}]}"#;
pub(crate) const MESSAGES_STREAM: &str = concat!(
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
pub(crate) const RESPONSES: &str = r#"{"model":"gpt-5","instructions":"s","input":[{"role":"user","content":[{"type":"input_text","text":"ä"}]}]}"#;
pub(crate) const RESPONSES_STREAM: &str = concat!(
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
pub(crate) const GEMINI: &str = r#"{"contents":[{"parts":[{"text":"ä"}]}],"systemInstruction":{"parts":[{"text":"s"}]},"generationConfig":{"topP":0.5}}"#;
pub(crate) const GEMINI_STREAM: &str = concat!(
    r#"data: {"candidates":[{"content":{"parts":[{"text":"H"}],"role":"model"}}],"modelVersion":"g-1","responseId":"r"}"#,
    "\r\n\r\n",
    r#"data: {"candidates":[{"content":{"parts":[{"text":"i!"}],"role":"model"},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2,"thoughtsTokenCount":5}}"#,
    "\r\n\r\n",
);
pub(crate) const OLLAMA: &str = r#"{"model":"llama3","messages":[{"role":"user","content":"ä"}]}"#;
pub(crate) const OLLAMA_STREAM: &str = concat!(
    r#"{"model":"llama3","message":{"role":"assistant","content":"Hi"},"done":false}"#,
    "\n",
    r#"{"model":"llama3","message":{"role":"assistant","content":"!"},"done":true,"done_reason":"stop","prompt_eval_count":2,"eval_count":3}"#,
    "\n",
);
pub(crate) const EMBEDDINGS: &str = r#"{"model":"e","input":["one","two"]}"#;
pub(crate) const EMBEDDED: &str =
    r#"{"data":[{"embedding":[0.5]}],"model":"e-1","usage":{"prompt_tokens":2,"total_tokens":2}}"#;

/// Every API: path, request, media type of the answer, answer.
pub(crate) const APIS: [(&str, &str, &str, &str); 8] = [
    ("/v1/chat/completions", CHAT, "application/json", CHAT_ANSWER),
    ("/v1/chat/completions", CHAT, "text/event-stream", CHAT_STREAM),
    ("/v1/messages", MESSAGES, "text/event-stream; charset=utf-8", MESSAGES_STREAM),
    ("/v1/responses", RESPONSES, "text/event-stream", RESPONSES_STREAM),
    ("/v1beta/models/gemini-2:streamGenerateContent", GEMINI, "text/event-stream", GEMINI_STREAM),
    ("/api/chat", OLLAMA, "application/x-ndjson", OLLAMA_STREAM),
    ("/v1/embeddings", EMBEDDINGS, "application/json", EMBEDDED),
    ("/anything", "not JSON", "text/plain", "nor this"),
];

pub(crate) fn request(target: &str, body: &[u8]) -> Request {
    Request {
        method: "POST".into(),
        target: target.into(),
        headers: vec![("content-type".into(), b"application/json".to_vec())],
        body: Bytes::copy_from_slice(body),
        ..Request::default()
    }
}

pub(crate) fn answer(headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec())).collect();
    Answer { status: Some(200), headers, body: Bytes::copy_from_slice(body), ..Answer::default() }
}

pub(crate) fn exchange(target: &str, body: &str, media_type: &str, answered: &str) -> Answered {
    let answered = answer(&[("Content-Type", media_type)], answered.as_bytes());
    ask(request(target, body.as_bytes())).answer(answered)
}

/// The bodies of request and response, as the contents of kind `http` say to rebuild them.
pub(crate) fn rebuild(happening: &Happening) -> Vec<Vec<u8>> {
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
pub(crate) fn check(request: Request, answer: Answer) -> Answered {
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

pub(crate) fn outputs(happening: &Happening) -> Vec<&Content> {
    let after = happening.contents.iter().position(|content| content.kind == "http").unwrap();
    happening.contents.iter().skip(after).filter(|content| content.kind == "message").collect()
}
