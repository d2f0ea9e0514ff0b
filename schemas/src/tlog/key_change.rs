//! The change of a log's key: an entry that the old key and the new one sign.

use std::fmt;

use crate::lines::{Base64, Lines, RecordError, Seconds, canonical};
use crate::tlog::key::{LogSigner, VerifierKey};

/// Separates these signatures from those of notes, which have no byte 00.
const DOMAIN: &[u8] = b"chancery.key.v1\0";

/// From the entry after this one on, checkpoints are signed with `new`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyChange {
    /// The key until now.
    pub old: VerifierKey,
    /// The key from now on; its name is the same, the log's origin.
    pub new: VerifierKey,
    /// When, by the clock of whoever changed it.
    pub at: Seconds,
    /// The old key's signature.
    old_signature: Base64,
    /// The new key's.
    new_signature: Base64,
}

impl KeyChange {
    pub(crate) const KIND: &'static str = "chancery/key@v1";

    /// Signed by both.
    #[must_use]
    pub fn new(old: &LogSigner, new: &LogSigner, at: Seconds) -> Self {
        let (old_key, new_key) = (old.verifier(), new.verifier());
        let message = message(&old_key, &new_key, at);
        let sign = |signer: &LogSigner| Base64(signer.sign_bytes(&message));
        let (old_signature, new_signature) = (sign(old), sign(new));
        Self { old: old_key, new: new_key, at, old_signature, new_signature }
    }

    /// Parses the text of a key change.
    ///
    /// # Errors
    /// Anything that is not exactly such a text, keys of two names, or a signature that is not its key's.
    pub fn parse(text: &str) -> Result<Self, RecordError> {
        let mut lines = Lines::new(Self::KIND, text)?;
        let change = Self {
            old: lines.value("old")?,
            new: lines.value("new")?,
            at: lines.value("at")?,
            old_signature: lines.value("old_signature")?,
            new_signature: lines.value("new_signature")?,
        };
        let wrong = |why: &str| Err(RecordError { kind: Self::KIND, why: why.to_owned() });
        if change.old.name() != change.new.name() {
            return wrong("its keys have two names");
        }
        let message = message(&change.old, &change.new, change.at);
        if !change.old.verifies(&message, &change.old_signature.0)
            || !change.new.verifies(&message, &change.new_signature.0)
        {
            return wrong("a signature is not its key's");
        }
        canonical(Self::KIND, change, text)
    }
}

fn message(old: &VerifierKey, new: &VerifierKey, at: Seconds) -> Vec<u8> {
    [DOMAIN, unsigned(old, new, at).as_bytes()].concat()
}

fn unsigned(old: &VerifierKey, new: &VerifierKey, at: Seconds) -> String {
    format!("{}\nold {old}\nnew {new}\nat {at}\n", KeyChange::KIND)
}

impl fmt::Display for KeyChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&unsigned(&self.old, &self.new, self.at))?;
        writeln!(f, "old_signature {}\nnew_signature {}", self.old_signature, self.new_signature)
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;
    use crate::tlog::key::KeyName;

    #[test]
    fn a_change_needs_both_signatures_and_one_name() {
        let signer = |name: &str, seed| {
            LogSigner::new(KeyName::new(name).unwrap(), SigningKey::from_bytes(&[seed; 32]))
        };
        let (old, new) = (signer("o/l", 1), signer("o/l", 2));
        let change = KeyChange::new(&old, &new, Seconds(1_790_000_000));
        let text = change.to_string();
        assert_eq!(KeyChange::parse(&text), Ok(change));
        assert!(KeyChange::parse(&text.replace("2026", "2027")).is_err());
        let other = KeyChange::new(&old, &signer("o/m", 2), Seconds(1_790_000_000)).to_string();
        assert!(KeyChange::parse(&other).unwrap_err().why.contains("two names"));
        let forged = KeyChange::new(&new, &new, Seconds(1_790_000_000)).to_string();
        let forged =
            forged.replace(&format!("old {}", new.verifier()), &format!("old {}", old.verifier()));
        assert!(KeyChange::parse(&forged).unwrap_err().why.contains("not its key's"));
    }
}
