//! C2SP tlog-proof: that an entry is in a log, with the checkpoint it is proven against.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::digest::Digest;
use crate::merkle::root_from_inclusion;
use crate::tlog::checkpoint::SignedCheckpoint;
use crate::tlog::note::BadNote;

const HEADER: &str = "c2sp.org/tlog-proof@v1";
/// A path is at most as long as a tree is high.
const HASHES_MAX: usize = 63;

/// Why a text proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadProof {
    /// It is not such a text.
    #[error("it is not a tlog-proof: {0}")]
    Form(&'static str),
    /// Its checkpoint is none.
    #[error("its checkpoint is none: {0}")]
    Checkpoint(#[from] BadNote),
    /// It does not show what it should.
    #[error("{0}")]
    Proof(&'static str),
}

/// An inclusion proof. No extra data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlogProof {
    /// Place of the entry.
    pub index: u64,
    /// The audit path.
    pub hashes: Vec<Digest>,
    /// What it leads to, cosignatures included.
    pub checkpoint: SignedCheckpoint,
}

impl TlogProof {
    /// Reads a proof.
    ///
    /// # Errors
    /// Anything that is not exactly such a text.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadProof> {
        let form = BadProof::Form;
        let text = std::str::from_utf8(bytes).map_err(|_| form("it is not UTF-8"))?;
        let (head, note) = text.split_once("\n\n").ok_or(form("it has no checkpoint"))?;
        let mut lines = head.lines();
        if lines.next() != Some(HEADER) {
            return Err(form("its first line is another"));
        }
        let index = lines.next().and_then(|line| line.strip_prefix("index ")?.parse().ok());
        let index = index.ok_or(form("its index is missing or wrong"))?;
        let mut hashes = Vec::new();
        for line in lines {
            let hash = BASE64_STANDARD.decode(line).ok().and_then(|hash| hash.try_into().ok());
            hashes.push(Digest(hash.ok_or(form("a line is no hash"))?));
            if hashes.len() > HASHES_MAX {
                return Err(form("it has more than 63 hashes"));
            }
        }
        let proof = Self { index, hashes, checkpoint: SignedCheckpoint::parse(note.as_bytes())? };
        (proof.to_string() == text).then_some(proof).ok_or(form("it is not spelled as it must be"))
    }

    /// Whether the entry with this leaf hash is in the tree of its checkpoint, where it says. Who signed that is another
    /// question.
    ///
    /// # Errors
    /// What it fails to show.
    pub fn check(&self, leaf: &Digest) -> Result<(), BadProof> {
        let checkpoint = &self.checkpoint.checkpoint;
        let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        if self.index >= checkpoint.size {
            return Err(BadProof::Proof("its index is not in the tree"));
        }
        let (index, size) = (number(self.index), number(checkpoint.size));
        match root_from_inclusion(leaf, index, size, &self.hashes) {
            Some(root) if root == checkpoint.root => Ok(()),
            Some(_) => Err(BadProof::Proof("the path does not lead to the checkpoint's root")),
            None => Err(BadProof::Proof("the path has a wrong length")),
        }
    }
}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}\nindex {}", self.index)?;
        for hash in &self.hashes {
            writeln!(f, "{}", BASE64_STANDARD.encode(hash.0))?;
        }
        write!(f, "\n{}", self.checkpoint.note)
    }
}
