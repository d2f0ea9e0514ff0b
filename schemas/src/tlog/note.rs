//! Signed notes (C2SP signed-note) and their signature lines, those of witnesses included (C2SP tlog-cosignature).

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::tlog::key::{KeyName, VerifierKey, VerifierKind};

/// Largest note that is read.
pub const NOTE_BYTES_MAX: usize = 64 << 10;
/// Most signatures of a note.
const SIGNATURES_MAX: usize = 100;

/// Why bytes are no signed note, or not one to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadNote(pub &'static str);

/// A text and who signed it. Signed or not: that is for [`Note::is_signed_by`] to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The text, its last newline included.
    pub text: String,
    /// At least one; no two of one name and key id.
    pub signatures: Vec<NoteSignature>,
}

/// A line `— <name> <base64 of key id and signature>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteSignature {
    name: KeyName,
    id: [u8; 4],
    signature: Vec<u8>,
}

impl NoteSignature {
    pub(crate) fn new(name: KeyName, id: [u8; 4], signature: Vec<u8>) -> Self {
        Self { name, id, signature }
    }

    /// The signer's name, as the line says.
    #[must_use]
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// The key's id, as the line says.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        self.id
    }

    /// When the signer of `text` signed it, in seconds since 1970; 0 where its signatures have no time.
    ///
    /// # Errors
    /// It is not this key's over the text.
    pub fn check(&self, key: &VerifierKey, text: &str) -> Result<u64, BadNote> {
        if (&self.name, self.id) != (key.name(), key.id()) {
            return Err(BadNote("it is another key's"));
        }
        let (time, message, signature) = match key.kind() {
            VerifierKind::Ed25519 => (0, text.to_owned(), self.signature.as_slice()),
            VerifierKind::Cosignature => {
                let (time, signature) = self
                    .signature
                    .split_first_chunk::<8>()
                    .ok_or(BadNote("it is too short to be a cosignature"))?;
                let time = u64::from_be_bytes(*time);
                (time, format!("cosignature/v1\ntime {time}\n{text}"), signature)
            }
        };
        // C2SP has no times from 2^63 on.
        let right = time >> 63 == 0 && key.verifies(message.as_bytes(), signature);
        right.then_some(time).ok_or(BadNote("the signature is not its key's over this text"))
    }
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [self.id.as_slice(), &self.signature].concat();
        writeln!(f, "— {} {}", self.name, BASE64_STANDARD.encode(bytes))
    }
}

impl FromStr for NoteSignature {
    type Err = BadNote;

    /// Reads a line, with its newline or without.
    fn from_str(line: &str) -> Result<Self, BadNote> {
        let malformed = BadNote("a signature line is not `— <name> <base64>`");
        let line = line.strip_suffix('\n').unwrap_or(line);
        let (name, bytes) =
            line.strip_prefix("— ").and_then(|rest| rest.split_once(' ')).ok_or(malformed)?;
        let name = KeyName::new(name).map_err(|_| malformed)?;
        let bytes = BASE64_STANDARD.decode(bytes).map_err(|_| malformed)?;
        let (id, signature) = bytes.split_first_chunk::<4>().ok_or(malformed)?;
        if signature.is_empty() {
            return Err(malformed);
        }
        Ok(Self { name, id: *id, signature: signature.to_vec() })
    }
}

impl Note {
    /// Reads a note.
    ///
    /// # Errors
    /// It is not one, or two of its lines are of one key.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadNote> {
        if bytes.len() > NOTE_BYTES_MAX {
            return Err(BadNote("it is larger than 64 KiB"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| BadNote("it is not UTF-8"))?;
        if text.contains(|c: char| c.is_ascii_control() && c != '\n') {
            return Err(BadNote("it has a control character"));
        }
        let (text, lines) = text.rsplit_once("\n\n").ok_or(BadNote("it has no signatures"))?;
        let lines = lines.strip_suffix('\n').ok_or(BadNote("its last line does not end"))?;
        let mut signatures: Vec<NoteSignature> = Vec::new();
        for line in lines.split('\n') {
            let signature: NoteSignature = line.parse()?;
            let twice =
                |one: &NoteSignature| (&one.name, one.id) == (&signature.name, signature.id);
            if signatures.iter().any(twice) {
                return Err(BadNote("two of its signature lines are of one key"));
            }
            signatures.push(signature);
            if signatures.len() > SIGNATURES_MAX {
                return Err(BadNote("it has more than 100 signatures"));
            }
        }
        Ok(Self { text: format!("{text}\n"), signatures })
    }

    /// When `key` signed it, where it did: in seconds since 1970, or 0 where its signatures have no time.
    ///
    /// # Errors
    /// There is no line of the key, or its signature is wrong.
    pub fn is_signed_by(&self, key: &VerifierKey) -> Result<u64, BadNote> {
        let ours = |one: &&NoteSignature| (&one.name, one.id) == (key.name(), key.id());
        let line = self.signatures.iter().find(ours);
        line.ok_or(BadNote("it is not signed with the key"))?.check(key, &self.text)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| write!(f, "{signature}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTE: &str = "If you think cryptography is the answer to your problem,\n\
        then you don't know what your problem is.\n\n\
        — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    const KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

    #[test]
    fn the_note_of_another_implementation_verifies_and_prints_itself() {
        let note = Note::parse(NOTE.as_bytes()).unwrap();
        assert_eq!(note.to_string(), NOTE);
        assert_eq!(note.is_signed_by(&KEY.parse().unwrap()), Ok(0));
    }

    #[test]
    fn no_byte_of_a_note_can_be_another() {
        let key: VerifierKey = KEY.parse().unwrap();
        for at in 0..NOTE.len() {
            for flip in [1, 0x20, 0x80] {
                let mut bytes = NOTE.as_bytes().to_vec();
                bytes[at] ^= flip;
                let signed = Note::parse(&bytes).and_then(|note| note.is_signed_by(&key));
                assert!(signed.is_err(), "byte {at} ^ {flip}");
            }
        }
    }

    #[test]
    fn a_line_that_stands_twice_is_refused() {
        let line = NOTE.lines().last().unwrap();
        let twice = Note::parse(format!("{NOTE}{line}\n").as_bytes());
        assert_eq!(twice, Err(BadNote("two of its signature lines are of one key")));
    }
}
