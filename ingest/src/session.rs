//! CORE: what the gateway remembers of one session since its base: bodies, contexts, event ids.
//!
//! A base is an age of a session in which references reach back. Everything here may be forgotten at any time: that
//! costs bytes on the log, never an event. `W` is how a repeated event waits for the first one.

use std::collections::VecDeque;

use lru::LruCache;
use schemas::{ContextPrefix, Digest, EventId, Micros, Salt};

use crate::class::Class;
use crate::config::Config;
use crate::content::Part;

/// Whole contexts of a session that are remembered; parallel agents keep some apart.
const CONTEXTS_MAX: usize = 4;
/// Different (role, kind, media type) of a session; beyond, its contexts are not folded.
const LABELS_MAX: usize = 256;
/// What things cost in memory, roughly and rather too much.
const SESSION_COST: usize = 1024;
const BODY_COST: usize = 192;
const EVENT_COST: usize = 192;
const ENTRY_COST: usize = size_of::<Entry>();

/// A body that the session has had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) salt: Salt,
    pub(crate) digest: Digest,
    /// Whether an event that carries it was acknowledged: only then may another name it by digest alone.
    pub(crate) acknowledged: bool,
}

/// One reference of a context: equal entries have the same role, kind, media type, size and digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    label: u16,
    pub(crate) digest: Digest,
}

/// The whole context of an acknowledged event.
#[derive(Debug)]
struct Context {
    event_digest: Digest,
    entries: Vec<Entry>,
}

/// An event that was admitted.
#[derive(Clone, Debug)]
pub(crate) struct Remembered<W> {
    /// SHA-256 of its JSON.
    pub(crate) fingerprint: Digest,
    pub(crate) event_digest: Digest,
    /// How to wait for it; `None` once it was acknowledged.
    pub(crate) in_flight: Option<W>,
}

/// A body that an event carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Carried {
    /// SHA-256 of its content.
    pub(crate) lookup: Digest,
    pub(crate) digest: Digest,
}

/// What an event changes in memory once its outcome is known.
#[derive(Clone, Debug)]
pub(crate) struct Receipt {
    pub(crate) event_id: EventId,
    pub(crate) event_digest: Digest,
    /// Bodies that it carries and later ones may name.
    pub(crate) carried: Vec<Carried>,
    /// Its whole context, if others may fold onto it.
    pub(crate) context: Option<Vec<Entry>>,
}

/// The memory of one session.
#[derive(Debug)]
pub(crate) struct Session<W> {
    /// Tells this base of the session from any other.
    pub(crate) base: u64,
    base_started_at: Micros,
    /// The retention class of its events, once there is one.
    pub(crate) class: Option<Class>,
    /// What it costs in memory, roughly.
    pub(crate) cost: usize,
    bodies: LruCache<Digest, Known>,
    /// Role, kind and media type, by number.
    labels: Vec<[Box<str>; 3]>,
    contexts: VecDeque<Context>,
    events: LruCache<EventId, Remembered<W>>,
}

impl<W> Session<W> {
    pub(crate) fn new(base: u64, now: Micros, class: Option<Class>) -> Self {
        Self {
            base,
            base_started_at: now,
            class,
            cost: SESSION_COST,
            bodies: LruCache::unbounded(),
            labels: Vec::new(),
            contexts: VecDeque::new(),
            events: LruCache::unbounded(),
        }
    }

    /// Whether the base is too old to be referred to. A clock that was set back is no proof of youth.
    pub(crate) fn is_over(&self, now: Micros, config: &Config) -> bool {
        let age = now.0.saturating_sub(self.base_started_at.0);
        !(0..i64::from(config.base_age_max_s).saturating_mul(1_000_000)).contains(&age)
    }

    /// The body with this content, if the session has had it.
    pub(crate) fn peek(&self, lookup: &Digest) -> Option<Known> {
        self.bodies.peek(lookup).copied()
    }

