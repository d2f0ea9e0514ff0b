//! CORE: a batch's messages as rows: classified, hashed and sorted.

use schemas::{
    Carriage, Digest, Event, Hasher, Malformed, Place, Reason, Salt, SessionKey, leaf, raw_digest,
    read, row_digest,
};

use crate::batch::Batch;
use crate::message::Message;

/// What a message is.
#[derive(Debug)]
pub(crate) enum Kind {
    Event { digest: Digest, schema: Digest },
    Raw { reason: Reason, salt: Salt },
}

/// One row of a segment.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub(crate) message: &'a Message,
    pub(crate) session_key: SessionKey,
    pub(crate) leaf: Digest,
    pub(crate) kind: Kind,
    /// Headers as stored, and their salt.
    pub(crate) headers: Option<(Vec<u8>, Salt)>,
}

impl<'a> Row<'a> {
    /// The event, taken apart again: all of a batch's at once would be several times the batch.
    pub(crate) fn event(&self) -> Option<Event<'a>> {
        match self.kind {
            Kind::Event { digest, .. } => {
                Event::known(self.message.value.as_deref()?, self.session_key, digest)
            }
            Kind::Raw { .. } => None,
        }
    }
}

/// The rows of a batch, sorted by session and offset. `seed` is random and forgotten after use: salts of headers and raw
/// values are drawn from it.
pub(crate) fn rows<'a>(batch: &'a Batch, place: Place, seed: &[u8; 32]) -> Vec<Row<'a>> {
    let mut rows: Vec<Row<'a>> =
        batch.messages().iter().map(|message| row(message, place, seed)).collect();
    rows.sort_unstable_by_key(|row| (row.session_key, row.message.offset));
    rows
}

fn row<'a>(message: &'a Message, place: Place, seed: &[u8; 32]) -> Row<'a> {
    let headers = message.headers_bytes().map(|bytes| (bytes, salt(seed, message, 0)));
    let headers_digest = match &headers {
        None => Digest::ZERO,
        Some((bytes, salt)) => schemas::headers_digest(salt, bytes),
    };
    let carriage =
        Carriage { timestamp: message.timestamp, key: message.key.as_deref(), headers_digest };
    let (session_key, event, carriage, kind) = match read(&message.as_read(), place) {
        Ok(event) => {
            let carriage = carriage.of_event(&event);
            let kind = Kind::Event { digest: event.event_digest, schema: event.schema.digest };
            (event.session_key, event.event_digest, carriage, kind)
        }
        Err(Malformed { reason, session_key, .. }) => {
            let salt = salt(seed, message, 1);
            let digest = raw_digest(&salt, message.value.as_deref());
            (session_key, digest, carriage.of_raw(reason), Kind::Raw { reason, salt })
        }
    };
    let leaf = leaf(&session_key, message.offset, &row_digest(&event, &carriage));
    Row { message, session_key, leaf, kind, headers }
}

/// 16 bytes nobody can guess without the seed.
fn salt(seed: &[u8; 32], message: &Message, use_: u8) -> Salt {
    let digest =
        Hasher::new("salt").bytes(seed).bytes(&message.offset.0.to_be_bytes()).u8(use_).finish();
    let mut salt = Salt::default();
    salt.0.copy_from_slice(digest.0.first_chunk::<16>().unwrap_or(&[0; 16]));
    salt
}
