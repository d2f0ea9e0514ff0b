//! CORE: the rules of redaction and an event that is about to be taken: after it was read, before anything of it is salted,
//! hashed for the record, or remembered.

use std::borrow::Cow;

use capture::redact::{Rules, View};
use schemas::{Digest, Salt};

use crate::content::Part;
use crate::draft::{Draft, Draw};
use crate::given::Given;
use crate::refusal::Refusal;

/// What came of it, counted in events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Redacted {
    /// Events that are changed.
    pub(crate) changed: usize,
    /// Events that came as Avro, and have what would have been changed.
    pub(crate) passed: usize,
}

/// Applies the rules to all events.
pub(crate) fn redact(
    rules: &Rules,
    drafts: &mut [Draft<'_>],
    draw: Draw<'_>,
) -> Result<Redacted, Refusal> {
    let mut redacted = Redacted::default();
    for (index, draft) in drafts.iter_mut().enumerate() {
        let outcome = match &draft.given {
            Some(given) => judge(rules, draft, given),
            None => change(rules, draft, draw),
        };
        let one = outcome.map_err(|refusal| refusal.at(index))?;
        redacted.changed += one.changed;
        redacted.passed += one.passed;
    }
    Ok(redacted)
}

fn change(rules: &Rules, draft: &mut Draft<'_>, draw: Draw<'_>) -> Result<Redacted, Refusal> {
    let views: Vec<View<'_>> = draft.parts.iter().map(view).collect();
    let redacted = rules.apply(&mut draft.envelope, &views).map_err(|field| {
        Refusal::field(field, "has what the gateway redacts, and must be as it is")
    })?;
    let Some(redacted) = redacted else { return Ok(Redacted::default()) };
    for (index, data) in redacted.contents {
        if let Some(part) = draft.parts.get_mut(index) {
            part.lookup = Digest::of(&data);
            part.data = Cow::Owned(data);
        }
    }
    let [role, kind, media] = ["", "redactions", "application/json"].map(Cow::Borrowed);
    let account = Cow::Owned(redacted.account);
    draft.parts.push(Part::new(role, kind, media, account, Salt((draw)()?)));
    Ok(Redacted { changed: 1, passed: 0 })
}

/// Nothing of it can be changed: it may be signed, and its digests are its source's.
fn judge(rules: &Rules, draft: &Draft<'_>, given: &Given<'_>) -> Result<Redacted, Refusal> {
    let mut views = Vec::with_capacity(given.bodies.len());
    for body in given.bodies.iter().filter(|body| body.is_inline_clear()) {
        let content = draft.envelope.contents.iter().find(|content| content.digest == body.digest);
        let Some((content, data)) = content.zip(body.data) else { continue };
        let schemas::Content { role, kind, media_type, .. } = content;
        views.push(View { role, kind, media_type, data });
    }
    match rules.judge(&draft.envelope, &views) {
        (_, Some(rule)) => {
            let why = format!(
                "the event has what the rule {rule} redacts, and came as Avro, which cannot be changed"
            );
            Err(Refusal::body(why))
        }
        (has_findings, None) => Ok(Redacted { changed: 0, passed: usize::from(has_findings) }),
    }
}

fn view<'p>(part: &'p Part<'_>) -> View<'p> {
    let Part { role, kind, media_type, data, .. } = part;
    View { role, kind, media_type, data }
}

#[cfg(test)]
mod tests {
    use schemas::{Body, Content, Envelope, EventId, Micros, Published, SessionId, Tenant};

    use super::*;
    use crate::avro_door::{self, Series};
    use crate::config::Config;
    use crate::draft::{Intake, drafts};

    const SECRET: &str = "AKIAIOSFODNN7EXAMPLE";

    /// Reads a request of one event, and applies rules to it.
    fn redacted(
        body: &[u8],
        is_avro: bool,
        rules: &Rules,
    ) -> Result<(Redacted, Vec<(Digest, Vec<u8>)>), Refusal> {
        let (config, tenant) = (Config::default(), Tenant::new("acme").unwrap());
        let session = SessionId::new("made").unwrap();
        let intake = Intake { config: &config, tenant: &tenant, now: Micros(1), session: &session };
        let mut draw = || Ok([7; 16]);
        let mut drafts = if is_avro {
            avro_door::drafts(body, Series::One, &intake, &|_| Ok(None))?
        } else {
            drafts(body, &intake, &mut draw)?
        };
        let redacted = redact(rules, &mut drafts, &mut draw)?;
        let parts = drafts.remove(0).parts.into_iter();
        Ok((redacted, parts.map(|part| (part.lookup, part.data.into_owned())).collect()))
    }

    #[test]
    fn what_is_changed_is_looked_up_as_what_it_is_now() {
        let body = format!(r#"{{"kind":"a","contents":[{{"text":"x"}},{{"text":"{SECRET}"}}]}}"#);
        let (count, parts) = redacted(body.as_bytes(), false, &Rules::defaults()).unwrap();
        assert_eq!(count, Redacted { changed: 1, passed: 0 });
        let texts: Vec<&[u8]> = parts.iter().map(|(_, data)| &**data).collect();
        assert_eq!(texts[..2], [&b"x"[..], b"[redacted:api-keys]"]);
        assert!(parts.iter().all(|(lookup, data)| *lookup == Digest::of(data)));
        let clean =
            redacted(br#"{"kind":"a","contents":[{"text":"x"}]}"#, false, &Rules::defaults());
        assert_eq!(clean.unwrap().0, Redacted::default());
    }

    #[test]
    fn an_event_that_came_as_avro_passes_or_is_refused() {
        let salt = Salt([1; 16]);
        let digest = schemas::body_digest(&salt, SECRET.as_bytes());
        let mut envelope = Envelope::blank();
        (envelope.event_id, envelope.occurred_at) = (EventId([1; 16]), Micros(1));
        (envelope.tenant, envelope.session_id) = ("acme".into(), "s".into());
        (envelope.kind, envelope.capture_source) = ("a".into(), "sdk".into());
        let [role, kind, media_type] = ["user", "text", "text/plain"].map(Into::into);
        envelope.contents.push(Content { role, kind, media_type, size: 20, digest });
        let data = Some(SECRET.as_bytes());
        let bodies = [Body { digest, salt: Some(salt), data, enc: None }];
        let frame = Published::LATEST.frame().to_vec();
        let bytes = schemas::encode_framed(&frame, &envelope.to_bytes(), None, None, &bodies);
        let (count, _) = redacted(&bytes, true, &Rules::defaults()).unwrap();
        assert_eq!(count, Redacted { changed: 0, passed: 1 });
        let text = "version = \"1\"\n[[rule]]\nname = \"keys\"\naction = \"mask\"\ndetect = [\"api-keys\"]\navro = \"refuse\"";
        let refusal = redacted(&bytes, true, &Rules::parse(text, None).unwrap()).unwrap_err();
        assert!(refusal.message.contains("the rule keys redacts"), "{}", refusal.message);
        assert!(!refusal.message.contains(SECRET));
    }
}
