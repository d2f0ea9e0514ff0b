//! CORE: claim-checked bodies of a batch: which objects its segment must list, and what is known of them.

use std::collections::BTreeMap;

use schemas::{Digest, Event, Salt, SessionKey};

/// Size and SHA-256 of an object, or that there is none.
pub type Found = Option<(u64, Digest)>;

/// The objects that the bodies of event rows name, in the order in which a segment lists them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims(BTreeMap<(SessionKey, Digest), Option<Found>>);

impl Claims {
    /// Adds what an event names; what is known of an object stays.
    pub(crate) fn name(&mut self, event: &Event<'_>) {
        for body in event.bodies.iter().filter(|body| body.data.is_none()) {
            self.0.entry((event.session_key, body.digest)).or_default();
        }
    }

    /// Objects that nobody has looked for.
    #[must_use]
    pub fn unknown(&self) -> Vec<(SessionKey, Digest)> {
        self.0.iter().filter(|(_, found)| found.is_none()).map(|(named, _)| *named).collect()
    }

    /// Says what was found.
    pub fn learn(&mut self, named: (SessionKey, Digest), found: Found) {
        self.0.insert(named, Some(found));
    }

    /// The text in the footer; `None` where there are none. The salt keeps its digest, which stands in the record, from
    /// confirming a guess of what a body is.
    #[must_use]
    pub(crate) fn to_text(&self, salt: Salt) -> Option<String> {
        let line = |((session, digest), found): (&(SessionKey, Digest), &Option<Found>)| match found
            .flatten()
        {
            Some((size, sha256)) => format!("{session} {digest} {size} {sha256}\n"),
            None => format!("{session} {digest} - -\n"),
        };
        let first = std::iter::once(format!("salt {salt}\n"));
        (!self.0.is_empty()).then(|| first.chain(self.0.iter().map(line)).collect())
    }

    /// Whether `text` lists just these, whatever it says of them.
    #[must_use]
    pub(crate) fn are_listed_in(&self, text: Option<&str>) -> bool {
        let named = self.0.keys().map(|(session, digest)| format!("{session} {digest} "));
        let mut lines = text.unwrap_or_default().lines().peekable();
        // Segments of earlier versions have no salt.
        lines.next_if(|line| line.strip_prefix("salt ").is_some_and(|hex| hex.len() == 32));
        named.into_iter().all(|named| lines.next().is_some_and(|line| line.starts_with(&named)))
            && lines.next().is_none()
    }
}
