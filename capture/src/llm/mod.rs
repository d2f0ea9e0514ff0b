//! A finished, or broken-off, HTTP exchange with a model API, as happenings. One file per API; what none of them can read is
//! opaque HTTP, with its bytes whole.
//!
//! [`ask`] reads the request once, when it is complete; [`Asked::answer`] what came back. Bodies are never copied and never
//! lost: each can be rebuilt byte for byte from the contents (`format.md`, "Exchanges"). Credentials never get that far.
//!
//! It forwards nothing, and knows no session: whoever does remembers the [`Name`]s and digests that it finds.

mod anthropic;
mod api;
mod body;
mod call;
mod credentials;
mod gemini;
pub(crate) mod http;
mod json;
mod merge;
mod ollama;
mod openai_chat;
mod openai_embeddings;
mod openai_responses;
mod reply;
mod stream;
mod thread;

use bytes::Bytes;
use schemas::{Digest, Micros, SessionId, SpanId, TraceId};

use crate::happening::{Content, Happening};
use api::Api;
pub(crate) use body::{Body, decode, header};
use call::Call;
pub(crate) use call::traceparent;
use reply::Reply;
pub(crate) use stream::Events;

/// Headers as they came, names in any case.
pub type Headers = Vec<(String, Vec<u8>)>;

/// A request to a model API, complete.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The method.
    pub method: String,
    /// Path and query, after the prefix of the route.
    pub target: String,
    /// Host it is sent to, without port: says who provides the model.
    pub host: String,
    /// All headers as they came. Credentials among them are left out of the record by their names.
    pub headers: Headers,
    /// The body as it came.
    pub body: Bytes,
    /// Bytes of the body beyond these, which were not kept.
    pub dropped: u64,
    /// When it came.
    pub started: Micros,
    /// A random id that start and end of the exchange share.
    pub span: Option<SpanId>,
}

/// What came back, as far as it did.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// `None` where no response began.
    pub status: Option<u16>,
    /// All headers as they came.
    pub headers: Headers,
    /// The body as it went over the wire.
    pub body: Bytes,
    /// Bytes of the body beyond these, which were not kept.
    pub dropped: u64,
    /// From the request's start to the first byte of the body.
    pub first_byte_us: Option<u64>,
    /// From the request's start to the last byte of the body.
    pub last_byte_us: Option<u64>,
    /// From the request's start to now.
    pub duration_us: u64,
    /// How it ended.
    pub ended: Ended,
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ended {
    /// The response came whole.
    #[default]
    Complete,
    /// The client went away.
    ClientAbort,
    /// No response began. The reason is low-cardinality: connect, tls, dns, …
    UpstreamError(&'static str),
    /// The response broke off.
    UpstreamCut,
    /// The proxy stopped before the response had ended.
    GatewayStopped,
    /// A time limit of the proxy passed.
    Timeout,
}

/// A request, read.
#[derive(Clone, Debug)]
pub struct Asked {
    start: Happening,
    api: Option<Api>,
    /// Whether the API keeps the conversation, so that the request does not have all of it.
    is_stateful: bool,
    thread: thread::Thread,
    clues: Clues,
}

/// What a request says of the session that it belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clues {
    /// Ids in it, the surest first.
    pub names: Vec<Name>,
    /// Digests of the conversation up to each of the model's turns in it, the longest first. One that equals the
    /// [`Answered::continuation`] of an exchange continues that one. Where two sessions gave the same one it tells nothing.
    pub prefixes: Vec<Digest>,
}

/// An id that ties exchanges together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Name {
    /// Of a session, in the client's own words.
    Session(String),
    /// Of a conversation that the API keeps.
    Conversation(String),
    /// Of an answer of the API.
    Response(String),
}

/// An exchange, read.
#[derive(Clone, Debug)]
pub struct Answered {
    /// Phase `end`.
    pub happening: Happening,
    /// Digest of the conversation, this answer included; `None` where it says nothing that could be recognised.
    pub continuation: Option<Digest>,
    /// Ids that later requests may name.
    pub names: Vec<Name>,
}

/// Reads a request.
#[must_use]
pub fn ask(request: Request) -> Asked {
    let body = Body::new(&request.headers, &request.body);
    let mut call = Call::new(&request);
    let mut api = Api::of(&request.method, &request.target);
    let read =
        api.zip(body.text()).and_then(|(api, text)| api.ask(&request.target, text, &mut call));
    if read.is_none() {
        (api, call) = (None, Call::new(&request));
    }
    asked(&request, &body, api, call)
}

/// Reads a request as one of which nothing is known.
pub(crate) fn opaque(request: &Request) -> Asked {
    asked(request, &Body::new(&request.headers, &request.body), None, Call::new(request))
}

fn asked(request: &Request, body: &Body, api: Option<Api>, mut call: Call) -> Asked {
    call.conclude(api, request);
    let mut start = Happening { envelope: call.envelope, ..Happening::default() };
    let parts = if api.is_some() { call.parts } else { body.whole("raw") };
    let held = body.hold(&mut start.contents, parts);
    start.push(Content::json("", "http", http::request(request, held)));
    let clues = Clues { names: call.names, prefixes: call.thread.prefixes() };
    Asked { start, api, is_stateful: call.is_stateful, thread: call.thread, clues }
}

impl Asked {
    /// What the request says of its session.
    #[must_use]
    pub fn clues(&self) -> &Clues {
        &self.clues
    }

    /// The trace that it says it is part of.
    #[must_use]
    pub fn trace_id(&self) -> Option<TraceId> {
        self.start.envelope.trace_id
    }

    /// Whether a model API was recognised. What else it may be is opaque.
    #[must_use]
    pub fn is_model_call(&self) -> bool {
        self.api.is_some()
    }

    /// Puts the exchange into a session.
    pub fn set_session(&mut self, session: &SessionId) {
        self.start.envelope.session_id = session.to_string().into();
    }

    /// Phase `start`: the request, before anything came back.
    #[must_use]
    pub fn start(&self) -> Happening {
        self.start.clone()
    }

    /// Reads what came back.
    #[must_use]
    pub fn answer(self, answer: Answer) -> Answered {
        let Self { start, api, is_stateful, thread, .. } = self;
        let Happening { envelope, mut contents, .. } = start;
        let body = Body::new(&answer.headers, &answer.body);
        let mut reply = Reply::new(envelope, thread);
        let held = reply.read(api, &answer, &body, &mut contents);
        reply.conclude(&answer);
        contents.push(Content::json("", "http", http::response(&answer, held)));
        let happening = Happening { envelope: reply.envelope, contents, ..Happening::default() };
        let continuation = reply.thread.continuation().filter(|_| !is_stateful);
        Answered { happening, continuation, names: reply.names }
    }
}
