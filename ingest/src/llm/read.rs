//! SHELL: what was kept of an exchange becomes events: `capture` reads it, and the route's count, the session and the ids
//! are added. Takes time: not for an async thread.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::HeaderMap;
use capture::Happening;
use capture::llm::{self, Answered, Asked, Clues, Ended, Headers};
use schemas::{EventId, Micros, SessionId, SpanId, TraceId};

use super::exchange::{Exchange, Kept};
use super::route::Route;
use super::sessions::{Sessions, is_session};
use super::target::Speech;
use crate::auth::Credential;
use crate::budget::Reservation;
use crate::draft::uuid_v7;
use crate::gateway::now;
use crate::mcp::Talks;
use crate::random::Random;
use crate::traces::Traces;

/// A request that was read.
#[derive(Debug)]
pub(crate) struct Open {
    asked: Asked,
    session: SessionId,
    /// The event that told of it, if one did.
    pub(crate) start: Option<EventId>,
}

/// What was read of an exchange by itself.
#[derive(Debug)]
pub(crate) enum Read {
    /// The request.
    Asked(Box<Asked>),
    /// All of it.
    Over(Box<Over>),
    /// What came before tells how to read it.
    InTurn,
}

/// An exchange of which nothing was told before its end.
#[derive(Debug)]
pub(crate) struct Over {
    clues: Clues,
    trace: Option<TraceId>,
    answered: Answered,
    reservation: Option<Reservation>,
}

/// Events, and the room that the exchange takes.
pub(crate) type Told = (Vec<Happening>, Option<Reservation>);

/// Reads a request, and the answer if the exchange has `ended`, as far as that can be done side by side with others. `None`
/// where the system gives no random bytes.
pub(crate) fn read(exchange: &Exchange, ended: Option<Ended>, random: &mut Random) -> Option<Read> {
    let Some(ended) = ended else { return Some(Read::Asked(Box::new(ask(exchange, random)?))) };
    if exchange.route.speech == Speech::Mcp || exchange.is_told_of() {
        return Some(Read::InTurn);
    }
    let asked = ask(exchange, random)?;
    let (clues, trace) = (asked.clues().clone(), asked.trace_id());
    let (reservation, answer) = answer(exchange.take(), exchange.age(), ended);
    let answered = asked.answer(answer);
    Some(Read::Over(Box::new(Over { clues, trace, answered, reservation })))
}

fn ask(exchange: &Exchange, random: &mut Random) -> Option<Asked> {
    let [span @ .., _, _, _, _, _, _, _, _] = random.draw().ok()?;
    Some(llm::ask(request(exchange, SpanId(span))))
}

/// Makes events of what was read, in the order in which exchanges began and ended.
#[derive(Debug)]
pub(crate) struct Reader {
    sessions: Arc<Mutex<Sessions>>,
    random: Random,
    /// With an MCP server.
    talks: Option<Talks>,
}

impl Reader {
    pub(crate) fn new(sessions: Arc<Mutex<Sessions>>, route: &Route) -> Self {
        let talks = (route.speech == Speech::Mcp).then(|| Talks::new(&route.name));
        Self { sessions, random: Random::new(), talks }
    }

    /// The event that tells of the request. `None` where the system gives no random bytes.
    pub(crate) fn start(
        &mut self,
        exchange: &Exchange,
        asked: Asked,
        traces: &Traces,
    ) -> Option<Told> {
        let open = self.open(exchange, asked, traces)?;
        let mut happening = stamped(open.asked.start(), &exchange.route, Some(exchange.seq));
        happening.envelope.capture_source = exchange.route.speech.proxy().into();
        exchange.set_open(Box::new(open));
        Some((vec![happening], None))
    }

    /// The event that tells of an exchange of which none told before.
    pub(crate) fn whole(
        &mut self,
        exchange: &Exchange,
        over: Over,
        traces: &Traces,
    ) -> Option<Told> {
        let Over { clues, trace, answered, reservation } = over;
        let session = self.find(exchange, &clues, trace, traces)?;
        let happening = self.end(exchange, answered, &session, None);
        Some((vec![happening], reservation))
    }

    /// The events that tell of an exchange that was not read yet, or its request only.
    pub(crate) fn in_turn(
        &mut self,
        exchange: &Exchange,
        ended: Ended,
        traces: &Traces,
    ) -> Option<Told> {
        if self.talks.is_some() {
            return self.hear(exchange, ended, traces);
        }
        let open = match exchange.open() {
            Some(open) => *open,
            None => {
                let asked = ask(exchange, &mut self.random)?;
                self.open(exchange, asked, traces)?
            }
        };
        let (reservation, answer) = answer(exchange.take(), exchange.age(), ended);
        let answered = open.asked.answer(answer);
        let happening = self.end(exchange, answered, &open.session, open.start);
        Some((vec![happening], reservation))
    }

    fn end(
        &mut self,
        exchange: &Exchange,
        answered: Answered,
        session: &SessionId,
        start: Option<EventId>,
    ) -> Happening {
        let mut happening = stamped(answered.happening, &exchange.route, Some(exchange.seq));
        happening.envelope.session_id = session.to_string().into();
        match start {
            Some(_) => happening.envelope.causation_id = start,
            None => happening.envelope.phase = "complete".into(),
        }
        let tenant = &exchange.credential.tenant;
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.answered(tenant, session, &answered.names, answered.continuation.as_ref());
        happening
    }

