//! SHELL: an exchange under way, and what is kept of it: frames as they pass, reference-counted, within limits.
//!
//! Both directions and the recorder share one. Whoever passes bytes on never waits for it, but where a route is fail-closed.

#![expect(clippy::disallowed_methods, reason = "exchanges are timed")]

use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, Method, StatusCode};
use bytes::{Bytes, BytesMut};
use capture::llm::Ended;
use schemas::{EventId, Micros};
use tokio::sync::oneshot;

use super::read::Open;
use super::route::Route;
use crate::auth::Credential;
use crate::budget::Reservation;
use crate::gateway::now;
use crate::metrics::wide;

/// What the recorder is told.
#[derive(Debug)]
pub(crate) enum Item {
    /// The request is complete, and an event is to tell of it.
    Asked(Arc<Exchange>, Option<Told>),
    /// Nothing more comes.
    Over(Arc<Exchange>, Ended, Option<Told>),
    /// There may be something to do.
    Look,
    /// No exchange is under way any more, nor will be.
    End(oneshot::Sender<()>),
}

/// Told whether the event is durable.
pub(crate) type Told = oneshot::Sender<bool>;

/// What an exchange is recorded with.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) route: Arc<Route>,
    pub(crate) credential: Credential,
    /// Its number among those of the route.
    pub(crate) seq: u64,
    pub(crate) began: Micros,
    pub(crate) head: Head,
    started: Instant,
    queue: SyncSender<Item>,
    state: Mutex<State>,
}

/// The head of a request.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) method: Method,
    /// As it is sent to the upstream.
    pub(crate) target: String,
    /// As they came, but for the gateway's key.
    pub(crate) headers: HeaderMap,
    /// How long the body says it is.
    pub(crate) announced: Option<u64>,
}

#[derive(Debug)]
struct State {
    reservation: Reservation,
    question: Side,
    answer: Side,
    head: Option<(StatusCode, HeaderMap)>,
    first_byte: Option<Duration>,
    last_byte: Option<Duration>,
    /// Whether an event is to tell of the request as soon as it is complete.
    is_awaited: bool,
    /// Whether the recorder was told of it before its end.
    is_told_of: bool,
    is_over: bool,
    open: Option<Box<Open>>,
}

/// A body, as far as it came.
#[derive(Debug, Default)]
struct Side {
    frames: Vec<Bytes>,
    bytes: usize,
    /// Bytes that were not kept; from the first of them on none are.
    dropped: u64,
    is_complete: bool,
    announced: Option<u64>,
}

/// What was kept of an exchange that is over.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) head: Option<(StatusCode, HeaderMap)>,
    pub(crate) body: Bytes,
    pub(crate) dropped: u64,
    pub(crate) first_byte: Option<Duration>,
    pub(crate) last_byte: Option<Duration>,
    pub(crate) reservation: Option<Reservation>,
}

impl Exchange {
    /// One that begins now.
    pub(crate) fn new(
        route: Arc<Route>,
        queue: SyncSender<Item>,
        credential: Credential,
        head: Head,
        reservation: Reservation,
    ) -> Arc<Self> {
        let state = State {
            reservation,
            question: Side { announced: head.announced, ..Side::default() },
            answer: Side::default(),
            head: None,
            first_byte: None,
            last_byte: None,
            is_awaited: false,
            is_told_of: false,
            is_over: false,
            open: None,
        };
        let (seq, began, started) = (route.begin(), now(), Instant::now());
        let state = Mutex::new(state);
        Arc::new(Self { route, credential, seq, began, head, started, queue, state })
    }

    pub(crate) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Keeps a part of the request; says whether all of it so far is kept.
    pub(crate) fn asks(&self, frame: &Bytes) -> bool {
        let state = &mut *self.state();
        let kept = state.answer.bytes;
        state.question.keep(frame, kept, &mut state.reservation, self.bytes_max())
    }

    /// Keeps a part of the answer; says whether all of it so far is kept.
    pub(crate) fn answers(&self, frame: &Bytes) -> bool {
        let now = self.age();
        let state = &mut *self.state();
        state.first_byte.get_or_insert(now);
        state.last_byte = Some(now);
        let kept = state.question.bytes;
        state.answer.keep(frame, kept, &mut state.reservation, self.bytes_max())
    }

    fn bytes_max(&self) -> usize {
        self.route.upstream.exchange_bytes_max
    }

    /// The request is complete. An event tells of it at once where the route wants that of each, or else when it has
    /// been under way for long enough.
    pub(crate) fn asked(self: &Arc<Self>) {
        let is_awaited = {
            let mut state = self.state();
            if std::mem::replace(&mut state.question.is_complete, true) {
                return;
            }
            state.is_awaited
        };
        if !self.route.tells_of_starts() {
            return;
        }
        if is_awaited || self.route.upstream.start_after_ms == 0 {
            self.state().is_told_of = true;
            self.tell(Item::Asked(Arc::clone(self), None));
        } else if self.route.due(self) {
            self.tell(Item::Look);
        }
    }

