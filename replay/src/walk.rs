//! SHELL. The walk over one partition's chain: epoch by epoch, segment by segment, each object fetched once.
//!
//! What makes an object right is said by `chain.rs` and `segment.rs`; here they are handed to them in order.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use schemas::{
    Digest, EnrolledRecord, Epoch, EpochOpening, ObjectKey, Offset, Partition, TerminalObject,
    Topic,
};

use crate::audit::{Progress, VerifyOptions};
use crate::chain::Link;
use crate::claimed::check_claim;
use crate::context::Sessions;
use crate::error::Error;
use crate::fetch::{Present, SEGMENT_BYTES_MAX, Shelf, Store};
use crate::finding::{Findings, Kind};
use crate::segment::{self, Audited};

/// Claim-checked bodies fetched at once.
const CLAIMS_AT_ONCE: usize = 8;

/// What was read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) segments: u64,
    pub(crate) events: u64,
    pub(crate) raw: u64,
    pub(crate) bytes: u64,
    pub(crate) expired: u64,
}

/// The walk over one partition.
pub(crate) struct Walk<'a> {
    store: &'a Store,
    options: VerifyOptions<'a>,
    link: Link,
    pub(crate) sessions: Sessions,
    pub(crate) findings: Findings,
    pub(crate) counts: Counts,
}

/// Walks one partition.
pub(crate) async fn walk<'a>(
    store: &'a Store,
    options: VerifyOptions<'a>,
    topic: Topic,
    partition: Partition,
) -> Result<Walk<'a>, Error> {
    let shelf = store.shelf(topic, partition).await?;
    let findings = Findings::of(&shelf.topic, partition);
    let (link, sessions, counts) = Default::default();
    let mut walk = Walk { store, options, link, sessions, findings, counts };
    for key in &shelf.junk {
        walk.findings.add(Kind::Junk, key, "nothing accounts for it");
    }
    walk.epochs(&shelf).await?;
    Ok(walk)
}

