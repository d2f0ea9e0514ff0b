//! CORE: a happening that a door read, as a draft. What could be wrong with it, its door has kept from it.

use std::borrow::Cow;

use capture::{Content, Happening};
use schemas::{Digest, Envelope, EventId, Hasher, KafkaKey, Micros, Salt, SessionId};

use crate::content::Part;
use crate::draft::{Draft, Draw, Intake, check, uuid_v7};
use crate::refusal::Refusal;

/// Drafts of all happenings; `sessions` has for each the session that it belongs to where it names none.
pub(crate) fn drafts<'a>(
    happenings: &'a [Happening],
    sessions: Vec<Option<SessionId>>,
    intake: &Intake<'_>,
    draw: Draw<'_>,
) -> Result<Vec<Draft<'a>>, Refusal> {
    let mut drafts = Vec::with_capacity(happenings.len());
    let made = made_session(happenings, intake)?;
    for (index, (happening, session)) in happenings.iter().zip(sessions).enumerate() {
        let draft = draft(happening, session, &made, intake, draw);
        drafts.push(draft.map_err(|refusal| refusal.at(index))?);
    }
    Ok(drafts)
}

fn draft<'a>(
    happening: &'a Happening,
    session: Option<SessionId>,
    made: &SessionId,
    intake: &Intake<'_>,
    draw: Draw<'_>,
) -> Result<Draft<'a>, Refusal> {
    let mut envelope = Envelope::clone(&happening.envelope);
    check(&envelope)?;
    envelope.tenant = Cow::Owned(intake.tenant.to_string());
    let session_made = envelope.session_id.is_empty() && session.is_none();
    if envelope.session_id.is_empty() {
        envelope.session_id = Cow::Owned(session.as_ref().unwrap_or(made).to_string());
    }
    let session = SessionId::new(&envelope.session_id)
        .map_err(|_| Refusal::field("session_id", "must be 1 to 512 bytes long"))?;
    let key = KafkaKey { tenant: intake.tenant.clone(), session }.to_bytes();
    if envelope.occurred_at == Micros::default() {
        envelope.occurred_at = intake.now;
    }
    envelope.nonce = Salt((draw)()?);
    let mut parts = Vec::with_capacity(happening.contents.len());
    for content in &happening.contents {
        parts.push(part(content, Salt((draw)()?)));
    }
    let max = intake.config.contents_max;
    if parts.len() > max {
        return Err(Refusal::field_limit("contents", "has items", "contents_max", max));
    }
    let fingerprint = happening.identity.map(|_| fingerprint(happening, &parts));
    envelope.event_id = match &happening.identity {
        // By the time that the source gave, even if it gave none: ours would differ from repeat to repeat.
        Some(identity) => derived_id(happening.envelope.occurred_at, &key, identity),
        None => EventId(uuid_v7(intake.now, (draw)()?)),
    };
    let (slots, identity) = (happening.slots.clone(), happening.identity);
    let (class, given) = (None, None);
    Ok(Draft { envelope, parts, slots, key, fingerprint, identity, session_made, class, given })
}

/// The session of happenings that have neither a session nor a trace: derived from the first of them that has an identity, so
/// that a request which is sent again has the same one.
fn made_session(happenings: &[Happening], intake: &Intake<'_>) -> Result<SessionId, Refusal> {
    let Some((happening, identity)) =
        happenings.iter().find_map(|happening| Some((happening, happening.identity?)))
    else {
        return Ok(intake.session.clone());
    };
    let id =
        derived_id(happening.envelope.occurred_at, intake.tenant.as_str().as_bytes(), &identity);
    let session = uuid::Uuid::from_bytes(id.0).to_string();
    SessionId::new(&session).map_err(|_| Refusal::field("session_id", "cannot be made"))
}

fn part(content: &Content, salt: Salt) -> Part<'_> {
    let Content { role, kind, media_type, data } = content;
    let [role, kind, media_type] = [role, kind, media_type].map(|text| Cow::Borrowed(&**text));
    Part::new(role, kind, media_type, Cow::Borrowed(data), salt)
}

/// What the source said: equal for two happenings that say the same.
fn fingerprint(happening: &Happening, parts: &[Part<'_>]) -> Digest {
    let mut hasher = Hasher::new("happening").bytes(&happening.envelope.to_bytes());
    for part in parts {
        for label in [&part.role, &part.kind, &part.media_type] {
            hasher = hasher.bytes(label.as_bytes());
        }
        hasher = hasher.bytes(&part.lookup.0);
    }
    hasher.finish()
}

/// A UUIDv8: the time in milliseconds, then a hash of the session and of what the source calls it. So a repeat has the id of
/// the first, whichever gateway takes it.
pub(crate) fn derived_id(at: Micros, key: &[u8], identity: &Digest) -> EventId {
    let Digest(hash) = Hasher::new("derived-event-id").bytes(key).bytes(&identity.0).finish();
    let millis = u64::try_from(at.0.div_euclid(1000)).unwrap_or_default();
    let mut bytes = [0; 16];
    for (byte, from) in bytes.iter_mut().zip(millis.to_be_bytes().iter().skip(2).chain(&hash)) {
        *byte = *from;
    }
    EventId(uuid::Builder::from_custom_bytes(bytes).into_uuid().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_derived_id_has_the_time_and_differs_by_session_and_identity() {
        let at = Micros(1_700_000_000_000_000);
        let one = derived_id(at, b"t/a", &Digest::of(b"x"));
        let uuid = uuid::Uuid::from_bytes(one.0);
        assert_eq!(uuid.get_version_num(), 8);
        assert_eq!(one.0[..6], 1_700_000_000_000_u64.to_be_bytes()[2..]);
        assert_eq!(one, derived_id(at, b"t/a", &Digest::of(b"x")));
        assert_ne!(one, derived_id(at, b"t/b", &Digest::of(b"x")));
        assert_ne!(one, derived_id(at, b"t/a", &Digest::of(b"y")));
    }
}
