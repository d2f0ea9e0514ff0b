//! The leaf of a row (`docs/format.md`, section 4.1): event and carriage bound to session and offset.

use crate::bundle::{ShownBody, ShownEvent};
use crate::digest::{Digest, Hasher, Salt, digest_of_parts};
use crate::event::Body;
use crate::id::{Offset, SessionKey};
use crate::message::{Event, Header, Reason};
use crate::timestamp::Timestamp;
use crate::value::body_item_hash;

/// Everything that is stored of a message besides its event: what the carriage digest covers.
#[derive(Clone, Copy, Debug)]
pub struct Carriage<'a> {
    /// When it was written.
    pub timestamp: Timestamp,
    /// The Kafka key.
    pub key: Option<&'a [u8]>,
    /// [`headers_digest`], or zero without headers.
    pub headers_digest: Digest,
}

impl Carriage<'_> {
    /// The carriage digest of an event row.
    #[must_use]
    pub fn of_event(&self, event: &Event<'_>) -> Digest {
        let hasher = self
            .start(event.schema.digest)
            .lp(event.frame)
            .opt(event.signature)
            .opt(event.admission)
            .len(event.bodies.len());
        event.bodies.iter().fold(hasher, body).lp(&[]).finish()
    }

    /// The carriage digest of an event row that a bundle shows.
    #[must_use]
    pub fn of_shown(&self, event: &ShownEvent) -> Digest {
        let hasher = self
            .start(event.schema)
            .lp(&event.frame)
            .opt(event.signature.as_deref())
            .opt(event.admission.as_deref())
            .len(event.bodies.len());
        let body = |hasher: Hasher, body: &ShownBody| item(hasher, &body.digest, body.item);
        event.bodies.iter().fold(hasher, body).lp(&[]).finish()
    }

    /// The carriage digest of a raw row.
    #[must_use]
    pub fn of_raw(&self, reason: Reason) -> Digest {
        let nothing = self.start(Digest::ZERO).lp(&[]).opt(None).opt(None).len(0);
        nothing.lp(reason.as_str().as_bytes()).finish()
    }

    fn start(&self, schema: Digest) -> Hasher {
        Hasher::new("carriage")
            .bytes(&schema.0)
            .u8(self.timestamp.kind.code())
            .bytes(&self.timestamp.millis.to_be_bytes())
            .opt(self.key)
            .bytes(&self.headers_digest.0)
    }
}

fn body(hasher: Hasher, body: &Body<'_>) -> Hasher {
    let hash = (!body.is_inline_clear()).then(|| body_item_hash(body));
    item(hasher, &body.digest, hash)
}

fn item(hasher: Hasher, digest: &Digest, hash: Option<Digest>) -> Hasher {
    let hasher = hasher.bytes(&digest.0);
    match hash {
        None => hasher.u8(0),
        Some(hash) => hasher.u8(1).bytes(&hash.0),
    }
}

/// `H("raw", salt ‖ opt(value))`: the event digest of a raw row.
#[must_use]
pub fn raw_digest(salt: &Salt, value: Option<&[u8]>) -> Digest {
    Hasher::new("raw").bytes(&salt.0).opt(value).finish()
}

/// Headers as a segment stores them; `None` without headers.
#[must_use]
pub fn headers_bytes(headers: &[Header<'_>]) -> Option<Vec<u8>> {
    if headers.is_empty() {
        return None;
    }
    let length = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    let mut out = Vec::from(length(headers.len()));
    for header in headers {
        out.extend(length(header.key.len()));
        out.extend_from_slice(header.key.as_bytes());
        out.push(u8::from(header.value.is_some()));
        if let Some(value) = header.value {
            out.extend(length(value.len()));
            out.extend_from_slice(value);
        }
    }
    Some(out)
}

/// The inverse of [`headers_bytes`]; `None` for anything it would not have written.
#[must_use]
pub fn parse_headers(bytes: &[u8]) -> Option<Vec<Header<'_>>> {
    fn number(rest: &mut &[u8]) -> Option<usize> {
        let (bytes, after) = rest.split_first_chunk()?;
        *rest = after;
        usize::try_from(u32::from_be_bytes(*bytes)).ok()
    }
    fn lp<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
        let (bytes, after) = {
            let length = number(rest)?;
            rest.split_at_checked(length)?
        };
        *rest = after;
        Some(bytes)
    }
    let mut rest = bytes;
    let count = number(&mut rest)?;
    let mut headers = Vec::new();
    for _ in 0..count {
        let key = std::str::from_utf8(lp(&mut rest)?).ok()?;
        let (flag, after) = rest.split_first()?;
        rest = after;
        let value = match flag {
            0 => None,
            1 => Some(lp(&mut rest)?),
            _ => return None,
        };
        headers.push(Header { key, value });
    }
    (count > 0 && rest.is_empty()).then_some(headers)
}

/// `H("headers", salt ‖ headers)`.
#[must_use]
pub fn headers_digest(salt: &Salt, headers: &[u8]) -> Digest {
    Hasher::new("headers").bytes(&salt.0).finish_with(headers)
}

/// `H("row", event_digest ‖ carriage_digest)`.
#[must_use]
pub fn row_digest(event: &Digest, carriage: &Digest) -> Digest {
    digest_of_parts::<80>(&[b"chancery.row.v1\0", &event.0, &carriage.0])
}

/// `SHA-256(00 ‖ session_key ‖ u64(offset) ‖ row_digest)`.
#[must_use]
pub fn leaf(session: &SessionKey, offset: Offset, row: &Digest) -> Digest {
    digest_of_parts::<73>(&[&[0], &session.0.0, &offset.0.to_be_bytes(), &row.0])
}
