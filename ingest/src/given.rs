//! CORE: an event that came as Avro: its envelope, signature and bodies go on as they came, under an admission.
//!
//! Its contexts are its source's own, so none is folded onto it. What it carries in clear, and was checked, counts as carried
//! by its session.

use std::collections::BTreeSet;

use schemas::{Body, Digest, Published, encode_framed};

use crate::admit::Admitted;
use crate::claim::{self, Halt};
use crate::class::Class;
use crate::door::Door;
use crate::draft::Draft;
use crate::session::{Carried, Known, Receipt, Session};

/// The parts of an event that stay as they came.
#[derive(Debug)]
pub(crate) struct Given<'a> {
    pub(crate) schema: &'static Published,
    pub(crate) envelope: &'a [u8],
    pub(crate) signature: Option<&'a [u8]>,
    pub(crate) bodies: Vec<Body<'a>>,
    /// SHA-256 of the content of each body that stands there in clear.
    pub(crate) lookups: Vec<Option<Digest>>,
    pub(crate) event_digest: Digest,
}

/// Makes the message of an event that came as Avro.
pub(crate) fn admit<W>(
    draft: Draft<'_>,
    mut given: Given<'_>,
    session: &mut Session<W>,
    class: Class,
    door: &Door<'_>,
    seq: i64,
) -> Result<Admitted, Halt> {
    let carried = carried(&given, session, door);
    let admission = door.admission(seq).to_bytes();
    let frame = door.frames.frame(class, given.schema);
    let write = |bodies: &[Body<'_>]| {
        encode_framed(&frame, given.envelope, given.signature, Some(&admission), bodies)
    };
    let mut value = write(&given.bodies);
    if let Some(claims) = claim::needed(&given.bodies, value.len(), 0, &draft.key, class, door)? {
        let chosen: BTreeSet<Digest> = claims.iter().map(|claim| claim.digest).collect();
        if !door.stored.is_some_and(|stored| chosen.is_subset(stored)) {
            return Err(Halt::Claims(claims));
        }
        // These alone, and not all that were stored for the request: a source chooses its digests, and may name one in two
        // sessions of which only one has the object.
        claim::refer(&mut given.bodies, &chosen);
        value = write(&given.bodies);
    }
    debug_assert_eq!(door.malformed(&draft.key, &value), None, "what is written can be read");
    let bodies_inline = given.bodies.iter().filter(|body| body.data.is_some()).count();
    let references: BTreeSet<Digest> =
        draft.envelope.contents.iter().map(|content| content.digest).collect();
    let (event_id, event_digest) = (draft.envelope.event_id, given.event_digest);
    Ok(Admitted {
        key: draft.key,
        value,
        receipt: Receipt { event_id, event_digest, carried, context: None },
        base: session.base,
        fingerprint: draft.fingerprint,
        class,
        bodies_inline,
        bodies_stored: given.bodies.len().saturating_sub(bodies_inline),
        bodies_by_digest: references.len().saturating_sub(given.bodies.len()),
    })
}

/// The bodies that later events of the session may name by digest. One whose content the session has under another salt
/// stays what it is: no later event will name it.
fn carried<W>(given: &Given<'_>, session: &mut Session<W>, door: &Door<'_>) -> Vec<Carried> {
    let mut carried = Vec::new();
    for (body, lookup) in given.bodies.iter().zip(&given.lookups) {
        let (Some(salt), Some(lookup)) = (body.salt, *lookup) else { continue };
        let known = Known { salt, digest: body.digest, acknowledged: false };
        if session.learn(lookup, known, door.config).digest == body.digest {
            carried.push(Carried { lookup, digest: body.digest });
        }
    }
    carried
}
