//! CORE: a batch's messages as rows: sorted, classified and hashed.

use std::collections::HashMap;

use schemas::{
    Carriage, Digest, Event, Hasher, KafkaKey, Malformed, Reason, Salt, SessionKey, leaf,
    raw_digest, row_digest,
};

use crate::batch::Batch;
use crate::message::Message;

/// What a message is.
#[derive(Debug)]
pub(crate) enum Kind<'a> {
    Event(Box<Event<'a>>),
    Raw { reason: Reason, salt: Salt },
}

/// One row of a segment.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub(crate) message: &'a Message,
    pub(crate) session_key: SessionKey,
    pub(crate) leaf: Digest,
    pub(crate) kind: Kind<'a>,
    /// Headers as stored, and their salt.
    pub(crate) headers: Option<(Vec<u8>, Salt)>,
}

impl<'a> Row<'a> {
    /// The event, where it is one.
    pub(crate) fn event(&self) -> Option<&Event<'a>> {
        match &self.kind {
            Kind::Event(event) => Some(event),
            Kind::Raw { .. } => None,
        }
    }
}

/// The messages of a batch in the order of its rows: by session and offset. The session is the Kafka key's, so nothing has to
/// be taken apart for this.
pub(crate) fn sorted(batch: &Batch) -> Vec<&Message> {
    let mut keys: HashMap<Option<&[u8]>, SessionKey> = HashMap::new();
    let session_key = |key: Option<&'_ [u8]>| -> SessionKey {
        key.and_then(|key| KafkaKey::parse(key).ok())
            .map_or(SessionKey::NONE, |key| key.session_key())
    };
    let mut messages: Vec<(SessionKey, &Message)> = batch
        .messages()
        .iter()
        .map(|message| {
            let key = message.key.as_deref();
            (*keys.entry(key).or_insert_with(|| session_key(key)), message)
        })
        .collect();
    messages.sort_unstable_by_key(|(session, message)| (*session, message.offset));
    messages.into_iter().map(|(_, message)| message).collect()
}

/// Takes a message apart with `read` and hashes it. `seed` is random and forgotten after use: salts of headers and raw values are drawn
/// from it.
pub(crate) fn row<'a>(
    message: &'a Message,
    read: impl FnOnce(&'a Message) -> Result<Event<'a>, Malformed>,
    seed: &[u8; 32],
) -> Row<'a> {
    let headers = message.headers_bytes().map(|bytes| (bytes, salt(seed, message, 0)));
    let headers_digest = match &headers {
        None => Digest::ZERO,
        Some((bytes, salt)) => schemas::headers_digest(salt, bytes),
    };
    let carriage =
        Carriage { timestamp: message.timestamp, key: message.key.as_deref(), headers_digest };
    let (session_key, event, carriage, kind) = match read(message) {
        Ok(event) => {
            let (session, digest) = (event.session_key, event.event_digest);
            (session, digest, carriage.of_event(&event), Kind::Event(Box::new(event)))
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
    first_half(Hasher::new("salt").bytes(seed).bytes(&message.offset.0.to_be_bytes()).u8(use_))
}

/// The salt of the text of claims.
pub(crate) fn claims_salt(seed: &[u8; 32]) -> Salt {
    first_half(Hasher::new("salt").bytes(seed).u8(2))
}

fn first_half(hasher: Hasher) -> Salt {
    Salt(*hasher.finish().0.first_chunk::<16>().unwrap_or(&[0; 16]))
}
