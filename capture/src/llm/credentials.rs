//! What never reaches the record: headers and query parameters that hold credentials. Only their names do.

use super::Headers;

/// Parts of names that hold credentials.
const SECRET: [&str; 12] = [
    "auth",
    "key",
    "token",
    "secret",
    "cookie",
    "password",
    "passwd",
    "credential",
    "signature",
    "session-id-token",
    "jwt",
    "bearer",
];
/// Names with such a part that hold none, and parts that say so.
const HARMLESS: [&str; 10] = [
    "ratelimit",
    "token-count",
    "idempotency-key",
    "www-authenticate",
    "authority",
    "max-tokens",
    "sec-websocket-key",
    "key-id",
    "tokens-used",
    "author",
];
/// Parameters with credentials that are not called so.
const QUERY: [&str; 2] = ["sig", "code"];

/// Headers with and without credentials: what may be kept, and the names of what may not.
pub(super) fn part(headers: &Headers) -> (Vec<[String; 2]>, Vec<String>) {
    let (mut kept, mut dropped) = (Vec::with_capacity(headers.len()), Vec::new());
    for (name, value) in headers {
        let lower = name.to_ascii_lowercase();
        if is_secret(&lower) || is_secret_value(value) {
            dropped.push(lower);
        } else {
            kept.push([lower, text(value)]);
        }
    }
    (kept, dropped)
}

/// A target without the credentials in its query, and the names of those, each after a `?`.
pub(super) fn strip(target: &str) -> (String, Vec<String>) {
    let Some((path, query)) = target.split_once('?') else {
        return (target.to_owned(), Vec::new());
    };
    let (mut kept, mut dropped) = (Vec::new(), Vec::new());
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let lower = name.to_ascii_lowercase();
        let is_kept =
            !is_secret(&lower) && !QUERY.contains(&&*lower) && !is_secret_value(value.as_bytes());
        if is_kept {
            kept.push(pair);
        } else {
            dropped.push(format!("?{name}"));
        }
    }
    let query = kept.join("&");
    let target = if kept.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
    (target, dropped)
}

fn is_secret(name: &str) -> bool {
    SECRET.iter().any(|part| name.contains(part))
        && !HARMLESS.iter().any(|part| name.contains(part))
}

/// Whether a value looks like a credential, whatever its name.
fn is_secret_value(value: &[u8]) -> bool {
    let start = |prefix: &str| {
        value.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
    };
    ["bearer ", "basic ", "sk-", "aiza", "aws4-hmac"].into_iter().any(start)
}

/// A header's value as text: UTF-8, or else each byte as the character of its number.
fn text(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) => text.to_owned(),
        Err(_) => value.iter().copied().map(char::from).collect(),
    }
}