    /// Reads an exchange with an MCP server.
    fn hear(&mut self, exchange: &Exchange, ended: Ended, traces: &Traces) -> Option<Told> {
        let start = exchange.open();
        let request = llm::Request { span: None, ..request(exchange, SpanId::default()) };
        let (reservation, answer) = answer(exchange.take(), exchange.age(), ended);
        let told = self.talks.as_mut()?.hear(&exchange.credential, &request, &answer, now());
        let tenant = &exchange.credential.tenant;
        let header = exchange.route.session_header.as_ref();
        let named = header.and_then(|name| exchange.head.headers.get(name)?.to_str().ok());
        let named = named.filter(|id| is_session(id)).map(ToOwned::to_owned).or(told.session);
        let trace = told.happenings.iter().find_map(|happening| happening.envelope.trace_id);
        let session = named.and_then(|id| SessionId::new(&id).ok());
        let session = session.or_else(|| traces.session(tenant, trace?));
        let session = session.or_else(|| SessionId::new(&trace?.to_string()).ok());
        let session = match session {
            Some(session) => session,
            None => self.session()?,
        };
        if let Some(trace) = trace {
            traces.learn(tenant, trace, &session);
        }
        let mut happenings = told.happenings;
        let cause = start.as_ref().and_then(|open| open.start);
        if let Some(open) = start {
            // What was told of as an exchange ends as one.
            let mut end = open.asked.answer(answer).happening;
            end.envelope.capture_source = exchange.route.speech.proxy().into();
            end.envelope.session_id = open.session.to_string().into();
            happenings.push(end);
        }
        // The exchange has one number, and its first event tells it.
        for (index, happening) in happenings.iter_mut().enumerate() {
            let seq = (index == 0).then_some(exchange.seq);
            *happening = stamped(std::mem::take(happening), &exchange.route, seq);
            happening.envelope.causation_id = cause;
            if happening.envelope.session_id.is_empty() {
                happening.envelope.session_id = session.to_string().into();
            }
        }
        Some((happenings, reservation))
    }

    /// What MCP servers were asked and did not answer, when nothing more comes.
    pub(crate) fn unanswered(&mut self) -> Vec<(Credential, Vec<Happening>)> {
        self.talks.as_mut().map(|talks| talks.end(now())).unwrap_or_default()
    }

    /// A session for what belongs to no other.
    pub(crate) fn session(&mut self) -> Option<SessionId> {
        made(now(), self.random.draw().ok()?)
    }

    fn open(&mut self, exchange: &Exchange, asked: Asked, traces: &Traces) -> Option<Open> {
        let mut asked = asked;
        let session = self.find(exchange, asked.clues(), asked.trace_id(), traces)?;
        asked.set_session(&session);
        Some(Open { asked, session, start: None })
    }

    fn find(
        &mut self,
        exchange: &Exchange,
        clues: &Clues,
        trace: Option<TraceId>,
        traces: &Traces,
    ) -> Option<SessionId> {
        let tenant = &exchange.credential.tenant;
        let header = exchange.route.session_header.as_ref();
        let named = header.and_then(|name| exchange.head.headers.get(name)?.to_str().ok());
        let named = named.filter(|id| is_session(id)).and_then(|id| SessionId::new(id).ok());
        let session = match named {
            Some(session) => session,
            None => {
                let traced = || traces.session(tenant, trace?);
                let drawn = self.random.draw().ok()?;
                let made = || made(exchange.began, drawn);
                let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
                sessions.of(tenant, clues, traced, made)?
            }
        };
        if let Some(trace) = trace {
            traces.learn(tenant, trace, &session);
        }
        Some(session)
    }
}

fn request(exchange: &Exchange, span: SpanId) -> llm::Request {
    let (body, dropped) = exchange.question();
    llm::Request {
        method: exchange.head.method.to_string(),
        target: exchange.head.target.clone(),
        host: exchange.route.address.authority.host().to_owned(),
        headers: lines(&exchange.head.headers),
        body,
        dropped,
        started: exchange.began,
        span: Some(span),
    }
}

fn answer(kept: Kept, age: Duration, ended: Ended) -> (Option<Reservation>, llm::Answer) {
    let Kept { head, body, dropped, first_byte, last_byte, reservation } = kept;
    let (status, headers) = match head {
        Some((status, headers)) => (Some(status.as_u16()), lines(&headers)),
        None => (None, Headers::new()),
    };
    let answer = llm::Answer {
        status,
        headers,
        body,
        dropped,
        first_byte_us: first_byte.map(micros),
        last_byte_us: last_byte.map(micros),
        duration_us: micros(last_byte.unwrap_or(age)),
        ended,
    };
    (reservation, answer)
}

/// With the route's count, by which a reader sees what is missing.
pub(crate) fn stamped(mut happening: Happening, route: &Route, seq: Option<u64>) -> Happening {
    let envelope = &mut happening.envelope;
    envelope.producer_id = Some(route.producer_id.clone().into());
    envelope.producer_epoch = Some(route.producer_epoch);
    envelope.producer_seq = seq;
    envelope.producer_dropped = Some(route.dropped());
    happening
}

fn made(at: Micros, random: [u8; 16]) -> Option<SessionId> {
    SessionId::new(&uuid::Uuid::from_bytes(uuid_v7(at, random)).to_string()).ok()
}

fn lines(headers: &HeaderMap) -> Headers {
    let line = |(name, value): (&axum::http::HeaderName, &axum::http::HeaderValue)| {
        (name.as_str().to_owned(), value.as_bytes().to_vec())
    };
    headers.iter().map(line).collect()
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
