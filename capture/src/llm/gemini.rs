//! Google's `generateContent` and `streamGenerateContent`, on Gemini's API and on Vertex.
//!
//! A stream's message is its chunks' parts in order, with texts that follow each other joined:
//! `{"parts": […], "role": "model"}`. Without `alt=sse` the stream is one JSON array of chunks.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::call::Call;
use super::json::{Raw, at, count, items, text};
use super::reply::{Reply, tokens};

#[derive(Deserialize)]
struct Question<'a> {
    #[serde(borrow)]
    contents: Vec<&'a RawValue>,
    #[serde(borrow, rename = "systemInstruction", alias = "system_instruction")]
    system: Raw<'a>,
    #[serde(borrow)]
    tools: Raw<'a>,
    #[serde(borrow, rename = "generationConfig", alias = "generation_config")]
    config: Raw<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Chunk<'a> {
    #[serde(borrow)]
    candidates: Option<Vec<Candidate<'a>>>,
    #[serde(borrow)]
    prompt_feedback: Raw<'a>,
    #[serde(borrow)]
    usage_metadata: Raw<'a>,
    #[serde(borrow)]
    model_version: Raw<'a>,
    #[serde(borrow)]
    response_id: Raw<'a>,
    #[serde(borrow)]
    error: Raw<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate<'a> {
    #[serde(borrow)]
    content: Raw<'a>,
    #[serde(borrow)]
    index: Raw<'a>,
    #[serde(borrow)]
    finish_reason: Raw<'a>,
}

/// Candidates that are put together. More are not followed.
const CANDIDATES_MAX: usize = 128;

pub(super) fn ask(path: &str, body: &str, call: &mut Call) -> Option<()> {
    let question: Question<'_> = serde_json::from_str(body).ok()?;
    call.operation("generate_content");
    let model = path.rsplit_once(':').and_then(|(model, _)| model.rsplit('/').next());
    call.envelope.request_model = super::call::name(model.map(Cow::Borrowed));
    let parameter = |names: [&str; 2]| {
        let [camel, snake] = names.map(|name| at(question.config, &[name]));
        camel.or(snake)
    };
    let max_tokens = parameter(["maxOutputTokens", "max_output_tokens"]);
    let top_p = parameter(["topP", "top_p"]);
    call.parameters(parameter(["temperature"; 2]), top_p, max_tokens, parameter(["seed"; 2]));
    call.part(body, question.tools, "", "tool_definitions")?;
    call.part(body, question.system, "system", "system_instructions")?;
    call.messages(body, &question.contents)
}

pub(super) fn answer(body: &str, reply: &mut Reply) -> Option<()> {
    if body.trim_start().starts_with('[') {
        let chunks: Vec<&RawValue> = serde_json::from_str(body).ok()?;
        return stream(chunks.iter().map(|chunk| Cow::Borrowed(chunk.get())), reply);
    }
    let chunk: Chunk<'_> = serde_json::from_str(body).ok()?;
    if chunk.candidates.is_none() && chunk.prompt_feedback.is_none() {
        return None;
    }
    head(&chunk, reply);
    for (index, candidate) in chunk.candidates.iter().flatten().enumerate() {
        if let Some(content) = candidate.content {
            if index == 0 {
                reply.thread.answer(content.get());
            }
            reply.part(body, content)?;
        }
        reply.finish(reason(candidate.finish_reason));
    }
    Some(())
}

/// A reason by its name, or by its number where an SDK wrote that.
fn reason(raw: Raw<'_>) -> Option<Cow<'_, str>> {
    text(raw).or_else(|| count(raw).map(|number| number.to_string().into()))
}

fn head(chunk: &Chunk<'_>, reply: &mut Reply) {
    reply.id(chunk.response_id);
    reply.model(chunk.model_version);
    reply.finish(reason(at(chunk.prompt_feedback, &["blockReason"])));
    if chunk.error.is_some() {
        reply.failed(chunk.error);
    }
    let Some(usage) = chunk.usage_metadata else { return };
    let sum = |names: [&str; 2]| {
        let [one, two] = names.map(|name| tokens(Some(usage), &[name]));
        one.map_or(two, |one| Some(one.saturating_add(two.unwrap_or(0))))
    };
    let envelope = &mut reply.envelope;
    envelope.usage_input_tokens = sum(["promptTokenCount", "toolUsePromptTokenCount"]);
    envelope.usage_output_tokens = sum(["candidatesTokenCount", "thoughtsTokenCount"]);
    envelope.usage_cache_read_input_tokens = tokens(Some(usage), &["cachedContentTokenCount"]);
    envelope.usage_reasoning_output_tokens = tokens(Some(usage), &["thoughtsTokenCount"]);
}

pub(super) fn stream<'f>(
    frames: impl Iterator<Item = Cow<'f, str>>,
    reply: &mut Reply,
) -> Option<()> {
    let mut messages: BTreeMap<u64, (Vec<Value>, Option<String>)> = BTreeMap::new();
    let mut is_any = false;
    for frame in frames {
        let Ok(chunk) = serde_json::from_str::<Chunk<'_>>(&frame) else { break };
        is_any |=
            chunk.candidates.is_some() || chunk.prompt_feedback.is_some() || chunk.error.is_some();
        head(&chunk, reply);
        for candidate in chunk.candidates.iter().flatten() {
            let index = count(candidate.index).unwrap_or(0);
            let (parts, finish) = messages.entry(index).or_default();
            for part in items(at(candidate.content, &["parts"])).into_iter().flatten() {
                join(parts, serde_json::from_str(part.get()).ok()?);
            }
            if let Some(reason) = reason(candidate.finish_reason) {
                *finish = Some(reason.into_owned());
            }
        }
        if messages.len() > CANDIDATES_MAX {
            return None;
        }
    }
    let is_blocked = !reply.envelope.finish_reasons.is_empty();
    reply.is_whole =
        is_blocked || !messages.is_empty() && messages.values().all(|(_, finish)| finish.is_some());
    for (index, (_, (parts, finish))) in messages.into_iter().enumerate() {
        let members =
            [("parts".to_owned(), Value::Array(parts)), ("role".to_owned(), "model".into())];
        let message = Value::Object(Map::from_iter(members));
        if index == 0 {
            reply.thread.answer(&message.to_string());
        }
        reply.made(&message);
        reply.finish(finish.map(Cow::Owned));
    }
    is_any.then_some(())
}

/// Adds a part: text to the text before it, if both are said or both are thought, and nothing else is in them.
fn join(parts: &mut Vec<Value>, part: Value) {
    if let (Some(Value::Object(last)), Value::Object(more)) = (parts.last_mut(), &part)
        && is_text(last)
        && is_text(more)
        && last.get("thought") == more.get("thought")
        && let (Some(Value::String(text)), Some(Value::String(more))) =
            (last.get_mut("text"), more.get("text"))
    {
        text.push_str(more);
        return;
    }
    parts.push(part);
}

fn is_text(part: &Map<String, Value>) -> bool {
    part.keys().all(|key| matches!(&**key, "text" | "thought"))
}
