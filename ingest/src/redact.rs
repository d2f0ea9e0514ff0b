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
