//! What is written of a request with its answer, of one without the other, and of a notification.
//!
//! Every message is kept to the byte: its parts that mean something are contents of their own, and a content of kind `jsonrpc`
//! has the rest, with the places where they belong.

use std::ops::Range;

use schemas::{Cut, Micros, Retrieval};
use serde_json::{Map, Value};

use super::conversation::{Heard, Side};
use super::json::{self, Fields};
use super::message::{Id, Message};
use super::pending::Asked;
use crate::happening::{Content, Happening, Slot, is_name};
use crate::llm::traceparent;

/// Documents of one answer that are told apart; one that has more is kept as one.
const DOCUMENTS_MAX: usize = 256;

/// What is known of the two who talk.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) server: String,
    pub(super) revision: Option<String>,
    /// The client's name and version.
    pub(super) client: Option<(String, Option<String>)>,
}

/// Why there is no answer: what the event says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ending {
    pub(super) status: &'static str,
    pub(super) error_type: Option<&'static str>,
}

impl Ending {
    /// Whoever asked has called it off.
    pub(super) const CANCELLED: Self = Self { status: "cancelled", error_type: None };
    /// One of the two is gone.
    pub(super) const GONE: Self = Self { status: "cancelled", error_type: Some("peer_gone") };
    /// The same id was used again.
    pub(super) const SAME_ID: Self = Self { status: "timeout", error_type: Some("id_used_again") };
    /// Too many others wait.
    pub(super) const NO_ROOM: Self =
        Self { status: "timeout", error_type: Some("too_many_pending") };
}

/// A request and its answer.
pub(super) fn answered(known: &Known, asked: &Asked, answer: &Message, at: Micros) -> Happening {
    let mut writing = Writing::of(known, asked);
    writing.answer(&asked.method, answer);
    writing.judge(&asked.method, answer);
    writing.finish(asked, at)
}

/// A request without an answer.
pub(super) fn unanswered(known: &Known, asked: &Asked, ending: Ending, at: Micros) -> Happening {
    let mut writing = Writing::of(known, asked);
    writing.happening.envelope.status = ending.status.into();
    writing.happening.envelope.error_type = ending.error_type.map(Into::into);
    writing.finish(asked, at)
}

/// An answer to nothing that is known, or a second one.
pub(super) fn stray(known: &Known, heard: &Heard, id: &Id, answer: &Message) -> Happening {
    let mut writing = Writing::new(known, "mcp.request", heard.side.other(), heard.at);
    let envelope = &mut writing.happening.envelope;
    envelope.phase = "end".into();
    envelope.tool_call_id = name(id.as_str());
    writing.answer("", answer);
    writing.judge("", answer);
    let envelope = &mut writing.happening.envelope;
    envelope.error_type = envelope.error_type.take().or(Some("no_request".into()));
    writing.close()
}

/// What wants no answer.
pub(super) fn notification(
    known: &Known,
    heard: &Heard,
    method: &str,
    message: &Message,
) -> Happening {
    let mut writing = Writing::new(known, "mcp.notification", heard.side, heard.at);
    writing.happening.envelope.operation = name(method);
    writing.trace(message);
    writing.request(method, message);
    writing.close()
}

/// What is no message: servers print all kinds of things.
pub(super) fn noise(heard: &Heard) -> Happening {
    let mut happening = Happening::new("log", "mcp_proxy");
    happening.envelope.occurred_at = heard.at;
    happening.envelope.actor_type = Some(actor(heard.side).into());
    truncated(&mut happening, heard.dropped);
    let is_text = heard.dropped == 0 && std::str::from_utf8(&heard.text).is_ok();
    let media_type = if is_text { "text/plain" } else { "application/octet-stream" };
    happening.push(Content::new("", "raw", media_type, heard.text.clone()));
    happening
}

