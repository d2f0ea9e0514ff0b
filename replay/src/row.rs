//! CORE. One row: the message it was made of is rebuilt byte for byte and read again, by the rules of `docs/format.md`, section 4.

use schemas::{
    Carriage, Chain, Digest, Event, Framing, Malformed, Message, Offset, Place, Published, Reason,
    Salt, SessionKey, Timestamp, TimestampType, View, body_digest, headers_digest, leaf,
    parse_headers, raw_digest, read as read_message, read_rebuilt, row_digest,
};

use crate::decode::{self, Batch, StoredBody};

/// A row whose content follows from its message.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub(crate) offset: Offset,
    pub(crate) timestamp: Timestamp,
    /// Headers digest, event digest, row digest and leaf.
    pub(crate) headers: Digest,
    pub(crate) event: Digest,
    pub(crate) row: Digest,
    pub(crate) leaf: Digest,
    pub(crate) content: Content<'a>,
}

/// What a row holds.
#[derive(Debug)]
pub(crate) enum Content<'a> {
    Event(Box<Event<'a>>),
    /// The reason, and the bytes of the value.
    Raw(Reason, usize),
}

type Fault = &'static str;

fn digest(bytes: Option<&[u8]>) -> Option<Digest> {
    bytes?.try_into().ok().map(Digest)
}

fn salt(bytes: Option<&[u8]>) -> Option<Salt> {
    bytes?.try_into().ok().map(Salt)
}

/// Session key and offset of a row: what it is sorted by.
pub(crate) fn position(batch: &Batch<'_>, row: usize) -> Option<(SessionKey, Offset)> {
    let session = digest(batch.bytes(decode::SESSION_KEY, row))?;
    Some((SessionKey(session), Offset(batch.count(decode::OFFSET, row)?)))
}

/// Where a chain's messages were found.
fn place(chain: &Chain) -> Place {
    Place { partition: chain.partition, partitions: chain.partitions }
}

/// Reads a row; `value` is where an event's message is rebuilt.
pub(crate) fn read<'a, 'b: 'a>(
    batch: &Batch<'b>,
    row: usize,
    chain: &Chain,
    value: &'a mut Vec<u8>,
) -> Result<Row<'a>, Fault> {
    let (session, offset) = position(batch, row).ok_or("its offset is negative")?;
    let timestamp = timestamp(batch, row)?;
    let key = batch.bytes(decode::KEY, row);
    let carriage = Carriage { timestamp, key, headers_digest: headers(batch, row)? };
    let raw = batch.bytes(decode::RAW, row);
    let (event_digest, carriage_digest, content) = match batch.text(decode::RAW_REASON, row) {
        Some(reason) => {
            let reason = Reason::parse(reason).ok_or("its reason is unknown")?;
            check_nulls(batch, row)?;
            let salt = salt(batch.bytes(decode::RAW_SALT, row)).ok_or("it has no salt")?;
            check_raw(&Message { offset, timestamp, key, value: raw }, chain, reason, session)?;
            let content = Content::Raw(reason, raw.map_or(0, <[u8]>::len));
            (raw_digest(&salt, raw), carriage.of_raw(reason), content)
        }
        None => {
            let raw_salt = batch.bytes(decode::RAW_SALT, row);
            if raw.is_some() || raw_salt.is_some() {
                return Err("it is an event and has columns of a raw row");
            }
            let schema = rebuild(batch, row, value)?;
            let message = Message { offset, timestamp, key, value: Some(value) };
            let mut event = read_rebuilt(&message, place(chain)).map_err(unreadable)?;
            if event.schema.digest != schema.digest || event.session_key != session {
                return Err("its schema or session is not that of its message");
            }
            check_division(batch, row, &event)?;
            event.frame = frame(batch, row, schema, chain.framing)?;
            let carriage = carriage.of_event(&event);
            (event.event_digest, carriage, Content::Event(Box::new(event)))
        }
    };
    let (headers, event) = (carriage.headers_digest, event_digest);
    let row = row_digest(&event, &carriage_digest);
    Ok(Row { offset, timestamp, headers, event, row, leaf: leaf(&session, offset, &row), content })
}