    /// The request is complete, and goes nowhere before an event that tells of it is durable; whether it is.
    pub(crate) async fn asked_durably(self: &Arc<Self>) -> bool {
        {
            let mut state = self.state();
            (state.question.is_complete, state.is_told_of) = (true, true);
        }
        let (told, durable) = oneshot::channel();
        self.tell(Item::Asked(Arc::clone(self), Some(told)));
        durable.await.unwrap_or(false)
    }

    /// Whether an event is to tell of the request now; one that is not complete is told of when it is.
    pub(crate) fn is_due(&self) -> bool {
        let mut state = self.state();
        state.is_awaited = true;
        let is_due = state.question.is_complete && !state.is_over;
        state.is_told_of |= is_due;
        is_due
    }

    /// Whether the recorder was told of it before its end.
    pub(crate) fn is_told_of(&self) -> bool {
        self.state().is_told_of
    }

    /// The head of the answer.
    pub(crate) fn headed(&self, status: StatusCode, headers: &HeaderMap) {
        self.state().head = Some((status, headers.clone()));
    }

    /// Nothing more comes. Counts the first time only. `told` is told once it is on record.
    pub(crate) fn over(self: &Arc<Self>, ended: Ended, told: Option<Told>) {
        let counted = {
            let mut state = self.state();
            let first = !std::mem::replace(&mut state.is_over, true);
            first.then(|| (state.first_byte, state.question.bytes, state.answer.bytes))
        };
        if let Some((first_byte, asked, answered)) = counted {
            self.route.counters.ended(ended, first_byte, asked, answered);
            self.tell(Item::Over(Arc::clone(self), ended, told));
        }
    }

    /// It was refused before anything of it was forwarded.
    pub(crate) fn refused(&self) {
        self.state().is_over = true;
        self.route.counters.refused();
    }

    /// The request's body, and how many bytes of it are missing.
    pub(crate) fn question(&self) -> (Bytes, u64) {
        let mut state = self.state();
        let question = &mut state.question;
        let missing = question.announced.unwrap_or_default();
        let missing = missing.saturating_sub(wide(question.bytes));
        let missing = if question.is_complete { question.dropped } else { missing };
        (question.join(), missing)
    }

    /// All else that was kept. The room that it takes goes with it.
    pub(crate) fn take(&self) -> Kept {
        let mut state = self.state();
        Kept {
            head: state.head.take(),
            body: state.answer.join(),
            dropped: state.answer.dropped,
            first_byte: state.first_byte,
            last_byte: state.last_byte,
            reservation: state.reservation.take(),
        }
    }

    /// What the recorder has read of it.
    pub(crate) fn open(&self) -> Option<Box<Open>> {
        self.state().open.take()
    }

    pub(crate) fn set_open(&self, open: Box<Open>) {
        self.state().open = Some(open);
    }

    /// The event that tells of its beginning; `None` where it did not become durable.
    pub(crate) fn begun(&self, start: Option<EventId>) {
        if let Some(open) = &mut self.state().open {
            open.start = start;
        }
    }

    /// Bytes of the request that came.
    pub(crate) fn asked_bytes(&self) -> u64 {
        let state = self.state();
        wide(state.question.bytes).saturating_add(state.question.dropped)
    }

    /// Wakes the recorder.
    pub(crate) fn wake(&self) {
        self.queue.try_send(Item::Look).ok();
    }

    fn tell(&self, item: Item) {
        let why = match self.queue.try_send(item) {
            Ok(()) => return,
            Err(TrySendError::Full(item)) => (item, "queue"),
            Err(TrySendError::Disconnected(item)) => (item, "stopped"),
        };
        if let (Item::Over(..), reason) = why {
            drop((self.open(), self.take()));
            self.route.lost(&self.credential, self.began, reason);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Side {
    fn keep(&mut self, frame: &Bytes, others: usize, room: &mut Reservation, max: usize) -> bool {
        let bytes = self.bytes + frame.len();
        if self.dropped > 0 || bytes + others > max || room.grow(frame.len()).is_err() {
            self.dropped += wide(frame.len());
            return false;
        }
        self.bytes = bytes;
        self.frames.push(frame.clone());
        true
    }

    /// All of it as one frame, which a body that came in one already is.
    fn join(&mut self) -> Bytes {
        if let [only] = self.frames.as_slice() {
            return only.clone();
        }
        let mut whole = BytesMut::with_capacity(self.bytes);
        for frame in self.frames.drain(..) {
            whole.extend_from_slice(&frame);
        }
        let whole = whole.freeze();
        self.frames.push(whole.clone());
        whole
    }
}
