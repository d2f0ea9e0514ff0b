//! CORE: the headers that end at a proxy (RFC 9110, section 7.6.1); all others go on as they came.

use hyper::HeaderMap;
use hyper::header::{
    CONNECTION, COOKIE, EXPECT, HOST, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE,
};

/// The header in which an agent shows the gateway's key.
pub(crate) const KEY: HeaderName = HeaderName::from_static("x-chancery-key");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
/// Names that `Connection` may list; who lists more means no good.
const LISTED_MAX: usize = 32;

/// Leaves what is for the upstream. The body's framing is the client's own, and what it expected was the gateway's to fulfil.
pub(crate) fn to_upstream(headers: &mut HeaderMap, host: &HeaderValue) {
    end_here(headers);
    headers.remove(EXPECT);
    headers.remove(KEY);
    headers.insert(HOST, host.clone());
    join_cookies(headers);
}

/// HTTP/2 may take a cookie apart, and HTTP/1 has only one (RFC 9113, section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() > 1
        && let Ok(cookie) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
    {
        headers.insert(COOKIE, cookie);
    }
}

/// Leaves what is for the client.
pub(crate) fn to_client(headers: &mut HeaderMap) {
    end_here(headers);
}

/// Whether the connection is to become one of another protocol. HTTP/2 is only offered, and need not be taken up.
pub(crate) fn asks_for_another_protocol(headers: &HeaderMap) -> bool {
    let values = headers.get_all(UPGRADE).iter();
    let mut names = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    names.any(|name| !name.trim_ascii().eq_ignore_ascii_case(b"h2c"))
}

fn end_here(headers: &mut HeaderMap) {
    let listed = headers.get_all(CONNECTION).iter();
    let listed = listed.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let listed: Vec<HeaderName> = listed
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .take(LISTED_MAX)
        .collect();
    for name in listed {
        headers.remove(name);
    }
    for name in [
        CONNECTION,
        KEEP_ALIVE,
        PROXY_CONNECTION,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        TE,
        TRANSFER_ENCODING,
        UPGRADE,
    ] {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(lines: &[(&str, &str)]) -> HeaderMap {
        let line = |(name, value): &(&str, &str)| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
        };
        lines.iter().map(line).collect()
    }

    #[test]
    fn what_ends_at_a_proxy_ends_here_and_nothing_else_does() {
        let mut headers = map(&[
            ("host", "gateway:4280"),
            ("connection", "keep-alive, X-Once ,,é"),
            ("x-once", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("expect", "100-continue"),
            ("upgrade", "h2c"),
            ("x-chancery-key", "chk_1_2"),
            ("proxy-authorization", "Basic x"),
            ("authorization", "Bearer x"),
            ("accept-encoding", "br"),
            ("cookie", "a=1"),
            ("x-twice", "1"),
            ("x-twice", "2"),
            ("cookie", "b=2"),
        ]);
        to_upstream(&mut headers, &HeaderValue::from_static("a.example"));
        let expected = map(&[
            ("host", "a.example"),
            ("authorization", "Bearer x"),
            ("accept-encoding", "br"),
            ("cookie", "a=1; b=2"),
            ("x-twice", "1"),
            ("x-twice", "2"),
        ]);
        assert_eq!(headers, expected);
    }

    #[test]
    fn an_offer_of_http_2_is_no_wish_for_another_protocol() {
        let asks = |value| asks_for_another_protocol(&map(&[("upgrade", value)]));
        assert!(!asks_for_another_protocol(&HeaderMap::new()) && !asks("h2c"));
        assert!(asks("websocket") && asks("h2c, websocket"));
    }
}
