//! A message's value and the digests of its parts.

use crate::avro::Avro as _;
use crate::digest::{Digest, Hasher, Salt};
use crate::event::Body;
use crate::schema::Published;

/// The value of a message: `frame ‖ envelope ‖ signature ‖ admission ‖ bodies`, the envelope's bytes as given.
#[must_use]
pub fn encode_value(
    schema: &Published,
    envelope: &[u8],
    signature: Option<&[u8]>,
    admission: Option<&[u8]>,
    bodies: &[Body<'_>],
) -> Vec<u8> {
    encode_framed(&schema.frame(), envelope, signature, admission, bodies)
}

/// As [`encode_value`], with any frame that names the schema.
#[must_use]
pub fn encode_framed(
    frame: &[u8],
    envelope: &[u8],
    signature: Option<&[u8]>,
    admission: Option<&[u8]>,
    bodies: &[Body<'_>],
) -> Vec<u8> {
    let payload: usize = bodies.iter().map(|body| 96 + body.data.map_or(0, <[u8]>::len)).sum();
    let mut out = Vec::with_capacity(256 + envelope.len() + payload);
    write_framed(&mut out, frame, envelope, signature, admission, bodies);
    out
}

/// As [`encode_value`], after what `out` holds.
pub fn write_value(
    out: &mut Vec<u8>,
    schema: &Published,
    envelope: &[u8],
    signature: Option<&[u8]>,
    admission: Option<&[u8]>,
    bodies: &[Body<'_>],
) {
    write_framed(out, &schema.frame(), envelope, signature, admission, bodies);
}

/// As [`write_value`], with any frame that names the schema.
pub fn write_framed(
    out: &mut Vec<u8>,
    frame: &[u8],
    envelope: &[u8],
    signature: Option<&[u8]>,
    admission: Option<&[u8]>,
    bodies: &[Body<'_>],
) {
    out.extend_from_slice(frame);
    out.extend_from_slice(envelope);
    for record in [signature, admission] {
        out.push(if record.is_some() { 2 } else { 0 });
        out.extend_from_slice(record.unwrap_or_default());
    }
    if !bodies.is_empty() {
        crate::avro::write_len(out, bodies.len());
        bodies.iter().for_each(|body| body.write(out));
    }
    out.push(0);
}

/// `H("body", salt ‖ content)`.
#[must_use]
pub fn body_digest(salt: &Salt, content: &[u8]) -> Digest {
    Hasher::new("body").bytes(&salt.0).finish_with(content)
}

/// `H("item", Avro bytes of the Body record)`.
#[must_use]
pub fn body_item_hash(body: &Body<'_>) -> Digest {
    let mut bytes = Vec::new();
    body.write(&mut bytes);
    Hasher::new("item").bytes(&bytes).finish()
}

/// `H("context", u32(n) ‖ digests)` over the digests of a whole, resolved context.
#[must_use]
pub fn context_digest(digests: &[Digest]) -> Digest {
    let start = Hasher::new("context").len(digests.len());
    digests.iter().fold(start, |hasher, digest| hasher.bytes(&digest.0)).finish()
}
