//! SHELL: the queue of a route: exchanges in the order in which they ended, taken in batches. Batches are read side by side, and
//! what is done with them is done in their order.

#![expect(clippy::disallowed_methods, reason = "exchanges are told of when they have lasted")]

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::exchange::Item;
use super::route::Route;

/// Exchanges that wait for the recorder. Their bytes are bounded by the gateway's `in_flight_bytes_max`.
const ITEMS_MAX: usize = 16_384;
/// Exchanges admitted together.
const BATCH_MAX: usize = 64;
/// How long exchanges gather. A kill forgets those of this time too.
const GATHER_TIME: Duration = Duration::from_millis(5);
/// How long it sleeps where nothing is known to come.
const SLEEP_MAX: Duration = Duration::from_secs(3600);

/// What is to be recorded.
#[derive(Debug)]
pub(crate) struct Queue(Mutex<State>);

#[derive(Debug)]
struct State {
    items: Receiver<Item>,
    wait: Duration,
    /// Disconnected when the batch that was taken last is done with.
    last: Receiver<()>,
}

/// Items in their order.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) items: Vec<Item>,
    pub(crate) turn: Turn,
}

/// A batch's place among all: it comes when all batches before it are done with, and is over when this is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    before: Receiver<()>,
    _done: Sender<()>,
}

impl Queue {
    pub(crate) fn new() -> (SyncSender<Item>, Self) {
        let (queue, items) = sync_channel(ITEMS_MAX);
        let state = State { items, wait: SLEEP_MAX, last: channel().1 };
        (queue, Self(Mutex::new(state)))
    }

    /// What is to be done next, which may be nothing but to look after losses; `None` when no more can come.
    /// `loss_pause` is how soon there is something to do about losses.
    pub(crate) fn take(
        &self,
        route: &Route,
        loss_pause: impl FnOnce() -> Option<Duration>,
    ) -> Option<Batch> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut items = match state.items.recv_timeout(state.wait) {
            Ok(item) => vec![item],
            Err(RecvTimeoutError::Timeout) => Vec::new(),
            Err(RecvTimeoutError::Disconnected) => return None,
        };
        state.gather(&mut items, route);
        let now = Instant::now();
        let (due, next) = route.take_due(now);
        items.extend(due.into_iter().map(|exchange| Item::Asked(exchange, None)));
        let next = next.map(|next| next.saturating_duration_since(now));
        state.wait = next.into_iter().chain(loss_pause()).min().unwrap_or(SLEEP_MAX);
        let (done, last) = channel();
        let before = std::mem::replace(&mut state.last, last);
        Some(Batch { items, turn: Turn { before, _done: done } })
    }
}

impl State {
    /// Where nobody waits for it, a batch gathers for a moment: together it costs less.
    fn gather(&self, items: &mut Vec<Item>, route: &Route) {
        let mut fill = || {
            let room = BATCH_MAX.saturating_sub(items.len());
            items.extend(self.items.try_iter().take(room));
            let is_urgent = items.iter().any(|item| matches!(item, Item::End(_)));
            (1..BATCH_MAX).contains(&items.len()) && !is_urgent
        };
        if fill() && !route.is_closed() {
            std::thread::sleep(GATHER_TIME);
            fill();
        }
    }
}

impl Turn {
    /// Waits until it comes.
    pub(crate) fn wait(&self) {
        // Nothing is ever sent: it ends when the one before is dropped.
        self.before.recv().ok();
    }
}
