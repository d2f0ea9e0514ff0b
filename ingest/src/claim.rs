//! CORE: claim checks: which bodies of an event that the sink would not take go to the store instead.
//!
//! The largest go first, as many as it takes. Nothing is ever shortened: what cannot be made to fit is refused.

use std::collections::BTreeSet;

use schemas::{Body, Digest, KafkaKey, body_key};

use crate::class::Class;
use crate::door::Door;
use crate::refusal::{Code, Refusal};

/// A body that must be in the store before an event that refers to it goes to the sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) digest: Digest,
    /// Its key in the store.
    pub(crate) key: String,
    pub(crate) data: Vec<u8>,
    pub(crate) class: Class,
}

/// Why a request has no plan.
#[derive(Debug)]
pub(crate) enum Halt {
    Refused(Refusal),
    /// These bodies must be in the store first; then it is planned anew.
    Claims(Vec<Claim>),
}

impl From<Refusal> for Halt {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// What must be in the store before a value of `bytes` is one that the sink takes; `stored` bytes are there already. `None`
/// where nothing must.
pub(crate) fn needed(
    bodies: &[Body<'_>],
    bytes: usize,
    stored: usize,
    key: &[u8],
    class: Class,
    door: &Door<'_>,
) -> Result<Option<Vec<Claim>>, Refusal> {
    let whole = door.stored.map_or(door.event_bytes_max, |_| door.config.event_bytes_max);
    let what = "the event, with what it carries, has bytes";
    let too_large = |max| Refusal::limit(Code::TooLarge, what, "event_bytes_max", max);
    if bytes.saturating_add(stored) > whole {
        return Err(too_large(whole));
    }
    let over = bytes.saturating_sub(door.event_bytes_max);
    if over == 0 {
        return Ok(None);
    }
    let what = "the event, with all its bodies in the store, has bytes";
    let refused = || Refusal::limit(Code::TooLarge, what, "event_bytes_max", door.event_bytes_max);
    choose(bodies, over, key, class).map(Some).ok_or_else(refused)
}

/// The inline bodies, the largest first, without which a value is `over` bytes smaller; `None` where all are too few.
fn choose(bodies: &[Body<'_>], over: usize, kafka_key: &[u8], class: Class) -> Option<Vec<Claim>> {
    let session = KafkaKey::parse(kafka_key).ok()?.session_key();
    let mut inline: Vec<(&[u8], Digest)> =
        bodies.iter().filter_map(|body| Some((body.data?, body.digest))).collect();
    inline.sort_by_key(|(data, digest)| (std::cmp::Reverse(data.len()), *digest));
    let (mut claims, mut left) = (Vec::new(), over);
    for (data, digest) in inline {
        if left == 0 {
            break;
        }
        left = left.saturating_sub(data.len());
        let (key, data) = (body_key(&session, &digest), data.to_vec());
        claims.push(Claim { digest, key, data, class });
    }
    (left == 0).then_some(claims)
}

/// Takes the data of the bodies that are in the store out of an event; returns its bytes.
pub(crate) fn refer(bodies: &mut [Body<'_>], stored: &BTreeSet<Digest>) -> usize {
    let mut bytes = 0;
    for body in bodies.iter_mut().filter(|body| stored.contains(&body.digest)) {
        bytes += body.data.take().map_or(0, <[u8]>::len);
    }
    bytes
}
