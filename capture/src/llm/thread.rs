//! The thread of a conversation, as digests by which a later request is known to continue an earlier exchange.
//!
//! What counts is who said which words, and the ids of tool calls: clients re-serialise what they send again, move cache
//! marks, leave reasoning out, and some APIs have one item where others have a message. System messages do not count: many
//! agents renew them at every call. Two runs that begin with the same words differ as soon as the model has answered.

use std::borrow::Cow;
use std::fmt;

use schemas::{Digest, Hasher};
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::json::{Raw, at, text};

/// Turns of the model that are remembered of one request, the last ones. A client that drops more of its history than these
/// starts a new thread.
const PREFIXES_MAX: usize = 64;

/// A conversation, read so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Thread {
    chain: Digest,
    /// What the model has said since somebody else spoke.
    turn: Said,
    prefixes: Vec<Digest>,
    /// Whether an answer had words.
    is_answered: bool,
}

/// What one message says.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    role: &'static str,
    words: String,
    ids: Vec<u8>,
    /// Parts of its content, and those of them that are results of tools.
    parts: usize,
    results: usize,
}

impl Thread {
    /// Adds a message; returns its role.
    pub(super) fn add(&mut self, message: &RawValue) -> &'static str {
        let said = Said::read(message.get());
        let role = said.role();
        match role {
            "system" => {}
            "assistant" => self.turn.join(&said),
            role => {
                self.close();
                self.chain = said.digest(self.chain, role);
            }
        }
        role
    }

    /// Adds what somebody says in plain words.
    pub(super) fn add_words(&mut self, role: &str, words: &str) {
        self.close();
        self.chain = Said { words: words.to_owned(), ..Said::default() }.digest(self.chain, role);
    }

    /// Adds what the model answers, or a part of it.
    pub(super) fn answer(&mut self, json: &str) {
        let said = Said::read(json);
        self.is_answered |= said.len() > 0;
        self.turn.join(&said);
    }

    /// The digests after each of the model's turns, the last one first.
    pub(super) fn prefixes(&self) -> Vec<Digest> {
        let mut thread = self.clone();
        thread.close();
        thread.prefixes.into_iter().rev().take(PREFIXES_MAX).collect()
    }

    /// The digest after an answer; `None` where it had no words.
    pub(super) fn continuation(mut self) -> Option<Digest> {
        self.close();
        self.is_answered.then_some(self.chain)
    }

    fn close(&mut self) {
        let turn = std::mem::take(&mut self.turn);
        if turn.len() > 0 {
            self.chain = turn.digest(self.chain, "assistant");
            self.prefixes.push(self.chain);
        }
    }
}

impl Said {
    fn read(json: &str) -> Self {
        let mut said = Self::default();
        let mut from = serde_json::Deserializer::from_str(json);
        match (Reader { said: &mut said, depth: 0, is_call: false }).deserialize(&mut from) {
            Ok(()) => said,
            // Nested too deep, or half a surrogate: its bytes are its words.
            Err(_) => {
                let role = role(at(serde_json::from_str(json).ok(), &["role"]));
                Self { role, words: json.to_owned(), ..Self::default() }
            }
        }
    }

    fn role(&self) -> &'static str {
        match self.role {
            "user" if self.parts > 0 && self.parts == self.results => "tool",
            // Gemini lets it be left out.
            "" if self.parts > 0 => "user",
            role => role,
        }
    }

    fn len(&self) -> usize {
        self.words.trim().len() + self.ids.len()
    }

    fn join(&mut self, other: &Self) {
        self.words.push_str(&other.words);
        self.ids.extend_from_slice(&other.ids);
    }

    fn digest(&self, chain: Digest, role: &str) -> Digest {
        let head = Hasher::new("llm.turn").bytes(&chain.0).lp(role.as_bytes()).lp(&self.ids);
        head.finish_with(self.words.trim().as_bytes())
    }

    fn id(&mut self, id: &str) {
        self.ids.extend_from_slice(id.as_bytes());
        self.ids.push(0);
    }
}

/// Reads any API's message, or a part of one: their members' names do not collide.
struct Reader<'s> {
    said: &'s mut Said,
    depth: usize,
    /// Within a call of a tool, whose id and name count.
    is_call: bool,
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message")
    }

    fn visit_str<E>(self, words: &str) -> Result<(), E> {
        self.said.words.push_str(words);
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Self { said, depth, is_call } = self;
        while items.next_element_seed(Reader { said, depth, is_call })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        self.object(map)
    }
}

impl Reader<'_> {
    fn object<'de, A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { said, depth, is_call } = self;
        let (words_before, ids_before) = (said.words.len(), said.ids.len());
        let (mut id, mut name, mut kind) = (None, None, None);
        let mut is_thought = false;
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            let is_system = depth == 0 && said.role == "system";
            let mut inner = Reader { said: &mut *said, depth: depth + 1, is_call: false };
            match &*key {
                "role" if depth == 0 => said.role = role(map.next_value()?),
                // Its words do not count.
                "content" if is_system => {
                    map.next_value::<IgnoredAny>()?;
                }
                "type" => kind = word(&mut map)?,
                "id" => id = word(&mut map)?,
                "name" => name = word(&mut map)?,
                "thought" => is_thought = map.next_value::<&RawValue>()?.get() == "true",
                "tool_call_id" | "call_id" | "tool_use_id" => {
                    if let Some(id) = word(&mut map)? {
                        said.id(&id);
                    }
                }
                "text" | "refusal" | "content" | "parts" | "output" => {
                    map.next_value_seed(inner)?
                }
                "tool_calls" | "function_call" | "functionCall" => {
                    inner.is_call = true;
                    map.next_value_seed(inner)?;
                }
                "functionResponse" => {
                    (inner.is_call, kind) = (true, Some("tool_result".into()));
                    map.next_value_seed(inner)?;
                }
                "function" if is_call => {
                    inner.is_call = true;
                    map.next_value_seed(inner)?;
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let kind = kind.as_deref().unwrap_or_default();
        if is_thought || matches!(kind, "thinking" | "redacted_thinking" | "reasoning") {
            said.words.truncate(words_before);
            said.ids.truncate(ids_before);
        } else if let Some(id) = id.or(name).filter(|_| is_call || kind.ends_with("tool_use")) {
            // What stands within it, its function's name, is less than its id.
            said.ids.truncate(ids_before);
            said.id(&id);
        }
        if depth == 1 {
            said.parts += 1;
            said.results += usize::from(kind == "tool_result");
        }
        if depth == 0 && said.role.is_empty() {
            said.role = role_of_item(kind);
        }
        Ok(())
    }
}

/// A string; `None` for anything else.
fn word<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Option<Cow<'de, str>>, A::Error> {
    map.next_value().map(text)
}

/// A role in our words.
fn role(raw: Raw<'_>) -> &'static str {
    match text(raw).as_deref() {
        Some("user") => "user",
        Some("assistant" | "model") => "assistant",
        Some("system" | "developer") => "system",
        Some("tool" | "function") => "tool",
        _ => "",
    }
}

/// Who an item of the Responses API is from that names no role.
fn role_of_item(kind: &str) -> &'static str {
    match kind {
        "reasoning" | "item_reference" => "assistant",
        kind if kind.ends_with("_call_output") => "tool",
        kind if kind.ends_with("_call") => "assistant",
        _ => "",
    }
}
