//! From a message to a row: the table of `docs/format.md`, section 4, in its order.
//!
//! One function, [`read`], decides what a message is. The sealer calls it before it writes and verifiers call it on what they read back.

use crate::avro::{Avro, Fault, Reader};
use crate::digest::{Digest, Hasher};
use crate::event::{Body, Envelope};
use crate::frame::{self, Framed, SchemaId};
use crate::id::{KafkaKey, Offset, Partition, SessionId, SessionKey, Tenant};
use crate::lines::Framing;
use crate::partition::partition_of;
use crate::schema::Published;
use crate::timestamp::Timestamp;
use crate::value::body_digest;

/// Longest value of a message that can be an event.
pub const VALUE_BYTES_MAX: usize = 32 << 20;
/// Longest envelope.
pub const ENVELOPE_BYTES_MAX: usize = 1 << 20;
/// Longest string of an envelope.
pub const STRING_BYTES_MAX: usize = 4096;
/// Longest list.
pub const LIST_ITEMS_MAX: usize = 65_535;

/// A Kafka header. Kafka tells a null value from an empty one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Its key.
    pub key: &'a str,
    /// Its value.
    pub value: Option<&'a [u8]>,
}

/// What a topic holds at one offset, headers aside: they do not bear on what the message is.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Position in the partition.
    pub offset: Offset,
    /// When it was written.
    pub timestamp: Timestamp,
    /// The Kafka key.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
}

/// Where a message was found: one partition of a topic with so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The partition.
    pub partition: Partition,
    /// Partitions of the topic, fixed for its life.
    pub partitions: u32,
}

/// Why a message is sealed raw, in the order the conditions are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The value is null.
    Tombstone,
    /// The value has no bytes.
    Empty,
    /// The frame is not the topic's.
    Frame,
    /// The frame names no published schema.
    Schema,
    /// Not the strict encoding.
    Encoding,
    /// Breaks a limit or field rule.
    Field,
    /// Breaks a body rule.
    Body,
    /// The Kafka key is absent or does not parse.
    Key,
    /// The envelope's tenant or session is not the key's.
    Mismatch,
    /// The key belongs to another partition.
    Partition,
}

impl Reason {
    /// All of them, in order.
    pub const ALL: [Self; 10] = [
        Self::Tombstone,
        Self::Empty,
        Self::Frame,
        Self::Schema,
        Self::Encoding,
        Self::Field,
        Self::Body,
        Self::Key,
        Self::Mismatch,
        Self::Partition,
    ];

    /// Its name in a segment.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tombstone => "tombstone",
            Self::Empty => "empty",
            Self::Frame => "frame",
            Self::Schema => "schema",
            Self::Encoding => "encoding",
            Self::Field => "field",
            Self::Body => "body",
            Self::Key => "key",
            Self::Mismatch => "mismatch",
            Self::Partition => "partition",
        }
    }

    /// The inverse of [`Self::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

/// A message that is no event: the row is raw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", reason.as_str())]
pub struct Malformed {
    /// The row of the table.
    pub reason: Reason,
    /// What was found, in words.
    pub detail: &'static str,
    /// The session the Kafka key names, or none.
    pub session_key: SessionKey,
}

/// A message that is an event, taken apart without copying.
#[derive(Clone, Debug, PartialEq)]
pub struct Event<'a> {
    /// The schema it was written with.
    pub schema: &'static Published,
    /// The frame's bytes.
    pub frame: &'a [u8],
    /// The envelope's bytes, which its digest covers.
    pub envelope_bytes: &'a [u8],
    /// The envelope.
    pub envelope: Envelope<'a>,
    /// The signature's Avro bytes, without the union branch.
    pub signature: Option<&'a [u8]>,
    /// The admission's Avro bytes, without the union branch.
    pub admission: Option<&'a [u8]>,
    /// The bodies it carries.
    pub bodies: Vec<Body<'a>>,
    /// Key of its session.
    pub session_key: SessionKey,
    /// `H("event", schema_digest ‖ envelope bytes)`.
    pub event_digest: Digest,
}

/// Takes a message apart, or says by which rule it is raw. The topic has single-object framing.
///
/// # Errors
/// The first condition of the table that holds.
pub fn read<'a>(message: &Message<'a>, place: Place) -> Result<Event<'a>, Malformed> {
    take_apart(message, place, true, frame::single_object)
}

/// As [`read`], for a message put together again from a segment, the digests of its clear bodies having just been
/// derived from what stands there: they are not computed a second time.
///
/// # Errors
/// The first condition of the table that holds.
pub fn read_rebuilt<'a>(message: &Message<'a>, place: Place) -> Result<Event<'a>, Malformed> {
    take_apart(message, place, false, frame::single_object)
}

