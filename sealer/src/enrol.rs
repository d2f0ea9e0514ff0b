//! The order of effects of enrolling: what is written when, and what a crash at each step leaves behind.
//!
//! Any sealer may append, several at once too: who takes the key of the next commit has appended, and everything after that
//! is the same bytes whoever writes it.

use bytes::Bytes;
use schemas::tlog::{
    COMMIT_ENTRIES_MAX, Commit, Entry, LogKey, LogSigner, Note, SignedCheckpoint, VerifierKey,
};
use schemas::{Seconds, Topic};
use store::{Created, Replaced, Store};
use tracing::{error, info};

use crate::chain::Head;
use crate::error::Error;
use crate::lane::Keeping;
use crate::log::{Appended, Enrolled, Log};
use crate::tail::{CHECKPOINT_BYTES_MAX, wrong};

/// Bytes of entries after which a commit takes no more.
const COMMIT_FULL_BYTES: usize = 1 << 20;
/// How often a checkpoint that others move at the same time is tried to be moved.
const MOVES_MAX: usize = 16;

/// Where a log is written: its store, its topic, its keys.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    pub(crate) store: Store,
    pub(crate) topic: Topic,
    pub(crate) keeping: Keeping,
    /// Keys of one name: the one in force, and others that were or will be.
    pub(crate) signers: Vec<LogSigner>,
}

impl Desk {
    /// Enrols the links of each chain up to its end, and then what `extra` adds. Returns how many entries are new.
    ///
    /// # Errors
    /// The store failed: do it again. Or the log, or a chain, is not what it must be.
    pub(crate) async fn enrol(
        &self,
        log: &mut Log,
        heads: &[Head],
        now: Seconds,
        mut extra: impl FnMut(&Log) -> Vec<Entry>,
    ) -> Result<usize, Error> {
        let mut enrolled = 0;
        loop {
            self.follow(log).await?;
            let mut entries = self.links(log, heads).await?;
            let mut noted = log.clone();
            entries.iter().for_each(|entry| noted.note(entry));
            let room = COMMIT_ENTRIES_MAX.saturating_sub(entries.len());
            entries.extend(extra(&noted).into_iter().take(room));
            if entries.is_empty() {
                return Ok(enrolled);
            }
            let commit = log.plan(entries);
            enrolled += self.commit(log, commit, now).await?;
        }
    }

    /// Appends a commit, or finds that another came first. Returns how many entries are new.
    pub(crate) async fn commit(
        &self,
        log: &mut Log,
        commit: Commit,
        now: Seconds,
    ) -> Result<usize, Error> {
        // Nothing is committed that could not be signed: it would be in the log, and not be published.
        let mut after = log.clone();
        let appended = self.append(&mut after, &commit)?;
        self.signed(&appended)?;
        let (key, bytes) =
            (LogKey::Commit(commit.start).to_string(), Bytes::from(commit.to_bytes()));
        // A crash before this PUT leaves nothing. **This appends.**
        let created = self.store.create(&key, bytes.clone(), self.keeping.record_lock(now)?).await;
        let ours = match created {
            Ok(Created::New) => true,
            // Taken, or the answer was lost on the way: what stands there tells which.
            Ok(Created::Exists) => self.commit_at(commit.start).await?.as_ref() == Some(&commit),
            Err(error) if error.kind() == store::Kind::Unknown => {
                match self.commit_at(commit.start).await {
                    Ok(Some(found)) => found == commit,
                    Ok(None) | Err(_) => return Err(error.into()),
                }
            }
            Err(error) => return Err(error.into()),
        };
        if !ours {
            return Ok(0);
        }
        *log = after;
        // A crash here leaves a commit whose tiles or checkpoint are missing: whoever follows the log writes them.
        self.publish(appended).await?;
        info!(start = commit.start, next = commit.next(), root = %commit.root, "enrolled");
        Ok(commit.entries.len())
    }

