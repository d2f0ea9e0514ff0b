//! CORE. The claim-checked bodies that segments list, and what of them is due: gathered on the walk, looked at in one pass after it.

use std::collections::BTreeMap;

use schemas::{Digest, Salt};
use store::Lock;

use crate::claim::Claim;
use crate::lock::longer;

/// A listed body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    pub(crate) size: u64,
    pub(crate) sha256: Digest,
    /// Digest of its content, and the salt to check it with where it is in clear.
    pub(crate) digest: Digest,
    pub(crate) salt: Option<Salt>,
    /// The lock that it must have: of all segments that list it.
    pub(crate) lock: Option<Lock>,
    /// Whether every segment that lists it may be gone.
    pub(crate) expired: bool,
}

/// Why a body is missed that a segment lists without an object.
pub(crate) const NEVER_THERE: &str = "it was not there when its segment was sealed";

/// Listed bodies by key.
pub(crate) type Bodies = BTreeMap<String, Due>;

/// Notes a body that a segment lists, and says what is wrong with that alone.
pub(crate) fn note(
    bodies: &mut Bodies,
    claim: &Claim,
    salt: Option<Salt>,
    lock: Option<Lock>,
    expired: bool,
) -> Option<&'static str> {
    let Some((size, sha256)) = claim.object else { return Some(NEVER_THERE) };
    let due = Due { size, sha256, digest: claim.digest, salt, lock, expired };
    let known = bodies.entry(claim.key()).or_insert(due);
    known.lock = longer(known.lock, lock);
    known.expired &= expired;
    known.salt = known.salt.or(salt);
    let same = (known.size, known.sha256) == (size, sha256);
    (!same).then_some("segments list different objects for it")
}
