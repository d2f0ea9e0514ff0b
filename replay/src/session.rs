//! CORE. One session: its rows in order, the bodies its events name found, their contexts unfolded, repeats collapsed.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use schemas::{Admission, Digest, Envelope, EventId, Hasher, KafkaKey, Salt};

use crate::context::{Fold, unfold};
use crate::select::{CarriedWhat, Stored, StoredEvent, StoredWhat};

/// Most entries of whole contexts that are held for one session.
pub const SESSION_ENTRIES_MAX: u64 = 1 << 22;

/// A session as it was sealed.
#[derive(Clone, Debug)]
pub struct Session {
    /// Tenant and id.
    pub key: KafkaKey,
    /// `topic/partition` of its rows.
    pub partitions: Vec<String>,
    /// Its rows, in the order of epochs and offsets; partitions one after another.
    pub entries: Vec<Entry>,
    /// What its segments were found to lack, in words.
    pub notes: Vec<String>,
}

/// Where a row stands in its partition. Offsets come again where a topic was made anew or cut short: a later epoch tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The epoch of its segment.
    pub epoch: u32,
    /// Its offset.
    pub offset: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.offset)?;
        if self.epoch == 0 { Ok(()) } else { write!(f, " of epoch {}", self.epoch) }
    }
}

/// A row of a session.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where it was sealed: an index into [`Session::partitions`].
    pub partition: usize,
    /// Where in its partition.
    pub at: Position,
    /// When its message was written, in milliseconds.
    pub timestamp_ms: Option<i64>,
    /// What it holds.
    pub what: What,
}

/// What a row holds.
#[derive(Clone, Debug)]
pub enum What {
    /// An event.
    Event(Arc<SessionEvent>),
    /// A message that is no event.
    Raw {
        /// Why not.
        reason: &'static str,
        /// Bytes of its value.
        bytes: u64,
    },
    /// A row that does not follow from its message.
    Damaged {
        /// Why not.
        why: &'static str,
    },
}

/// An event and the contents it names.
#[derive(Clone, Debug)]
pub struct SessionEvent {
    /// Its digest.
    pub digest: Digest,
    envelope: Bytes,
    admission: Option<Bytes>,
    /// What its envelope names, in order.
    pub contents: Vec<Arc<Content>>,
    /// Its whole context, or why it does not resolve.
    pub context: Result<Vec<Arc<Content>>, &'static str>,
    /// Whether an earlier event of the session has its id.
    pub repeat: Repeat,
}

/// Whether an event's id was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// It is the first of its id.
    First,
    /// An earlier event says the same.
    Same,
    /// An earlier event of this id says something else, or it cannot be told.
    Differs,
}

/// A content of an event.
#[derive(Clone, Debug)]
pub struct Content {
    /// Who said it.
    pub role: String,
    /// What it is.
    pub kind: String,
    /// Its media type.
    pub media_type: String,
    /// Its size as stated.
    pub size: u64,
    /// Digest of the body.
    pub digest: Digest,
    /// The body.
    pub body: Body,
    /// Equal for contents that say the same, whatever their salts. Never leaves the process.
    pub(crate) sameness: Digest,
}

/// The bytes of a content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// In clear; their digest was checked.
    Clear(Bytes),
    /// Encrypted with this key.
    Encrypted(String),
    /// Not to be had.
    Absent(&'static str),
}

impl SessionEvent {
    /// The envelope.
    #[must_use]
    pub fn envelope(&self) -> Envelope<'_> {
        // It was read when it was selected, so that the default never shows.
        Envelope::from_bytes(&self.envelope).unwrap_or_else(Envelope::blank)
    }

    /// What the gateway added.
    #[must_use]
    pub fn admission(&self) -> Option<Admission<'_>> {
        self.admission.as_deref().and_then(Admission::from_bytes)
    }

    /// The whole context, or what the envelope names where that does not resolve.
    #[must_use]
    pub fn whole(&self) -> &[Arc<Content>] {
        self.context.as_deref().unwrap_or(&self.contents)
    }
}

/// Whether a door only watches what passes. None that does is told when a session ends.
pub(crate) fn only_watches(capture_source: &str) -> bool {
    matches!(capture_source, "llm_proxy" | "mcp_proxy" | "otlp")
}

impl Session {
    /// Whether all its events come from doors that only watch.
    pub(crate) fn is_watched(&self) -> bool {
        self.events().all(|(_, event)| only_watches(&event.envelope().capture_source))
    }

    /// Its events in order, repeats that say the same left out.
    pub fn events(&self) -> impl Iterator<Item = (&Entry, &Arc<SessionEvent>)> {
        self.entries.iter().filter_map(|entry| match &entry.what {
            What::Event(event) if event.repeat != Repeat::Same => Some((entry, event)),
            _ => None,
        })
    }
}

/// Claim-checked bodies that were fetched, by digest.
pub(crate) type Fetched = HashMap<Digest, Result<Bytes, &'static str>>;

/// The claim checks among stored rows that a reader has to fetch.
pub(crate) fn claims(stored: &[Stored]) -> Vec<(Digest, Salt)> {
    let events = stored.iter().filter_map(|stored| match &stored.what {
        StoredWhat::Event(event) => Some(event),
        _ => None,
    });
    let mut claims: Vec<(Digest, Salt)> = events
        .flat_map(|event| &event.bodies)
        .filter_map(|body| match body.what {
            CarriedWhat::Claim(salt) => Some((body.digest, salt)),
            _ => None,
        })
        .collect();
    claims.sort_unstable();
    claims.dedup();
    claims
}

