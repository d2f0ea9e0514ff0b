//! CORE: the sessions that the gateway remembers, bounded by number and by bytes.
//!
//! What exceeds a bound is forgotten whole, the session used least recently first.

use lru::LruCache;
use schemas::Micros;

use crate::class::Class;
use crate::config::Config;
use crate::session::Session;

/// All sessions, by Kafka key.
#[derive(Debug)]
pub(crate) struct Memory<W> {
    sessions: LruCache<Vec<u8>, Session<W>>,
    /// Sum of the sessions' costs.
    cost: usize,
    /// Bases begun so far.
    bases: u64,
}

impl<W> Memory<W> {
    pub(crate) fn new() -> Self {
        Self { sessions: LruCache::unbounded(), cost: 0, bases: 0 }
    }

    /// The session as it is remembered, if its base may still be referred to.
    pub(crate) fn peek(&self, key: &[u8], now: Micros, config: &Config) -> Option<&Session<W>> {
        self.sessions.peek(key).filter(|session| !session.is_over(now, config))
    }

    /// The class of a session, also of one whose base is over.
    pub(crate) fn class(&self, key: &[u8]) -> Option<Class> {
        self.sessions.peek(key)?.class
    }

    /// Works on a session, which gets a new base if it has none that may be referred to.
    pub(crate) fn with<R>(
        &mut self,
        key: &[u8],
        now: Micros,
        config: &Config,
        work: impl FnOnce(&mut Session<W>) -> R,
    ) -> R {
        // The class outlives the base: a session stays on its topic.
        let mut class = None;
        if self.peek(key, now, config).is_none()
            && let Some(over) = self.sessions.pop(key)
        {
            self.cost -= over.cost;
            class = over.class;
        }
        let (cost, bases) = (&mut self.cost, &mut self.bases);
        let session = self.sessions.get_or_insert_mut_ref(key, || {
            *bases += 1;
            let session = Session::new(*bases, now, class);
            *cost += session.cost;
            session
        });
        *cost -= session.cost;
        let outcome = work(session);
        *cost += session.cost;
        self.trim(config);
        outcome
    }

    /// Works on a session if it is still remembered with this base.
    pub(crate) fn with_base(
        &mut self,
        key: &[u8],
        base: u64,
        config: &Config,
        work: impl FnOnce(&mut Session<W>),
    ) {
        let Some(session) = self.sessions.peek_mut(key).filter(|session| session.base == base)
        else {
            return;
        };
        self.cost -= session.cost;
        work(session);
        self.cost += session.cost;
        self.trim(config);
    }

    fn trim(&mut self, config: &Config) {
        while self.cost > config.memory_bytes_max || self.sessions.len() > config.sessions_max {
            let Some((_, session)) = self.sessions.pop_lru() else { return };
            self.cost -= session.cost;
        }
    }
}

#[cfg(test)]
mod tests {
    use schemas::{Digest, Salt};

    use super::*;
    use crate::content::Part;

    fn know(memory: &mut Memory<()>, key: &str, text: &str, now: i64, config: &Config) -> u64 {
        let empty = || "".into();
        let data = text.as_bytes().into();
        let part = Part::new(empty(), empty(), empty(), data, Salt([7; 16]));
        memory.with(key.as_bytes(), Micros(now), config, |session| {
            session.know(&part, config);
            session.base
        })
    }

    fn knows(memory: &Memory<()>, key: &str, text: &str, config: &Config) -> bool {
        let session = memory.peek(key.as_bytes(), Micros(0), config);
        session.is_some_and(|session| session.peek(&Digest::of(text.as_bytes())).is_some())
    }

    #[test]
    fn the_session_used_least_recently_is_forgotten_first() {
        let config = Config { sessions_max: 2, ..Config::default() };
        let mut memory = Memory::new();
        for key in ["a", "b", "a", "c"] {
            know(&mut memory, key, "x", 0, &config);
        }
        assert_eq!(
            ["a", "b", "c"].map(|key| knows(&memory, key, "x", &config)),
            [true, false, true]
        );
    }

    #[test]
    fn bytes_are_bounded_also_within_one_session() {
        let config =
            Config { memory_bytes_max: 20_000, session_bodies_max: 10, ..Config::default() };
        let mut memory = Memory::new();
        for number in 0..1000 {
            know(&mut memory, &format!("{}", number % 3), &number.to_string(), 0, &config);
        }
        assert!(memory.cost <= 20_000);
        assert_eq!(memory.cost, memory.sessions.iter().map(|(_, s)| s.cost).sum::<usize>());
        assert!(!knows(&memory, "0", "0", &config) && knows(&memory, "0", "999", &config));
    }

    #[test]
    fn a_base_ends_after_a_day_and_when_the_clock_goes_back() {
        let config = Config::default();
        let mut memory = Memory::new();
        let day = 86_400_000_000;
        let bases =
            [0, day - 1, day, 2 * day - 1, 0].map(|now| know(&mut memory, "a", "x", now, &config));
        assert_eq!(bases, [1, 1, 2, 2, 3]);
    }
}
