//! CORE: what the sealer checks before a PUT, and before it adopts a segment it finds: every row hashed again, and all that
//! the record says of them.
//!
//! Not the verifier: that is `replay`, which shares no code with this and looks at more.

use bytes::Bytes;
use schemas::{
    Carriage, Counted, Digest, EnrolledRecord, Event, Framing, Malformed, PUBLISHED, Place, Reason,
    SegmentRecord, TimestampType, leaf, raw_digest, read, read_confluent, read_rebuilt,
    read_rebuilt_confluent, row_digest,
};

use crate::claims::Claims;
use crate::decode::NotASegment::{self, Rule};
use crate::decode::{Footer, Stored, visit};

/// Decodes a segment, hashes every row again, and returns its record.
///
/// # Errors
/// The first thing that is not as the format wants it.
pub fn check(bytes: &Bytes, place: Place) -> Result<SegmentRecord, NotASegment> {
    let mut leaves = Vec::new();
    let mut last = None;
    let mut times: Option<(i64, i64)> = None;
    let mut claims = Claims::default();
    let Footer { record, gaps, claims: listed } = visit(bytes, |stored| {
        let at = Some((stored.session_key, stored.message.offset));
        if last >= at {
            return Err(Rule("rows are not in order"));
        }
        last = at;
        let time = stored.message.timestamp;
        if time.kind != TimestampType::None {
            let (least, greatest) = times.unwrap_or((time.millis, time.millis));
            times = Some((least.min(time.millis), greatest.max(time.millis)));
        }
        leaves.push(stored_leaf(stored, place, &mut claims)?);
        Ok(())
    })?;
    let rows = u64::try_from(leaves.len()).unwrap_or(u64::MAX);
    if record.rows != rows || record.root != schemas::root(&leaves) || record.gaps != gaps.summary()
    {
        return Err(Rule("rows, gaps or root are not the record's"));
    }
    if rows.checked_add(gaps.offsets()) != record.next.0.checked_sub(record.start.0) {
        return Err(Rule("rows and gaps do not make up the offsets"));
    }
    if record.lock.is_some() != record.retain_until.is_some() {
        return Err(Rule("it names a lock without a date, or a date without a lock"));
    }
    if !claims.are_listed_in(listed.as_deref())
        || record.claims != Counted::of("claims", listed.as_deref())
    {
        return Err(Rule("its claims are not those of its rows"));
    }
    if (record.time_min, record.time_max) != (times.map(|t| t.0), times.map(|t| t.1)) {
        return Err(Rule("the time range is not the record's"));
    }
    Ok(record)
}

/// The record of a segment as it is enrolled.
#[must_use]
pub(crate) fn enrolled(segment: SegmentRecord, key: String, bytes: &[u8]) -> EnrolledRecord {
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    EnrolledRecord { segment, key, size, sha256: Digest::of(bytes) }
}

/// What the stored message is. The digests of a raw value's bodies were not derived from anything: they are what is in
/// question. An id's schema is the one that the row says: only the registry could say another.
fn found<'s>(stored: &Stored<'s>, place: Place) -> Result<Event<'s>, Malformed> {
    let message = &stored.message;
    match (stored.framing, stored.raw) {
        (Framing::SingleObject, None) => read_rebuilt(message, place),
        (Framing::SingleObject, Some(_)) => read(message, place),
        (Framing::Confluent, None) => read_rebuilt_confluent(message, place, |_| stored.schema),
        (Framing::Confluent, Some((Reason::Schema, _))) => read_confluent(message, place, |_| None),
        (Framing::Confluent, Some(_)) => read_confluent(message, place, |_| PUBLISHED.last()),
    }
}

/// Recomputes the leaf from the message alone, and notes the claims it makes.
fn stored_leaf(
    stored: &Stored<'_>,
    place: Place,
    claims: &mut Claims,
) -> Result<Digest, NotASegment> {
    let headers_digest = match (stored.headers, stored.headers_salt) {
        (None, None) => Digest::ZERO,
        (Some(headers), Some(salt)) => schemas::headers_digest(&salt, headers),
        _ => return Err(Rule("headers and their salt are not both there")),
    };
    let message = &stored.message;
    let carriage = Carriage { timestamp: message.timestamp, key: message.key, headers_digest };
    let (session, event, carriage) = match (found(stored, place), stored.raw) {
        (Ok(event), None) => {
            claims.name(&event);
            (event.session_key, event.event_digest, carriage.of_event(&event))
        }
        (Err(malformed), Some((reason, salt))) if malformed.reason == reason => {
            (malformed.session_key, raw_digest(&salt, message.value), carriage.of_raw(reason))
        }
        _ => return Err(Rule("a row is raw and ought not to be, or the reverse")),
    };
    if session != stored.session_key {
        return Err(Rule("a row's session key is not its Kafka key's"));
    }
    Ok(leaf(&session, message.offset, &row_digest(&event, &carriage)))
}
