//! A client and a server that talk: which answer belongs to which request, and what is known of both.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use schemas::Micros;

use super::exchange::{self, Ending, Known};
use super::json::{self, Fields};
use super::message::{Id, Message, What};
use super::pending::{Asked, Pending};
use super::tools::{Listing, Page, Tools};
use crate::happening::{Content, Happening, is_name};

/// Answers that wait for what they answer, and their bytes.
const EARLY_MAX: usize = 256;
const EARLY_BYTES_MAX: usize = 16 << 20;

/// Who says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The one with the agent.
    Client,
    /// The one with the tools.
    Server,
}

/// What one side said: a message, or a batch of them, or anything else.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Who said it.
    pub side: Side,
    /// Its bytes, without a line's end.
    pub text: Bytes,
    /// Bytes of it that were not kept, after those that were.
    pub dropped: u64,
    /// When it was heard.
    pub at: Micros,
}

/// One client and one server.
#[derive(Debug)]
pub struct Conversation {
    known: Known,
    pending: Pending,
    listing: Listing,
    early: Option<Early>,
}

/// Answers that were heard before what they answer.
#[derive(Debug, Default)]
struct Early {
    answers: BTreeMap<(Side, Id), (Heard, Message)>,
    bytes: usize,
}

impl Side {
    /// The one who is spoken to.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

impl Conversation {
    /// With the server of this name.
    #[must_use]
    pub fn new(server: &str) -> Self {
        let known = Known { server: server.to_owned(), revision: None, client: None };
        Self { known, pending: Pending::default(), listing: Listing::default(), early: None }
    }

    /// The same, on several connections at once: what is answered on one may be heard before what was asked on another.
    #[must_use]
    pub fn on_many_connections(self) -> Self {
        Self { early: Some(Early::default()), ..self }
    }

    /// The protocol's revision, where the transport says it.
    pub fn speaks(&mut self, revision: &str) {
        if is_name(revision) {
            self.known.revision = Some(revision.to_owned());
        }
    }

    /// Takes what was heard; what has happened with it.
    pub fn hear(&mut self, heard: &Heard, tools: &mut Tools) -> Vec<Happening> {
        let mut happenings = Vec::new();
        if heard.text.trim_ascii().is_empty() && heard.dropped == 0 {
            return happenings;
        }
        match batch(heard) {
            Some(messages) => {
                for text in messages {
                    let one = Heard { text, ..heard.clone() };
                    self.hear_one(&one, tools, &mut happenings);
                }
            }
            None => self.hear_one(heard, tools, &mut happenings),
        }
        happenings
    }

    /// Nobody will answer any more.
    pub fn end(&mut self, at: Micros) -> Vec<Happening> {
        let pending = self.pending.drain();
        let early = self.early.as_mut().map(std::mem::take).unwrap_or_default();
        let pending = pending.iter().map(|asked| self.unanswered(asked, Ending::GONE, at));
        let early = early
            .answers
            .iter()
            .map(|((_, id), (heard, message))| exchange::stray(&self.known, heard, id, message));
        pending.chain(early).collect()
    }

    pub(super) fn known(&self) -> &Known {
        &self.known
    }

    /// Whether this is a message, or a batch of them.
    pub(super) fn understands(heard: &Heard) -> bool {
        batch(heard).is_some() || Message::read(&heard.text, heard.dropped).is_some()
    }

    /// Where the next request will stand among those that wait.
    pub(super) fn mark(&self) -> u64 {
        self.pending.mark()
    }

    /// Requests that came since then get no answer any more.
    pub(super) fn give_up(&mut self, since: u64, ending: Ending, at: Micros) -> Vec<Happening> {
        let pending = self.pending.drain_since(since);
        pending.iter().map(|asked| self.unanswered(asked, ending, at)).collect()
    }

    fn hear_one(&mut self, heard: &Heard, tools: &mut Tools, to: &mut Vec<Happening>) {
        let Some(message) = Message::read(&heard.text, heard.dropped) else {
            return to.push(exchange::noise(heard));
        };
        self.learn(heard.side, &message);
        match message.what.clone() {
            What::Request(id, method) => self.ask(heard, (id, method), message, tools, to),
            What::Notification(method) => {
                if method == "notifications/cancelled" {
                    to.extend(self.cancel(heard, &message));
                }
                to.push(exchange::notification(&self.known, heard, &method, &message));
            }
            What::Answer(id) => self.answer(heard, &id, &message, tools, to),
        }
    }

    fn ask(
        &mut self,
        heard: &Heard,
        (id, method): (Id, String),
        message: Message,
        tools: &mut Tools,
        to: &mut Vec<Happening>,
    ) {
        let early = self.early.as_mut().and_then(|early| early.take(heard.side, &id));
        let tool = tool(&method, &message, tools);
        let asked = Asked { side: heard.side, id, method, message, at: heard.at, tool };
        let (same, oldest) = self.pending.push(asked);
        to.extend(same.map(|asked| self.unanswered(&asked, Ending::SAME_ID, heard.at)));
        to.extend(oldest.iter().map(|asked| self.unanswered(asked, Ending::NO_ROOM, heard.at)));
        if let Some((id, answer, message)) = early {
            self.answer(&answer, &id, &message, tools, to);
        }
    }

