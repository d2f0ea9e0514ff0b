//! CORE. Claim-checked bodies: what a segment lists in `chancery.claims`.

use schemas::{Digest, SessionKey, body_key};

/// A body that stands in an object of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Claim {
    pub(crate) session: SessionKey,
    pub(crate) digest: Digest,
    /// Bytes of the object.
    pub(crate) size: u64,
    /// SHA-256 of the object.
    pub(crate) sha256: Digest,
}

impl Claim {
    pub(crate) fn key(&self) -> String {
        body_key(&self.session, &self.digest)
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let claim = Self {
            session: SessionKey(words.next()?.parse().ok()?),
            digest: words.next()?.parse().ok()?,
            size: words.next()?.parse().ok()?,
            sha256: words.next()?.parse().ok()?,
        };
        words.next().is_none().then_some(claim)
    }
}

/// Reads the text; `None` where it is not spelled as it must be or not strictly ascending.
pub(crate) fn parse(text: &str) -> Option<Vec<Claim>> {
    let claims: Vec<Claim> = text.lines().map(Claim::parse).collect::<Option<_>>()?;
    let spelled = |claim: &Claim| {
        format!("{} {} {} {}\n", claim.session, claim.digest, claim.size, claim.sha256)
    };
    let same = claims.iter().map(spelled).collect::<String>() == text;
    let ascending = claims.is_sorted_by(|a, b| (a.session, a.digest) < (b.session, b.digest));
    (same && ascending && !claims.is_empty()).then_some(claims)
}
