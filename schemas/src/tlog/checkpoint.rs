//! Checkpoints (C2SP tlog-checkpoint): what a log says of itself, signed.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::digest::Digest;
use crate::tlog::key::{KeyName, LogSigner, VerifierKey};
use crate::tlog::note::{BadNote, Note};

/// Size and root of a log's tree. No extension lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: KeyName,
    /// Entries.
    pub size: u64,
    /// Root of the tree over them.
    pub root: Digest,
}

impl Checkpoint {
    /// Reads the text of a checkpoint.
    ///
    /// # Errors
    /// Anything that is not exactly such a text.
    pub fn parse(text: &str) -> Result<Self, BadNote> {
        let malformed = BadNote("it is not the text of a checkpoint");
        let mut lines = text.lines();
        let (Some(origin), Some(size), Some(root), None) =
            (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(malformed);
        };
        let root = BASE64_STANDARD.decode(root).map_err(|_| malformed)?;
        let read = Self {
            origin: KeyName::new(origin).map_err(|_| malformed)?,
            size: size.parse().map_err(|_| malformed)?,
            root: Digest(root.try_into().map_err(|_| malformed)?),
        };
        (read.to_string() == text).then_some(read).ok_or(malformed)
    }

    /// The note that these keys sign, in this order. The same bytes every time.
    #[must_use]
    pub fn sign(&self, signers: &[&LogSigner]) -> Note {
        let text = self.to_string();
        let signatures = signers.iter().map(|signer| signer.sign(&text)).collect();
        Note { text, signatures }
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let root = BASE64_STANDARD.encode(self.root.0);
        writeln!(f, "{}\n{}\n{root}", self.origin, self.size)
    }
}

/// A checkpoint and the note that it is the text of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// What it says.
    pub checkpoint: Checkpoint,
    /// As it was signed.
    pub note: Note,
}

impl SignedCheckpoint {
    /// Reads a note whose text is a checkpoint. Whose signatures are right is another question.
    ///
    /// # Errors
    /// It is no note, or none of a checkpoint.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadNote> {
        let note = Note::parse(bytes)?;
        Ok(Self { checkpoint: Checkpoint::parse(&note.text)?, note })
    }

    /// Whether it is of the log of `key` and signed with it.
    ///
    /// # Errors
    /// It is of another log, or not signed with the key.
    pub fn check(&self, key: &VerifierKey) -> Result<(), BadNote> {
        if self.checkpoint.origin != *key.name() {
            return Err(BadNote(
                "it is of another log than the key: its origin is not the key's name",
            ));
        }
        self.note.is_signed_by(key).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_read_only_as_it_is_printed() {
        let checkpoint =
            Checkpoint { origin: KeyName::new("o/l").unwrap(), size: 17, root: Digest([3; 32]) };
        let text = checkpoint.to_string();
        assert_eq!(Checkpoint::parse(&text), Ok(checkpoint));
        for wrong in [
            text.replace("17", "017"),
            text.replace("17", "+17"),
            text.replace('\n', "\r\n"),
            format!("{text}extension\n"),
            text.trim_end().to_owned(),
            text.replace("AwM=", "AwN="),
        ] {
            assert!(Checkpoint::parse(&wrong).is_err(), "{wrong:?}");
        }
    }
}
