//! Messages over HTTP: one exchange of a request and its answer, which is a message, a batch, or a stream of them.
//!
//! The event of what was asked has the exchange with it, headers and all; what carries no message is opaque HTTP.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use schemas::Micros;

use super::conversation::{Conversation, Heard, Side};
use super::exchange::Ending;
use super::tools::Tools;
use super::{exchange, json};
use crate::happening::{Content, Happening};
use crate::llm::{self, Answer, Body, Ended, Events, Request, header, http, traceparent};

/// An exchange that is over, as a conversation hears it. `is_alone` where the conversation is no longer than it.
pub fn exchange(
    request: &Request,
    answer: &Answer,
    is_alone: bool,
    conversation: &mut Conversation,
    tools: &mut Tools,
) -> Vec<Happening> {
    if let Some(revision) = header(&request.headers, "mcp-protocol-version") {
        conversation.speaks(revision);
    }
    let asked = Body::new(&request.headers, &request.body);
    let answered = Body::new(&answer.headers, &answer.body);
    let (mark, end) = (conversation.mark(), end(request, answer));
    let mut happenings = Vec::new();
    let mut hear = |side, text: Bytes, dropped, at| {
        let heard = Heard { side, text, dropped, at };
        let understood = Conversation::understands(&heard);
        if understood {
            happenings.extend(conversation.hear(&heard, tools));
        }
        understood
    };
    let text = asked.bytes().filter(|_| request.method == "POST").cloned().unwrap_or_default();
    let is_asked = hear(Side::Client, text, request.dropped, request.started);
    for (text, dropped) in messages(answer, &answered) {
        hear(Side::Server, text, dropped, end);
    }
    let can_go_on = !is_alone && answer.status.is_some_and(|status| status < 300);
    if !can_go_on {
        happenings.extend(conversation.give_up(mark, ending(answer), end));
    }
    let main = main(&happenings, is_asked);
    if main.is_none() && !(is_asked && can_go_on) {
        happenings.push(opaque(request, answer, conversation));
    } else if let Some(main) = main.and_then(|main| happenings.get_mut(main)) {
        attach(main, (request, &asked), (answer, &answered));
    }
    for happening in &mut happenings {
        trace(happening, request);
    }
    happenings
}

/// The messages of an answer, and how many bytes are missing after each.
fn messages(answer: &Answer, body: &Body) -> Vec<(Bytes, u64)> {
    let Some(bytes) = body.bytes() else { return Vec::new() };
    if !body.media_type().starts_with("text/event-stream") {
        return vec![(bytes.clone(), answer.dropped)];
    }
    let Some(text) = body.text() else { return Vec::new() };
    let message = |data: Cow<'_, str>| match data {
        Cow::Borrowed(data) => json::place(text, data).map(|place| bytes.slice(place)),
        Cow::Owned(data) => Some(data.into()),
    };
    Events::new(text).filter_map(message).map(|bytes| (bytes, 0)).collect()
}

fn ending(answer: &Answer) -> Ending {
    let error = |error_type| Ending { status: "error", error_type: Some(error_type) };
    match (answer.ended, answer.status) {
        (Ended::ClientAbort, _) => Ending::CANCELLED,
        (Ended::Timeout, _) => Ending { status: "timeout", error_type: Some("timeout") },
        (Ended::UpstreamError(why), _) => error(why),
        (Ended::UpstreamCut, _) => error("upstream_cut"),
        (Ended::GatewayStopped, _) => error("gateway_stopped"),
        (Ended::Complete, Some(401 | 403)) => error("unauthorized"),
        (Ended::Complete, Some(404)) => error("not_found"),
        (Ended::Complete, Some(300..)) => error("http_error"),
        (Ended::Complete, _) => error("no_answer"),
    }
}

/// The event that tells of the exchange: what was asked first, or else what was told.
fn main(happenings: &[Happening], is_asked: bool) -> Option<usize> {
    let is = |names: &'static [&'static str]| {
        move |happening: &Happening| {
            let envelope = &happening.envelope;
            names.contains(&&*envelope.kind) && envelope.phase == "complete"
        }
    };
    let asked = is(&["tool.call", "retrieval", "mcp.request"]);
    let asked = |happening: &Happening| {
        asked(happening) && happening.envelope.actor_type.as_deref() == Some("agent")
    };
    let told = is(&["mcp.notification", "mcp.request"]);
    happenings
        .iter()
        .position(|h| is_asked && asked(h))
        .or_else(|| happenings.iter().position(told))
}

/// Adds the exchange itself: the bodies by the contents that are stretches of them.
fn attach(
    happening: &mut Happening,
    (request, asked): (&Request, &Body),
    (answer, answered): (&Answer, &Body),
) {
    let places = places(&happening.contents, asked.bytes());
    let body = asked.hold_placed(&mut happening.contents, places);
    happening.push(Content::json("", "http", http::request(request, body)));
    let places = places_of(happening, answered.bytes());
    let body = if answered.media_type().starts_with("text/event-stream") {
        answered.hold_stream(&mut happening.contents)
    } else {
        answered.hold_placed(&mut happening.contents, places)
    };
    happening.push(Content::json("", "http", http::response(answer, body)));
}

fn places_of(happening: &Happening, body: Option<&Bytes>) -> Vec<(Range<usize>, usize)> {
    places(&happening.contents, body)
}

/// The contents that are stretches of a body: they share its bytes.
fn places(contents: &[Content], body: Option<&Bytes>) -> Vec<(Range<usize>, usize)> {
    let Some(body) = body else { return Vec::new() };
    let place = |(index, content): (usize, &Content)| {
        let start = content.data.as_ptr().addr().checked_sub(body.as_ptr().addr())?;
        let end = start.checked_add(content.data.len())?;
        (end <= body.len() && start < end).then_some((start..end, index))
    };
    let mut places: Vec<_> = contents.iter().enumerate().filter_map(place).collect();
    places.sort_by_key(|(place, _)| place.start);
    // One of two that overlap is enough, and a batch may say the same thing twice.
    let mut end = 0;
    places.retain(|(place, _)| {
        let is_apart = place.start >= end;
        end = if is_apart { place.end } else { end };
        is_apart
    });
    places
}

/// An exchange without a message: a stream that told nothing, a session's end, a page about authorization.
fn opaque(request: &Request, answer: &Answer, conversation: &Conversation) -> Happening {
    let asked = llm::opaque(request);
    let mut happening = asked.answer(answer.clone()).happening;
    happening.envelope.capture_source = "mcp_proxy".into();
    happening.envelope.phase = "complete".into();
    exchange::introduce(&mut happening, conversation.known());
    happening
}

/// What a message says of its trace goes before what its headers say.
fn trace(happening: &mut Happening, request: &Request) {
    let envelope = &mut happening.envelope;
    let parent = header(&request.headers, "traceparent").and_then(traceparent);
    if let Some((trace, span)) = parent.filter(|_| envelope.trace_id.is_none()) {
        (envelope.trace_id, envelope.parent_span_id) = (Some(trace), Some(span));
    }
}

fn end(request: &Request, answer: &Answer) -> Micros {
    let lasted = answer.last_byte_us.unwrap_or(answer.duration_us);
    Micros(request.started.0.saturating_add(i64::try_from(lasted).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests;
