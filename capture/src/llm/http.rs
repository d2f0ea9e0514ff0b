//! The exchange itself, as contents of kind `http`: all that was said of the bodies, and how these are rebuilt.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;

use super::credentials::{self, Line};
use super::{Answer, Ended, Request};

#[derive(Serialize)]
struct Asked<'a> {
    method: &'a str,
    target: String,
    headers: Vec<Line<'a>>,
    headers_dropped: Vec<Cow<'a, str>>,
    body: Value,
}

#[derive(Serialize)]
struct Answered<'a> {
    status: Option<u16>,
    headers: Vec<Line<'a>>,
    headers_dropped: Vec<Cow<'a, str>>,
    ended: &'static str,
    first_byte_us: Option<u64>,
    last_byte_us: Option<u64>,
    body: Value,
}

/// The request, but for its body.
pub(crate) fn request(request: &Request, body: Value) -> Vec<u8> {
    let (target, in_query) = credentials::strip(&request.target);
    let (headers, mut headers_dropped) = credentials::part(&request.headers);
    headers_dropped.extend(in_query.into_iter().map(Cow::Owned));
    let asked = Asked { method: &request.method, target, headers, headers_dropped, body };
    serde_json::to_vec(&asked).unwrap_or_default()
}

/// The response, but for its body.
pub(crate) fn response(answer: &Answer, body: Value) -> Vec<u8> {
    let (headers, headers_dropped) = credentials::part(&answer.headers);
    let Answer { status, first_byte_us, last_byte_us, .. } = *answer;
    let ended = match answer.ended {
        Ended::Complete => "complete",
        Ended::ClientAbort => "client_abort",
        Ended::UpstreamError(_) => "upstream_error",
        Ended::UpstreamCut => "upstream_cut",
        Ended::GatewayStopped => "gateway_stopped",
        Ended::Timeout => "timeout",
    };
    let answered =
        Answered { status, headers, headers_dropped, ended, first_byte_us, last_byte_us, body };
    serde_json::to_vec(&answered).unwrap_or_default()
}