/// As [`read`], on a topic with Confluent framing: `named` is the published schema that an id stands for, if it stands for
/// one. It must know: a registry that did not answer says nothing about a message.
///
/// # Errors
/// The first condition of the table that holds.
pub fn read_confluent<'a>(
    message: &Message<'a>,
    place: Place,
    named: impl Fn(SchemaId) -> Option<&'static Published>,
) -> Result<Event<'a>, Malformed> {
    take_apart(message, place, true, |value| frame::confluent(value, named))
}

/// As [`read_rebuilt`], on a topic with Confluent framing.
///
/// # Errors
/// The first condition of the table that holds.
pub fn read_rebuilt_confluent<'a>(
    message: &Message<'a>,
    place: Place,
    named: impl Fn(SchemaId) -> Option<&'static Published>,
) -> Result<Event<'a>, Malformed> {
    take_apart(message, place, false, |value| frame::confluent(value, named))
}

/// Takes a value apart that is no topic's yet, by the rules 2 to 7 of the table: what its key must be follows from it.
///
/// # Errors
/// The first of those conditions that holds; it is of no session.
pub fn read_value<'a>(
    value: &'a [u8],
    framing: Framing,
    named: impl Fn(SchemaId) -> Option<&'static Published>,
) -> Result<Event<'a>, Malformed> {
    let event = match framing {
        Framing::SingleObject => event(value, true, frame::single_object),
        Framing::Confluent => event(value, true, |value| frame::confluent(value, named)),
    };
    event.map_err(|(reason, detail)| Malformed { reason, detail, session_key: SessionKey::NONE })
}

/// Reads an envelope that stands alone, by the rules 5 and 6 of the table.
///
/// # Errors
/// The rule that it breaks.
pub fn read_envelope(bytes: &[u8]) -> Result<Envelope<'_>, &'static str> {
    let mut from = Reader::new(bytes);
    let envelope = Envelope::read(&mut from).map_err(|Fault(detail)| detail)?;
    if !from.rest().is_empty() {
        return Err("bytes follow its last field");
    }
    let over = (bytes.len() > ENVELOPE_BYTES_MAX).then_some("the envelope is over 1 MiB");
    let broken = from.field.or(over).or_else(|| broken_rule(&envelope));
    broken.map_or(Ok(envelope), Err)
}

fn take_apart<'a>(
    message: &Message<'a>,
    place: Place,
    hash: bool,
    framed: impl FnOnce(&'a [u8]) -> Framed<'a>,
) -> Result<Event<'a>, Malformed> {
    let value = message.value.ok_or((Reason::Tombstone, "the value is null"));
    let event = value.and_then(|value| {
        let event = event(value, hash, framed)?;
        check_key(&event.envelope, message.key, place)?;
        Ok(event)
    });
    event.map_err(|(reason, detail)| {
        let key = message.key.and_then(|key| KafkaKey::parse(key).ok());
        let session_key = key.map_or(SessionKey::NONE, |key| key.session_key());
        Malformed { reason, detail, session_key }
    })
}

fn event<'a>(
    value: &'a [u8],
    hash: bool,
    framed: impl FnOnce(&'a [u8]) -> Framed<'a>,
) -> Result<Event<'a>, (Reason, &'static str)> {
    if value.is_empty() {
        return Err((Reason::Empty, "the value has no bytes"));
    }
    let (schema, frame, content) = framed(value)?;
    if value.len() > VALUE_BYTES_MAX {
        return Err((Reason::Encoding, "the value is over 32 MiB"));
    }
    let event = decode(schema, frame, content)?;
    check_bodies(&event, hash).map_err(|detail| (Reason::Body, detail))?;
    Ok(event)
}

