//! SHELL. Reads the log of segments (`docs/format.md`, section 9): every commit, tile, bundle, checkpoint and cosignature, each
//! compared with what the commits make it.
//!
//! What makes them right is said by the files of `log/`; here they are read and handed to them in order. Segments are not read
//! here: what the log says of them goes to the walk.

mod enrolments;
mod growth;
mod keys;
mod listing;
mod notes;
mod remembered;
mod report;
mod selection;
mod stamps;
mod trust;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use schemas::tlog::{
    BUNDLE_BYTES_MAX, COMMIT_BYTES_MAX, Checkpoint, Commit, KeyName, LogKey, Policy,
    SignedCheckpoint,
};

use crate::audit::VerifyOptions;
use crate::bundle::Stamping;
use crate::error::Error;
use crate::fetch::Store;
use crate::finding::{Findings, Kind};
use crate::storage::Storage;
use crate::version::Pinned;
use crate::walk::Pending;
use growth::{Grown, Growth, is_needed};
use listing::{Listing, note_bytes_max};

pub(crate) use enrolments::{Chain, Enrolments, Link, Place};
pub use report::{LogReport, LogTrust, Newest, Sign};
use selection::Selection;
pub use selection::{Sample, Since};

/// Commits read at once; their entries and what follows from them are in memory together.
const COMMITS_AT_ONCE: usize = 16;
/// The first so many checkpoints may tell the log's first key.
const CHECKPOINTS_FOR_KEY: usize = 8;
/// Objects read at once.
const OBJECTS_AT_ONCE: usize = 32;

/// How the log is judged.
#[derive(Clone, Copy, Default)]
pub struct LogOptions<'a> {
    /// Whom the user trusts: keys of logs, witnesses, how many of these.
    pub trust: Option<&'a Policy>,
    /// What earlier runs saw of logs.
    pub remembered: &'a [Checkpoint],
    /// The log that an earlier run found in this store.
    pub expected: Option<&'a KeyName>,
    /// So old the newest heartbeat, cosignature and time-stamp may be, in hours; without it, none of them is a finding.
    pub fresh_hours: Option<u64>,
    /// Judges time-stamps; without it, that they are there is all that is said.
    pub stamps: Option<&'a Stamping<'a>>,
}

impl std::fmt::Debug for LogOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut fields = f.debug_struct("LogOptions");
        fields.field("trust", &self.trust).field("remembered", &self.remembered);
        fields.field("expected", &self.expected).field("fresh_hours", &self.fresh_hours);
        fields.finish_non_exhaustive()
    }
}

/// The log as it was read.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) report: LogReport,
    pub(crate) enrolments: Enrolments,
    /// Which segments are read in full.
    pub(crate) selection: Selection,
}

impl Log {
    /// What there is to tell, when the walks are done: which links wait to be enrolled.
    pub(crate) fn told(
        mut self,
        pending: Pending,
        options: &VerifyOptions<'_>,
        findings: &mut Findings,
    ) -> LogReport {
        self.report.pending = pending.links;
        let (warnings, hours) = (&mut self.report.warnings, options.log.fresh_hours);
        if let Some((kind, why)) = trust::waiting(pending.oldest, options.now, hours) {
            match kind {
                Some(kind) => findings.add(kind, &LogKey::Checkpoint.to_string(), why),
                None => warnings.push(why),
            }
        }
        self.report
    }
}

/// Reads the log; `None` where there is none.
pub(crate) async fn read<'a>(
    store: &'a Store,
    options: &VerifyOptions<'a>,
    storage: &mut Storage<'a>,
    into: &mut Findings,
) -> Result<Option<Log>, Error> {
    let mut findings = Findings::default();
    let listing = Listing::new(store, options.storage, &mut findings).await?;
    if listing.is_empty() {
        into.merge(findings);
        if let Some(origin) = options.log.expected {
            let why = format!("there is no log; an earlier run found the log {origin} here");
            into.add(Kind::RolledBack, &LogKey::Checkpoint.to_string(), why);
        }
        return Ok(None);
    }
    let report = LogReport::default();
    let mut reader = Reader {
        store,
        options,
        storage,
        findings,
        growth: Growth::default(),
        early: Vec::new(),
        followed: true,
        report,
        listing,
    };
    reader.given_keys().await?;
    reader.commits().await?;
    reader.leftovers();
    reader.notes().await?;
    let Reader { mut report, findings, growth, .. } = reader;
    report.ok = findings.is_empty();
    into.merge(findings);
    let enrolments = growth.enrolments;
    let selection = Selection::new(options.since, options.sample, &enrolments);
    Ok(Some(Log { report, enrolments, selection }))
}

