//! CORE: from drafts to messages: bodies by digest, contexts folded, repeats answered, all or nothing.
//!
//! `plan` decides and changes nothing that a refused request would leave behind: at most it gives bodies salts that no
//! event uses yet. `commit` remembers what was handed to the sink; `settle` what became of it.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slotted;

use capture::Slot;
use schemas::{
    Body, Content, Digest, ENVELOPE_BYTES_MAX, Envelope, EventId, Hasher, Published, Salt,
    body_digest, context_digest, encode_framed,
};

use crate::claim::{self, Halt};
use crate::class::{Class, classes};
use crate::config::Config;
use crate::door::Door;
use crate::draft::Draft;
use crate::given;
use crate::happening::derived_id;
use crate::memory::Memory;
use crate::refusal::{Code, Refusal};
use crate::session::{Carried, Known, Receipt, Remembered, Session};

/// The one kind of event whose contents are a whole context: others repeat nothing that is worth a reference.
const CONTEXT_KIND: &str = "llm.call";

/// What the gateway knows: sessions, and how many events it has admitted.
#[derive(Debug)]
pub(crate) struct State<W> {
    memory: Memory<W>,
    seq: i64,
}

/// A message on its way.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
    pub(crate) receipt: Receipt,
    /// The session's base when it was admitted.
    pub(crate) base: u64,
    pub(crate) fingerprint: Option<Digest>,
    pub(crate) class: Class,
    pub(crate) bodies_inline: usize,
    pub(crate) bodies_stored: usize,
    pub(crate) bodies_by_digest: usize,
}

/// What an event of the request came to.
#[derive(Debug)]
pub(crate) struct Answer<W> {
    pub(crate) event_id: EventId,
    pub(crate) event_digest: Digest,
    /// The session's id, where the gateway made it.
    pub(crate) session_made: Option<String>,
    pub(crate) outcome: Outcome<W>,
}

/// Whether an event is durable.
#[derive(Debug)]
pub(crate) enum Outcome<W> {
    /// When the message with this index in the plan is.
    Message(usize),
    /// When the event that it repeats is.
    InFlight(W),
    /// It is: it repeats one that was acknowledged.
    Durable,
}

/// What is to be written for a request, and answered once it is durable.
#[derive(Debug)]
pub(crate) struct Plan<W> {
    pub(crate) messages: Vec<Admitted>,
    pub(crate) answers: Vec<Answer<W>>,
}

impl<W: Clone> State<W> {
    pub(crate) fn new() -> Self {
        Self { memory: Memory::new(), seq: 0 }
    }

    /// Finds which bodies the sessions do not know, so that [`salt`] can hash them while nobody waits.
    pub(crate) fn unknown(&self, drafts: &[Draft<'_>], door: &Door<'_>) -> Vec<Vec<usize>> {
        let unknown = |draft: &Draft<'_>| {
            let session = self.memory.peek(&draft.key, door.now, door.config);
            let is_new = |lookup| session.is_none_or(|session| session.peek(lookup).is_none());
            let parts = draft.parts.iter().enumerate();
            parts.filter(|(_, part)| is_new(&part.lookup)).map(|(index, _)| index).collect()
        };
        drafts.iter().map(unknown).collect()
    }