fn timestamp(batch: &Batch<'_>, row: usize) -> Result<Timestamp, Fault> {
    let code = batch.long(decode::TIMESTAMP_TYPE, row).and_then(|code| i32::try_from(code).ok());
    let kind = code.and_then(TimestampType::from_code).ok_or("its timestamp type is unknown")?;
    match (kind, batch.long(decode::TIMESTAMP, row)) {
        (TimestampType::None, None) => Ok(Timestamp { kind, millis: 0 }),
        (TimestampType::None, Some(_)) | (_, None) => Err("its timestamp is not of its type"),
        (_, Some(millis)) => Ok(Timestamp { kind, millis }),
    }
}

fn headers(batch: &Batch<'_>, row: usize) -> Result<Digest, Fault> {
    let headers = batch.bytes(decode::HEADERS, row);
    match (headers, salt(batch.bytes(decode::HEADERS_SALT, row))) {
        (None, None) => Ok(Digest::ZERO),
        (Some(headers), Some(salt)) if parse_headers(headers).is_some() => {
            Ok(headers_digest(&salt, headers))
        }
        _ => Err("its headers are not spelled as they must be"),
    }
}

/// A raw row has no columns of an event.
fn check_nulls(batch: &Batch<'_>, row: usize) -> Result<(), Fault> {
    let absent = (decode::SCHEMA..=decode::ADMISSION).all(|c| batch.bytes(c, row).is_none());
    let empty = batch.bodies(row).is_some_and(|bodies| bodies.len() == 0);
    if absent && empty { Ok(()) } else { Err("it is raw and has columns of an event") }
}

/// Whether the columns divide the message as its fields do: what stands in one is not told as part of another.
fn check_division(batch: &Batch<'_>, row: usize, event: &Event<'_>) -> Result<(), Fault> {
    let columns = [decode::ENVELOPE, decode::SIGNATURE, decode::ADMISSION];
    let fields = [Some(event.envelope_bytes), event.signature, event.admission];
    let same = columns.into_iter().zip(fields).all(|(c, field)| batch.bytes(c, row) == field);
    let bodies = batch.bodies(row).ok_or("it has no bodies column")?;
    // Where all lengths are the same, so are all boundaries and thereby the bytes.
    let same_body = |(stored, body): (StoredBody<'_>, &schemas::Body<'_>)| {
        stored.salt.map(<[u8]>::len) == body.salt.map(|salt| salt.0.len())
            && stored.data.map(<[u8]>::len) == body.data.map(<[u8]>::len)
            && stored.enc.map(<[u8]>::len) == body.enc.as_ref().map(|enc| enc.to_bytes().len())
    };
    let all = bodies.len() == event.bodies.len() && bodies.iter().zip(&event.bodies).all(same_body);
    if same && all { Ok(()) } else { Err("its columns do not divide the message as its fields do") }
}

/// Whether the message is one that is kept raw for this very reason.
fn check_raw(
    message: &Message<'_>,
    chain: &Chain,
    reason: Reason,
    session: SessionKey,
) -> Result<(), Fault> {
    let value = match chain.framing {
        Framing::SingleObject => message.value.map(std::borrow::Cow::Borrowed),
        Framing::Confluent => message.value.map(reframed),
    };
    let found = read_message(&Message { value: value.as_deref(), ..*message }, place(chain));
    let (found, owner) = match found {
        // Only the registry knows what schema an id stands for.
        Ok(event) if chain.framing == Framing::Confluent && reason == Reason::Schema => {
            (reason, event.session_key)
        }
        Ok(_) => return Err("it is raw and its message is an event"),
        Err(Malformed { reason: found, session_key, .. }) => {
            let unjudged = chain.framing == Framing::Confluent
                && reason == Reason::Schema
                && found > Reason::Schema;
            (if unjudged { reason } else { found }, session_key)
        }
    };
    if owner != session {
        return Err("its session is not that of its key");
    }
    if found == reason { Ok(()) } else { Err("it is raw for another reason than it says") }
}

/// A value of a topic with Confluent framing, framed as the published schema would be in single-object encoding; one that
/// has no such frame stays without any.
fn reframed(value: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    match value.split_first_chunk::<5>() {
        Some(([0, ..], content)) => [&Published::LATEST.frame()[..], content].concat().into(),
        _ if value.is_empty() => value.into(),
        _ => (&[0_u8][..]).into(),
    }
}

