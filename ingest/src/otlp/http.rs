//! SHELL: OTLP over HTTP, in protobuf or JSON; the answer is in the request's format.

#![expect(clippy::disallowed_methods, reason = "requests are timed")]

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::gateway::Gateway;
use crate::http;
use crate::otlp::answer::{self, Status};
use crate::otlp::message::{Format, Signal};
use crate::otlp::{Export, Taken};
use crate::refusal::{Code, Refusal};

const PROTOBUF: &str = "application/x-protobuf";

pub(crate) async fn export(
    State(gateway): State<Arc<Gateway>>,
    signal: Signal,
    request: Request,
) -> Response {
    let started = Instant::now();
    let format = format(&request);
    let outcome = match format {
        Ok(format) => take(&gateway, signal, format, request).await,
        Err(ref refusal) => Err(refusal.clone()),
    };
    gateway.metrics.answered(outcome.as_ref().err(), started.elapsed());
    let format = format.unwrap_or(Format::Json);
    match outcome {
        Ok(taken) => answer(StatusCode::OK, format, answer::taken(taken, signal, format)),
        Err(refusal) => refused(&refusal, format),
    }
}

async fn take(
    gateway: &Arc<Gateway>,
    signal: Signal,
    format: Format,
    request: Request,
) -> Result<Taken, Refusal> {
    let (head, body) = request.into_parts();
    let credential = http::credential(gateway, &head.headers)?;
    let encoding = http::encoding(&head.headers)?;
    let mut reservation = gateway.budget.reserve()?;
    let body = http::body(gateway, &head.headers, body, &mut reservation).await?;
    Export { signal, format, encoding, body, credential, reservation }.take(gateway).await
}

fn format(request: &Request) -> Result<Format, Refusal> {
    match http::media_type(request.headers()) {
        given if given.eq_ignore_ascii_case(PROTOBUF) => Ok(Format::Protobuf),
        given if given.eq_ignore_ascii_case(http::JSON) => Ok(Format::Json),
        _ => {
            let why = format!("content-type must be {PROTOBUF} or {}", http::JSON);
            Err(Refusal::new(Code::UnsupportedMediaType, why))
        }
    }
}

fn refused(refusal: &Refusal, format: Format) -> Response {
    let (_, status) = refusal.code.name_and_status();
    // Clients of OTLP drop what is answered with 408.
    let status = if refusal.code == Code::Timeout { 503 } else { status };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = answer(status, format, Status::of(refusal).to_bytes(format));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        let seconds = HeaderValue::from(answer::RETRY_AFTER_S);
        response.headers_mut().insert(RETRY_AFTER, seconds);
    }
    response
}

fn answer(status: StatusCode, format: Format, body: Vec<u8>) -> Response {
    let media_type = match format {
        Format::Protobuf => PROTOBUF,
        Format::Json => http::JSON,
    };
    (status, [(CONTENT_TYPE, media_type)], body).into_response()
}
