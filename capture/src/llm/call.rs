//! What a request says: what an API's reading fills in, and what its headers tell.

use std::borrow::Cow;

use schemas::Envelope;
use serde_json::value::RawValue;

use super::api::Api;
use super::body::{Part, header};
use super::json::{Raw, count, float, integer, items, span, text};
use super::thread::Thread;
use super::{Headers, Name, Request};
use crate::happening::{Happening, is_name};

/// Messages that are contents of their own. Those beyond stay in the request's text.
const MESSAGES_MAX: usize = 4096;
/// Headers that name a session: those of known agents, and what others agree on.
const SESSION_HEADERS: [&str; 6] = [
    "x-claude-code-session-id",
    "x-session-id",
    "session-id",
    "session_id",
    "x-conversation-id",
    "conversation_id",
];

/// A request, being read.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) envelope: Box<Envelope<'static>>,
    pub(super) parts: Vec<Part>,
    pub(super) thread: Thread,
    pub(super) names: Vec<Name>,
    /// Whether the API keeps the conversation, so that the request does not have all of it.
    pub(super) is_stateful: bool,
}

impl Call {
    pub(super) fn new(request: &Request) -> Self {
        let mut envelope = Happening::new("http.exchange", "llm_proxy").envelope;
        envelope.occurred_at = request.started;
        envelope.phase = "start".into();
        envelope.span_id = request.span;
        if let Some((trace, parent)) = header(&request.headers, "traceparent").and_then(traceparent)
        {
            (envelope.trace_id, envelope.parent_span_id) = (Some(trace), Some(parent));
        }
        let (parts, thread, names) = (Vec::new(), Thread::default(), Vec::new());
        Self { envelope, parts, thread, names, is_stateful: false }
    }

    /// Says what it is, once it is known.
    pub(super) fn conclude(&mut self, api: Option<Api>, request: &Request) {
        let envelope = &mut self.envelope;
        if let Some(api) = api {
            envelope.kind = "llm.call".into();
            let provider = provider(&request.host).unwrap_or(api.provider());
            envelope.provider = Some(provider.into());
        }
        envelope.capture_convention = Some(api.map_or("http", Api::convention).into());
        fidelity(envelope, request.dropped);
        let named = named_by_headers(&request.headers);
        self.names.splice(0..0, named);
    }

    /// Adds a value of the body as a content of its own.
    pub(super) fn part(
        &mut self,
        body: &str,
        raw: Raw<'_>,
        role: impl Into<Cow<'static, str>>,
        kind: &'static str,
    ) -> Option<()> {
        let Some(raw) = raw else { return Some(()) };
        self.parts.push(Part::json(span(body, raw.get())?, role, kind));
        Some(())
    }

    /// Adds messages, each a content of its own.
    pub(super) fn messages(&mut self, body: &str, messages: &[&RawValue]) -> Option<()> {
        for (index, message) in messages.iter().enumerate() {
            let role = self.thread.add(message);
            if index < MESSAGES_MAX {
                self.part(body, Some(message), role, "message")?;
            }
        }
        Some(())
    }

    /// Adds what a model is given that is no conversation: a text, or each of several.
    pub(super) fn inputs(&mut self, body: &str, input: &RawValue) -> Option<()> {
        if let Some(words) = text(Some(input)) {
            self.thread.add_words("user", &words);
        }
        let inputs = items(Some(input)).filter(|items| items.iter().all(|item| !is_number(item)));
        for input in inputs.unwrap_or_else(|| vec![input]).into_iter().take(MESSAGES_MAX) {
            self.part(body, Some(input), "user", "message")?;
        }
        Some(())
    }

    pub(super) fn operation(&mut self, operation: &'static str) {
        self.envelope.operation = Some(operation.into());
    }

    pub(super) fn model(&mut self, model: Raw<'_>) {
        self.envelope.request_model = name(text(model));
    }

    /// Parameters of the model.
    pub(super) fn parameters(
        &mut self,
        temperature: Raw<'_>,
        top_p: Raw<'_>,
        max_tokens: Raw<'_>,
        seed: Raw<'_>,
    ) {
        let envelope = &mut self.envelope;
        envelope.temperature = float(temperature);
        envelope.top_p = float(top_p);
        envelope.max_tokens = count(max_tokens);
        envelope.seed = integer(seed);
    }

    pub(super) fn named(&mut self, id: Raw<'_>, kind: fn(String) -> Name) {
        if let Some(id) = name(text(id)) {
            self.names.push(kind(id.into_owned()));
        }
    }
}

/// Whether it is a token's number: a list of them is one text.
fn is_number(item: &RawValue) -> bool {
    item.get().starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

/// A string that may stand in the envelope.
pub(super) fn name(text: Option<Cow<'_, str>>) -> Option<Cow<'static, str>> {
    text.filter(|text| is_name(text)).map(|text| Cow::Owned(text.into_owned()))
}

/// What bytes that were not kept make of an event: all others are exact.
pub(super) fn fidelity(envelope: &mut Envelope<'_>, dropped: u64) {
    let before = envelope.source_dropped.unwrap_or_default();
    let dropped = before.saturating_add(dropped);
    envelope.source_dropped = (dropped > 0).then_some(dropped);
    envelope.capture_fidelity = if dropped > 0 { "truncated" } else { "exact_bytes" }.into();
}

fn named_by_headers(headers: &Headers) -> Option<Name> {
    let named = SESSION_HEADERS.iter().find_map(|name| header(headers, name));
    named.filter(|id| is_name(id)).map(|id| Name::Session(id.to_owned()))
}

/// The ids of a W3C `traceparent`.
pub(crate) fn traceparent(text: &str) -> Option<(schemas::TraceId, schemas::SpanId)> {
    let mut fields = text.trim().split('-');
    let (version, trace, parent) = (fields.next()?, fields.next()?, fields.next()?);
    let is_known = version.len() == 2 && version != "ff";
    let is_null = [trace, parent].iter().any(|id| id.bytes().all(|digit| digit == b'0'));
    if !is_known || is_null {
        return None;
    }
    Some((trace.parse().ok()?, parent.parse().ok()?))
}

/// Who answers at a host, in the words of OpenTelemetry's `gen_ai.provider.name` where it has one.
fn provider(host: &str) -> Option<&'static str> {
    const HOSTS: [(&str, &str); 17] = [
        ("api.openai.com", "openai"),
        (".openai.azure.com", "azure.ai.openai"),
        (".cognitiveservices.azure.com", "azure.ai.openai"),
        (".services.ai.azure.com", "azure.ai.inference"),
        ("api.anthropic.com", "anthropic"),
        ("generativelanguage.googleapis.com", "gcp.gemini"),
        ("aiplatform.googleapis.com", "gcp.vertex_ai"),
        (".amazonaws.com", "aws.bedrock"),
        ("api.groq.com", "groq"),
        ("api.mistral.ai", "mistral_ai"),
        ("api.deepseek.com", "deepseek"),
        ("api.x.ai", "x_ai"),
        ("api.cohere.com", "cohere"),
        ("api.perplexity.ai", "perplexity"),
        ("openrouter.ai", "openrouter"),
        ("api.together.ai", "together"),
        ("api.together.xyz", "together"),
    ];
    let host = host.to_ascii_lowercase();
    HOSTS.iter().find(|(end, _)| host.ends_with(end)).map(|(_, provider)| *provider)
}