    /// Makes the messages, or refuses the request, or says what must be in the store first.
    pub(crate) fn plan(
        &mut self,
        mut drafts: Vec<Draft<'_>>,
        door: &Door<'_>,
    ) -> Result<Plan<W>, Halt> {
        self.tell_apart(&mut drafts, door);
        let classes = classes(&drafts, door.config, |key| self.memory.class(key))?;
        let mut claims = Vec::new();
        let mut plan = Plan { messages: Vec::new(), answers: Vec::with_capacity(drafts.len()) };
        let repeats = self.repeats(&drafts, door)?;
        let mut made: HashMap<usize, usize> = HashMap::new();
        for (index, ((draft, class), repeat)) in
            drafts.into_iter().zip(classes).zip(repeats).enumerate()
        {
            let event_id = draft.envelope.event_id;
            let session_made = draft.session_made.then(|| draft.envelope.session_id.to_string());
            let (event_digest, outcome) = match repeat {
                Repeat::Earlier(event) => {
                    let outcome = event.in_flight.map_or(Outcome::Durable, Outcome::InFlight);
                    (event.event_digest, outcome)
                }
                // Of this request: what it repeats has been made before.
                Repeat::Of(first) => {
                    let message = made.get(&first).copied().unwrap_or_default();
                    let admitted = plan.messages.get(message);
                    let digest = admitted.map_or(Digest::ZERO, |m| m.receipt.event_digest);
                    (digest, Outcome::Message(message))
                }
                Repeat::No => {
                    let offset = i64::try_from(plan.messages.len()).unwrap_or(i64::MAX);
                    let key = draft.key.clone();
                    let seq = self.seq.saturating_add(offset);
                    let admitted = self.memory.with(&key, door.now, door.config, |session| {
                        admit(draft, session, class, door, seq)
                    });
                    let admitted = match admitted {
                        Ok(admitted) => admitted,
                        Err(Halt::Claims(more)) => {
                            claims.extend(more);
                            continue;
                        }
                        Err(Halt::Refused(refusal)) => return Err(refusal.at(index).into()),
                    };
                    made.insert(index, plan.messages.len());
                    let digest = admitted.receipt.event_digest;
                    plan.messages.push(admitted);
                    (digest, Outcome::Message(plan.messages.len() - 1))
                }
            };
            plan.answers.push(Answer { event_id, event_digest, session_made, outcome });
        }
        if claims.is_empty() { Ok(plan) } else { Err(Halt::Claims(claims)) }
    }

