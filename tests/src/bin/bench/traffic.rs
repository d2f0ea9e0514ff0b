//! Live traffic: copies of the recorded sessions under fresh ids, nonces and salts, 64 of them at a time.

use std::rc::Rc;

use schemas::{Digest, EventId, Micros, Salt, body_digest};

use crate::corpus::{Corpus, Recorded, Step};
use crate::random::Random;

/// Sessions that are live at a time.
pub(crate) const SESSIONS_LIVE: usize = 64;
/// When the traffic begins: some time in 2026.
const EPOCH_US: i64 = 1_790_000_000_000_000;
/// Most microseconds between two events.
const PAUSE_US_MAX: usize = 2_000;

/// A copy of a recorded session.
#[derive(Debug)]
pub(crate) struct Replica<'c> {
    pub(crate) recorded: &'c Recorded,
    pub(crate) session_id: String,
    /// One for each step.
    pub(crate) event_ids: Vec<EventId>,
    /// Salt and digest of each part.
    pub(crate) bodies: Vec<(Salt, Digest)>,
}

/// One event as it comes.
#[derive(Clone, Debug)]
pub(crate) struct Happening<'c> {
    pub(crate) copy: Rc<Replica<'c>>,
    pub(crate) index: usize,
    pub(crate) step: &'c Step,
    pub(crate) event_id: EventId,
    pub(crate) nonce: Salt,
    pub(crate) at: Micros,
}

/// An endless mix of sessions, or one that ends after so many.
#[derive(Debug)]
pub(crate) struct Traffic<'c> {
    corpus: &'c Corpus,
    random: Random,
    started: usize,
    sessions_max: usize,
    live: Vec<(Rc<Replica<'c>>, usize)>,
    at: Micros,
}

impl<'c> Traffic<'c> {
    /// All sessions of the corpus, `copies` times.
    pub(crate) fn new(corpus: &'c Corpus, copies: usize, seed: u64) -> Self {
        let sessions_max = corpus.sessions.len().saturating_mul(copies);
        let (random, live) = (Random::new(seed), Vec::new());
        Self { corpus, random, started: 0, sessions_max, live, at: Micros(EPOCH_US) }
    }

    fn start(&mut self) {
        while self.live.len() < SESSIONS_LIVE && self.started < self.sessions_max {
            let recorded = self.corpus.sessions.get(self.started % self.corpus.sessions.len());
            let Some(recorded) = recorded else { return };
            self.live.push((Rc::new(Replica::new(recorded, &mut self.random)), 0));
            self.started += 1;
        }
    }
}

impl<'c> Replica<'c> {
    fn new(recorded: &'c Recorded, random: &mut Random) -> Self {
        let session_id = EventId(random.bytes()).to_string();
        let event_ids = recorded.steps.iter().map(|_| EventId(random.bytes())).collect();
        let bodies = recorded.parts.iter().map(|part| {
            let salt = Salt(random.bytes());
            (salt, body_digest(&salt, part.as_bytes()))
        });
        let bodies = bodies.collect();
        Self { recorded, session_id, event_ids, bodies }
    }

    pub(crate) fn event_id(&self, step: usize) -> EventId {
        self.event_ids.get(step).copied().unwrap_or_default()
    }

    /// Content, salt and digest of a part.
    pub(crate) fn part(&self, index: usize) -> (&'c str, Salt, Digest) {
        let text = self.recorded.parts.get(index).map_or("", String::as_str);
        let (salt, digest) = self.bodies.get(index).copied().unwrap_or_default();
        (text, salt, digest)
    }
}

impl<'c> Iterator for Traffic<'c> {
    type Item = Happening<'c>;

    fn next(&mut self) -> Option<Happening<'c>> {
        self.start();
        let slot = self.random.below(self.live.len());
        let (copy, next) = self.live.get_mut(slot)?;
        let (copy, index) = (Rc::clone(copy), *next);
        *next += 1;
        if *next >= copy.recorded.steps.len() {
            self.live.swap_remove(slot);
        }
        let step = copy.recorded.steps.get(index)?;
        let pause = i64::try_from(self.random.below(PAUSE_US_MAX)).unwrap_or_default();
        self.at = Micros(self.at.0 + pause);
        let (event_id, nonce) = (copy.event_id(index), Salt(self.random.bytes()));
        Some(Happening { copy, index, step, event_id, nonce, at: self.at })
    }
}
