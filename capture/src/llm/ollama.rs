//! Ollama's chat, generate and embed. A stream is JSON lines; its message is theirs joined.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::call::Call;
use super::json::{Raw, at, count, text};
use super::merge;
use super::reply::Reply;

#[derive(Deserialize)]
struct Question<'a> {
    #[serde(borrow)]
    model: &'a RawValue,
    #[serde(borrow)]
    messages: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    prompt: Raw<'a>,
    #[serde(borrow)]
    input: Raw<'a>,
    #[serde(borrow)]
    system: Raw<'a>,
    #[serde(borrow)]
    tools: Raw<'a>,
    #[serde(borrow)]
    options: Raw<'a>,
    #[serde(borrow)]
    context: Raw<'a>,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    model: Raw<'a>,
    #[serde(borrow)]
    message: Raw<'a>,
    #[serde(borrow)]
    response: Raw<'a>,
    #[serde(borrow)]
    embeddings: Raw<'a>,
    #[serde(borrow)]
    embedding: Raw<'a>,
    #[serde(borrow)]
    done: Raw<'a>,
    #[serde(borrow)]
    done_reason: Raw<'a>,
    #[serde(borrow)]
    prompt_eval_count: Raw<'a>,
    #[serde(borrow)]
    eval_count: Raw<'a>,
    #[serde(borrow)]
    error: Raw<'a>,
}

fn question<'a>(body: &'a str, call: &mut Call, operation: &'static str) -> Option<Question<'a>> {
    let question: Question<'a> = serde_json::from_str(body).ok()?;
    call.operation(operation);
    call.model(Some(question.model));
    let option = |name| at(question.options, &[name]);
    call.parameters(option("temperature"), option("top_p"), option("num_predict"), option("seed"));
    Some(question)
}

pub(super) fn ask_chat(body: &str, call: &mut Call) -> Option<()> {
    let question = question(body, call, "chat")?;
    call.part(body, question.tools, "", "tool_definitions")?;
    call.messages(body, &question.messages?)
}

pub(super) fn ask_generate(body: &str, call: &mut Call) -> Option<()> {
    let question = question(body, call, "text_completion")?;
    // Its tokens are the conversation so far.
    call.is_stateful = question.context.is_some();
    call.part(body, question.system, "system", "system_instructions")?;
    call.inputs(body, question.prompt?)
}

pub(super) fn ask_embed(body: &str, call: &mut Call) -> Option<()> {
    let question = question(body, call, "embeddings")?;
    call.inputs(body, question.input.or(question.prompt)?)
}

pub(super) fn answer(body: &str, reply: &mut Reply) -> Option<()> {
    let chunk: Chunk<'_> = serde_json::from_str(body).ok()?;
    let said = chunk.message.or(chunk.response);
    said.or(chunk.embeddings).or(chunk.embedding)?;
    head(&chunk, reply);
    if let Some(said) = said {
        reply.thread.answer(said.get());
        reply.part(body, said)?;
        reply.finish(text(chunk.done_reason));
    }
    Some(())
}

pub(super) fn stream<'f>(
    frames: impl Iterator<Item = Cow<'f, str>>,
    reply: &mut Reply,
) -> Option<()> {
    let mut message: Option<Map<String, Value>> = None;
    let mut response: Option<String> = None;
    let (mut finish, mut is_any) = (None, false);
    reply.is_whole = false;
    for frame in frames {
        let Ok(chunk) = serde_json::from_str::<Chunk<'_>>(&frame) else { break };
        is_any |= chunk.message.or(chunk.response).or(chunk.error).is_some();
        if let Some(delta) = chunk.message {
            let delta = serde_json::from_str(delta.get()).ok()?;
            merge::merge(message.get_or_insert_default(), delta)?;
        }
        if let Some(words) = text(chunk.response) {
            response.get_or_insert_default().push_str(&words);
        }
        if chunk.error.is_some() {
            reply.failed(chunk.error);
        }
        head(&chunk, reply);
        reply.is_whole |= chunk.done.is_some_and(|done| done.get() == "true");
        finish = text(chunk.done_reason).map(Cow::into_owned).or(finish);
    }
    if let Some(said) = message.map(Value::Object).or(response.map(Value::String)) {
        reply.thread.answer(&said.to_string());
        reply.made(&said);
    }
    reply.finish(finish.map(Cow::Owned));
    is_any.then_some(())
}

fn head(chunk: &Chunk<'_>, reply: &mut Reply) {
    reply.model(chunk.model);
    let envelope = &mut reply.envelope;
    envelope.usage_input_tokens = count(chunk.prompt_eval_count).or(envelope.usage_input_tokens);
    envelope.usage_output_tokens = count(chunk.eval_count).or(envelope.usage_output_tokens);
}