    /// Gives an event whose id we derived another, where its source has told the same thing otherwise before: two exporters of
    /// one span may differ in what they add to it.
    fn tell_apart(&self, drafts: &mut [Draft<'_>], door: &Door<'_>) {
        let mut here: HashMap<EventId, Digest> = HashMap::new();
        for draft in drafts {
            let (Some(identity), Some(fingerprint)) = (draft.identity, draft.fingerprint) else {
                continue;
            };
            let id = draft.envelope.event_id;
            let session = self.memory.peek(&draft.key, door.now, door.config);
            let earlier = session.and_then(|session| session.event(&id));
            let first = earlier.map(|event| event.fingerprint).or_else(|| here.get(&id).copied());
            if first.is_some_and(|first| first != fingerprint) {
                let told = Hasher::new("told-otherwise").bytes(&identity.0).bytes(&fingerprint.0);
                let at = draft.envelope.occurred_at;
                draft.envelope.event_id = derived_id(at, &draft.key, &told.finish());
            }
            here.entry(draft.envelope.event_id).or_insert(fingerprint);
        }
    }

    /// For each event, whether it repeats one; refuses an id that another event has.
    fn repeats(&self, drafts: &[Draft<'_>], door: &Door<'_>) -> Result<Vec<Repeat<W>>, Refusal> {
        let mut here: HashMap<(&[u8], EventId), (usize, Digest)> = HashMap::new();
        let mut repeats = Vec::with_capacity(drafts.len());
        for (index, draft) in drafts.iter().enumerate() {
            let id = draft.envelope.event_id;
            let Some(fingerprint) = draft.fingerprint else {
                repeats.push(Repeat::No);
                continue;
            };
            let session = self.memory.peek(&draft.key, door.now, door.config);
            let earlier = session.and_then(|session| session.event(&id));
            let (repeat, first) = match (earlier, here.entry((&draft.key, id))) {
                (Some(event), _) => (Repeat::Earlier(event.clone()), event.fingerprint),
                (None, Slotted::Occupied(slot)) => (Repeat::Of(slot.get().0), slot.get().1),
                (None, Slotted::Vacant(slot)) => {
                    slot.insert((index, fingerprint));
                    (Repeat::No, fingerprint)
                }
            };
            if first != fingerprint {
                let why = "was taken in this session by an event with other bytes";
                let refusal = Refusal::field("event_id", why);
                return Err(Refusal { code: Code::Conflict, ..refusal }.at(index));
            }
            repeats.push(repeat);
        }
        Ok(repeats)
    }

    /// So many messages of a plan have had their numbers.
    pub(crate) fn count(&mut self, messages: usize) {
        self.seq = self.seq.saturating_add(i64::try_from(messages).unwrap_or(i64::MAX));
    }

    /// Remembers messages of a plan, which are with the sink now. `wait` says how to wait for the message with an index.
    pub(crate) fn commit<'p>(
        &mut self,
        messages: impl Iterator<Item = (&'p Pending, usize)>,
        config: &Config,
        wait: impl Fn(usize) -> W,
    ) {
        for (message, index) in messages {
            if message.fingerprint.is_none() && config.topics.is_empty() {
                continue;
            }
            let Receipt { event_id, event_digest, .. } = message.receipt;
            self.memory.with_base(&message.key, message.base, config, |session| {
                session.class = Some(message.class);
                let Some(fingerprint) = message.fingerprint else { return };
                let event = Remembered { fingerprint, event_digest, in_flight: Some(wait(index)) };
                session.remember(event_id, event, config);
            });
        }
    }

    /// Learns whether a message is durable.
    pub(crate) fn settle(&mut self, message: Pending, durable: bool, config: &Config) {
        let Pending { key, base, receipt, .. } = message;
        self.memory.with_base(&key, base, config, |session| {
            if durable { session.acknowledge(receipt) } else { session.forget(&receipt) }
        });
    }
}

/// What is kept of a message while it is with the sink.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    key: Vec<u8>,
    base: u64,
    receipt: Receipt,
    fingerprint: Option<Digest>,
    class: Class,
}

impl Admitted {
    /// The message's key and value, and what [`State::settle`] is to be told about it.
    pub(crate) fn split(self) -> (Vec<u8>, Vec<u8>, Pending) {
        let Self { key, value, receipt, base, fingerprint, class, .. } = self;
        (key.clone(), value, Pending { key, base, receipt, fingerprint, class })
    }
}

/// Whether an event is the repeat of another.
enum Repeat<W> {
    No,
    /// Of the event with this index in the same request.
    Of(usize),
    Earlier(Remembered<W>),
}

/// Hashes the parts that [`State::unknown`] found, each distinct one of a session once.
pub(crate) fn salt(drafts: &mut [Draft<'_>], unknown: &[Vec<usize>]) {
    let mut sessions: HashMap<&[u8], HashMap<Digest, (Salt, Digest)>> = HashMap::new();
    for (draft, unknown) in drafts.iter_mut().zip(unknown) {
        let made = sessions.entry(&draft.key).or_default();
        for index in unknown {
            let Some(part) = draft.parts.get_mut(*index) else { continue };
            let (salt, digest) = *made
                .entry(part.lookup)
                .or_insert_with(|| (part.salt, body_digest(&part.salt, &part.data)));
            part.salt = salt;
            part.fresh = Some(digest);
        }
    }
}

/// Makes the message of one event.
fn admit<W>(
    mut draft: Draft<'_>,
    session: &mut Session<W>,
    class: Class,
    door: &Door<'_>,
    seq: i64,
) -> Result<Admitted, Halt> {
    if let Some(given) = draft.given.take() {
        return given::admit(draft, given, session, class, door, seq);
    }
    let known: Vec<Known> =
        draft.parts.iter().map(|part| session.know(part, door.config)).collect();
    fill_slots(&mut draft, &known);
    let is_context = draft.envelope.kind == CONTEXT_KIND;
    let context = if is_context {
        let parts = draft.parts.iter().zip(&known);
        parts.map(|(part, known)| session.entry(part, known.digest)).collect::<Option<Vec<_>>>()
    } else {
        None
    };
    let prefix = context.as_ref().and_then(|whole| session.fold(whole));
    let folded = prefix.as_ref().map_or(0, |prefix| usize::try_from(prefix.count).unwrap_or(0));
    let digests: Vec<Digest> = known.iter().map(|known| known.digest).collect();
    draft.envelope.context_prefix = prefix;
    draft.envelope.context_digest = is_context.then(|| context_digest(&digests));
    draft.envelope.contents = contents(&draft, &known, folded);
    if draft.envelope.retention_class != class.name(door.config) {
        draft.envelope.retention_class = class.name(door.config).to_owned().into();
    }

    let (mut bodies, carried) = bodies(&draft, &known, folded);
    let stored = door.stored.map_or(0, |stored| claim::refer(&mut bodies, stored));
    let envelope = envelope_bytes(&draft.envelope)?;
    let schema = Published::LATEST;
    let (frame, admission) = (door.frames.frame(class, &schema), door.admission(seq).to_bytes());
    let value = encode_framed(&frame, &envelope, None, Some(&admission), &bodies);
    if let Some(claims) = claim::needed(&bodies, value.len(), stored, &draft.key, class, door)? {
        return Err(Halt::Claims(claims));
    }
    let event_digest = Hasher::new("event").bytes(&schema.digest.0).bytes(&envelope).finish();
    let event_id = draft.envelope.event_id;
    let bodies_inline = bodies.iter().filter(|body| body.data.is_some()).count();
    let bodies_stored = bodies.len().saturating_sub(bodies_inline);
    debug_assert_eq!(door.malformed(&draft.key, &value), None, "what is written can be read");
    Ok(Admitted {
        value,
        receipt: Receipt { event_id, event_digest, carried, context },
        base: session.base,
        fingerprint: draft.fingerprint,
        class,
        bodies_inline,
        bodies_stored,
        bodies_by_digest: draft.parts.len().saturating_sub(bodies.len()),
        key: draft.key,
    })
}

fn fill_slots(draft: &mut Draft<'_>, known: &[Known]) {
    let envelope = &mut draft.envelope;
    for (slot, part) in &draft.slots {
        let digest = known.get(*part).map(|known| known.digest);
        let place = match *slot {
            Slot::Document(index) => envelope.retrievals.get_mut(index).map(|r| &mut r.digest),
            Slot::Before(index) => envelope.state_changes.get_mut(index).map(|c| &mut c.before),
            Slot::After(index) => envelope.state_changes.get_mut(index).map(|c| &mut c.after),
        };
        if let Some(place) = place {
            *place = digest;
        }
    }
}

/// The references that are not folded away.
fn contents<'a>(draft: &Draft<'a>, known: &[Known], folded: usize) -> Vec<Content<'a>> {
    let reference = |(part, known): (&crate::content::Part<'a>, &Known)| Content {
        role: part.role.clone(),
        kind: part.kind.clone(),
        media_type: part.media_type.clone(),
        size: u64::try_from(part.data.len()).unwrap_or(u64::MAX),
        digest: known.digest,
    };
    draft.parts.iter().zip(known).skip(folded).map(reference).collect()
}