/// Says who talks, and how.
pub(super) fn introduce(happening: &mut Happening, known: &Known) {
    let envelope = &mut happening.envelope;
    let revision = known.revision.as_ref().map(|revision| format!("mcp/{revision}"));
    envelope.protocol = Some(revision.map_or("mcp".into(), Into::into));
    if let Some((name, version)) = &known.client {
        envelope.agent_name = Some(name.clone().into());
        envelope.agent_version = version.clone().map(Into::into);
    }
}

/// An event in the making.
struct Writing<'k> {
    known: &'k Known,
    happening: Happening,
    /// The rest of the messages, by what they are.
    rest: Map<String, Value>,
}

impl<'k> Writing<'k> {
    fn new(known: &'k Known, kind: &'static str, side: Side, at: Micros) -> Self {
        let mut happening = Happening::new(kind, "mcp_proxy");
        happening.envelope.occurred_at = at;
        happening.envelope.actor_type = Some(actor(side).into());
        introduce(&mut happening, known);
        let mut rest = Map::new();
        rest.insert("server".to_owned(), known.server.as_str().into());
        Self { known, happening, rest }
    }

    /// Of a request.
    fn of(known: &'k Known, asked: &Asked) -> Self {
        let kind = match (asked.side, asked.method.as_str()) {
            (Side::Client, "tools/call") => "tool.call",
            (Side::Client, "resources/read") => "retrieval",
            _ => "mcp.request",
        };
        let mut writing = Self::new(known, kind, asked.side, asked.at);
        let envelope = &mut writing.happening.envelope;
        envelope.operation = name(&asked.method);
        envelope.tool_call_id = name(asked.id.as_str());
        writing.trace(&asked.message);
        if kind == "tool.call" {
            writing.tool(asked);
        }
        writing.request(&asked.method, &asked.message);
        writing
    }

    fn trace(&mut self, message: &Message) {
        let parent = message.meta("traceparent").and_then(json::string);
        if let Some((trace, span)) = parent.as_deref().and_then(traceparent) {
            self.happening.envelope.trace_id = Some(trace);
            self.happening.envelope.parent_span_id = Some(span);
        }
    }

    fn tool(&mut self, asked: &Asked) {
        let envelope = &mut self.happening.envelope;
        let params = asked.message.params();
        let called = params.and_then(|params| json::get(params, "name")).and_then(json::string);
        envelope.tool_name = called.as_deref().and_then(name);
        envelope.tool_type = Some("mcp".into());
        let definition = asked.tool.as_ref().map(|tool| &*tool.data);
        let definition = definition.and_then(|data| std::str::from_utf8(data).ok());
        envelope.tool_effect = definition.and_then(effect).map(Into::into);
        self.happening.contents.extend(asked.tool.clone());
    }

    fn request(&mut self, method: &str, message: &Message) {
        let params = message.params();
        let part = match method {
            "tools/call" => params
                .and_then(|params| json::get(params, "arguments"))
                .map(|part| (part, "assistant", "tool_arguments")),
            _ => params.map(|params| (params, "", "params")),
        };
        let parts = part.into_iter().collect();
        self.keep("request", message, parts);
    }

    fn answer(&mut self, method: &str, message: &Message) {
        let result = message.result();
        let documents = result.filter(|_| method == "resources/read").and_then(documents);
        if let Some(documents) = documents {
            let first = self.happening.contents.len();
            for (index, document) in documents.iter().enumerate() {
                let uri = json::get(document, "uri").and_then(json::string).unwrap_or_default();
                self.happening.envelope.retrievals.push(Retrieval {
                    source: format!("mcp/{}", self.known.server).into(),
                    document_id: name(&uri).unwrap_or_default(),
                    ..Default::default()
                });
                self.happening.slots.push((Slot::Document(index), first + index));
            }
            let part = |document| (document, "tool", "document");
            return self.keep("response", message, documents.into_iter().map(part).collect());
        }
        let listed = result.filter(|_| method == "tools/list");
        let listed = listed.and_then(|result| json::get(result, "tools"));
        let part = match (listed, result, message.error()) {
            (Some(tools), ..) => Some((tools, "system", "tool_definitions")),
            (_, _, Some(error)) => Some((error, "tool", "error")),
            (_, Some(result), _) if method == "tools/call" => Some((result, "tool", "tool_result")),
            (_, Some(result), _) => Some((result, "", "result")),
            _ => None,
        };
        self.keep("response", message, part.into_iter().collect());
    }

