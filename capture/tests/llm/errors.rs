//! Errors, and what is not quite an API.

use capture::llm::{Answer, Ended};

use crate::kit::{APIS, CHAT, GEMINI, MESSAGES, OLLAMA, answer, check, request};

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
