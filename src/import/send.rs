//! Sends sessions through a gateway: several at a time, the events of each in order.
//!
//! Memory is bounded by what is in flight: lines by `LINE_BYTES_MAX` together, and one request for each session.

use std::sync::Arc;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use schemas::Micros;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;

use super::events::Events;
use super::input::Input;
use super::lines::{LINE_BYTES_MAX, Line};
use super::session::Session;
use crate::door::Door;

/// Sessions in flight at once.
const SESSIONS_MAX: usize = 8;
/// One request ends before it would hold more bytes, unless a single event does.
const REQUEST_BYTES_MAX: usize = 4 << 20;
/// One request's most events.
const REQUEST_EVENTS_MAX: usize = 500;

/// How the events of a session are made.
#[derive(Clone, Debug)]
pub(crate) struct Making {
    pub(crate) tenant: Option<String>,
    /// Time of sessions that say none.
    pub(crate) time: Micros,
}

/// What was acknowledged, all of it or up to an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) sessions: usize,
    pub(crate) events: usize,
}

/// Sends all of `input`; what was acknowledged, and the first error.
pub(crate) async fn send(input: Input, door: Door, making: Making) -> (Sent, anyhow::Result<()>) {
    let progress = match input.size() {
        Ok(size) => bar(size),
        Err(error) => return (Sent::default(), Err(error)),
    };
    let (into, lines) = mpsc::channel(1);
    // The thread is not waited for: on standard input it may block for as long as nobody writes.
    drop(tokio::task::spawn_blocking(move || read(&input, &into)));
    let mut flight = Flight::new(door, making, progress);
    let outcome = flight.take_off(lines).await;
    // What is in the air lands, also after an error, so that the count is true.
    let landed = flight.land(0).await;
    flight.progress.finish_and_clear();
    (flight.sent, outcome.and(landed))
}

fn read(input: &Input, into: &mpsc::Sender<anyhow::Result<Line>>) {
    let lines = match input.lines() {
        Ok(lines) => lines,
        Err(error) => return drop(into.blocking_send(Err(error))),
    };
    for line in lines {
        let bad = line.is_err();
        if into.blocking_send(line).is_err() || bad {
            return;
        }
    }
}

/// The sessions that are being sent.
struct Flight {
    door: Door,
    making: Making,
    progress: ProgressBar,
    sessions: JoinSet<anyhow::Result<(usize, usize)>>,
    room: Arc<Semaphore>,
    sent: Sent,
}

impl Flight {
    fn new(door: Door, making: Making, progress: ProgressBar) -> Self {
        let room = Arc::new(Semaphore::new(kib(LINE_BYTES_MAX)));
        let (sessions, sent) = (JoinSet::new(), Sent::default());
        Self { door, making, progress, sessions, room, sent }
    }

    async fn take_off(
        &mut self,
        mut lines: mpsc::Receiver<anyhow::Result<Line>>,
    ) -> anyhow::Result<()> {
        while let Some(line) = lines.recv().await {
            let line = line?;
            self.land(SESSIONS_MAX - 1).await?;
            let size = u32::try_from(kib(line.text.len()))?;
            let room = Arc::clone(&self.room).acquire_many_owned(size).await?;
            self.sessions.spawn(session(self.door.clone(), self.making.clone(), line, room));
        }
        Ok(())
    }

    /// Waits until at most `left` sessions are in flight; all of them are counted, then the first error is told.
    async fn land(&mut self, left: usize) -> anyhow::Result<()> {
        let mut outcome = Ok(());
        while self.sessions.len() > left {
            let Some(landed) = self.sessions.join_next().await else { break };
            match landed.context("a session's task failed").and_then(|sent| sent) {
                Ok((events, bytes)) => {
                    self.sent.sessions += 1;
                    self.sent.events += events;
                    self.progress.inc(u64::try_from(bytes)?);
                }
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        outcome
    }
}

/// Sends one session; how many events it had and how long its line was.
async fn session(
    door: Door,
    making: Making,
    line: Line,
    _room: OwnedSemaphorePermit,
) -> anyhow::Result<(usize, usize)> {
    let session = Session::parse(&line.text)?;
    let events = Events::new(&session, making.tenant.as_deref(), making.time);
    let count = events.total();
    let mut request = Request::default();
    for (index, event) in events.enumerate() {
        let bytes = serde_json::to_vec(&event)?;
        if request.is_full(bytes.len()) {
            post(&door, &line, &session, &mut request, index).await?;
        }
        request.push(&bytes);
        // A live agent would have waited here for the model. To the gateway it matters too: what is acknowledged by the next
        // call goes by digest there, and its history is folded.
        if event.is_model_call() {
            post(&door, &line, &session, &mut request, index + 1).await?;
        }
    }
    post(&door, &line, &session, &mut request, count).await?;
    Ok((count, line.text.len() + 1))
}

async fn post(
    door: &Door,
    line: &Line,
    session: &Session<'_>,
    request: &mut Request,
    next: usize,
) -> anyhow::Result<()> {
    let first = next - request.events;
    let posted = door.post(std::mem::take(request).finish().into()).await;
    posted.with_context(|| {
        let id = session.id.as_str();
        format!("line {}: events {first} to {} of session {id:?} were not taken", line.number, next)
    })
}

/// The body of one request: a JSON array of events.
#[derive(Debug, Default)]
struct Request {
    body: Vec<u8>,
    events: usize,
}

impl Request {
    /// Whether an event of this size has to wait for the next request.
    fn is_full(&self, event_bytes: usize) -> bool {
        let bytes = self.body.len() + event_bytes + 2;
        self.events > 0 && (self.events == REQUEST_EVENTS_MAX || bytes > REQUEST_BYTES_MAX)
    }

    fn push(&mut self, event: &[u8]) {
        self.body.push(if self.events == 0 { b'[' } else { b',' });
        self.body.extend_from_slice(event);
        self.events += 1;
    }

    fn finish(mut self) -> Vec<u8> {
        self.body.push(b']');
        self.body
    }
}

/// Rounded up, and at least one.
fn kib(bytes: usize) -> usize {
    bytes / 1024 + 1
}

/// Shown on a terminal only.
fn bar(size: Option<u64>) -> ProgressBar {
    let (bar, template) = match size {
        Some(size) => (ProgressBar::new(size), "{bar:30} {bytes} of {total_bytes}, {eta} left"),
        None => (ProgressBar::new_spinner(), "{spinner} {bytes}"),
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_ends_before_it_is_too_large() {
        let mut request = Request::default();
        assert!(!request.is_full(REQUEST_BYTES_MAX * 2), "a large event goes alone");
        request.push(b"{}");
        assert!(request.is_full(REQUEST_BYTES_MAX));
        assert!(!request.is_full(10));
        request.push(b"{}");
        assert_eq!(request.finish(), b"[{},{}]");
    }

    #[test]
    fn a_request_holds_so_many_events() {
        let mut request = Request::default();
        (0..REQUEST_EVENTS_MAX).for_each(|_| request.push(b"{}"));
        assert!(request.is_full(2));
    }
}
