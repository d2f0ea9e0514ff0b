//! SHELL: the queue between those who record and the one who sends, and what they wake each other with.

#![expect(clippy::disallowed_methods, reason = "waiting for events to be sent ends in time")]

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use schemas::Micros;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::event::Event;
use crate::queue::{Queue, State};
use crate::source;

/// What a recorder's handles and its sender have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    queue: Mutex<Queue>,
    /// Events of a batch, and their bytes.
    pub(crate) batch: (usize, usize),
    /// Wakes the sender.
    pub(crate) wake: Notify,
    /// Wakes those who wait for a batch to be settled.
    settled: Condvar,
    settled_async: Notify,
    /// Ends sending at once.
    pub(crate) abandoned: CancellationToken,
    /// No handle is left.
    pub(crate) dropped: CancellationToken,
}

impl Shared {
    pub(crate) fn new(queue_bytes_max: usize, batch: (usize, usize)) -> Self {
        Self {
            queue: Mutex::new(Queue::new(queue_bytes_max)),
            batch,
            wake: Notify::new(),
            settled: Condvar::new(),
            settled_async: Notify::new(),
            abandoned: CancellationToken::new(),
            dropped: CancellationToken::new(),
        }
    }

    pub(crate) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues an event, or counts it among the lost. The sender is woken where it may sleep: by the first event, and by
    /// the one that fills a batch.
    pub(crate) fn push(&self, state: &Arc<State>, event: Event) {
        let mut queue = self.queue();
        let was_empty = queue.is_empty();
        let is_first_lost =
            !queue.push(state, event, source::event_id) && queue.stats().dropped == 1;
        let is_full = queue.is_full(self.batch.0, self.batch.1);
        drop(queue);
        if is_first_lost {
            tracing::error!(
                "there is no room for an event: it is dropped, as its session will say"
            );
        }
        if was_empty || is_full {
            self.wake.notify_one();
        }
    }

    /// A batch of so many events is settled.
    pub(crate) fn settle(&self, count: usize, now: Micros) {
        let mut queue = self.queue();
        queue.left = queue.left.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        queue.pay(now, source::event_id);
        drop(queue);
        self.tell();
    }

    /// The sender has ended.
    pub(crate) fn end(&self) {
        self.queue().has_ended = true;
        self.tell();
    }

    fn tell(&self) {
        self.settled.notify_all();
        self.settled_async.notify_waiters();
    }

    /// Takes no more events, and hurries with those that are here.
    pub(crate) fn close(&self) {
        self.queue().is_closed = true;
        self.wake.notify_one();
    }

    /// Has everything sent that was recorded so far; how far that is.
    pub(crate) fn hurry(&self) -> u64 {
        let mut queue = self.queue();
        queue.hurry_to = queue.entered;
        let target = queue.entered;
        drop(queue);
        self.wake.notify_one();
        target
    }

    /// Waits until `is_done`, or until the time is over; whether it is done.
    pub(crate) fn wait(&self, timeout: Duration, is_done: impl Fn(&Queue) -> bool) -> bool {
        let until = Instant::now().checked_add(timeout);
        let mut queue = self.queue();
        while !is_done(&queue) && !queue.has_ended {
            let left = until.map_or(timeout, |until| until.duration_since(Instant::now()));
            if left.is_zero() {
                return false;
            }
            let waited = self.settled.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        is_done(&queue)
    }

    /// As [`Self::wait`], for as long as it takes.
    pub(crate) async fn wait_async(&self, is_done: impl Fn(&Queue) -> bool) {
        loop {
            let told = self.settled_async.notified();
            if self.is(|queue| is_done(queue) || queue.has_ended) {
                return;
            }
            told.await;
        }
    }

    fn is(&self, condition: impl Fn(&Queue) -> bool) -> bool {
        condition(&self.queue())
    }
}