fn decode<'a>(
    schema: &'static Published,
    frame: &'a [u8],
    content: &'a [u8],
) -> Result<Event<'a>, (Reason, &'static str)> {
    let fault = |Fault(detail)| (Reason::Encoding, detail);
    let mut from = Reader::new(content);
    let envelope = Envelope::read(&mut from).map_err(fault)?;
    let envelope_bytes = before(content, from.rest());
    // Signature, admission and bodies are not the envelope, whose limits end here.
    let breach = from.field;
    let mut optional = |skip: fn(&mut Reader<'a>) -> Result<(), Fault>| {
        if !from.branch()? {
            return Ok(None);
        }
        let start = from.rest();
        skip(&mut from).map(|()| Some(before(start, from.rest())))
    };
    let signature =
        optional(|from| crate::event::Signature::read(from).map(|_| ())).map_err(fault)?;
    let admission =
        optional(|from| crate::event::Admission::read(from).map(|_| ())).map_err(fault)?;
    from.field = None;
    let bodies = Vec::<Body<'_>>::read(&mut from).map_err(fault)?;
    if !from.rest().is_empty() {
        return Err((Reason::Encoding, "bytes follow the last field"));
    }
    let over = (envelope_bytes.len() > ENVELOPE_BYTES_MAX).then_some("the envelope is over 1 MiB");
    let broken = breach.or(over).or(from.field).or_else(|| broken_rule(&envelope));
    if let Some(rule) = broken {
        return Err((Reason::Field, rule));
    }
    let session_key = SessionKey::of(&envelope.tenant, &envelope.session_id);
    let event_digest = Hasher::new("event").bytes(&schema.digest.0).finish_with(envelope_bytes);
    Ok(Event {
        schema,
        frame,
        envelope_bytes,
        envelope,
        signature,
        admission,
        bodies,
        session_key,
        event_digest,
    })
}

/// The part of `whole` that stands before its suffix `rest`.
fn before<'a>(whole: &'a [u8], rest: &[u8]) -> &'a [u8] {
    whole.get(..whole.len().saturating_sub(rest.len())).unwrap_or_default()
}

/// The field rules that no type keeps.
fn broken_rule(envelope: &Envelope<'_>) -> Option<&'static str> {
    if Tenant::new(&envelope.tenant).is_err() {
        return Some("tenant does not match [a-z0-9-]{1,64}");
    }
    if !(1..=SessionId::BYTES_MAX).contains(&envelope.session_id.len()) {
        return Some("session_id is not 1 to 512 bytes long");
    }
    if !(1..=64).contains(&envelope.kind.len()) {
        return Some("kind is not 1 to 64 bytes long");
    }
    if !matches!(&*envelope.phase, "start" | "end" | "complete") {
        return Some("phase is neither start, end nor complete");
    }
    if envelope.context_prefix.as_ref().is_some_and(|prefix| prefix.count == 0) {
        return Some("context_prefix.count is 0");
    }
    None
}

fn check_bodies(event: &Event<'_>, hash: bool) -> Result<(), &'static str> {
    if event.bodies.is_empty() {
        return Ok(());
    }
    let mut digests: Vec<Digest> = event.bodies.iter().map(|body| body.digest).collect();
    digests.sort_unstable();
    if digests.is_sorted_by(|a, b| a < b) {
        let mut sizes: Vec<(Digest, u64)> =
            event.envelope.contents.iter().map(|content| (content.digest, content.size)).collect();
        sizes.sort_unstable();
        return event.bodies.iter().try_for_each(|body| check_body(body, &sizes, hash));
    }
    Err("a digest stands twice in bodies")
}

/// `sizes` are the sizes that contents gives each digest, sorted.
fn check_body(body: &Body<'_>, sizes: &[(Digest, u64)], hash: bool) -> Result<(), &'static str> {
    if body.enc.is_some() == body.salt.is_some() {
        return Err("a body has both or neither of salt and enc");
    }
    let first = sizes.partition_point(|(digest, _)| *digest < body.digest);
    let named = sizes.iter().skip(first).take_while(|(digest, _)| *digest == body.digest);
    if named.clone().next().is_none() {
        return Err("a body is named by none of contents");
    }
    let (Some(data), Some(salt)) = (body.data, body.salt) else { return Ok(()) };
    if named.into_iter().any(|(_, size)| usize::try_from(*size) != Ok(data.len())) {
        return Err("a body's size is not the one contents gives");
    }
    if hash && body_digest(&salt, data) != body.digest {
        return Err("a body's digest is not that of its salt and data");
    }
    Ok(())
}

fn check_key(
    envelope: &Envelope<'_>,
    key: Option<&[u8]>,
    place: Place,
) -> Result<(), (Reason, &'static str)> {
    let key = key.ok_or((Reason::Key, "the Kafka key is null"))?;
    let (tenant, session) = (envelope.tenant.as_bytes(), envelope.session_id.as_bytes());
    let same = key.strip_prefix(tenant).and_then(|rest| rest.strip_prefix(b"/")) == Some(session);
    if !same {
        KafkaKey::parse(key).map_err(|error| (Reason::Key, error.why))?;
        return Err((Reason::Mismatch, "tenant or session_id is not the Kafka key's"));
    }
    if partition_of(key, place.partitions) != place.partition {
        return Err((Reason::Partition, "the Kafka key belongs to another partition"));
    }
    Ok(())
}
