//! Which bodies go into a bundle, and where they come from. A body is the same wherever it is named: it goes in where any
//! shown event names it in a role or kind that is disclosed.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use bytes::Bytes;
use schemas::{Content, Digest, KafkaKey, Salt, body_digest, body_key};

use crate::bundle::Bundle;
use crate::error::Error;
use crate::fetch::Store;
use crate::select::{CarriedWhat, Stored, StoredWhat};

/// Most bytes of bodies that a bundle discloses.
const BYTES_MAX: usize = 512 << 20;

/// Bodies that may be disclosed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disclose {
    /// All of them.
    All,
    /// None.
    None,
    /// Those named in this role.
    Role(String),
    /// Those named as of this kind.
    Kind(String),
    /// Those named in this role or as of this kind.
    Word(String),
    /// The one with this digest.
    Digest(Digest),
}

impl FromStr for Disclose {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digest = |text: &str| text.parse().map_err(|_| "it must be 64 lower-case hex digits");
        match text.split_once(':') {
            Some(("role", role)) => Ok(Self::Role(role.to_owned())),
            Some(("kind", kind)) => Ok(Self::Kind(kind.to_owned())),
            Some(("digest", text)) => digest(text).map(Self::Digest),
            _ if text == "all" => Ok(Self::All),
            _ if text == "none" => Ok(Self::None),
            _ if text.is_empty() => Err("it must name a role, a kind or a digest"),
            _ => Ok(digest(text).map_or_else(|_| Self::Word(text.to_owned()), Self::Digest)),
        }
    }
}

impl Disclose {
    fn has(&self, content: &Content<'_>) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Role(role) => content.role == *role,
            Self::Kind(kind) => content.kind == *kind,
            Self::Word(word) => content.role == *word || content.kind == *word,
            Self::Digest(digest) => content.digest == *digest,
        }
    }
}

/// The bodies that are to be disclosed, and which words named nothing.
pub(crate) fn wanted(bundle: &Bundle, disclose: &[Disclose]) -> (BTreeSet<Digest>, Vec<String>) {
    let (mut wanted, mut idle) = (BTreeSet::new(), Vec::new());
    for one in disclose {
        let before = wanted.len();
        wanted.extend(bundle.contents().filter(|c| one.has(c)).map(|content| content.digest));
        let nothing = wanted.len() == before && !bundle.contents().any(|c| one.has(&c));
        if nothing && !matches!(one, Disclose::All | Disclose::None) {
            idle.push(format!("nothing that is shown is {}", name(one)));
        }
    }
    (wanted, idle)
}

fn name(disclose: &Disclose) -> String {
    match disclose {
        Disclose::All => "a body".to_owned(),
        Disclose::None => "nothing".to_owned(),
        Disclose::Role(role) => format!("of the role {role}"),
        Disclose::Kind(kind) => format!("of the kind {kind}"),
        Disclose::Word(word) => format!("of the role or kind {word}"),
        Disclose::Digest(digest) => format!("the body {digest}"),
    }
}

/// Bodies as they are found, until all are.
#[derive(Debug)]
pub(crate) struct Bodies<'s> {
    store: &'s Store,
    key: KafkaKey,
    wanted: BTreeSet<Digest>,
    /// Salt and content.
    pub(crate) found: BTreeMap<Digest, Vec<u8>>,
    /// Why a body is not to be had.
    pub(crate) lacking: Vec<String>,
    bytes: usize,
}

impl<'s> Bodies<'s> {
    pub(crate) fn new(store: &'s Store, key: &KafkaKey, wanted: BTreeSet<Digest>) -> Self {
        let (found, lacking, bytes) = Default::default();
        Self { store, key: key.clone(), wanted, found, lacking, bytes }
    }

    /// Whether nothing is left to look for.
    pub(crate) fn is_done(&self) -> bool {
        self.wanted.is_empty()
    }

    /// Takes what rows of the session carry.
    pub(crate) async fn take(&mut self, rows: Vec<Stored>) -> Result<(), Error> {
        for row in rows {
            let StoredWhat::Event(event) = row.what else { continue };
            for body in event.bodies {
                if !self.wanted.remove(&body.digest) {
                    continue;
                }
                match body.what {
                    CarriedWhat::Clear(salt, bytes) => self.put(body.digest, salt, &bytes)?,
                    CarriedWhat::Claim(salt) => self.fetch(body.digest, salt).await?,
                    CarriedWhat::Encrypted(_) => {
                        self.lacking.push(format!("body {} is encrypted", body.digest));
                    }
                }
            }
        }
        Ok(())
    }

    async fn fetch(&mut self, digest: Digest, salt: Salt) -> Result<(), Error> {
        let key = body_key(&self.key.session_key(), &digest);
        let most = u64::try_from(BYTES_MAX).unwrap_or(u64::MAX);
        match self.store.get(&key, most).await? {
            None => self.lacking.push(format!("body {digest}: its object is gone")),
            Some(bytes) if body_digest(&salt, &bytes) != digest => {
                self.lacking.push(format!("body {digest}: its object is another"));
            }
            Some(bytes) => self.put(digest, salt, &bytes)?,
        }
        Ok(())
    }

    fn put(&mut self, digest: Digest, salt: Salt, content: &Bytes) -> Result<(), Error> {
        self.bytes = self.bytes.saturating_add(content.len());
        if self.bytes > BYTES_MAX {
            let limit = format!("{BYTES_MAX} bytes of disclosed bodies");
            return Err(Error::TooMuch { session: self.key.session.to_string(), limit });
        }
        self.found.insert(digest, [salt.0.as_slice(), content].concat());
        Ok(())
    }

    /// What nobody carried.
    pub(crate) fn finish(mut self) -> (BTreeMap<Digest, Vec<u8>>, Vec<String>) {
        let absent = self.wanted.iter();
        self.lacking.extend(absent.map(|digest| format!("body {digest} was carried by no event")));
        (self.found, self.lacking)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_word_is_a_digest_or_a_role_or_kind() {
        let hex = "0".repeat(64);
        assert_eq!(hex.parse(), Ok(Disclose::Digest(Digest::ZERO)));
        assert_eq!("tool".parse(), Ok(Disclose::Word("tool".to_owned())));
        assert_eq!("role:all".parse(), Ok(Disclose::Role("all".to_owned())));
        assert_eq!("all".parse(), Ok(Disclose::All));
        assert!("digest:tool".parse::<Disclose>().is_err() && "".parse::<Disclose>().is_err());
    }
}