    /// Adds a message: these parts as contents, which must ascend, and the rest.
    fn keep(
        &mut self,
        what: &str,
        message: &Message,
        parts: Vec<(&str, &'static str, &'static str)>,
    ) {
        truncated(&mut self.happening, message.dropped);
        let mut stretches: Vec<(Range<usize>, usize)> = Vec::with_capacity(parts.len());
        if message.dropped == 0 {
            for (part, role, kind) in parts {
                let place = self.happening.push(Content::json(role, kind, message.slice(part)));
                stretches.extend(json::place(message.text(), part).map(|part| (part, place)));
            }
        }
        match Cut::new(message.text(), &stretches).filter(|_| message.dropped == 0) {
            Some(cut) => drop(self.rest.insert(what.to_owned(), cut.to_json())),
            None => {
                let content =
                    Content::new("", "raw", "application/octet-stream", message.bytes().clone());
                let place = self.happening.push(content);
                self.rest.insert(what.to_owned(), serde_json::json!({ "content": place }));
            }
        }
    }

    fn judge(&mut self, method: &str, answer: &Message) {
        let envelope = &mut self.happening.envelope;
        if let Some(error) = answer.error() {
            envelope.status = "error".into();
            envelope.error_type = json::get(error, "code").and_then(name);
            return;
        }
        let result = answer.result().map(Fields::of).unwrap_or_default();
        envelope.status = match result.string("resultType").as_deref() {
            // It asks for more, and will be called again: nothing is done yet.
            Some("input_required") => "unset".into(),
            _ if answer.dropped > 0 => "unset".into(),
            _ => "ok".into(),
        };
        if method == "tools/call" && result.get("isError") == Some("true") {
            envelope.status = "error".into();
            envelope.error_type = Some("tool_error".into());
        }
    }

    fn finish(mut self, asked: &Asked, at: Micros) -> Happening {
        let duration = u64::try_from(at.0.saturating_sub(asked.at.0)).ok();
        self.happening.envelope.duration_us = duration;
        self.close()
    }

    fn close(mut self) -> Happening {
        let rest = Value::Object(self.rest).to_string();
        self.happening.push(Content::json("", "jsonrpc", rest));
        self.happening
    }
}

/// What a resource's answer holds, each by itself.
fn documents(result: &str) -> Option<Vec<&str>> {
    let documents = json::items(json::get(result, "contents")?)?;
    (1..=DOCUMENTS_MAX).contains(&documents.len()).then_some(documents)
}

/// What a tool does to the world, where its server says so.
fn effect(definition: &str) -> Option<&'static str> {
    let hints = Fields::of(json::get(definition, "annotations")?);
    match (hints.get("readOnlyHint"), hints.get("destructiveHint")) {
        (Some("true"), _) => Some("read"),
        (_, Some("true")) => Some("destructive"),
        (Some("false"), _) | (_, Some("false")) => Some("write"),
        _ => None,
    }
}

fn truncated(happening: &mut Happening, dropped: u64) {
    if dropped > 0 {
        let so_far = happening.envelope.source_dropped.unwrap_or(0);
        happening.envelope.source_dropped = Some(so_far.saturating_add(dropped));
        happening.envelope.capture_fidelity = "truncated".into();
    } else if happening.envelope.capture_fidelity == "structured" {
        happening.envelope.capture_fidelity = "exact_bytes".into();
    }
}

fn actor(side: Side) -> &'static str {
    match side {
        Side::Client => "agent",
        Side::Server => "tool",
    }
}

fn name(text: &str) -> Option<std::borrow::Cow<'static, str>> {
    is_name(text).then(|| text.to_owned().into())
}
