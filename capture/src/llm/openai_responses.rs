//! OpenAI's Responses.
//!
//! Each item of the output is a message. A stream repeats them all at its end, and so they are taken from there, verbatim;
//! where it broke off, they are the items that were done, and then the deltas of those that were not.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Name;
use super::call::Call;
use super::json::{Raw, at, count, items, text};
use super::reply::{Reply, tokens};

#[derive(Deserialize)]
struct Question<'a> {
    #[serde(borrow)]
    input: Raw<'a>,
    #[serde(borrow)]
    prompt: Raw<'a>,
    #[serde(borrow)]
    model: Raw<'a>,
    #[serde(borrow)]
    instructions: Raw<'a>,
    #[serde(borrow)]
    tools: Raw<'a>,
    #[serde(borrow)]
    temperature: Raw<'a>,
    #[serde(borrow)]
    top_p: Raw<'a>,
    #[serde(borrow)]
    max_output_tokens: Raw<'a>,
    #[serde(borrow)]
    metadata: Raw<'a>,
    #[serde(borrow)]
    conversation: Raw<'a>,
    #[serde(borrow)]
    previous_response_id: Raw<'a>,
}

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(borrow)]
    id: Raw<'a>,
    #[serde(borrow)]
    model: Raw<'a>,
    #[serde(borrow)]
    output: Vec<&'a RawValue>,
    #[serde(borrow)]
    status: Raw<'a>,
    #[serde(borrow)]
    incomplete_details: Raw<'a>,
    #[serde(borrow)]
    conversation: Raw<'a>,
    #[serde(borrow)]
    usage: Raw<'a>,
    #[serde(borrow)]
    error: Raw<'a>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    response: Raw<'a>,
    #[serde(borrow)]
    output_index: Raw<'a>,
    #[serde(borrow)]
    content_index: Raw<'a>,
    #[serde(borrow)]
    item: Raw<'a>,
    #[serde(borrow)]
    part: Raw<'a>,
    #[serde(borrow)]
    delta: Raw<'a>,
    #[serde(borrow)]
    code: Raw<'a>,
}

/// Items, and parts of an item, that are put together. More are not followed.
const ITEMS_MAX: usize = 1024;

pub(super) fn ask(body: &str, call: &mut Call) -> Option<()> {
    let question: Question<'_> = serde_json::from_str(body).ok()?;
    let (previous, conversation) = (question.previous_response_id, question.conversation);
    question.input.or(question.prompt).or(previous).or(conversation)?;
    call.operation("chat");
    call.model(question.model);
    call.parameters(question.temperature, question.top_p, question.max_output_tokens, None);
    call.named(at(question.metadata, &["session_id"]), Name::Session);
    call.named(id_of(conversation), Name::Conversation);
    call.named(previous, Name::Response);
    call.is_stateful = previous.is_some() || conversation.is_some();
    call.part(body, question.tools, "", "tool_definitions")?;
    call.part(body, question.instructions, "system", "system_instructions")?;
    if let Some(words) = text(question.input) {
        call.thread.add_words("user", &words);
        return call.part(body, question.input, "user", "message");
    }
    call.messages(body, &items(question.input).unwrap_or_default())
}

