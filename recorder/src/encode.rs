//! CORE: from an event that was noted down to the message that is sent.
//!
//! What is made is always an event by the rules of the format, or it is not made: a text that is too long for a name is
//! kept in a content instead, and an event that is too large is cut and says so.

use std::collections::HashSet;

use schemas::{
    Body, ContextPrefix, Digest, ENVELOPE_BYTES_MAX, Envelope, Hasher, KafkaKey, Micros, Published,
    Salt, Tenant, context_digest, encode_value,
};
use serde_json::Value;

use crate::config::Agent;
use crate::content::Content;
use crate::error::Error;
use crate::event::Event;
use crate::memory::{Entry, Known, Memory, Receipt};
use crate::queue::{Item, Ticket};
use crate::sign::Signer;

/// The one kind of event whose contents are a whole context.
const CONTEXT_KIND: &str = "llm.call";
/// What is left of a body that is cut, at least, if it had so much.
const CUT_BYTES_MIN: usize = 1024;
/// Times that an event is cut further before it is given up.
const CUTS_MAX: usize = 64;

/// What every event of a recorder says.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) tenant: Tenant,
    pub(crate) agent: Agent,
    pub(crate) producer_id: String,
    pub(crate) producer_epoch: u64,
    pub(crate) retention_class: String,
    pub(crate) signer: Option<Signer>,
    pub(crate) event_bytes_max: usize,
}

/// Gives random bytes.
pub(crate) type Draw<'d> = &'d mut dyn FnMut() -> Result<[u8; 16], Error>;

/// An event on its way.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
    pub(crate) receipt: Receipt,
    pub(crate) ticket: Ticket,
}

/// Makes the message, or says why there can be none.
pub(crate) fn encode(
    item: Item,
    identity: &Identity,
    now: Micros,
    draw: Draw<'_>,
) -> Result<Message, (Ticket, String)> {
    let Item { state, mut event, position, dropped, lost, cost } = item;
    let ticket = Ticket { state, position, lost, cost };
    let mut memory = ticket.state.memory();
    memory.at(now);
    let envelope = &mut event.envelope;
    envelope.session_seq = position.session_seq;
    envelope.producer_seq = Some(position.producer_seq);
    envelope.producer_dropped = Some(dropped);
    envelope.prev_event_digest = memory.last;
    let made = make(event, &ticket, identity, &mut memory, draw);
    if let Ok((_, receipt)) = &made {
        memory.last = Some(receipt.event_digest);
    }
    drop(memory);
    let session = ticket.state.id.clone();
    let key = KafkaKey { tenant: identity.tenant.clone(), session }.to_bytes();
    match made {
        Ok((value, receipt)) => Ok(Message { key, value, receipt, ticket }),
        Err(why) => Err((ticket, why)),
    }
}

/// The message's value: of the event as it is, or as far as it can be had.
fn make(
    mut event: Event,
    ticket: &Ticket,
    identity: &Identity,
    memory: &mut Memory,
    draw: Draw<'_>,
) -> Result<(Vec<u8>, Receipt), String> {
    let mut plain = false;
    for _ in 0..CUTS_MAX {
        let made = Making::of(&event, ticket, identity, memory, draw)?;
        if let Some(why) = made.malformed() {
            if std::mem::replace(&mut plain, true) {
                return Err(format!("it cannot be an event: {why}"));
            }
            event = kept_whole(event);
            continue;
        }
        let over = made.value.len().saturating_sub(identity.event_bytes_max);
        if over == 0 {
            return Ok((made.value, made.receipt));
        }
        let carried = made.carried;
        if !cut(&mut event, &carried, over) {
            break;
        }
    }
    Err("it is too large, even with its bodies cut".to_owned())
}

/// One attempt.
struct Making {
    value: Vec<u8>,
    receipt: Receipt,
    /// Which contents it carries.
    carried: Vec<usize>,
    key: Vec<u8>,
    envelope_bytes: usize,
}

