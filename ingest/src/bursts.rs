//! SHELL: messages gather while earlier ones are under way, as they do for an fsync.
//!
//! An idempotent client may have five requests under way on a connection, one for each partition and batch. librdkafka that has
//! more to send looks for room without pause, with all of a core. Fewer and larger requests cost the broker less, too.

#![expect(clippy::disallowed_methods, reason = "what gathers does not wait for ever")]

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// What is handed over within this time is one burst; the client waits for others as long (`linger.ms`).
const BURST_TIME: Duration = Duration::from_millis(1);
/// How long messages gather at most: a broker may be away.
const GATHER_MAX: Duration = Duration::from_millis(50);

/// Messages that are handed over at about the same time. It is under way until the last clone is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Burst(#[expect(dead_code, reason = "is dropped")] Sender<()>);

/// The bursts of a client, one after the other.
#[derive(Debug)]
pub(crate) struct Bursts {
    gather_max: Duration,
    begun: Instant,
    /// The burst that can still be joined.
    open: Option<Burst>,
    /// Disconnected when the last burst is over.
    over: Receiver<()>,
}

impl Bursts {
    pub(crate) fn new() -> Self {
        Self { gather_max: GATHER_MAX, begun: Instant::now(), open: None, over: channel().1 }
    }

    /// The burst that what is handed over now belongs to. A new one waits until the last is over.
    pub(crate) fn join(&mut self) -> Burst {
        if let Some(burst) = &self.open
            && self.begun.elapsed() < BURST_TIME
        {
            return burst.clone();
        }
        self.open = None;
        self.over.recv_timeout(self.gather_max).ok();
        let (burst, over) = channel();
        (self.begun, self.over) = (Instant::now(), over);
        self.open.insert(Burst(burst)).clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::TryRecvError;

    use super::*;

    /// Whether the burst is under way.
    fn is_under_way(bursts: &Bursts) -> bool {
        bursts.over.try_recv() == Err(TryRecvError::Empty)
    }

    /// Lets the time pass in which it can be joined.
    fn close(bursts: &mut Bursts) {
        bursts.begun = bursts.begun.checked_sub(BURST_TIME).unwrap();
    }

    #[test]
    fn a_burst_is_over_when_all_that_joined_it_are_gone() {
        let mut bursts = Bursts::new();
        let (first, second) = (bursts.join(), bursts.join());
        bursts.open = None;
        assert!(is_under_way(&bursts));
        drop(first);
        assert!(is_under_way(&bursts));
        drop(second);
        assert!(!is_under_way(&bursts));
    }

    #[test]
    fn the_next_begins_when_it_is_over() {
        let mut bursts = Bursts { gather_max: Duration::from_secs(3600), ..Bursts::new() };
        let first = bursts.join();
        close(&mut bursts);
        let is_over = Arc::new(AtomicBool::new(false));
        let later = Arc::clone(&is_over);
        let later = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(10));
            later.store(true, Ordering::SeqCst);
            drop(first);
        });
        let _second = bursts.join();
        assert!(is_over.load(Ordering::SeqCst));
        later.join().unwrap();
    }

    #[test]
    fn one_that_does_not_end_holds_nothing_up_for_ever() {
        let mut bursts = Bursts { gather_max: Duration::ZERO, ..Bursts::new() };
        let first = bursts.join();
        close(&mut bursts);
        let second = bursts.join();
        bursts.open = None;
        drop(second);
        assert!(!is_under_way(&bursts), "the first, which is, has none waiting for it");
        drop(first);
    }
}
