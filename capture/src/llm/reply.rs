//! What came back: what an API's reading fills in, and what is known without it.

use std::borrow::Cow;

use bytes::Bytes;
use schemas::Envelope;
use serde_json::Value;
use serde_json::value::RawValue;

use super::api::Api;
use super::body::{Body, Part};
use super::call::{fidelity, name};
use super::json::{Raw, at, count, span, text};
use super::stream::Framing;
use super::thread::Thread;
use super::{Answer, Ended, Name};
use crate::happening::Content;

/// Reasons to finish, of choices that one call asked for.
const REASONS_MAX: usize = 128;

/// An answer, being read.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) envelope: Box<Envelope<'static>>,
    pub(super) thread: Thread,
    pub(super) names: Vec<Name>,
    /// Messages that are stretches of the body.
    pub(super) parts: Vec<Part>,
    /// Messages that were put together from a stream.
    pub(super) made: Vec<Content>,
    /// Whether the API says that this is all.
    pub(super) is_whole: bool,
    is_stream: bool,
}

impl Reply {
    pub(super) fn new(envelope: Box<Envelope<'static>>, thread: Thread) -> Self {
        let (names, parts, made) = (Vec::new(), Vec::new(), Vec::new());
        Self { envelope, thread, names, parts, made, is_whole: true, is_stream: false }
    }

    /// Reads the body and adds its contents; returns how they hold it, as JSON.
    pub(super) fn read(
        &mut self,
        api: Option<Api>,
        answer: &Answer,
        body: &Body,
        contents: &mut Vec<Content>,
    ) -> Value {
        if answer.status.is_none() && body.is_empty() {
            return Value::Null;
        }
        let said = body.lossy();
        let framing = Framing::of(body.media_type(), &said);
        if answer.status.is_some_and(|status| status >= 400) {
            self.refused(answer, body);
            return body.hold(contents, body.whole("error"));
        }
        let before = self.clone();
        let read = match (api, framing) {
            (None, _) => Some(()),
            (Some(api), Some(framing)) => api.stream(framing.frames(&said), self),
            (Some(api), None) => body.text().and_then(|text| api.answer(text, self)),
        };
        if read.is_none() {
            *self = before;
            let convention = api.map_or("http", Api::convention);
            self.envelope.capture_convention = Some(format!("{convention}+http").into());
            // Some refuse with a status that says that all is well.
            if error(body).is_some() {
                self.refused(answer, body);
                return body.hold(contents, body.whole("error"));
            }
        }
        self.is_stream = framing.is_some();
        contents.append(&mut self.made);
        let parts = std::mem::take(&mut self.parts);
        match framing {
            Some(_) => body.hold_stream(contents),
            None if parts.is_empty() => body.hold(contents, body.whole("raw")),
            None => body.hold(contents, parts),
        }
    }

    /// Says how it went.
    pub(super) fn conclude(&mut self, answer: &Answer) {
        let envelope = &mut self.envelope;
        envelope.phase = "end".into();
        envelope.duration_us = Some(answer.duration_us);
        envelope.time_to_first_chunk_us = answer.first_byte_us.filter(|_| self.is_stream);
        fidelity(envelope, answer.dropped);
        let (status, error) = match answer.ended {
            _ if &*envelope.status == "error" => ("error", None),
            Ended::Complete if self.is_whole => ("ok", None),
            Ended::Complete | Ended::UpstreamCut => ("error", Some("upstream_cut")),
            Ended::GatewayStopped => ("error", Some("gateway_stopped")),
            Ended::ClientAbort => ("cancelled", None),
            Ended::UpstreamError(reason) => ("error", Some(reason)),
            Ended::Timeout => ("timeout", Some("timeout")),
        };
        envelope.status = status.into();
        if let Some(error) = error {
            envelope.error_type = Some(error.into());
        }
    }

    /// An answer that says why there is none.
    fn refused(&mut self, answer: &Answer, body: &Body) {
        self.failed(error(body));
        if self.envelope.error_type.is_none() {
            let status = answer.status.unwrap_or_default();
            self.envelope.error_type = Some(status.to_string().into());
        }
    }

    /// Takes an error of the API: its type, or else its code.
    pub(super) fn failed(&mut self, error: Raw<'_>) {
        self.envelope.status = "error".into();
        let named =
            ["type", "status", "code"].iter().find_map(|member| name(text(at(error, &[member]))));
        if named.is_some() {
            self.envelope.error_type = named;
        }
    }

    /// Adds a message that stands in the body, in the model's words.
    pub(super) fn part(&mut self, body: &str, message: &RawValue) -> Option<()> {
        self.parts.push(Part::json(span(body, message.get())?, "assistant", "message"));
        Some(())
    }

    /// Adds a message that was put together.
    pub(super) fn made(&mut self, message: &Value) {
        self.made_json(message.to_string().into());
    }

    /// Adds a message that was put together, or stands in a frame of a stream.
    pub(super) fn made_json(&mut self, json: Bytes) {
        self.made.push(Content::json("assistant", "message", json));
    }

    pub(super) fn id(&mut self, id: Raw<'_>) {
        if self.envelope.response_id.is_none()
            && let Some(id) = name(text(id))
        {
            self.names.push(Name::Response(id.clone().into_owned()));
            self.envelope.response_id = Some(id);
        }
    }

    pub(super) fn model(&mut self, model: Raw<'_>) {
        if self.envelope.response_model.is_none() {
            self.envelope.response_model = name(text(model));
        }
    }

    pub(super) fn finish(&mut self, reason: Option<Cow<'_, str>>) {
        if let Some(reason) =
            name(reason).filter(|_| self.envelope.finish_reasons.len() < REASONS_MAX)
        {
            self.envelope.finish_reasons.push(reason);
        }
    }
}

/// Tokens at a path of names, within what a column can hold.
pub(super) fn tokens(usage: Raw<'_>, path: &[&str]) -> Option<u64> {
    count(at(usage, path))
}

/// What a body says went wrong.
fn error(body: &Body) -> Raw<'_> {
    at(serde_json::from_str(body.text()?).ok(), &["error"])
}
