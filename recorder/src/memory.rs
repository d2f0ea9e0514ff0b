//! CORE: what is remembered of one session since its base: bodies, contexts, the event before.
//!
//! A body goes by digest, and a context is folded, only onto events that were acknowledged. All of this may be
//! forgotten at any time; that costs bytes, never an event.

use std::collections::VecDeque;

use lru::LruCache;
use schemas::{ContextPrefix, Digest, Hasher, Micros, Salt, body_digest};

use crate::content::Content;

/// The format lets references reach back 24 hours. Half of them are left for an event to be on its way.
const BASE_AGE_MAX_US: i64 = 12 * 3600 * 1_000_000;
/// Contexts that others may fold onto; parallel agents of a session keep some apart.
const CONTEXTS_MAX: usize = 4;
/// Bodies remembered of a session: half a megabyte.
const BODIES_MAX: usize = 4096;

/// A body that the session has had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) salt: Salt,
    pub(crate) digest: Digest,
    /// SHA-256 of the content: finds the body in memory, and is nowhere else.
    pub(crate) lookup: Digest,
    /// Whether an event that carries it was acknowledged.
    pub(crate) acknowledged: bool,
}

/// One reference of a context: equal entries have the same role, kind, media type and digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry(Digest);

/// What an event changes in memory once it is acknowledged.
#[derive(Clone, Debug)]
pub(crate) struct Receipt {
    base: u64,
    pub(crate) event_digest: Digest,
    /// The bodies that it carries.
    pub(crate) carried: Vec<Known>,
    /// Its whole context, if others may fold onto it.
    pub(crate) context: Option<Vec<Entry>>,
}

/// The whole context of an acknowledged event.
#[derive(Debug)]
struct Context {
    event_digest: Digest,
    entries: Vec<Entry>,
}

/// The memory of one session.
#[derive(Debug)]
pub(crate) struct Memory {
    /// Tells this base of the session from others.
    base: u64,
    base_started_at: Option<Micros>,
    /// By SHA-256 of their content.
    bodies: LruCache<Digest, Known>,
    contexts: VecDeque<Context>,
    /// Digest of the last event that was made.
    pub(crate) last: Option<Digest>,
}

impl Memory {
    pub(crate) fn new() -> Self {
        Self {
            base: 0,
            base_started_at: None,
            bodies: LruCache::unbounded(),
            contexts: VecDeque::new(),
            last: None,
        }
    }

    /// Begins a new base where the one before may not be referred to any more. A clock that was set back is no proof of youth.
    pub(crate) fn at(&mut self, now: Micros) {
        let age = self.base_started_at.map(|start| now.0.saturating_sub(start.0));
        if age.is_some_and(|age| (0..BASE_AGE_MAX_US).contains(&age)) {
            return;
        }
        self.base += 1;
        self.base_started_at = Some(now);
        self.bodies.clear();
        self.contexts.clear();
    }

    /// The salt and digest that the content has in this session, from now on if not before.
    pub(crate) fn know(&mut self, content: &Content, salt: Salt) -> Known {
        let lookup = Digest::of(&content.data);
        if let Some(known) = self.bodies.get(&lookup) {
            return *known;
        }
        let digest = body_digest(&salt, &content.data);
        let known = Known { salt, digest, lookup, acknowledged: false };
        self.bodies.put(lookup, known);
        if self.bodies.len() > BODIES_MAX {
            self.bodies.pop_lru();
        }
        known
    }

    /// The remembered context that shares the longest prefix with `whole`, two entries at least.
    pub(crate) fn fold(&self, whole: &[Entry]) -> Option<ContextPrefix> {
        let shared = |context: &Context| {
            context.entries.iter().zip(whole).take_while(|(one, other)| one == other).count()
        };
        let best = self.contexts.iter().map(|context| (shared(context), context.event_digest));
        let (count, event_digest) =
            best.max_by_key(|(count, _)| *count).filter(|(n, _)| *n >= 2)?;
        Some(ContextPrefix { event_digest, count: u64::try_from(count).ok()? })
    }

    /// What is to be given back to [`Self::acknowledge`].
    pub(crate) fn receipt(
        &self,
        event_digest: Digest,
        carried: Vec<Known>,
        context: Option<Vec<Entry>>,
    ) -> Receipt {
        Receipt { base: self.base, event_digest, carried, context }
    }

    /// The event is durable: what it carries may be referred to.
    pub(crate) fn acknowledge(&mut self, receipt: Receipt) {
        if receipt.base != self.base {
            return;
        }
        for carried in &receipt.carried {
            // A content that was forgotten meanwhile and came again has another salt, and so another digest.
            let known = self.bodies.peek_mut(&carried.lookup);
            if let Some(known) = known.filter(|known| known.digest == carried.digest) {
                known.acknowledged = true;
            }
        }
        if let Some(entries) = receipt.context {
            self.contexts.push_back(Context { event_digest: receipt.event_digest, entries });
        }
        if self.contexts.len() > CONTEXTS_MAX {
            self.contexts.pop_front();
        }
    }
}

impl Entry {
    pub(crate) fn of(content: &Content, known: &Known) -> Self {
        let names = [&content.role, &content.kind, &content.media_type];
        let hasher = names.iter().fold(Hasher::plain(), |hasher, name| hasher.lp(name.as_bytes()));
        Self(hasher.bytes(&known.digest.0).finish())
    }
}
