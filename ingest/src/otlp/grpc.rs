//! SHELL: OTLP over gRPC: one unary call a request, as of the gRPC specification "gRPC over HTTP2".
//!
//! It is our own few lines, so that the budget, the limits and the work off the async threads are those of every other
//! door: a server's library reads and inflates a message before anybody may say that there are too many.

#![expect(clippy::disallowed_methods, reason = "requests are timed")]

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use prost::Message;

use crate::gateway::Gateway;
use crate::http;
use crate::inflate::Encoding;
use crate::otlp::answer::{self, Status};
use crate::otlp::message::{Format, Signal};
use crate::otlp::{Export, Taken};
use crate::refusal::{Code, Refusal};

const GRPC: &str = "application/grpc";
const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const ACCEPTED: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
/// Of a message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

pub(crate) async fn export(
    State(gateway): State<Arc<Gateway>>,
    signal: Signal,
    request: Request,
) -> Response {
    let started = Instant::now();
    let outcome = take(&gateway, signal, request).await;
    gateway.metrics.answered(outcome.as_ref().err(), started.elapsed());
    let mut response = match outcome {
        Ok(taken) => answer(&answer::taken(taken, signal, Format::Protobuf)),
        Err(refusal) => refused(&Status::of(&refusal)).into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(GRPC));
    headers.insert(ACCEPTED, HeaderValue::from_static("identity,gzip,deflate,zstd"));
    response
}

async fn take(gateway: &Arc<Gateway>, signal: Signal, request: Request) -> Result<Taken, Refusal> {
    let (head, body) = request.into_parts();
    let media_type = http::media_type(&head.headers);
    if media_type != GRPC && media_type != "application/grpc+proto" {
        let why = format!("content-type must be {GRPC}");
        return Err(Refusal::new(Code::UnsupportedMediaType, why));
    }
    let credential = http::credential(gateway, &head.headers)?;
    let announced = encoding(&head.headers)?;
    let mut reservation = gateway.budget.reserve()?;
    let body = http::body(gateway, &head.headers, body, &mut reservation).await?;
    let (is_compressed, body) = message(body)?;
    let encoding = if is_compressed { announced } else { Encoding::Identity };
    let format = Format::Protobuf;
    Export { signal, format, encoding, body, credential, reservation }.take(gateway).await
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, Refusal> {
    let Some(name) = headers.get(ENCODING) else { return Ok(Encoding::Identity) };
    let known = name.to_str().ok().and_then(Encoding::named);
    let why = "grpc-encoding must be one of identity, gzip, deflate, zstd";
    known.ok_or_else(|| Refusal::new(Code::UnsupportedMediaType, why))
}

/// The one message of a unary call.
fn message(mut body: Bytes) -> Result<(bool, Bytes), Refusal> {
    let wrong = || Refusal::body("the body is not one message of gRPC");
    let Some((&[flag, a, b, c, d], rest)) = body.split_first_chunk::<PREFIX_BYTES>() else {
        return Err(wrong());
    };
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).map_err(|_| wrong())?;
    if rest.len() != length || flag > 1 {
        return Err(wrong());
    }
    Ok((flag == 1, body.split_off(PREFIX_BYTES)))
}

fn answer(message: &[u8]) -> Response {
    let mut body = BytesMut::with_capacity(PREFIX_BYTES + message.len());
    body.put_u8(0);
    body.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    body.extend_from_slice(message);
    let mut trailers = HeaderMap::new();
    trailers.insert(STATUS, HeaderValue::from_static("0"));
    let body = Full::new(body.freeze()).with_trailers(async { Some(Ok(trailers)) });
    Response::new(Body::new(body))
}

/// An answer of headers alone.
fn refused(status: &Status) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(STATUS, HeaderValue::from(status.code()));
    let texts = [
        (MESSAGE, percent(status.message())),
        (DETAILS, STANDARD_NO_PAD.encode(status.encode_to_vec())),
    ];
    for (name, text) in texts {
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(name, value);
        }
    }
    headers
}

/// Percent-encodes what may not stand in a header.
fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_one_whole_message() {
        let message = |bytes: &'static [u8]| message(Bytes::from_static(bytes));
        assert_eq!(message(&[1, 0, 0, 0, 2, 7, 8]).unwrap(), (true, Bytes::from_static(&[7, 8])));
        assert_eq!(message(&[0, 0, 0, 0, 0]).unwrap(), (false, Bytes::new()));
        for bad in
            [&[][..], &[0, 0, 0, 0], &[0, 0, 0, 0, 2, 7], &[0, 0, 0, 0, 0, 7], &[2, 0, 0, 0, 0]]
        {
            assert_eq!(message(bad).unwrap_err().code, Code::InvalidBody);
        }
    }

    #[test]
    fn a_reason_fits_into_a_header() {
        assert_eq!(percent("a 100% bad\nä"), "a 100%25 bad%0A%C3%A4");
    }
}