fn unreadable(malformed: Malformed) -> Fault {
    malformed.detail
}

/// The stored frame: one of the topic's framing. What schema a Confluent id stands for only the registry knows.
fn frame<'b>(
    batch: &Batch<'b>,
    row: usize,
    schema: &Published,
    framing: Framing,
) -> Result<&'b [u8], Fault> {
    let frame = batch.bytes(decode::FRAME, row).ok_or("it has no frame")?;
    let right = match framing {
        Framing::SingleObject => frame == schema.frame(),
        Framing::Confluent => frame.len() == 5 && frame.first() == Some(&0),
    };
    if right { Ok(frame) } else { Err("its frame is not one of its topic and schema") }
}

/// Rebuilds the message's value, framed as single-object encoding.
fn rebuild(
    batch: &Batch<'_>,
    row: usize,
    value: &mut Vec<u8>,
) -> Result<&'static Published, Fault> {
    let schema = digest(batch.bytes(decode::SCHEMA, row)).ok_or("it has no schema")?;
    let schema = Published::of_digest(&schema).ok_or("its schema is not published")?;
    let envelope = batch.bytes(decode::ENVELOPE, row).ok_or("it has no envelope")?;
    value.clear();
    value.extend_from_slice(&schema.frame());
    value.extend_from_slice(envelope);
    for column in [decode::SIGNATURE, decode::ADMISSION] {
        optional(value, batch.bytes(column, row), false);
    }
    let bodies = batch.bodies(row).ok_or("it has no bodies column")?;
    if bodies.len() > 0 {
        long(value, bodies.len());
        for body in bodies.iter() {
            append(value, &body)?;
        }
    }
    value.push(0);
    Ok(schema)
}

fn append(value: &mut Vec<u8>, body: &StoredBody<'_>) -> Result<(), Fault> {
    let digest = match (body.digest, body.data, body.enc) {
        (None, Some(data), None) => {
            body_digest(&salt(body.salt).ok_or("a body has no salt")?, data)
        }
        (Some(_), Some(_), None) => return Err("the digest of an inline clear body is stored"),
        (stored, _, _) => digest(stored).ok_or("a body has no digest")?,
    };
    value.extend_from_slice(&digest.0);
    optional(value, body.salt, false);
    optional(value, body.data, true);
    optional(value, body.enc, false);
    Ok(())
}

/// A `["null", T]` union; bytes carry their length, fixed fields and records do not.
fn optional(value: &mut Vec<u8>, bytes: Option<&[u8]>, with_length: bool) {
    value.push(if bytes.is_some() { 2 } else { 0 });
    let bytes = bytes.unwrap_or_default();
    if with_length && value.last() == Some(&2) {
        long(value, bytes.len());
    }
    value.extend_from_slice(bytes);
}

/// A length as an Avro long.
fn long(value: &mut Vec<u8>, length: usize) {
    let mut bits = u64::try_from(length).unwrap_or(u64::MAX) << 1;
    while bits >= 0x80 {
        value.extend((bits & 0x7f | 0x80).to_le_bytes().first());
        bits >>= 7;
    }
    value.extend(bits.to_le_bytes().first());
}

/// The view that is not what the envelope says; a raw row has none.
pub(crate) fn false_view(
    batch: &Batch<'_>,
    row: usize,
    content: &Content<'_>,
) -> Option<&'static str> {
    let views = match content {
        Content::Event(event) => event.envelope.views(),
        Content::Raw(..) => [View::Null; schemas::COLUMNS.len() - schemas::FIRST_VIEW],
    };
    views.iter().enumerate().find_map(|(index, view)| {
        let index = index + schemas::FIRST_VIEW;
        let column = batch.column(index)?;
        let same = match view {
            View::Null => column.bytes(row).is_none() && column.long(row).is_none(),
            View::Text(text) => column.text(row) == Some(*text),
            View::Long(number) => column.long(row) == Some(*number),
            View::Fixed(bytes) => column.bytes(row) == Some(&bytes[..]),
        };
        (!same).then(|| schemas::COLUMNS.get(index).map_or("", |column| column.name))
    })
}
