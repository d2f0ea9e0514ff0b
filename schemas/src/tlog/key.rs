//! Keys of notes: verifier keys as text, and the private key that signs a log's checkpoints (C2SP signed-note).

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use crate::digest::Hasher;
use crate::id::Invalid;
use crate::signature::{from_pem, public_key, to_pem};
use crate::text;
use crate::tlog::note::NoteSignature;

/// Name of a key, and origin of the log whose checkpoints it signs: no spaces, no `+`, at most 255 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

impl KeyName {
    const BYTES_MAX: usize = 255;

    /// Parses a name.
    ///
    /// # Errors
    /// It is empty, too long, or has a space, a control character or a `+`.
    pub fn new(text: &str) -> Result<Self, Invalid> {
        let fits = (1..=Self::BYTES_MAX).contains(&text.len());
        if fits && !text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+') {
            return Ok(Self(text.to_owned()));
        }
        let why = "it must be 1 to 255 bytes without spaces, control characters or +";
        Err(Invalid { what: "name of a key", why })
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for KeyName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::new(text)
    }
}

/// What a key's signatures are over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VerifierKind {
    /// The text of a note: type `01`.
    Ed25519,
    /// A time and the text: C2SP tlog-cosignature, type `04`.
    Cosignature,
}

impl VerifierKind {
    fn code(self) -> u8 {
        match self {
            Self::Ed25519 => 1,
            Self::Cosignature => 4,
        }
    }
}

/// A public key that verifies notes: `<name>+<hex key id>+<base64 of type and key>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: KeyName,
    kind: VerifierKind,
    key: VerifyingKey,
}

impl VerifierKey {
    /// Of its parts.
    #[must_use]
    pub fn new(name: KeyName, kind: VerifierKind, key: VerifyingKey) -> Self {
        Self { name, kind, key }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// What its signatures are over.
    #[must_use]
    pub fn kind(&self) -> VerifierKind {
        self.kind
    }

    /// The first four bytes of `SHA-256(name ‖ 0A ‖ type ‖ key)`: tells keys apart, and proves nothing.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        let name = Hasher::plain().bytes(self.name.0.as_bytes()).u8(b'\n');
        let [a, b, c, d, ..] = name.bytes(&self.typed()).finish().0;
        [a, b, c, d]
    }

    fn typed(&self) -> Vec<u8> {
        [&[self.kind.code()], self.key.as_bytes().as_slice()].concat()
    }

    /// Whether `signature` is this key's over `message`. Strict, as everywhere.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature)
            .is_ok_and(|signature| self.key.verify_strict(message, &signature).is_ok())
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = BASE64_STANDARD.encode(self.typed());
        write!(f, "{}+{}+{key}", self.name, text::hex(&self.id()))
    }
}

impl FromStr for VerifierKey {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = |why| Invalid { what: "verifier key", why };
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(_), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(wrong("it must be name+hash+key"));
        };
        let name = KeyName::new(name)?;
        let bytes = BASE64_STANDARD.decode(key).map_err(|_| wrong("its key is not base64"))?;
        let (kind, key) = match bytes.split_first() {
            Some((1, key)) => (VerifierKind::Ed25519, key),
            Some((4, key)) => (VerifierKind::Cosignature, key),
            _ => return Err(wrong("its type is neither Ed25519 (1) nor a cosignature's (4)")),
        };
        let key = public_key(key).ok_or(wrong("its key is not a sound Ed25519 key"))?;
        let key = Self { name, kind, key };
        let same = key.to_string() == text;
        same.then_some(key).ok_or(wrong("its hash is not that of its name and key"))
    }
}

/// The private key of a log. Its text is a line `log <verifier key>` and the key in PKCS#8 PEM.
#[derive(Clone)]
pub struct LogSigner {
    name: KeyName,
    key: SigningKey,
}

impl fmt::Debug for LogSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogSigner").field(&self.verifier().to_string()).finish()
    }
}

impl LogSigner {
    /// Of its parts.
    #[must_use]
    pub fn new(name: KeyName, key: SigningKey) -> Self {
        Self { name, key }
    }

    /// The public key.
    #[must_use]
    pub fn verifier(&self) -> VerifierKey {
        let key = self.key.verifying_key();
        VerifierKey::new(self.name.clone(), VerifierKind::Ed25519, key)
    }

    /// Signs the text of a note. Deterministic: the same text gives the same bytes.
    #[must_use]
    pub fn sign(&self, text: &str) -> NoteSignature {
        let signature = self.key.sign(text.as_bytes()).to_bytes().to_vec();
        NoteSignature::new(self.name.clone(), self.verifier().id(), signature)
    }

    pub(crate) fn sign_bytes(&self, message: &[u8]) -> Vec<u8> {
        self.key.sign(message).to_bytes().to_vec()
    }

    /// Reads what [`LogSigner::to_text`] wrote.
    ///
    /// # Errors
    /// It is not such a text; what it is instead is not said, since it may be a secret.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let wrong = |why| Invalid { what: "log key", why };
        let (line, pem) = text.split_once('\n').ok_or(wrong("it has one line"))?;
        let named =
            line.strip_prefix("log ").ok_or(wrong("its first line is not `log <verifier key>`"))?;
        let verifier: VerifierKey = named.trim_end().parse()?;
        let key = from_pem(pem)
            .map_err(|_| wrong("no Ed25519 key in PKCS#8 PEM follows its first line"))?;
        let signer = Self { name: verifier.name.clone(), key };
        let same = signer.verifier() == verifier;
        same.then_some(signer).ok_or(wrong("its private key is not that of its first line"))
    }

    /// The text to keep, readable by its owner alone.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("log {}\n{}", self.verifier(), to_pem(&self.key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_the_specification_is_read() {
        // The first example of golang.org/x/mod/sumdb/note, whose key id comes from another implementation.
        let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let key: VerifierKey = text.parse().unwrap();
        assert_eq!(key.to_string(), text);
        assert_eq!(key.name().as_str(), "PeterNeumann");
        for wrong in [
            "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "PeterNeuman+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "PeterNeumann+c74f20a3",
            "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        ] {
            assert!(wrong.parse::<VerifierKey>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_private_key_survives_its_text_and_no_other_key_s_line() {
        let signer = |name: &str, seed| {
            LogSigner::new(KeyName::new(name).unwrap(), SigningKey::from_bytes(&[seed; 32]))
        };
        let text = signer("example.org/log", 7).to_text();
        let read = LogSigner::parse(&text).unwrap();
        assert_eq!(read.verifier(), signer("example.org/log", 7).verifier());
        let other = signer("example.org/log", 8).to_text();
        let mixed =
            format!("{}\n{}", other.lines().next().unwrap(), text.split_once('\n').unwrap().1);
        assert!(LogSigner::parse(&mixed).is_err());
        assert!(!format!("{read:?}").contains("PRIVATE"));
    }
}