impl Walk<'_> {
    async fn epochs(&mut self, shelf: &Shelf) -> Result<(), Error> {
        let openings = self.openings(shelf).await?;
        let mut epochs: BTreeSet<Epoch> = shelf.places.keys().map(|(epoch, _)| *epoch).collect();
        epochs.extend(&shelf.epochs);
        let mut expected = 0;
        for epoch in epochs {
            let key = shelf.epoch_key(epoch);
            if epoch.0 != expected {
                self.findings.add(Kind::Epoch, &key, format!("epoch {expected} is not there"));
                self.sessions.incomplete = true;
                self.link.lose();
            }
            expected = epoch.0.saturating_add(1);
            let opening = openings.get(&epoch);
            if !shelf.epochs.contains(&epoch) {
                self.findings.add(Kind::Epoch, &key, "it is not there");
            }
            let place = ObjectKey::Epoch(shelf.topic.clone(), shelf.partition, epoch);
            for (kind, why) in self.link.open(opening, &place) {
                self.findings.add(kind, &key, why);
            }
            let following = openings.get(&Epoch(expected));
            self.segments(shelf, epoch, following).await?;
            let abandoned = self.link.next().is_some_and(|next| {
                let taken = shelf.segment_key(epoch, next);
                following.is_some_and(|o| o.abandoned.iter().any(|(key, _, _)| *key == taken))
            });
            if following.is_some() && !self.link.is_closed() && !abandoned {
                self.findings.add(
                    Kind::Epoch,
                    &key,
                    "it was not closed before the next one opened",
                );
            }
        }
        Ok(())
    }

    async fn openings(&mut self, shelf: &Shelf) -> Result<BTreeMap<Epoch, EpochOpening>, Error> {
        let mut openings = BTreeMap::new();
        for &epoch in &shelf.epochs {
            let key = shelf.epoch_key(epoch);
            let text = self.store.text(&key).await?.unwrap_or_else(|| Err("it is gone".to_owned()));
            match text.and_then(|t| EpochOpening::parse(&t).map_err(|error| error.to_string())) {
                Ok(opening) => {
                    openings.insert(epoch, opening);
                }
                Err(why) => self.findings.add(Kind::Epoch, &key, why),
            }
        }
        Ok(openings)
    }

    /// Goes through one epoch's segments in order of their start.
    async fn segments(
        &mut self,
        shelf: &Shelf,
        epoch: Epoch,
        following: Option<&EpochOpening>,
    ) -> Result<(), Error> {
        let places = (epoch, Offset(0))..=(epoch, Offset(u64::MAX));
        for (&(_, start), present) in shelf.places.range(places) {
            let copy = self.copy(shelf, epoch, start, *present).await?;
            if present.segment.is_none() {
                self.absent(&shelf.segment_key(epoch, start), copy);
                continue;
            }
            self.object(shelf, epoch, start, copy, following).await?;
        }
        Ok(())
    }

    /// The record beside a segment.
    async fn copy(
        &mut self,
        shelf: &Shelf,
        epoch: Epoch,
        start: Offset,
        present: Present,
    ) -> Result<Option<EnrolledRecord>, Error> {
        if !present.record {
            return Ok(None);
        }
        let key = shelf.record_key(epoch, start);
        let text = self.store.text(&key).await?.unwrap_or_else(|| Err("it is gone".to_owned()));
        match text.and_then(|text| EnrolledRecord::parse(&text).map_err(|e| e.to_string())) {
            Ok(record) if record.key == shelf.segment_key(epoch, start) => Ok(Some(record)),
            Ok(record) => {
                self.findings.add(Kind::Record, &key, format!("it is that of {:?}", record.key));
                Ok(None)
            }
            Err(why) => {
                self.findings.add(Kind::Record, &key, why);
                Ok(None)
            }
        }
    }

    /// A record without its segment: the chain goes on by the record.
    fn absent(&mut self, key: &str, copy: Option<EnrolledRecord>) {
        self.sessions.incomplete = true;
        let Some(record) = copy else {
            self.findings.add(Kind::MissingSegment, key, "it is gone, and its record is damaged");
            return self.link.lose();
        };
        if self.is_expired(&record) {
            self.counts.expired += 1;
        } else {
            self.findings.add(Kind::MissingSegment, key, "there is a record of it, and it is gone");
        }
        self.follow(key, &record, None);
    }

    /// Whether what a record is about may be gone.
    fn is_expired(&self, record: &EnrolledRecord) -> bool {
        let until = record.segment.retain_until.zip(self.options.now);
        until.is_some_and(|(until, now)| until < now)
    }

    fn follow(&mut self, key: &str, record: &EnrolledRecord, copy: Option<Digest>) {
        for (kind, why) in self.link.follow(record, copy) {
            self.findings.add(kind, key, why);
        }
    }

    async fn object(
        &mut self,
        shelf: &Shelf,
        epoch: Epoch,
        start: Offset,
        copy: Option<EnrolledRecord>,
        following: Option<&EpochOpening>,
    ) -> Result<(), Error> {
        let key = ObjectKey::Segment(shelf.topic.clone(), shelf.partition, epoch, start);
        let name = key.to_string();
        let bytes = match self.store.get(&name, SEGMENT_BYTES_MAX).await {
            Err(error @ Error::TooLarge { .. }) => {
                self.findings.add(Kind::Unreadable, &name, error.to_string());
                self.sessions.incomplete = true;
                self.link.lose();
                return Ok(());
            }
            bytes => bytes?,
        };
        let Some(bytes) = bytes else {
            self.absent(&name, copy);
            return Ok(());
        };
        if TerminalObject::is_at_head_of(&bytes) {
            self.terminal(&key, &bytes);
            return Ok(());
        }
        let sha256 = self.blocking_digest(&bytes).await?;
        let is_abandoned = |opening: &EpochOpening| {
            opening.abandoned.iter().any(|(k, _, d)| *k == name && *d == sha256)
        };
        if following.is_some_and(is_abandoned) {
            return Ok(());
        }
        self.segment(key, bytes, sha256, copy).await
    }

    async fn blocking_digest(&self, bytes: &Bytes) -> Result<Digest, Error> {
        let bytes = bytes.clone();
        Ok(tokio::task::spawn_blocking(move || Digest::of(&bytes)).await?)
    }

    fn terminal(&mut self, key: &ObjectKey, bytes: &[u8]) {
        let found = match std::str::from_utf8(bytes) {
            Ok(text) => self.link.close(text, key),
            Err(_) => vec![(Kind::Epoch, "it is not UTF-8".to_owned())],
        };
        for (kind, why) in found {
            self.findings.add(kind, &key.to_string(), why);
        }
    }

    async fn segment(
        &mut self,
        key: ObjectKey,
        bytes: Bytes,
        sha256: Digest,
        copy: Option<EnrolledRecord>,
    ) -> Result<(), Error> {
        let name = key.to_string();
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let changed = copy.as_ref().is_some_and(|c| c.size != size || c.sha256 != sha256);
        if changed {
            let why = "size or SHA-256 of its bytes is not that of its record";
            self.findings.add(Kind::Digest, &name, why);
        }
        self.counts.segments += 1;
        self.counts.bytes += size;
        let audited = self.audit(key, bytes, sha256).await?;
        if let Some(progress) = self.options.progress {
            progress(Progress { bytes: size });
        }
        match (audited, copy) {
            (None, Some(copy)) => {
                self.sessions.incomplete = true;
                self.follow(&name, &copy, None);
            }
            (None, None) => {
                self.sessions.incomplete = true;
                self.findings.add(Kind::MissingRecord, &name, "there is no record of it");
                self.link.lose();
            }
            (Some(audited), copy) => self.continued(&name, audited, copy, changed).await?,
        }
        Ok(())
    }

    /// Hashing and decoding would hold up every other task of the runtime's thread.
    async fn audit(
        &mut self,
        key: ObjectKey,
        bytes: Bytes,
        sha256: Digest,
    ) -> Result<Option<Audited>, Error> {
        let mut sessions = std::mem::take(&mut self.sessions);
        let mut findings = std::mem::take(&mut self.findings);
        let work = tokio::task::spawn_blocking(move || {
            let audited = segment::audit(&key, &bytes, sha256, &mut sessions, &mut findings);
            (audited, sessions, findings)
        });
        let audited;
        (audited, self.sessions, self.findings) = work.await?;
        Ok(audited)
    }

    async fn continued(
        &mut self,
        name: &str,
        audited: Audited,
        copy: Option<EnrolledRecord>,
        changed: bool,
    ) -> Result<(), Error> {
        match &copy {
            None => self.findings.add(Kind::MissingRecord, name, "there is no record of it"),
            Some(copy) if *copy != audited.enrolled && !changed => {
                self.findings.add(Kind::Record, name, "its record is not the one its bytes give");
            }
            Some(_) => {}
        }
        let leaf = copy.map(|copy| copy.leaf_hash());
        let expired = self.is_expired(&audited.enrolled);
        self.follow(name, &audited.enrolled, leaf);
        self.counts.events += audited.events;
        self.counts.raw += audited.raw;
        let store = self.store;
        let checks = stream::iter(audited.claims)
            .map(|(claim, salt)| async move { check_claim(store, claim, salt, expired).await })
            .buffered(CLAIMS_AT_ONCE);
        let found: Vec<Option<(String, &str)>> = checks.try_collect().await?;
        for (object, why) in found.into_iter().flatten() {
            self.findings.add(Kind::Body, &object, why);
        }
        Ok(())
    }
}
