//! What never reaches the record: headers and query parameters that hold credentials. Only their names do.

use std::borrow::Cow;

use super::Headers;

/// Parts of names that hold credentials.
const SECRET: [&str; 10] = [
    "auth",
    "key",
    "token",
    "secret",
    "cookie",
    "password",
    "passwd",
    "credential",
    "signature",
    "jwt",
];
/// What has such a part and is none: numbers of tokens above all.
const HARMLESS: [&str; 5] =
    ["tokens", "token-count", "idempotency-key", "www-authenticate", "authority"];
/// Parameters with credentials that are not called so.
const QUERY: [&str; 2] = ["sig", "code"];

/// A header's name and value.
pub(super) type Line<'h> = (Cow<'h, str>, Cow<'h, str>);

/// Headers with and without credentials: what may be kept, and the names of what may not.
pub(super) fn part(headers: &Headers) -> (Vec<Line<'_>>, Vec<Cow<'_, str>>) {
    let (mut kept, mut dropped) = (Vec::with_capacity(headers.len()), Vec::new());
    for (name, value) in headers {
        let name = lower(name);
        if is_secret(&name) || is_secret_value(value) {
            dropped.push(name);
        } else {
            kept.push((name, text(value)));
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
    let is_in = |name: &str| {
        let starts = |rest: &[u8]| SECRET.iter().any(|part| rest.starts_with(part.as_bytes()));
        (0..name.len()).filter_map(|from| name.as_bytes().get(from..)).any(starts)
    };
    is_in(name)
        && is_in(&HARMLESS.iter().fold(name.to_owned(), |name, part| name.replace(part, "")))
}

fn lower(name: &str) -> Cow<'_, str> {
    match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => name.to_ascii_lowercase().into(),
        false => name.into(),
    }
}

/// Whether a value looks like a credential, whatever its name.
fn is_secret_value(value: &[u8]) -> bool {
    let start = |prefix: &str| {
        value.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
    };
    ["bearer ", "basic ", "sk-", "aiza", "aws4-hmac"].into_iter().any(start)
}

/// A header's value as text: UTF-8, or else each byte as the character of its number.
fn text(value: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(value) {
        Ok(text) => text.into(),
        Err(_) => value.iter().copied().map(char::from).collect::<String>().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_that_hold_credentials_are_known() {
        for name in [
            "authorization",
            "x-api-key",
            "ocp-apim-subscription-key",
            "x-amz-security-token",
            "helicone-auth",
            "x-app-secret",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "content-type",
            "x-ratelimit-limit-tokens",
            "idempotency-key",
            "www-authenticate",
            "anthropic-version",
            "x-request-id",
        ] {
            assert!(!is_secret(name), "{name}");
        }
        assert!(
            is_secret_value(b"BEARER x")
                && is_secret_value(b"sk-ant-1")
                && !is_secret_value(b"bear")
        );
    }

    #[test]
    fn a_query_loses_only_its_credentials() {
        assert_eq!(strip("/a?alt=sse&key=1&b"), ("/a?alt=sse&b".into(), vec!["?key".into()]));
        assert_eq!(strip("/a?key=1"), ("/a".into(), vec!["?key".into()]));
        assert_eq!(strip("/a?x=sk-1"), ("/a".into(), vec!["?x".into()]));
        assert_eq!(strip("/a"), ("/a".into(), vec![]));
        assert_eq!(strip("/a?"), ("/a?".into(), vec![]));
    }

    #[test]
    fn a_value_that_is_no_utf8_is_text_byte_by_byte() {
        assert_eq!(text("ä".as_bytes()), "ä");
        assert_eq!(text(&[0x61, 0xe4]), "aä");
    }
}
