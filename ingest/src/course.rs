//! CORE: where messages go, to Kafka or to the spool, and what of the spool goes to Kafka when.
//!
//! The client keeps the order of a partition, so what is in its hands is in order: a stretch of the spool, then, once all of
//! the spool was handed over, messages that came directly. That is the whole switch back: nothing waits for anything. The
//! switch away empties the client's hands; what was not acknowledged goes behind the spool's end, and the stretch of the
//! spool is handed over again, from `head`. So a message may get onto the topic twice, but the first of each stand in order:
//! what an earlier client wrote is a beginning of what the later one writes again.

use std::time::{Duration, Instant};

/// Bytes of the spool in the client's hands.
const WINDOW_BYTES: usize = 8 << 20;
/// Bytes of one stretch.
const STRETCH_BYTES: usize = 1 << 20;
/// Bytes of the stretch that finds out whether Kafka is back.
const PROBE_BYTES: usize = 64 << 10;

/// Which way messages go. `head <= cursor <=` the spool's next offset, always; they are equal while messages go directly
/// and nothing of the spool is in the client's hands.
#[derive(Debug)]
pub(crate) struct Course {
    patience: Duration,
    is_direct: bool,
    /// Whether Kafka has taken something since it was last away.
    is_proven: bool,
    /// Everything of the spool below is on the topic.
    head: u64,
    /// Everything of the spool below was handed to the client.
    cursor: u64,
    /// When the next try is.
    resume: Option<Instant>,
}

impl Course {
    /// With a spool that begins at `head`. `is_there` says whether Kafka is known to be.
    pub(crate) fn new(head: u64, is_there: bool, patience: Duration) -> Self {
        let (is_direct, is_proven) = (false, is_there);
        Self { patience, is_direct, is_proven, head, cursor: head, resume: None }
    }

    /// Whether messages go to the client; else they go to the spool.
    pub(crate) fn is_direct(&self) -> bool {
        self.is_direct
    }

    /// Everything of the spool below is on the topic.
    pub(crate) fn head(&self) -> u64 {
        self.head
    }

    /// The next stretch of the spool to hand over, as its first offset and most bytes; `bytes` are in the client's hands.
    pub(crate) fn stretch(&self, now: Instant, next: u64, bytes: usize) -> Option<(u64, usize)> {
        if self.is_direct || self.cursor >= next || self.resume.is_some_and(|at| now < at) {
            return None;
        }
        if self.is_proven {
            return (bytes < WINDOW_BYTES).then_some((self.cursor, STRETCH_BYTES));
        }
        (bytes == 0).then_some((self.cursor, PROBE_BYTES))
    }

    /// The spool was handed over up to `to`.
    pub(crate) fn handed(&mut self, to: u64) {
        assert!(to >= self.cursor, "a stretch begins at the cursor");
        self.cursor = to;
    }

    /// The spool is on the topic up to `to`.
    pub(crate) fn delivered(&mut self, to: u64) {
        assert!((self.head..=self.cursor).contains(&to), "only what was handed over is delivered");
        self.head = to;
        self.is_proven = true;
    }

    /// Whether what has been in the client's hands for `oldest` has been there too long. Nobody waits for the spool's.
    pub(crate) fn is_overdue(&self, oldest: Duration) -> bool {
        self.is_direct && oldest > self.patience
    }

    /// Kafka is away, and the client's hands are empty. It is not tried again before `pause`.
    pub(crate) fn away(&mut self, now: Instant, pause: Duration) {
        (self.is_direct, self.is_proven) = (false, false);
        self.cursor = self.head;
        self.resume = Some(now + pause);
    }

    /// Lets messages go directly, where all of the spool was handed over and Kafka is taking it: `oldest` is how long the
    /// client has had what it has had longest. Says whether that is a change.
    pub(crate) fn turn_direct(&mut self, next: u64, oldest: Duration) -> bool {
        let turns =
            !self.is_direct && self.is_proven && self.cursor == next && oldest <= self.patience / 2;
        self.is_direct |= turns;
        turns
    }
}

#[cfg(test)]
mod tests;
