//! CORE. Which keys a log's checkpoints are signed with: its first one, and those that key changes lead to.

use schemas::Digest;
use schemas::tlog::{KeyChange, KeyName, SignedCheckpoint, VerifierKey};

/// The keys of a log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys {
    /// Keys that the user gave and that some checkpoints are signed with first, and the sizes of these, ascending.
    seen: Vec<(u64, VerifierKey)>,
    /// Unknown until a given key is seen, or a key change names it.
    first: Option<VerifierKey>,
    /// Changes that were followed: the size from which on each counts, and the key.
    changes: Vec<(u64, VerifierKey)>,
}

impl Keys {
    /// Of a log some of whose checkpoints are signed with keys that were given.
    pub(crate) fn of(seen: Vec<(u64, VerifierKey)>) -> Self {
        Self { seen, ..Self::default() }
    }

    /// Takes in a key change that is the last entry of the log of `size`.
    ///
    /// # Errors
    /// It is not followed: the key that it replaces is not the log's.
    pub(crate) fn change(&mut self, size: u64, change: &KeyChange) -> Result<(), String> {
        self.settle(size);
        let key = self.last().unwrap_or(&change.old);
        if *key != change.old {
            return Err(format!(
                "it replaces the key {}, and the log's is {key}: it is not followed",
                change.old
            ));
        }
        if self.first.is_none() {
            self.first = Some(change.old.clone());
        }
        self.changes.push((size, change.new.clone()));
        Ok(())
    }

    /// Until `size` no key change was followed: whoever signed a checkpoint of at most this size has the first key.
    pub(crate) fn settle(&mut self, size: u64) {
        if self.first.is_none() {
            let seen = self.seen.iter().find(|(of, _)| *of <= size);
            self.first = seen.map(|(_, key)| key.clone());
        }
    }

    /// The newest key.
    pub(crate) fn last(&self) -> Option<&VerifierKey> {
        self.changes.last().map(|(_, key)| key).or(self.first.as_ref())
    }

    /// The first key that is one of these: it and all after it are trusted.
    pub(crate) fn trusted_by(&self, given: &[VerifierKey]) -> Option<&VerifierKey> {
        let keys = self.first.iter().chain(self.changes.iter().map(|(_, key)| key));
        keys.into_iter().find(|key| given.contains(key))
    }

    /// The keys that sign the checkpoint of `size`, in order; none where the log's first key is not known.
    fn signing(&self, size: u64) -> Vec<&VerifierKey> {
        let before = self.changes.iter().rev().find(|(from, _)| *from < size);
        let old = before.map(|(_, key)| key).or(self.first.as_ref());
        let new = self.changes.iter().find(|(from, _)| *from == size).map(|(_, key)| key);
        old.into_iter().chain(new).collect()
    }

    /// Reads the checkpoint of a size of a log.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn read(
        &self,
        bytes: &[u8],
        origin: &KeyName,
        size: u64,
        root: Digest,
    ) -> Result<SignedCheckpoint, String> {
        let signed = SignedCheckpoint::parse(bytes).map_err(|error| error.0.to_owned())?;
        let said = &signed.checkpoint;
        if said.origin != *origin {
            return Err(format!("it is of the log {}, and not of {origin}", said.origin));
        }
        if said.size != size {
            return Err(format!("it is of size {}, and not {size}", said.size));
        }
        if said.root != root {
            return Err(format!("its root is not that of the {size} entries: the log has forked"));
        }
        self.signatures(&signed)?;
        Ok(signed)
    }

    /// Exactly the keys of its size have signed it, in their order. Where no key is known, one of the log's name has, as far
    /// as its line says.
    fn signatures(&self, signed: &SignedCheckpoint) -> Result<(), String> {
        let keys = self.signing(signed.checkpoint.size);
        let lines = &signed.note.signatures;
        if lines.len() != keys.len().max(1) {
            return Err(format!(
                "it has {} signatures, and must have {}",
                lines.len(),
                keys.len().max(1)
            ));
        }
        if keys.is_empty() {
            let ours = lines.iter().all(|line| *line.name() == signed.checkpoint.origin);
            let why = "it is signed by a key of another name";
            return if ours { Ok(()) } else { Err(why.to_owned()) };
        }
        for (key, line) in keys.iter().zip(lines) {
            let signed = line.check(key, &signed.note.text);
            signed.map_err(|error| format!("signature by {key}: {error}"))?;
        }
        Ok(())
    }
}

/// The one of these keys that has signed a checkpoint first, whatever else that is.
pub(crate) fn signer_of<'a>(bytes: &[u8], given: &'a [VerifierKey]) -> Option<&'a VerifierKey> {
    let signed = SignedCheckpoint::parse(bytes).ok()?;
    let first = signed.note.signatures.first()?;
    given.iter().find(|key| {
        *key.name() == signed.checkpoint.origin && first.check(key, &signed.note.text).is_ok()
    })
}