impl Making {
    fn of(
        event: &Event,
        ticket: &Ticket,
        identity: &Identity,
        memory: &mut Memory,
        draw: Draw<'_>,
    ) -> Result<Self, String> {
        let mut known = Vec::with_capacity(event.contents.len());
        for content in &event.contents {
            let salt = Salt(draw().map_err(|error| error.to_string())?);
            known.push(memory.know(content, salt));
        }
        let mut envelope = filled(event, ticket, identity);
        envelope.nonce = Salt(draw().map_err(|error| error.to_string())?);
        for (slot, content) in &event.slots {
            let digest = known.get(*content).map(|known| known.digest);
            if let Some(place) = slot.place(&mut envelope) {
                *place = digest;
            }
        }
        let context = (envelope.kind == CONTEXT_KIND).then(|| {
            let entries = event.contents.iter().zip(&known);
            entries.map(|(content, known)| Entry::of(content, known)).collect::<Vec<_>>()
        });
        let digests: Vec<Digest> = known.iter().map(|known| known.digest).collect();
        envelope.context_digest = context.as_ref().map(|_| context_digest(&digests));
        // An end has only what follows its start: readers put the two together.
        let context = context.filter(|_| envelope.phase != "end");
        let prefix = context.as_ref().and_then(|whole| memory.fold(whole));
        let folded = prefix.as_ref().map_or(0, folded_count);
        envelope.context_prefix = prefix;
        envelope.contents = references(event, &known, folded);
        let (bodies, carried) = bodies(event, &known, folded);

        let schema = Published::LATEST;
        let bytes = envelope.to_bytes();
        let event_digest = Hasher::new("event").bytes(&schema.digest.0).bytes(&bytes).finish();
        let signature = identity.signer.as_ref().map(|signer| signer.sign(&event_digest));
        let value = encode_value(&schema, &bytes, signature.as_deref(), None, &bodies);
        let inline = carried.iter().filter_map(|index| known.get(*index).copied()).collect();
        let session = ticket.state.id.clone();
        Ok(Self {
            value,
            receipt: memory.receipt(event_digest, inline, context),
            carried,
            key: KafkaKey { tenant: identity.tenant.clone(), session }.to_bytes(),
            envelope_bytes: bytes.len(),
        })
    }

    /// Why a reader would not take it for an event. Bodies were hashed just before and are not hashed again; that the
    /// whole is too large is another matter.
    fn malformed(&self) -> Option<String> {
        if self.value.len() > schemas::VALUE_BYTES_MAX && self.envelope_bytes <= ENVELOPE_BYTES_MAX
        {
            return None;
        }
        let message = schemas::Message {
            offset: schemas::Offset(0),
            timestamp: schemas::Timestamp::default(),
            key: Some(&self.key),
            value: Some(&self.value),
        };
        let place = schemas::Place { partition: schemas::Partition(0), partitions: 1 };
        schemas::read_rebuilt(&message, place).err().map(|malformed| malformed.to_string())
    }
}

fn folded_count(prefix: &ContextPrefix) -> usize {
    usize::try_from(prefix.count).unwrap_or(0)
}

/// The envelope with what the recorder knows.
fn filled<'e>(event: &Event, ticket: &'e Ticket, identity: &'e Identity) -> Envelope<'e> {
    let mut envelope: Envelope<'e> = (*event.envelope).clone();
    envelope.tenant = identity.tenant.as_str().into();
    envelope.session_id = ticket.state.id.as_str().into();
    if envelope.capture_source.is_empty() {
        envelope.capture_source = "sdk".into();
    }
    envelope.retention_class = identity.retention_class.as_str().into();
    envelope.producer_id = Some(identity.producer_id.as_str().into());
    envelope.producer_epoch = Some(identity.producer_epoch);
    let Agent { id, name, version } = &identity.agent;
    let agent = [
        (&mut envelope.agent_id, id),
        (&mut envelope.agent_name, name),
        (&mut envelope.agent_version, version),
    ];
    for (field, own) in agent {
        if field.is_none() && !own.is_empty() {
            *field = Some(own.as_str().into());
        }
    }
    let state = &ticket.state;
    if let Some((kind, id)) = state.principal.as_ref().filter(|_| envelope.principal_id.is_none()) {
        envelope.principal_type = Some(kind.as_str().into());
        envelope.principal_id = Some(id.as_str().into());
    }
    envelope.trace_id = envelope.trace_id.or(state.trace_id);
    envelope
}

