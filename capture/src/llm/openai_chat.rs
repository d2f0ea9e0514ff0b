//! OpenAI's Chat Completions, as OpenAI and all who copied it speak it.
//!
//! A stream's message is its deltas joined: `{"role", "content", …, "tool_calls": […]}`, members in the order in which they
//! first came.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::Name;
use super::call::Call;
use super::json::{Raw, at, count, text};
use super::merge;
use super::reply::{Reply, tokens};

#[derive(Deserialize)]
struct Question<'a> {
    #[serde(borrow)]
    messages: Vec<&'a RawValue>,
    #[serde(borrow)]
    model: Raw<'a>,
    #[serde(borrow)]
    tools: Raw<'a>,
    #[serde(borrow)]
    functions: Raw<'a>,
    #[serde(borrow)]
    temperature: Raw<'a>,
    #[serde(borrow)]
    top_p: Raw<'a>,
    #[serde(borrow)]
    max_tokens: Raw<'a>,
    #[serde(borrow)]
    max_completion_tokens: Raw<'a>,
    #[serde(borrow)]
    seed: Raw<'a>,
    #[serde(borrow)]
    metadata: Raw<'a>,
    #[serde(borrow)]
    session_id: Raw<'a>,
}

#[derive(Deserialize)]
struct Completion<'a> {
    #[serde(borrow)]
    id: Raw<'a>,
    #[serde(borrow)]
    model: Raw<'a>,
    #[serde(borrow)]
    choices: Vec<Choice<'a>>,
    #[serde(borrow)]
    usage: Raw<'a>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    /// Not there where a filter took it.
    #[serde(borrow)]
    message: Raw<'a>,
    #[serde(borrow)]
    finish_reason: Raw<'a>,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    id: Raw<'a>,
    #[serde(borrow)]
    model: Raw<'a>,
    #[serde(borrow)]
    choices: Option<Vec<Piece<'a>>>,
    #[serde(borrow)]
    usage: Raw<'a>,
    /// Groq's place of the usage.
    #[serde(borrow)]
    x_groq: Raw<'a>,
    #[serde(borrow)]
    error: Raw<'a>,
}

#[derive(Deserialize)]
struct Piece<'a> {
    #[serde(borrow)]
    index: Raw<'a>,
    delta: Option<Map<String, Value>>,
    #[serde(borrow)]
    finish_reason: Raw<'a>,
}

/// Choices that are put together. More are not followed.
const CHOICES_MAX: usize = 128;

pub(super) fn ask(body: &str, call: &mut Call) -> Option<()> {
    let question: Question<'_> = serde_json::from_str(body).ok()?;
    call.operation("chat");
    call.model(question.model);
    let max_tokens = question.max_completion_tokens.or(question.max_tokens);
    call.parameters(question.temperature, question.top_p, max_tokens, question.seed);
    call.named(question.session_id.or(at(question.metadata, &["session_id"])), Name::Session);
    call.part(body, question.tools, "", "tool_definitions")?;
    call.part(body, question.functions, "", "tool_definitions")?;
    call.messages(body, &question.messages)
}

pub(super) fn answer(body: &str, reply: &mut Reply) -> Option<()> {
    let completion: Completion<'_> = serde_json::from_str(body).ok()?;
    reply.id(completion.id);
    reply.model(completion.model);
    usage(completion.usage, reply);
    for (index, choice) in completion.choices.iter().enumerate() {
        if let Some(message) = choice.message {
            if index == 0 {
                reply.thread.answer(message.get());
            }
            reply.part(body, message)?;
        }
        reply.finish(text(choice.finish_reason));
    }
    Some(())
}

pub(super) fn stream<'f>(
    frames: impl Iterator<Item = Cow<'f, str>>,
    reply: &mut Reply,
) -> Option<()> {
    let mut choices: BTreeMap<u64, (Map<String, Value>, Option<String>)> = BTreeMap::new();
    let (mut is_any, mut is_done) = (false, false);
    for frame in frames {
        if frame == "[DONE]" {
            is_done = true;
            continue;
        }
        let Ok(chunk) = serde_json::from_str::<Chunk<'_>>(&frame) else { break };
        is_any |= chunk.choices.is_some() || chunk.error.is_some();
        reply.id(chunk.id);
        reply.model(chunk.model);
        usage(chunk.usage.or(at(chunk.x_groq, &["usage"])), reply);
        if chunk.error.is_some() {
            reply.failed(chunk.error);
        }
        for piece in chunk.choices.into_iter().flatten() {
            let (message, finish) = choices.entry(count(piece.index).unwrap_or(0)).or_default();
            merge::merge(message, piece.delta.unwrap_or_default())?;
            if let Some(reason) = text(piece.finish_reason) {
                *finish = Some(reason.into_owned());
            }
        }
        if choices.len() > CHOICES_MAX {
            return None;
        }
    }
    let is_finished = choices.values().all(|(_, finish)| finish.is_some());
    reply.is_whole = is_done || (is_finished && !choices.is_empty());
    for (index, (_, (mut message, finish))) in choices.into_iter().enumerate() {
        merge::settle(&mut message);
        message.entry("role").or_insert_with(|| "assistant".into());
        let message = Value::Object(message);
        if index == 0 {
            reply.thread.answer(&message.to_string());
        }
        reply.made(&message);
        reply.finish(finish.map(Cow::Owned));
    }
    is_any.then_some(())
}

fn usage(usage: Raw<'_>, reply: &mut Reply) {
    if usage.is_none() {
        return;
    }
    let envelope = &mut reply.envelope;
    envelope.usage_input_tokens = tokens(usage, &["prompt_tokens"]);
    envelope.usage_output_tokens = tokens(usage, &["completion_tokens"]);
    envelope.usage_cache_read_input_tokens =
        tokens(usage, &["prompt_tokens_details", "cached_tokens"]);
    envelope.usage_cache_write_input_tokens =
        tokens(usage, &["prompt_tokens_details", "cache_write_tokens"]);
    envelope.usage_reasoning_output_tokens =
        tokens(usage, &["completion_tokens_details", "reasoning_tokens"]);
}