/// Puts rows together to what they say.
#[derive(Debug, Default)]
pub(crate) struct Resolver {
    bodies: HashMap<Digest, Body>,
    folds: HashMap<Digest, Fold<Arc<Content>>>,
    ids: HashMap<EventId, Vec<Arc<SessionEvent>>>,
    /// Entries held so far, at most [`SESSION_ENTRIES_MAX`].
    held: u64,
}

impl Resolver {
    pub(crate) fn entry(&mut self, partition: usize, stored: Stored, fetched: &Fetched) -> Entry {
        let what = match stored.what {
            StoredWhat::Event(event) => What::Event(self.event(event, fetched)),
            StoredWhat::Raw(reason, bytes) => {
                let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
                What::Raw { reason: reason.as_str(), bytes }
            }
            StoredWhat::Damaged(why) => What::Damaged { why },
        };
        let at = Position { epoch: stored.epoch.0, offset: stored.offset.0 };
        Entry { partition, at, timestamp_ms: stored.timestamp, what }
    }

    fn event(&mut self, stored: StoredEvent, fetched: &Fetched) -> Arc<SessionEvent> {
        for body in stored.bodies {
            let found = match body.what {
                CarriedWhat::Clear(_, bytes) => Body::Clear(bytes),
                CarriedWhat::Encrypted(key) => Body::Encrypted(key),
                CarriedWhat::Claim(_) => match fetched.get(&body.digest) {
                    Some(Ok(bytes)) => Body::Clear(bytes.clone()),
                    Some(Err(why)) => Body::Absent(why),
                    None => Body::Absent("it was not fetched"),
                },
            };
            self.bodies.insert(body.digest, found);
        }
        let envelope = Envelope::from_bytes(&stored.envelope).unwrap_or_else(Envelope::blank);
        let contents: Vec<_> = envelope.contents.iter().map(|c| self.content(c)).collect();
        let prefix = envelope.context_prefix.as_ref().map(|p| (p.event_digest, p.count));
        let fold = Fold::new(prefix, contents.clone());
        let context = self.unfold(&fold, envelope.context_digest);
        let id = envelope.event_id;
        drop(envelope);
        self.folds.entry(stored.digest).or_insert(fold);
        let mut event = SessionEvent {
            digest: stored.digest,
            envelope: stored.envelope,
            admission: stored.admission,
            contents,
            context,
            repeat: Repeat::First,
        };
        let earlier = self.ids.entry(id).or_default();
        if !earlier.is_empty() {
            let same = earlier.iter().any(|earlier| says_the_same(earlier, &event));
            event.repeat = if same { Repeat::Same } else { Repeat::Differs };
        }
        let event = Arc::new(event);
        earlier.push(event.clone());
        event
    }

    fn unfold(
        &mut self,
        fold: &Fold<Arc<Content>>,
        stated: Option<Digest>,
    ) -> Result<Vec<Arc<Content>>, &'static str> {
        self.held = self.held.saturating_add(fold.len);
        if self.held > SESSION_ENTRIES_MAX {
            return Err("the session's contexts have more entries than are held at once");
        }
        let whole = unfold(&self.folds, fold)?;
        let digests: Vec<Digest> = whole.iter().map(|content| content.digest).collect();
        if stated.is_some_and(|stated| schemas::context_digest(&digests) != stated) {
            return Err("its context is not that of its context digest");
        }
        Ok(whole)
    }

    fn content(&self, content: &schemas::Content<'_>) -> Arc<Content> {
        let never = Body::Absent("no event of the session carried it so far");
        let body = self.bodies.get(&content.digest).cloned().unwrap_or(never);
        let said = Hasher::plain().lp(content.role.as_bytes()).lp(content.kind.as_bytes());
        let said = match &body {
            Body::Clear(bytes) => said.u8(0).bytes(&Digest::of(bytes).0),
            _ => said.u8(1).bytes(&content.digest.0),
        };
        Arc::new(Content {
            role: content.role.to_string(),
            kind: content.kind.to_string(),
            media_type: content.media_type.to_string(),
            size: content.size,
            digest: content.digest,
            body,
            sameness: said.finish(),
        })
    }
}

/// Whether two events of one id mean the same: envelopes equal but for nonces and digests, whole contexts equal.
fn says_the_same(a: &SessionEvent, b: &SessionEvent) -> bool {
    let (Ok(whole_a), Ok(whole_b)) = (&a.context, &b.context) else { return false };
    let contents = whole_a.len() == whole_b.len()
        && whole_a.iter().zip(whole_b).all(|(a, b)| {
            a.sameness == b.sameness && a.media_type == b.media_type && a.size == b.size
        });
    contents && bare(a, whole_a) == bare(b, whole_b)
}

/// The envelope without what differs between two tellings of one event; digests of contents become their positions.
fn bare<'a>(event: &'a SessionEvent, whole: &[Arc<Content>]) -> Envelope<'a> {
    let place = |digest: &mut Option<Digest>| {
        if let Some(named) = digest {
            let at = whole.iter().position(|content| content.digest == *named);
            let at = at.and_then(|at| u64::try_from(at).ok()).unwrap_or(u64::MAX);
            let mut bytes = [0; 32];
            bytes.iter_mut().zip(at.to_be_bytes()).for_each(|(to, from)| *to = from);
            *named = Digest(bytes);
        }
    };
    let mut envelope = event.envelope();
    envelope.nonce = Salt::default();
    envelope.prev_event_digest = None;
    envelope.context_digest = None;
    envelope.context_prefix = None;
    envelope.contents.clear();
    envelope.retrievals.iter_mut().for_each(|retrieval| place(&mut retrieval.digest));
    for change in &mut envelope.state_changes {
        place(&mut change.before);
        place(&mut change.after);
    }
    envelope
}