/// The references that are not folded away.
fn references<'e>(event: &Event, known: &[Known], folded: usize) -> Vec<schemas::Content<'e>> {
    let reference = |(content, known): (&Content, &Known)| schemas::Content {
        role: content.role.clone(),
        kind: content.kind.clone(),
        media_type: content.media_type.clone(),
        size: u64::try_from(content.data.len()).unwrap_or(u64::MAX),
        digest: known.digest,
    };
    event.contents.iter().zip(known).skip(folded).map(reference).collect()
}

/// The bodies that must be carried, each once: those that no acknowledged event of the session carried.
fn bodies<'e>(event: &'e Event, known: &[Known], folded: usize) -> (Vec<Body<'e>>, Vec<usize>) {
    let (mut bodies, mut carried) = (Vec::new(), Vec::new());
    let mut seen = HashSet::new();
    for (index, (content, known)) in event.contents.iter().zip(known).enumerate().skip(folded) {
        if known.acknowledged || !seen.insert(known.digest) {
            continue;
        }
        let (digest, salt, data) = (known.digest, Some(known.salt), Some(&*content.data));
        bodies.push(Body { digest, salt, data, enc: None });
        carried.push(index);
    }
    (bodies, carried)
}

/// The same event where its metadata break a rule, such as a name that is a novel: they become a content, whole.
fn kept_whole(event: Event) -> Event {
    let given = event.envelope.to_json_object();
    let kind = shortened(&event.envelope.kind, 64);
    let mut plain = Event::new(if kind.is_empty() { "event".to_owned() } else { kind });
    let (to, from) = (&mut plain.envelope, &event.envelope);
    to.event_id = from.event_id;
    to.occurred_at = from.occurred_at;
    to.session_seq = from.session_seq;
    to.session_event_count = from.session_event_count;
    to.producer_seq = from.producer_seq;
    to.producer_dropped = from.producer_dropped;
    to.prev_event_digest = from.prev_event_digest;
    plain.contents = event.contents;
    for content in &mut plain.contents {
        for name in [&mut content.role, &mut content.kind, &mut content.media_type] {
            *name = shortened(name, schemas::STRING_BYTES_MAX).into();
        }
    }
    plain.with(Content::json("attributes", &Value::Object(given)))
}

fn shortened(text: &str, bytes_max: usize) -> String {
    let text = text.get(..text.floor_char_boundary(bytes_max)).unwrap_or_default();
    text.to_owned()
}

/// Cuts the longest body that the event carries so that the event loses `over` bytes, or as many as that body has to
/// give. `false` where none has any.
fn cut(event: &mut Event, carried: &[usize], over: usize) -> bool {
    let length = |index: &&usize| event.contents.get(**index).map_or(0, |c| c.data.len());
    let Some(longest) = carried.iter().max_by_key(length).copied() else { return false };
    let Some(content) = event.contents.get_mut(longest) else { return false };
    let before = content.data.len();
    let after = before.saturating_sub(over).max(CUT_BYTES_MIN);
    if after >= before {
        return false;
    }
    content.data.truncate(after);
    content.media_type = "application/octet-stream".into();
    let dropped = u64::try_from(before - after).unwrap_or(u64::MAX);
    let so_far = event.envelope.source_dropped.unwrap_or(0);
    event.envelope.source_dropped = Some(so_far.saturating_add(dropped));
    event.envelope.capture_fidelity = "truncated".into();
    true
}

#[cfg(test)]
mod tests;
