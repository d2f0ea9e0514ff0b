//! CORE. What of a model call's contents is conversation, which agents take up again with every call, and what is apparatus:
//! the exchange it travelled in, attributes of a span.

use std::sync::Arc;

use crate::message::Message;
use crate::session::Content;

/// Kinds of contents that no model was told and none has said.
const APPARATUS: [&str; 7] =
    ["attributes", "error", "http", "jsonrpc", "raw", "redactions", "resource"];

impl Content {
    /// Whether it is part of what a model was told, or has said.
    #[must_use]
    pub fn is_conversation(&self) -> bool {
        !APPARATUS.contains(&self.kind.as_str())
    }
}

/// Where the parts of a model call's contents begin, and what was there before.
#[derive(Clone, Debug, Default)]
pub(crate) struct Divided {
    /// The conversation alone.
    pub(crate) conversation: Vec<Arc<Content>>,
    /// Among all contents: the first of the conversation that no call before had.
    pub(crate) known: usize,
    /// Among all contents: the first of the answer.
    pub(crate) answer: usize,
}

impl Divided {
    /// Divides contents by the conversations before.
    pub(crate) fn new<'b>(
        contents: &[Arc<Content>],
        before: impl Iterator<Item = &'b [Arc<Content>]>,
    ) -> Self {
        let spoken = contents.iter().enumerate().filter(|(_, content)| content.is_conversation());
        let (places, conversation): (Vec<usize>, Vec<_>) =
            spoken.map(|(place, content)| (place, content.clone())).unzip();
        let known = before.map(|before| common(before, &conversation)).max().unwrap_or(0);
        let place = |at: usize| places.get(at).copied().unwrap_or(contents.len());
        let (known, answer) = (place(known), place(answer(&conversation, known)));
        Self { conversation, known, answer }
    }
}

/// Entries that two conversations begin with alike.
pub(crate) fn common(before: &[Arc<Content>], now: &[Arc<Content>]) -> usize {
    before.iter().zip(now).take_while(|(a, b)| same(a, b)).count()
}

/// An answer comes back in the next call in the client's spelling.
fn same(a: &Content, b: &Content) -> bool {
    let both = |role: &str| a.role == role && b.role == role;
    a.sameness == b.sameness
        || (both("assistant")
            && Message::of(a).zip(Message::of(b)).is_some_and(|(a, b)| a.says_the_same(&b)))
}

/// Where the answer begins: the run of assistant contents at the end, as far as it is new.
fn answer(conversation: &[Arc<Content>], known: usize) -> usize {
    let said = conversation.iter().rev().take_while(|content| content.role == "assistant").count();
    conversation.len().saturating_sub(said).max(known)
}