/// The reading of one log.
struct Reader<'r, 'a> {
    store: &'a Store,
    options: &'r VerifyOptions<'a>,
    storage: &'r mut Storage<'a>,
    listing: Listing,
    findings: Findings,
    growth: Growth,
    /// Commits, by key and size, whose lock is not known to be due yet; their bytes are dropped.
    early: Vec<(String, u64, Pinned)>,
    /// Whether every commit that is there could be followed.
    followed: bool,
    report: LogReport,
}

impl Reader<'_, '_> {
    /// Who signed the first checkpoints, and the newest, of those whom the user trusts.
    async fn given_keys(&mut self) -> Result<(), Error> {
        let Some(policy) = self.options.log.trust else { return Ok(()) };
        let is_signed = |_, bytes: &Bytes| keys::signer_of(bytes, &policy.logs).is_some();
        let first = self.listing.checkpoints.iter().take(CHECKPOINTS_FOR_KEY);
        let first = first.map(|size| (LogKey::CheckpointAt(*size), *size)).collect();
        let mut seen = Vec::new();
        for (_, size, pinned) in self.pins(first, note_bytes_max(), is_signed).await {
            // What cannot be read is found again among all checkpoints.
            let bytes = pinned.ok().and_then(|pinned| pinned.bytes).unwrap_or_default();
            seen.extend(keys::signer_of(&bytes, &policy.logs).map(|key| (size, key.clone())));
        }
        let newest = self.listing.checkpoint.as_ref();
        let newest = newest.and_then(|bytes| keys::signer_of(bytes, &policy.logs));
        seen.extend(newest.map(|key| (self.said(), key.clone())));
        self.growth = Growth::of(seen);
        Ok(())
    }

    /// Follows the commits, as far as they go on.
    async fn commits(&mut self) -> Result<(), Error> {
        let starts: Vec<u64> = self.listing.commits.iter().copied().collect();
        for chunk in starts.chunks(COMMITS_AT_ONCE) {
            let origin = self.growth.origin().cloned();
            let is_it = |start: u64, bytes: &Bytes| {
                let commit = Commit::parse(bytes).ok();
                let ours = |one: &Commit| origin.as_ref().is_none_or(|it| *it == one.origin);
                commit.is_some_and(|commit| commit.start == start && ours(&commit))
            };
            let keys = chunk.iter().map(|start| (LogKey::Commit(*start), *start)).collect();
            let mut due = Vec::new();
            for (_, start, pinned) in self.pins(keys, COMMIT_BYTES_MAX, is_it).await {
                let Some(grown) = self.commit(start, pinned).await? else { break };
                due.extend(grown.due);
            }
            self.derived(due).await?;
            if !self.followed {
                break;
            }
        }
        self.early_locks().await?;
        let size = self.growth.size();
        self.growth.keys.settle(size);
        self.report.committed = size;
        Ok(())
    }

    /// Takes in one commit; `None` where the log cannot be followed further.
    async fn commit(
        &mut self,
        start: u64,
        pinned: Result<Pinned, Error>,
    ) -> Result<Option<Grown>, Error> {
        let (at, mut key) = (self.growth.size(), LogKey::Commit(start).to_string());
        let Some(pinned) = self.store.readable(&key, pinned, &mut self.findings).await? else {
            self.followed = false;
            return Ok(None);
        };
        self.storage.others(&key, &pinned, false, &mut self.findings);
        let grown = match pinned.bytes.as_ref().map(|bytes| Commit::parse(bytes)) {
            _ if start < at => Err("it begins within the commit before it".to_owned()),
            _ if start > at => {
                key = LogKey::Commit(at).to_string();
                Err("it is not there, and others after it are".to_owned())
            }
            None => Err("it is gone".to_owned()),
            Some(Err(error)) => Err(error.to_string()),
            Some(Ok(commit)) if commit.start != start => {
                Err(format!("it is the commit at {}", commit.start))
            }
            Some(Ok(commit)) => self.growth.push(&commit).map_err(str::to_owned),
        };
        let grown = match grown {
            Ok(grown) => grown,
            Err(why) => {
                self.findings.add(Kind::Commit, &key, why);
                // What begins within another is beside the log, and the log goes on.
                self.followed = start < at;
                return Ok(self.followed.then(Grown::default));
            }
        };
        self.report.commits += 1;
        for (index, why) in &grown.wrong {
            self.findings.add(Kind::Entry, &key, format!("entry {index}: {why}"));
        }
        let size = self.growth.size();
        match self.growth.at(size).and_then(|size| size.lock) {
            None => self.early.push((key, size, Pinned { bytes: None, ..pinned })),
            due => self.storage.locked(&key, &pinned, due, &mut self.findings).await?,
        }
        Ok(Some(grown))
    }

