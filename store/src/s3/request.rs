//! SHELL: one signed request of our own, tried again where that is safe, and what S3 said where it refused.
#![expect(clippy::disallowed_methods, reason = "a shell: it waits before it tries again")]

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt as _;
use object_store::client::{HttpClient, HttpRequest, HttpRequestBody, HttpResponse};
use object_store::{HeaderMap, HeaderValue};
use schemas::Digest;
use url::form_urlencoded::Serializer;

use super::signer::Signer;
use super::xml::Element;
use crate::error::{Error, Refusal};

/// A page of versions: 1,000 keys of 1,024 bytes, each escaped threefold, and what is said of them.
const ANSWER_BYTES_MAX: usize = 8 << 20;
/// How often a request is sent at most, and the wait before the second time; each further wait is four times as long.
const ATTEMPTS_MAX: u32 = 4;
const WAIT: Duration = Duration::from_millis(100);

/// Where a bucket is, and who asks.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    pub(super) client: HttpClient,
    pub(super) signer: Signer,
    /// Its address, without a slash at the end.
    pub(super) url: String,
}

/// A request. Every one of them may be sent twice: it reads, or says how something shall be.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) doing: &'static str,
    pub(super) method: &'static str,
    /// The whole key; empty for the bucket itself.
    pub(super) key: &'a str,
    pub(super) query: &'a [(&'a str, &'a str)],
    pub(super) headers: &'a [(&'static str, String)],
    pub(super) body: Bytes,
}

impl Request<'_> {
    /// The plainest there is.
    pub(super) const fn get(key: &str) -> Request<'_> {
        let (doing, method) = ("read", "GET");
        Request { doing, method, key, query: &[], headers: &[], body: Bytes::new() }
    }
}

/// What a server answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    /// The header as text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl Bucket {
    pub(super) async fn send(&self, request: &Request<'_>) -> Result<Answer, Error> {
        let (mut wait, mut attempts) = (WAIT, 1);
        loop {
            let answer = self.once(request).await;
            match answer {
                Err(error) if attempts < ATTEMPTS_MAX && passes(&error) => {
                    tokio::time::sleep(wait).await;
                    (wait, attempts) = (wait * 4, attempts + 1);
                }
                answer => return answer,
            }
        }
    }

    async fn once(&self, request: &Request<'_>) -> Result<Answer, Error> {
        let key = if request.key.is_empty() { "the bucket" } else { request.key };
        let failed = |source| Error::Object { doing: request.doing, key: key.to_owned(), source };
        let mut http = self.http(request)?;
        let content = Digest::of(&request.body);
        self.signer.sign(&mut http, &content).await.map_err(failed)?;
        let answer = self.client.execute(http).await.map_err(|e| failed(generic(e)))?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = body(answer).await.map_err(failed)?;
        if status.is_success() {
            return Ok(Answer { headers, body });
        }
        let (doing, key) = (request.doing, key.to_owned());
        Err(Error::S3 { doing, key, refusal: Box::new(refusal(status.as_u16(), &body)) })
    }

    fn http(&self, request: &Request<'_>) -> Result<HttpRequest, Error> {
        let unsendable = |why: String| Error::Address { address: request.key.to_owned(), why };
        if request.key.split('/').any(|part| part == "." || part == "..") {
            return Err(unsendable("no request can name a key that has . or .. in it".to_owned()));
        }
        let mut query = Serializer::new(String::new());
        query.extend_pairs(request.query);
        let url = format!("{}/{}?{}", self.url, encoded(request.key), query.finish());
        let mut http = HttpRequest::new(HttpRequestBody::from(request.body.clone()));
        *http.method_mut() = request.method.parse().map_err(|e| unsendable(format!("{e}")))?;
        *http.uri_mut() =
            url.trim_end_matches('?').parse().map_err(|e| unsendable(format!("{e}")))?;
        for (name, value) in request.headers {
            let value = HeaderValue::try_from(value.as_str());
            http.headers_mut().insert(*name, value.map_err(|e| unsendable(e.to_string()))?);
        }
        Ok(http)
    }
}

/// Whether the same request may well succeed in a moment.
fn passes(error: &Error) -> bool {
    match error {
        Error::S3 { refusal, .. } => refusal.passes(),
        Error::Object { .. } => true,
        _ => false,
    }
}

fn generic(source: impl std::error::Error + Send + Sync + 'static) -> object_store::Error {
    object_store::Error::Generic { store: "S3", source: Box::new(source) }
}

async fn body(answer: HttpResponse) -> object_store::Result<Bytes> {
    let (mut chunks, mut body) = (answer.into_body().bytes_stream(), BytesMut::new());
    while let Some(chunk) = chunks.try_next().await.map_err(generic)? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(object_store::Error::Generic {
                store: "S3",
                source: format!("an answer of more than {ANSWER_BYTES_MAX} bytes").into(),
            });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// What the server said, bounded: it goes into logs.
fn refusal(status: u16, body: &[u8]) -> Refusal {
    let said = Element::parse(body);
    let text = |name| said.as_ref().and_then(|said| said.text(name)).unwrap_or_default();
    let bounded = |text: &str| text.chars().filter(|c| !c.is_control()).take(300).collect();
    Refusal { status, code: bounded(text("Code")), why: bounded(text("Message")) }
}

/// The key as it stands in an address: all but unreserved characters and slashes as `%XX`, as signatures want it.
pub(super) fn encoded(key: &str) -> String {
    let mut text = String::with_capacity(key.len());
    for byte in key.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                text.push(char::from(byte));
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_encoded_as_signatures_want_it() {
        assert_eq!(encoded("a/p=7/Z_0.~-"), "a/p%3D7/Z_0.~-");
        assert_eq!(encoded("é +%?#"), "%C3%A9%20%2B%25%3F%23");
    }

    #[test]
    fn what_a_server_says_is_bounded_and_has_no_control_characters() {
        let said =
            format!("<Error><Code>A\x07B</Code><Message>{}</Message></Error>", "m".repeat(999));
        let refused = refusal(403, said.as_bytes());
        assert_eq!((refused.code.as_str(), refused.why.len()), ("AB", 300));
        assert_eq!(refusal(500, b"<html>"), Refusal { status: 500, ..Refusal::default() });
    }
}
