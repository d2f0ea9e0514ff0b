//! OpenAI's Embeddings. Each input is a message; the vectors stay in the answer's body.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::call::Call;
use super::json::Raw;
use super::reply::{Reply, tokens};

#[derive(Deserialize)]
struct Question<'a> {
    #[serde(borrow)]
    input: &'a RawValue,
    #[serde(borrow)]
    model: Raw<'a>,
}

#[derive(Deserialize)]
struct Embeddings<'a> {
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
    #[serde(borrow)]
    model: Raw<'a>,
    #[serde(borrow)]
    usage: Raw<'a>,
}

pub(super) fn ask(body: &str, call: &mut Call) -> Option<()> {
    let question: Question<'_> = serde_json::from_str(body).ok()?;
    call.operation("embeddings");
    call.model(question.model);
    call.inputs(body, question.input)
}

pub(super) fn answer(body: &str, reply: &mut Reply) -> Option<()> {
    let embeddings: Embeddings<'_> = serde_json::from_str(body).ok()?;
    if embeddings.data.is_empty() {
        return None;
    }
    reply.model(embeddings.model);
    reply.envelope.usage_input_tokens = tokens(embeddings.usage, &["prompt_tokens"]);
    Some(())
}