    /// Writes what follows from a commit: bundles and tiles, then the checkpoint of its size, then the newest one.
    pub(crate) async fn publish(&self, appended: Appended) -> Result<(), Error> {
        let note = Bytes::from(self.signed(&appended)?.to_string());
        for (key, bytes) in appended.derived {
            self.same(&key, bytes.into(), None).await?;
        }
        // Signed only now: what is signed is committed, and its tiles are there.
        let lock = self.keeping.record_lock(crate::clock::now())?;
        self.same(&LogKey::CheckpointAt(appended.checkpoint.size), note.clone(), lock).await?;
        // A crash here leaves an older checkpoint, which is not wrong.
        self.advance(appended.checkpoint.size, note).await
    }

    fn signed(&self, appended: &Appended) -> Result<Note, Error> {
        let signer = |key: &VerifierKey| {
            let found = self.signers.iter().find(|signer| signer.verifier() == *key);
            found.ok_or_else(|| {
                wrong("log/checkpoint", &format!("the key in force is {key}, and is not given"))
            })
        };
        let signers: Vec<&LogSigner> =
            appended.keys.iter().map(signer).collect::<Result<_, _>>()?;
        Ok(appended.checkpoint.sign(&signers))
    }

    /// Writes what every writer would write there.
    async fn same(
        &self,
        key: &LogKey,
        bytes: Bytes,
        lock: Option<store::Lock>,
    ) -> Result<(), Error> {
        let key = key.to_string();
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if self.store.create(&key, bytes.clone(), lock).await? == Created::New {
            return Ok(());
        }
        match self.store.get(&key, size).await {
            Ok(Some(found)) if found == bytes => Ok(()),
            Ok(None) => {
                Err(Error::Unsettled { what: format!("{key} is taken, but reads as absent") })
            }
            Err(error) if error.kind() != store::Kind::Refused => Err(error.into()),
            _ => Err(wrong(&key, "it is not what the commits make it")),
        }
    }

    /// Moves `log/checkpoint` to this size, unless it is there or further.
    pub(crate) async fn advance(&self, size: u64, note: Bytes) -> Result<(), Error> {
        let key = LogKey::Checkpoint.to_string();
        for _ in 0..MOVES_MAX {
            let seen = self.store.see(&key, CHECKPOINT_BYTES_MAX).await?;
            let ours = |signed: &SignedCheckpoint| {
                self.signers.iter().any(|signer| signed.check(&signer.verifier()).is_ok())
            };
            let there = seen.as_ref().and_then(|(bytes, _)| SignedCheckpoint::parse(bytes).ok());
            if there.filter(ours).is_some_and(|there| there.checkpoint.size >= size) {
                return Ok(());
            }
            let seen = seen.map(|(_, seen)| seen);
            if self.store.replace(&key, seen, note.clone()).await? == Replaced::Done {
                return Ok(());
            }
        }
        Err(Error::Unsettled { what: format!("{key} is moved by others all the time") })
    }

    /// The links between what is enrolled of each chain and its end, as many as fit a commit.
    async fn links(&self, log: &Log, heads: &[Head]) -> Result<Vec<Entry>, Error> {
        let (mut entries, mut bytes) = (Vec::new(), 0);
        for head in heads {
            let mut at = log.enrolled(head.chain.partition);
            loop {
                let entry = match self.link_after(at, head).await {
                    Ok(Some(entry)) => entry,
                    Ok(None) => break,
                    // One chain that is not what it must be does not hold up the others.
                    Err(error @ Error::Stopped { .. }) => {
                        error!(%error, "the chain is not enrolled further");
                        break;
                    }
                    Err(error) => return Err(error),
                };
                bytes += entry.to_string().len();
                at = Enrolled::after(&entry);
                entries.push(entry);
                if entries.len() == COMMIT_ENTRIES_MAX || bytes >= COMMIT_FULL_BYTES {
                    return Ok(entries);
                }
            }
        }
        Ok(entries)
    }
}