    fn answer(
        &mut self,
        heard: &Heard,
        id: &Id,
        message: &Message,
        tools: &mut Tools,
        to: &mut Vec<Happening>,
    ) {
        let Some(asked) = self.pending.take(heard.side.other(), id) else {
            if self.early.as_mut().is_none_or(|early| !early.keep(heard, id, message)) {
                to.push(exchange::stray(&self.known, heard, id, message));
            }
            return;
        };
        if asked.method == "initialize" {
            let agreed = message.result().and_then(|result| json::get(result, "protocolVersion"));
            let agreed = agreed.and_then(json::string).map(Cow::into_owned);
            self.speaks(agreed.as_deref().unwrap_or_default());
        }
        to.push(exchange::answered(&self.known, &asked, message, heard.at));
        if asked.method == "tools/list" && heard.side == Side::Server {
            let changes = page(&asked, message)
                .map(|page| tools.list(&self.known.server, &page, &mut self.listing));
            for mut change in changes.into_iter().flatten() {
                change.envelope.occurred_at = heard.at;
                exchange::introduce(&mut change, &self.known);
                to.push(change);
            }
        }
    }

    fn cancel(&mut self, heard: &Heard, message: &Message) -> Option<Happening> {
        let id = Id::read(json::get(message.params()?, "requestId")?)?;
        let asked = self.pending.take(heard.side, &id)?;
        Some(self.unanswered(&asked, Ending::CANCELLED, heard.at))
    }

    fn unanswered(&self, asked: &Asked, ending: Ending, at: Micros) -> Happening {
        exchange::unanswered(&self.known, asked, ending, at)
    }

    /// Who the client is and which revision it speaks: with the handshake, or, where there is none, in every request.
    fn learn(&mut self, side: Side, message: &Message) {
        if side != Side::Client {
            return;
        }
        let revision = message.meta("io.modelcontextprotocol/protocolVersion");
        if let Some(revision) = revision.and_then(json::string).map(Cow::into_owned) {
            self.speaks(&revision);
        }
        let is_first = matches!(&message.what, What::Request(_, method) if method == "initialize");
        let client = match message.params() {
            Some(params) if is_first => json::get(params, "clientInfo"),
            _ => message.meta("io.modelcontextprotocol/clientInfo"),
        };
        if let Some(client) = client.map(Fields::of) {
            let name = |name| client.string(name).filter(|name| is_name(name)).map(Cow::into_owned);
            self.known.client = name("name").map(|text| (text, name("version")));
        }
    }
}

impl Early {
    /// Keeps an answer until its request is heard; `false` where there is no room, or one with its id.
    fn keep(&mut self, heard: &Heard, id: &Id, message: &Message) -> bool {
        let key = (heard.side.other(), id.clone());
        let bytes = self.bytes.saturating_add(heard.text.len());
        let fits = self.answers.len() < EARLY_MAX && bytes <= EARLY_BYTES_MAX;
        if !fits || self.answers.contains_key(&key) {
            return false;
        }
        self.bytes = bytes;
        self.answers.insert(key, (heard.clone(), message.clone()));
        true
    }

    /// The answer to the request with this id, if it was heard.
    fn take(&mut self, side: Side, id: &Id) -> Option<(Id, Heard, Message)> {
        let (heard, message) = self.answers.remove(&(side, id.clone()))?;
        self.bytes = self.bytes.saturating_sub(heard.text.len());
        Some((id.clone(), heard, message))
    }
}

/// The messages of a batch, as the revision of March 2025 has it.
fn batch(heard: &Heard) -> Option<Vec<Bytes>> {
    if heard.dropped > 0 || heard.text.trim_ascii_start().first() != Some(&b'[') {
        return None;
    }
    let text = std::str::from_utf8(&heard.text).ok()?;
    let items = json::items(text)?;
    // An empty array says nothing, but it was said.
    let slice = |item: &str| json::place(text, item).map(|place| heard.text.slice(place));
    (!items.is_empty()).then(|| items.into_iter().filter_map(slice).collect())
}

/// What the tool that a request calls is, as far as its server has told.
fn tool(method: &str, message: &Message, tools: &Tools) -> Option<Content> {
    let params = message.params().filter(|_| method == "tools/call")?;
    let name = json::string(json::get(params, "name")?)?;
    let definition = tools.get(&name)?.clone();
    Some(Content::json("system", "tool_definitions", definition))
}

fn page<'m>(asked: &Asked, answer: &'m Message) -> Option<Page<'m>> {
    let result = Fields::of(answer.result()?);
    let tools = json::items(result.get("tools")?)?;
    let is_null = |text: &&str| *text == "null";
    let cursor = asked.message.params().and_then(|params| json::get(params, "cursor"));
    let is_first = cursor.as_ref().is_none_or(is_null);
    let is_last = result.get("nextCursor").as_ref().is_none_or(is_null);
    Some(Page { tools, is_first, is_last })
}

#[cfg(test)]
mod tests;