    /// The salt and digest that the content has in this session, from now on if not before.
    pub(crate) fn know(&mut self, part: &Part<'_>, config: &Config) -> Known {
        if let Some(known) = self.bodies.get(&part.lookup) {
            return *known;
        }
        let digest = part.fresh.unwrap_or_else(|| schemas::body_digest(&part.salt, &part.data));
        self.learn(part.lookup, Known { salt: part.salt, digest, acknowledged: false }, config)
    }

    /// What the session has for a content: what it had, or else `fresh`.
    pub(crate) fn learn(&mut self, lookup: Digest, fresh: Known, config: &Config) -> Known {
        if let Some(known) = self.bodies.get(&lookup) {
            return *known;
        }
        self.bodies.put(lookup, fresh);
        self.cost += BODY_COST;
        if self.bodies.len() > config.session_bodies_max && self.bodies.pop_lru().is_some() {
            self.cost -= BODY_COST;
        }
        fresh
    }

    /// The entry of a context for the part; `None` where the session has too many labels.
    pub(crate) fn entry(&mut self, part: &Part<'_>, digest: Digest) -> Option<Entry> {
        let label = [&*part.role, &*part.kind, &*part.media_type];
        let is_it = |known: &[Box<str>; 3]| known.iter().map(|text| &**text).eq(label);
        let known = self.labels.iter().position(is_it);
        let number = known.unwrap_or(self.labels.len());
        if known.is_none() {
            if self.labels.len() >= LABELS_MAX {
                return None;
            }
            self.cost += label.map(str::len).iter().sum::<usize>() + 128;
            self.labels.push(label.map(Into::into));
        }
        Some(Entry { label: u16::try_from(number).ok()?, digest })
    }

    /// The remembered context that shares the longest prefix with `whole`, two entries at least.
    pub(crate) fn fold(&mut self, whole: &[Entry]) -> Option<ContextPrefix> {
        let shared = |context: &Context| {
            context.entries.iter().zip(whole).take_while(|(one, other)| one == other).count()
        };
        let counts = self.contexts.iter().map(shared).enumerate();
        let (index, count) = counts.max_by_key(|(_, count)| *count).filter(|(_, n)| *n >= 2)?;
        let context = self.contexts.remove(index)?;
        let event_digest = context.event_digest;
        self.contexts.push_back(context);
        Some(ContextPrefix { event_digest, count: u64::try_from(count).ok()? })
    }

    /// The event with this id, if it is remembered.
    pub(crate) fn event(&self, id: &EventId) -> Option<&Remembered<W>> {
        self.events.peek(id)
    }

    /// Remembers an event that is on its way.
    pub(crate) fn remember(&mut self, id: EventId, event: Remembered<W>, config: &Config) {
        if self.events.put(id, event).is_none() {
            self.cost += EVENT_COST;
        }
        if self.events.len() > config.session_events_max && self.events.pop_lru().is_some() {
            self.cost -= EVENT_COST;
        }
    }

    /// The event is durable: what it carries may be referred to.
    pub(crate) fn acknowledge(&mut self, receipt: Receipt) {
        for carried in &receipt.carried {
            // Forgotten and come again with another salt, the content has another digest, which this event did not carry.
            let known = self.bodies.peek_mut(&carried.lookup);
            if let Some(known) = known.filter(|known| known.digest == carried.digest) {
                known.acknowledged = true;
            }
        }
        if let Some(event) = self.events.peek_mut(&receipt.event_id) {
            event.in_flight = None;
        }
        let Some(entries) = receipt.context else { return };
        self.cost += entries.len() * ENTRY_COST;
        self.contexts.push_back(Context { event_digest: receipt.event_digest, entries });
        if self.contexts.len() > CONTEXTS_MAX
            && let Some(oldest) = self.contexts.pop_front()
        {
            self.cost -= oldest.entries.len() * ENTRY_COST;
        }
    }

    /// The event was not acknowledged: the same id may come again.
    pub(crate) fn forget(&mut self, receipt: &Receipt) {
        let same = |event: &Remembered<W>| event.event_digest == receipt.event_digest;
        if self.events.peek(&receipt.event_id).is_some_and(same)
            && self.events.pop(&receipt.event_id).is_some()
        {
            self.cost -= EVENT_COST;
        }
    }
}