    /// Commits from before any record with a lock: now it is known how the store locks.
    async fn early_locks(&mut self) -> Result<(), Error> {
        for (key, size, pinned) in std::mem::take(&mut self.early) {
            let due = self.growth.at(size).and_then(|size| size.lock);
            self.storage.locked(&key, &pinned, due, &mut self.findings).await?;
        }
        Ok(())
    }

    /// Compares tiles and bundles with what they must be.
    async fn derived(&mut self, due: Vec<(LogKey, Bytes)>) -> Result<(), Error> {
        let published = self.said().max(self.listing.checkpoints_last());
        let gone = "it is not there, and the tree of the newest checkpoint has it";
        let mut there = Vec::new();
        for (key, want) in due {
            if self.listing.tiles.remove(&key) {
                there.push((key, want));
            } else if is_needed(&key, published) {
                self.findings.add(Kind::Tile, &key.to_string(), gone);
            }
        }
        let want = there.iter().map(|(key, want)| (key.clone(), want)).collect();
        for (key, want, pinned) in self.pins(want, BUNDLE_BYTES_MAX, |want, is| want == is).await {
            let name = key.to_string();
            let Some(pinned) = self.store.readable(&name, pinned, &mut self.findings).await? else {
                continue;
            };
            self.storage.others(&name, &pinned, false, &mut self.findings);
            self.report.tiles += 1;
            match &pinned.bytes {
                Some(bytes) if bytes == want => {}
                Some(_) => {
                    let why = "its bytes are not what the log's entries make it";
                    self.findings.add(Kind::Tile, &name, why);
                }
                // A partial one may go at any time once it has become full.
                None if is_needed(&key, published) => self.findings.add(Kind::Tile, &name, gone),
                None => {}
            }
        }
        Ok(())
    }

    /// Tiles that no commit has made. Where not all commits could be followed, they may be of those.
    fn leftovers(&mut self) {
        if !self.followed {
            let why = "the log could not be followed to its end: what lies after that was not compared with it";
            self.report.warnings.push(why.to_owned());
            return;
        }
        for key in std::mem::take(&mut self.listing.tiles) {
            let why = "no commit has led to a tree that has it";
            self.findings.add(Kind::Junk, &key.to_string(), why);
        }
    }

    /// The size that the newest checkpoint says it is of.
    fn said(&self) -> u64 {
        let bytes = self.listing.checkpoint.as_ref();
        let said = bytes.and_then(|bytes| SignedCheckpoint::parse(bytes).ok());
        said.map_or(0, |said| said.checkpoint.size)
    }

    /// Reads objects, several at once, and gives them in the order of `keys`.
    async fn pins<T: Copy>(
        &self,
        keys: Vec<(LogKey, T)>,
        bytes_max: u64,
        is_original: impl Fn(T, &Bytes) -> bool,
    ) -> Vec<(LogKey, T, Result<Pinned, Error>)> {
        let (versions, is_original) = (self.listing.versions.as_ref(), &is_original);
        let read = stream::iter(keys).map(|(key, want)| async move {
            let name = key.to_string();
            let is_it = |bytes: &Bytes| is_original(want, bytes);
            let pinned = self.store.pin(versions, &name, bytes_max, is_it).await;
            (key, want, pinned)
        });
        read.buffered(OBJECTS_AT_ONCE).collect().await
    }
}
