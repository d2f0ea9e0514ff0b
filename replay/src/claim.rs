//! CORE. Claim-checked bodies: what a segment lists in `chancery.claims`.

use schemas::{Digest, SessionKey, body_key};

/// A body that stands in an object of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Claim {
    pub(crate) session: SessionKey,
    pub(crate) digest: Digest,
    /// Bytes and SHA-256 of the object; `None` where it was not there when the segment was sealed.
    pub(crate) object: Option<(u64, Digest)>,
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
            object: match (words.next()?, words.next()?) {
                ("-", "-") => None,
                (size, sha256) => Some((size.parse().ok()?, sha256.parse().ok()?)),
            },
        };
        words.next().is_none().then_some(claim)
    }
}

/// Reads the text; `None` where it is not spelled as it must be or not strictly ascending.
pub(crate) fn parse(text: &str) -> Option<Vec<Claim>> {
    // Segments of earlier writers have no salt.
    let salted = text.split_once('\n').filter(|(line, _)| {
        let hex = |b: u8| b.is_ascii_digit() || matches!(b, b'a'..=b'f');
        line.strip_prefix("salt ").is_some_and(|salt| salt.len() == 32 && salt.bytes().all(hex))
    });
    let text = salted.map_or(text, |(_, rest)| rest);
    let claims: Vec<Claim> = text.lines().map(Claim::parse).collect::<Option<_>>()?;
    let spelled = |claim: &Claim| match claim.object {
        Some((size, sha256)) => format!("{} {} {size} {sha256}\n", claim.session, claim.digest),
        None => format!("{} {} - -\n", claim.session, claim.digest),
    };
    let same = claims.iter().map(spelled).collect::<String>() == text;
    let ascending = claims.is_sorted_by(|a, b| (a.session, a.digest) < (b.session, b.digest));
    (same && ascending && !claims.is_empty()).then_some(claims)
}
