//! SHELL: the door: `POST /v1/events`, and what operators ask.
//!
//! The order matters: who is asking, then what is announced, then the body under limits, then its meaning.

#![expect(clippy::disallowed_methods, reason = "requests are timed")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ORIGIN, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use serde_json::{Map, Value, json};
use tracing::Instrument;

use crate::auth::Credential;
use crate::avro_door::Series;
use crate::budget::Reservation;
use crate::form::Form;
use crate::gateway::{Gateway, Request};
use crate::inflate::Encoding;
use crate::llm::Llm;
use crate::load::Load;
use crate::otlp;
use crate::refusal::{Code, Refusal};
use crate::submitted::Accepted;

pub(crate) const JSON: &str = "application/json";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Where a key stands that may not stand in `Authorization`.
const KEY: HeaderName = HeaderName::from_static("x-chancery-key");
/// What a body may be announced as.
const MEDIA_TYPES: [(&str, Form); 4] = [
    (JSON, Form::Json),
    ("application/x-ndjson", Form::Json),
    ("application/avro", Form::Avro(Series::One)),
    ("application/vnd.chancery.avro-frames", Form::Avro(Series::Many)),
];

pub(crate) fn router(gateway: Arc<Gateway>, llm: Arc<Llm>) -> Router {
    Router::new()
        .route("/v1/events", post(events))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .merge(otlp::router())
        .fallback(async || Refusal::new(Code::NotFound, "there is nothing at this path"))
        .method_not_allowed_fallback(async || {
            Refusal::new(Code::MethodNotAllowed, "this path does not take this method")
        })
        .with_state(gateway)
        .merge(llm.router())
}

async fn events(State(gateway): State<Arc<Gateway>>, headers: HeaderMap, body: Body) -> Response {
    let started = Instant::now();
    let span = tracing::debug_span!("accept");
    let outcome = accept(&gateway, &headers, body).instrument(span).await;
    gateway.metrics.answered(outcome.as_ref().err(), started.elapsed());
    match outcome {
        Ok(events) => answer(&events, gateway.config.receipts.as_deref()),
        Err(refusal) => refusal.into_response(),
    }
}

async fn accept(
    gateway: &Arc<Gateway>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Vec<Accepted>, Refusal> {
    let credential = credential(gateway, headers)?;
    let form = form(headers)?;
    let encoding = encoding(headers)?;
    let mut reservation = gateway.budget.reserve()?;
    let body = self::body(gateway, headers, body, &mut reservation).await?;
    let load = Load::Body { bytes: body, form, encoding };
    let submitted =
        gateway.admit(Request { load, capture_point: "http", credential, reservation }).await?;
    gateway.wait(submitted).await
}

/// Who is asking.
pub(crate) fn credential(gateway: &Gateway, headers: &HeaderMap) -> Result<Credential, Refusal> {
    let [authorization, key, origin] =
        [AUTHORIZATION, KEY, ORIGIN].map(|name| text(headers, &name));
    gateway.auth.authenticate(authorization, key, origin)
}

/// The request's body as it came, under limits of size and time.
pub(crate) async fn body(
    gateway: &Gateway,
    headers: &HeaderMap,
    body: Body,
    reservation: &mut Reservation,
) -> Result<Bytes, Refusal> {
    let limit = Duration::from_millis(gateway.config.body_timeout_ms);
    let read = tokio::time::timeout(limit, read(gateway, headers, body, reservation)).await;
    let late = |_| Refusal::new(Code::Timeout, "the body did not come in time");
    read.map_err(late)?
}

/// The one value of a header that is text.
fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// What a body is announced as, without parameters.
pub(crate) fn media_type(headers: &HeaderMap) -> &str {
    let given = text(headers, &CONTENT_TYPE).unwrap_or_default();
    given.split(';').next().unwrap_or_default().trim()
}

fn form(headers: &HeaderMap) -> Result<Form, Refusal> {
    let given = media_type(headers);
    let known = MEDIA_TYPES.iter().find(|(known, _)| given.eq_ignore_ascii_case(known));
    known.map(|(_, form)| *form).ok_or_else(|| {
        let known = MEDIA_TYPES.map(|(known, _)| known).join(", ");
        Refusal::new(Code::UnsupportedMediaType, format!("content-type must be one of {known}"))
    })
}

/// One layer of compression at most.
pub(crate) fn encoding(headers: &HeaderMap) -> Result<Encoding, Refusal> {
    let mut given = headers.get_all(CONTENT_ENCODING).iter();
    let known = match (given.next().map(HeaderValue::to_str), given.next()) {
        (None, _) => Some(Encoding::Identity),
        (Some(Ok(one)), None) => Encoding::named(one),
        _ => None,
    };
    let why = "content-encoding must be one of gzip, zstd, deflate, once, or identity";
    known.ok_or_else(|| Refusal::new(Code::UnsupportedMediaType, why))
}

/// The body's bytes, as they came.
async fn read(
    gateway: &Gateway,
    headers: &HeaderMap,
    body: Body,
    reservation: &mut Reservation,
) -> Result<Bytes, Refusal> {
    let max = gateway.config.body_bytes_max;
    let too_large = || Refusal::limit(Code::TooLarge, "the body has bytes", "body_bytes_max", max);
    let announced = text(headers, &CONTENT_LENGTH).and_then(|text| text.parse().ok()).unwrap_or(0);
    if announced > max {
        return Err(too_large());
    }
    reservation.grow(announced)?;
    let mut bytes = BytesMut::with_capacity(announced);
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let broken = |error| Refusal::body(format!("the body could not be read: {error}"));
        let chunk = chunk.map_err(broken)?;
        let before = bytes.len().max(announced);
        if bytes.len() + chunk.len() > max {
            return Err(too_large());
        }
        reservation.grow((bytes.len() + chunk.len()).saturating_sub(before))?;
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

fn answer(events: &[Accepted], receipts: Option<&str>) -> Response {
    let event = |event: &Accepted| {
        let mut object = Map::new();
        object.insert("event_id".to_owned(), event.event_id.as_str().into());
        object.insert("event_digest".to_owned(), event.event_digest.as_str().into());
        if let Some(session) = &event.session_made {
            object.insert("session_id".to_owned(), session.as_str().into());
        }
        Value::Object(object)
    };
    let events: Vec<Value> = events.iter().map(event).collect();
    let mut answer = json!({ "accepted": events.len(), "events": events });
    if let (Some(answer), Some(receipts)) = (answer.as_object_mut(), receipts) {
        answer.insert("receipts".to_owned(), receipts.into());
    }
    let text = answer.to_string();
    ([(CONTENT_TYPE, JSON)], text).into_response()
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (_, status) = self.code.name_and_status();
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let text = self.to_json().to_string();
        let mut response = (status, [(CONTENT_TYPE, JSON)], text).into_response();
        let headers = response.headers_mut();
        match self.code {
            Code::Unavailable => headers.insert(RETRY_AFTER, HeaderValue::from_static("1")),
            Code::Unauthorized => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
            }
            _ => None,
        };
        response
    }
}

async fn ready(State(gateway): State<Arc<Gateway>>) -> Response {
    match gateway.sinks.failure() {
        None => gateway.sinks.readiness().into_response(),
        Some(why) => Refusal::unavailable(why).into_response(),
    }
}

async fn metrics(State(gateway): State<Arc<Gateway>>) -> Response {
    match gateway.metrics.text(gateway.budget.taken(), &gateway.sinks) {
        Ok(text) => ([(CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(_) => Refusal::new(Code::Internal, "the metrics have no text").into_response(),
    }
}
