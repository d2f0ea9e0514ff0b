//! CORE: a request's body as events in Avro: one message, or a series of them, each checked by the rules of the format.
//!
//! Nothing of an event is changed here or later. What its frame names by a registry's id is looked up by whoever calls.

use std::collections::BTreeMap;

use schemas::{Body, Digest, Event, Framing, KafkaKey, Published, SchemaId, SessionId, read_value};

use crate::class::Class;
use crate::draft::{Draft, Intake};
use crate::given::Given;
use crate::refusal::{Code, Refusal};

/// Bytes of the length before each message of a series.
const LENGTH_BYTES: usize = 4;
/// Ids that the frames of one request may name. Each may cost a question to the registry; there are as many as versions of
/// the schema.
const IDS_MAX: usize = 16;

/// What schema an id stands for, for [`drafts`].
pub(crate) type Named<'n> = &'n dyn Fn(SchemaId) -> Result<Option<&'static Published>, Refusal>;

/// How a body holds messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Series {
    /// It is one.
    One,
    /// `u32 big-endian length ‖ message`, again and again.
    Many,
}

/// A message, and where in the body it begins.
type At<'a> = (usize, &'a [u8]);

/// Reads all events of a request.
pub(crate) fn drafts<'a>(
    body: &'a [u8],
    series: Series,
    intake: &Intake<'_>,
    named: Named<'_>,
) -> Result<Vec<Draft<'a>>, Refusal> {
    if body.is_empty() {
        return Err(Refusal::body("the body is empty"));
    }
    let messages = match series {
        Series::One => vec![(0, body)],
        Series::Many => split(body, intake.config.events_max)?,
    };
    let ids = resolve(&messages, named)?;
    let read = |(index, (offset, message)): (usize, At<'a>)| {
        draft(offset, message, intake, &ids).map_err(|refusal| refusal.at(index))
    };
    messages.into_iter().enumerate().map(read).collect()
}

fn split(body: &[u8], events_max: usize) -> Result<Vec<At<'_>>, Refusal> {
    let mut messages = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let offset = body.len() - rest.len();
        let short = || Refusal::body(format!("at byte {offset}: the body ends within a message"));
        let (length, after) = rest.split_first_chunk::<LENGTH_BYTES>().ok_or_else(short)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| short())?;
        let (message, after) = after.split_at_checked(length).ok_or_else(short)?;
        if messages.len() == events_max {
            let what = "the body has events";
            return Err(Refusal::limit(Code::TooLarge, what, "events_max", events_max));
        }
        messages.push((offset + LENGTH_BYTES, message));
        rest = after;
    }
    Ok(messages)
}

/// What the ids in the messages' frames stand for.
fn resolve(
    messages: &[At<'_>],
    named: Named<'_>,
) -> Result<BTreeMap<SchemaId, Option<&'static Published>>, Refusal> {
    let mut ids = BTreeMap::new();
    for (offset, message) in messages {
        let Some(id) = SchemaId::of(message) else { continue };
        if ids.contains_key(&id) {
            continue;
        }
        if ids.len() == IDS_MAX {
            let why = "a request's frames may not name more than";
            return Err(Refusal::body(format!("at byte {offset}: {why} {IDS_MAX} schema ids")));
        }
        ids.insert(id, named(id)?);
    }
    Ok(ids)
}

fn draft<'a>(
    offset: usize,
    message: &'a [u8],
    intake: &Intake<'_>,
    ids: &BTreeMap<SchemaId, Option<&'static Published>>,
) -> Result<Draft<'a>, Refusal> {
    let is_confluent = message.first() == Some(&0);
    let framing = if is_confluent { Framing::Confluent } else { Framing::SingleObject };
    let event = read_value(message, framing, |id| ids.get(&id).copied().flatten());
    let event = event.map_err(|error| Refusal::body(format!("at byte {offset}: {error}")))?;
    let key = check(&event, intake)?;
    let class = Class::read(&event.envelope.retention_class, intake.config)?;
    let lookups = lookups(&event);
    let content = message.get(event.frame.len()..).unwrap_or_default();
    let Event { schema, envelope_bytes, envelope, signature, bodies, event_digest, .. } = event;
    let given =
        Given { schema, envelope: envelope_bytes, signature, bodies, lookups, event_digest };
    Ok(Draft {
        envelope,
        parts: Vec::new(),
        slots: Vec::new(),
        key,
        // Of all of it: the same envelope with other bodies is no repeat that could be answered without writing them.
        fingerprint: Some(Digest::of(content)),
        identity: None,
        session_made: false,
        class: Some(class),
        given: Some(given),
    })
}

/// What the gateway asks of an event besides the rules of the format; its Kafka key.
fn check(event: &Event<'_>, intake: &Intake<'_>) -> Result<Vec<u8>, Refusal> {
    if event.envelope.tenant != intake.tenant.as_str() {
        let why = "is not the tenant of the key that was presented";
        return Err(Refusal { code: Code::Forbidden, ..Refusal::field("tenant", why) });
    }
    if event.admission.is_some() {
        return Err(Refusal::field("admission", "is set by the gateway"));
    }
    let session = SessionId::new(&event.envelope.session_id)
        .map_err(|_| Refusal::field("session_id", "must be 1 to 512 bytes long"))?;
    Ok(KafkaKey { tenant: intake.tenant.clone(), session }.to_bytes())
}

/// SHA-256 of the content of each body that stands there in clear.
fn lookups(event: &Event<'_>) -> Vec<Option<Digest>> {
    let lookup = |body: &Body<'_>| body.data.filter(|_| body.is_inline_clear()).map(Digest::of);
    event.bodies.iter().map(lookup).collect()
}
