//! What opens doors leaves only its name.

use capture::llm::{Headers, ask};
use serde_json::{Value, json};

use crate::kit::{GEMINI, answer, request};

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
