//! Anthropic's Messages.
//!
//! An answer's message is its `content`: the array of blocks, as it stands in the body, or put together from a stream.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::Name;
use super::call::Call;
use super::json::{Raw, at, count, text};
use super::reply::{Reply, tokens};

#[derive(Deserialize)]
struct Question<'a> {
    #[serde(borrow)]
    messages: Vec<&'a RawValue>,
    #[serde(borrow)]
    model: Raw<'a>,
    #[serde(borrow)]
    system: Raw<'a>,
    #[serde(borrow)]
    tools: Raw<'a>,
    #[serde(borrow)]
    temperature: Raw<'a>,
    #[serde(borrow)]
    top_p: Raw<'a>,
    #[serde(borrow)]
    max_tokens: Raw<'a>,
    #[serde(borrow)]
    metadata: Raw<'a>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Raw<'a>,
    #[serde(borrow)]
    model: Raw<'a>,
    #[serde(borrow)]
    content: &'a RawValue,
    #[serde(borrow)]
    stop_reason: Raw<'a>,
    #[serde(borrow)]
    usage: Raw<'a>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    message: Raw<'a>,
    #[serde(borrow)]
    index: Raw<'a>,
    content_block: Option<Map<String, Value>>,
    delta: Option<Map<String, Value>>,
    #[serde(borrow)]
    usage: Raw<'a>,
    #[serde(borrow)]
    error: Raw<'a>,
}

/// Blocks that are put together. More are not followed.
const BLOCKS_MAX: usize = 4096;

pub(super) fn ask(body: &str, call: &mut Call) -> Option<()> {
    let question: Question<'_> = serde_json::from_str(body).ok()?;
    call.operation("chat");
    call.model(question.model);
    call.parameters(question.temperature, question.top_p, question.max_tokens, None);
    call.named(at(question.metadata, &["session_id"]), Name::Session);
    if let Some(session) =
        text(at(question.metadata, &["user_id"])).as_deref().and_then(session_of_user)
    {
        call.names.push(Name::Session(session));
    }
    call.part(body, question.tools, "", "tool_definitions")?;
    call.part(body, question.system, "system", "system_instructions")?;
    call.messages(body, &question.messages)
}

/// The session in a user id, where a client has put one there: after `_session_`, or as a member of JSON text.
fn session_of_user(user: &str) -> Option<String> {
    let session = match user.rsplit_once("_session_") {
        Some((_, session)) => Cow::Borrowed(session),
        None => text(at(serde_json::from_str(user).ok(), &["session_id"]))?,
    };
    crate::is_name(&session).then(|| session.into_owned())
}

pub(super) fn answer(body: &str, reply: &mut Reply) -> Option<()> {
    let message: Message<'_> = serde_json::from_str(body).ok()?;
    head(&message, reply);
    reply.thread.answer(message.content.get());
    reply.part(body, message.content)?;
    reply.finish(text(message.stop_reason));
    Some(())
}

fn head(message: &Message<'_>, reply: &mut Reply) {
    reply.id(message.id);
    reply.model(message.model);
    usage(message.usage, reply);
}

pub(super) fn stream<'f>(
    frames: impl Iterator<Item = Cow<'f, str>>,
    reply: &mut Reply,
) -> Option<()> {
    let mut blocks: BTreeMap<u64, Block> = BTreeMap::new();
    let (mut finish, mut is_stopped, mut is_any) = (None, false, false);
    for frame in frames {
        let Ok(event) = serde_json::from_str::<Event<'_>>(&frame) else { break };
        let index = count(event.index).unwrap_or(0);
        is_any = true;
        match &*event.r#type {
            "message_start" => {
                let message: Message<'_> = serde_json::from_str(event.message?.get()).ok()?;
                head(&message, reply);
            }
            "content_block_start" => {
                blocks.insert(index, Block::new(event.content_block?));
            }
            "content_block_delta" => blocks.entry(index).or_default().add(event.delta?),
            "message_delta" => {
                let reason = event.delta?.remove("stop_reason");
                finish = reason.as_ref().and_then(Value::as_str).map(str::to_owned).or(finish);
                usage(event.usage, reply);
            }
            "message_stop" => is_stopped = true,
            "error" => reply.failed(event.error),
            _ => {}
        }
        if blocks.len() > BLOCKS_MAX {
            return None;
        }
    }
    reply.is_whole = is_stopped;
    let content = Value::Array(blocks.into_values().map(Block::end).collect());
    reply.thread.answer(&content.to_string());
    reply.made(&content);
    reply.finish(finish.map(Cow::Owned));
    is_any.then_some(())
}

/// A block that comes in deltas.
#[derive(Default)]
struct Block {
    block: Map<String, Value>,
    /// Pieces of the JSON text of a tool's input.
    input: String,
}

impl Block {
    fn new(block: Map<String, Value>) -> Self {
        Self { block, input: String::new() }
    }

    fn add(&mut self, mut delta: Map<String, Value>) {
        delta.shift_remove("type");
        for (key, value) in delta {
            match (&*key, value) {
                ("partial_json", Value::String(piece)) => self.input.push_str(&piece),
                ("citation", citation) => {
                    let citations = self.block.entry("citations").or_insert(Value::Null);
                    match citations {
                        Value::Array(citations) => citations.push(citation),
                        none => *none = Value::Array(vec![citation]),
                    }
                }
                (_, Value::String(piece)) => match self.block.get_mut(&key) {
                    Some(Value::String(text)) => text.push_str(&piece),
                    _ => drop(self.block.insert(key, Value::String(piece))),
                },
                (_, value) => drop(self.block.insert(key, value)),
            }
        }
    }

    fn end(self) -> Value {
        let Self { mut block, input } = self;
        if !input.is_empty() {
            // What broke off in the middle stays text.
            let input = serde_json::from_str(&input).unwrap_or(Value::String(input));
            block.insert("input".into(), input);
        }
        Value::Object(block)
    }
}

/// Input counts what the cache gave and took too, as OpenTelemetry wants it and other APIs have it.
fn usage(usage: Raw<'_>, reply: &mut Reply) {
    let envelope = &mut reply.envelope;
    let read = tokens(usage, &["cache_read_input_tokens"]);
    let write = tokens(usage, &["cache_creation_input_tokens"]);
    if let Some(input) = tokens(usage, &["input_tokens"]) {
        let cached = read.unwrap_or(0).saturating_add(write.unwrap_or(0));
        envelope.usage_input_tokens = Some(input.saturating_add(cached));
    }
    envelope.usage_cache_read_input_tokens = read.or(envelope.usage_cache_read_input_tokens);
    envelope.usage_cache_write_input_tokens = write.or(envelope.usage_cache_write_input_tokens);
    let output = tokens(usage, &["output_tokens"]);
    envelope.usage_output_tokens = output.or(envelope.usage_output_tokens);
}
