//! Whatever came is rebuilt byte for byte, whole or broken off.

use std::io::{Read, Write};

use capture::llm::{Answered, Ended};
use serde_json::{Value, json};

use crate::kit::{
    APIS, CHAT, CHAT_ANSWER, CHAT_STREAM, MESSAGES, MESSAGES_STREAM, answer, check, exchange,
    outputs, request,
};

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
fn a_compressed_stream_that_breaks_off_is_read_as_far_as_it_goes() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    for frame in CHAT_STREAM.split_inclusive("\n\n") {
        encoder.write_all(frame.as_bytes()).unwrap();
        encoder.flush().unwrap();
    }
    let bytes = encoder.finish().unwrap();
    let headers = [("content-type", "text/event-stream"), ("content-encoding", "gzip")];
    let mut cut = answer(&headers, &bytes[..bytes.len() - 12]);
    cut.ended = Ended::UpstreamCut;
    let read = check(request("/v1/chat/completions", CHAT.as_bytes()), cut);
    assert!(outputs(&read.happening)[0].data.starts_with(br#"{"role":"assistant","content":"Hi"#));
}

#[test]
fn a_stream_that_breaks_off_within_a_character_is_read_up_to_it() {
    let stream = CHAT_STREAM.replace('!', "ä");
    let end = stream.find('ä').unwrap() + 1;
    let cut = answer(&[("content-type", "text/event-stream")], &stream.as_bytes()[..end]);
    let read = check(request("/v1/chat/completions", CHAT.as_bytes()), cut);
    assert_eq!(outputs(&read.happening)[0].data, r#"{"role":"assistant","content":"Hi"}"#);
    assert_eq!(read.happening.envelope.error_type.as_deref(), Some("upstream_cut"));
}

#[test]
fn a_body_that_grows_without_bound_is_opaque() {
    let bomb = zstd::encode_all(std::io::repeat(b' ').take(64 << 20), 3).unwrap();
    let headers = [("content-type", "application/json"), ("content-encoding", "zstd")];
    let read = check(request("/v1/chat/completions", CHAT.as_bytes()), answer(&headers, &bomb));
    assert!(outputs(&read.happening).is_empty());
}