/// The bodies that must be carried, each once: those that no acknowledged event of the session carried.
fn bodies<'d>(
    draft: &'d Draft<'_>,
    known: &[Known],
    folded: usize,
) -> (Vec<Body<'d>>, Vec<Carried>) {
    let (mut bodies, mut carried) = (Vec::new(), Vec::new());
    let mut seen = std::collections::HashSet::new();
    for (part, known) in draft.parts.iter().zip(known).skip(folded) {
        if known.acknowledged || !seen.insert(known.digest) {
            continue;
        }
        let (digest, salt, data) = (known.digest, Some(known.salt), Some(&*part.data));
        bodies.push(Body { digest, salt, data, enc: None });
        carried.push(Carried { lookup: part.lookup, digest });
    }
    (bodies, carried)
}

fn envelope_bytes(envelope: &Envelope<'_>) -> Result<Vec<u8>, Refusal> {
    let bytes = envelope.to_bytes();
    if bytes.len() > ENVELOPE_BYTES_MAX {
        let what = "the event's metadata and references have bytes";
        let limit = "envelope_bytes_max";
        return Err(Refusal::limit(Code::TooLarge, what, limit, ENVELOPE_BYTES_MAX));
    }
    Ok(bytes)
}

#[cfg(test)]
mod avro;
#[cfg(test)]
mod bench;
#[cfg(test)]
mod sequences;
#[cfg(test)]
mod tests;