/// A conversation is named by its id, or is an object that has it.
fn id_of(conversation: Raw<'_>) -> Raw<'_> {
    text(conversation).map_or_else(|| at(conversation, &["id"]), |_| conversation)
}

pub(super) fn answer(body: &str, reply: &mut Reply) -> Option<()> {
    let response: Response<'_> = serde_json::from_str(body).ok()?;
    head(&response, reply);
    finish(&response, reply);
    for item in response.output {
        reply.thread.answer(item.get());
        reply.part(body, item)?;
    }
    Some(())
}

fn head(response: &Response<'_>, reply: &mut Reply) {
    reply.id(response.id);
    reply.model(response.model);
}

/// Why it finished: what made it incomplete, or else its status.
fn finish(response: &Response<'_>, reply: &mut Reply) {
    let reason = text(at(response.incomplete_details, &["reason"]));
    reply.finish(reason.or_else(|| text(response.status)));
    if let Some(id) = super::call::name(text(id_of(response.conversation))) {
        reply.names.push(Name::Conversation(id.into_owned()));
    }
    if response.error.is_some() || text(response.status).as_deref() == Some("failed") {
        reply.failed(response.error);
    }
    let (usage, envelope) = (response.usage, &mut reply.envelope);
    envelope.usage_input_tokens = tokens(usage, &["input_tokens"]);
    envelope.usage_output_tokens = tokens(usage, &["output_tokens"]);
    envelope.usage_cache_read_input_tokens =
        tokens(usage, &["input_tokens_details", "cached_tokens"]);
    envelope.usage_reasoning_output_tokens =
        tokens(usage, &["output_tokens_details", "reasoning_tokens"]);
}

pub(super) fn stream<'f>(
    frames: impl Iterator<Item = Cow<'f, str>>,
    reply: &mut Reply,
) -> Option<()> {
    let mut output: BTreeMap<u64, Item> = BTreeMap::new();
    let mut is_any = false;
    reply.is_whole = false;
    for frame in frames {
        let Ok(event) = serde_json::from_str::<Event<'_>>(&frame) else { continue };
        is_any = true;
        if let Some(response) = event.response {
            let response: Response<'_> = serde_json::from_str(response.get()).ok()?;
            head(&response, reply);
            if is_last(&event.r#type) {
                reply.is_whole = true;
                finish(&response, reply);
                if !response.output.is_empty() {
                    output = (0..).zip(response.output.iter().map(Item::done)).collect();
                }
                break;
            }
        }
        if event.r#type == "error" {
            reply.failed(event.code.and(serde_json::from_str(&frame).ok()));
        }
        grow(&mut output, &event);
        if output.len() > ITEMS_MAX {
            return None;
        }
    }
    for item in output.into_values() {
        let json = item.end();
        reply.thread.answer(&json);
        reply.made_json(Bytes::from(json));
    }
    is_any.then_some(())
}

fn is_last(kind: &str) -> bool {
    matches!(
        kind,
        "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled"
    )
}

/// Takes what an event adds to an item.
fn grow(output: &mut BTreeMap<u64, Item>, event: &Event<'_>) -> Option<()> {
    let index = count(event.output_index)?;
    match &*event.r#type {
        "response.output_item.added" => {
            let item = serde_json::from_str(event.item?.get()).ok()?;
            output.insert(index, Item::Open(item));
        }
        "response.output_item.done" => {
            output.insert(index, Item::done(&event.item?));
        }
        kind => {
            let Item::Open(item) = output.get_mut(&index)? else { return None };
            add(item, kind, event)?;
        }
    }
    Some(())
}

fn add(item: &mut Value, kind: &str, event: &Event<'_>) -> Option<()> {
    let delta = text(event.delta);
    let into = match kind {
        "response.content_part.added" => {
            let parts = item.get_mut("content")?.as_array_mut()?;
            if parts.len() < ITEMS_MAX {
                parts.push(serde_json::from_str(event.part?.get()).ok()?);
            }
            return Some(());
        }
        "response.output_text.delta" | "response.refusal.delta" => {
            let member = if kind.starts_with("response.refusal") { "refusal" } else { "text" };
            let index = usize::try_from(count(event.content_index)?).ok()?;
            item.get_mut("content")?.get_mut(index)?.as_object_mut()?.entry(member)
        }
        "response.function_call_arguments.delta" => item.as_object_mut()?.entry("arguments"),
        "response.custom_tool_call_input.delta" => item.as_object_mut()?.entry("input"),
        _ => return None,
    };
    if let Value::String(text) = into.or_insert(json!("")) {
        text.push_str(&delta?);
    }
    Some(())
}

/// An item of the output.
enum Item {
    /// As the API gave it.
    Done(String),
    /// As far as it came.
    Open(Value),
}

impl Item {
    fn done(item: &&RawValue) -> Self {
        Self::Done(item.get().to_owned())
    }

    fn end(self) -> String {
        match self {
            Self::Done(json) => json,
            Self::Open(item) => item.to_string(),
        }
    }
}
