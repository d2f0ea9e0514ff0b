//! SHELL. One place of the walk: the segment that begins at an offset, the record beside it, or what lies there instead.

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use schemas::{Digest, EnrolledRecord, Epoch, ObjectKey, Offset, TerminalObject};

use super::enrolled::Found;
use super::{Walk, text};
use crate::audit::Progress;
use crate::chain::Link;
use crate::claimed::check_claim;
use crate::decode::{Breach, Segment};
use crate::error::Error;
use crate::fetch::{Present, SEGMENT_BYTES_MAX, TEXT_BYTES_MAX};
use crate::finding::Kind;
use crate::segment::{self, Audited, Opened, key_of};
use crate::version::Pinned;
use crate::{due, lock, log};

/// Claim-checked bodies fetched at once.
const CLAIMS_AT_ONCE: usize = 8;

impl Walk<'_> {
    /// The record beside a segment.
    pub(super) async fn record(
        &mut self,
        epoch: Epoch,
        start: Offset,
        present: Present,
    ) -> Result<Option<EnrolledRecord>, Error> {
        if !present.record {
            return Ok(None);
        }
        let (key, of) = (self.shelf.record_key(epoch, start), self.shelf.segment_key(epoch, start));
        let parsed = |text: &str| match EnrolledRecord::parse(text) {
            Ok(record) if record.key == of => Ok(record),
            Ok(record) => Err(format!("it is that of {:?}", record.key)),
            Err(error) => Err(error.to_string()),
        };
        let is_it = |bytes: &Bytes| {
            let record = text(bytes).and_then(|text| parsed(text).ok());
            record.is_some_and(|record| self.link.continues(&record.segment))
        };
        let versions = self.shelf.versions.as_ref();
        let pinned = self.store.pin(versions, &key, TEXT_BYTES_MAX, is_it).await;
        let Some(pinned) = self.store.readable(&key, pinned, &mut self.findings).await? else {
            return Ok(None);
        };
        self.storage.others(&key, &pinned, false, &mut self.findings);
        let text = pinned.text().unwrap_or_else(|| Err("it is gone".to_owned()));
        match text.and_then(|text| parsed(&text)) {
            Ok(record) => {
                let due = lock::stated(&record.segment);
                self.storage.locked(&key, &pinned, due, &mut self.findings).await?;
                Ok(Some(record))
            }
            Err(why) => {
                self.findings.add(Kind::Record, &key, why);
                Ok(None)
            }
        }
    }

    /// A segment that is not read: the log vouches for its record, and the chain goes on by that.
    pub(super) async fn unread(
        &mut self,
        key: &str,
        record: Option<EnrolledRecord>,
    ) -> Result<(), Error> {
        self.sessions.incomplete = true;
        self.counts.unread += 1;
        let Some(record) = record else { return Ok(()) };
        if let Some(versions) = self.shelf.versions.as_ref().and_then(|all| all.get(key)) {
            let (pinned, expired) = (Pinned::oldest(versions), self.is_expired(&record));
            self.storage.others(key, &pinned, expired, &mut self.findings);
            let due = lock::stated(&record.segment);
            self.storage.locked(key, &pinned, due, &mut self.findings).await?;
            self.storage.lock = due.or(self.storage.lock);
        }
        self.follow(key, &record, None);
        Ok(())
    }

    /// A segment that is gone: the chain goes on by its record.
    pub(super) fn absent(&mut self, at: log::Place, key: &str, record: Option<EnrolledRecord>) {
        self.sessions.incomplete = true;
        let Some(record) = record else {
            let why = "it is gone, and no record says what it was";
            self.findings.add(Kind::MissingSegment, key, why);
            return self.link.lose();
        };
        if self.is_expired(&record) {
            self.counts.expired += 1;
        } else {
            self.findings.add(Kind::MissingSegment, key, "there is a record of it, and it is gone");
        }
        let (beside, time_max) = (Some(record.leaf_hash()), record.segment.time_max);
        self.enrolled.meet(at, key, Found { given: None, beside, time_max }, &mut self.findings);
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

    pub(super) async fn object(
        &mut self,
        epoch: Epoch,
        start: Offset,
        record: Option<EnrolledRecord>,
    ) -> Result<(), Error> {
        let (topic, partition) = (self.shelf.topic.clone(), self.shelf.partition);
        let key = ObjectKey::Segment(topic, partition, epoch, start);
        let name = key.to_string();
        if self.aside.contains_key(&name) {
            return self.put_aside(&name).await;
        }
        let enrolled = record.as_ref().map(|record| record.sha256);
        let is_it = |bytes: &Bytes| match enrolled {
            Some(sha256) => Digest::of(bytes) == sha256,
            None => could_be(&self.link, &key, bytes),
        };
        let versions = self.shelf.versions.as_ref();
        let pinned = self.store.pin(versions, &name, SEGMENT_BYTES_MAX, is_it).await;
        let Some(pinned) = self.store.readable(&name, pinned, &mut self.findings).await? else {
            self.lost(&name, record);
            return Ok(());
        };
        let expired = record.as_ref().is_some_and(|record| self.is_expired(record));
        self.storage.others(&name, &pinned, expired, &mut self.findings);
        let Some(bytes) = pinned.bytes.clone() else {
            self.absent(log::Place { epoch, start: Some(start) }, &name, record);
            return Ok(());
        };
        if TerminalObject::is_at_head_of(&bytes) {
            let at = log::Place { epoch, start: Some(start) };
            self.enrolled.replaced(at, &name, &mut self.findings);
            self.terminal(&key, &bytes);
            let due = self.storage.lock;
            return self.storage.locked(&name, &pinned, due, &mut self.findings).await;
        }
        self.segment(key, bytes, &pinned, record).await
    }

    /// What an opening says was abandoned is accounted for; nothing else may lie there.
    async fn put_aside(&mut self, name: &str) -> Result<(), Error> {
        let listed = self.aside.get(name).cloned().unwrap_or_default();
        let digests: Vec<_> = listed.iter().map(|(_, v, digest)| (v.clone(), *digest)).collect();
        let epoch = listed.first().map_or(0, |(epoch, _, _)| epoch.0);
        if let Some(versions) = &self.shelf.versions {
            let mut versions = versions.get(name).cloned().unwrap_or_default();
            self.store.set_aside(&mut versions, &digests).await?;
            for other in &versions.list {
                let why = format!(
                    "version {} is not what epoch {epoch} says was abandoned here",
                    other.version
                );
                self.findings.add(Kind::Junk, name, why);
            }
            return Ok(());
        }
        let found = self.store.content(name).await?;
        if found.is_some_and(|sha256| !digests.iter().any(|(_, digest)| *digest == sha256)) {
            let why = format!("it is not what epoch {epoch} says was abandoned here");
            self.findings.add(Kind::Junk, name, why);
        }
        Ok(())
    }

    fn terminal(&mut self, key: &ObjectKey, bytes: &[u8]) {
        let found = match text(bytes) {
            Some(text) => self.link.close(text, key),
            None => vec![(Kind::Epoch, "it is not UTF-8".to_owned())],
        };
        for (kind, why) in found {
            self.findings.add(kind, &key.to_string(), why);
        }
    }

    async fn segment(
        &mut self,
        key: ObjectKey,
        bytes: Bytes,
        pinned: &Pinned,
        record: Option<EnrolledRecord>,
    ) -> Result<(), Error> {
        let name = key.to_string();
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.counts.segments += 1;
        self.counts.bytes += size;
        let (opened, sha256) = self.audit(key.clone(), bytes).await?;
        if let Some(progress) = self.options.progress {
            progress(Progress { bytes: size });
        }
        let changed = record.as_ref().is_some_and(|r| r.size != size || r.sha256 != sha256);
        let stated = match (&opened, &record) {
            (Opened::Segment(audited), _) => lock::stated(&audited.enrolled.segment),
            (_, Some(record)) => lock::stated(&record.segment),
            (_, None) => None,
        };
        self.storage.locked(&name, pinned, stated, &mut self.findings).await?;
        self.storage.lock = stated.or(self.storage.lock);
        let unlocked = stated.is_none() && self.options.storage;
        self.storage.counts.unlocked += u64::from(unlocked);
        match opened {
            Opened::Segment(audited) => {
                let last = self
                    .shelf
                    .places
                    .keys()
                    .next_back()
                    .map(|&(e, s)| self.shelf.segment_key(e, s));
                let is_last = last.is_some_and(|last| last == name);
                self.enrolled(&name, &audited, record.as_ref(), changed, is_last);
                self.continued(&name, audited, record).await?;
            }
            Opened::Other(other) => {
                let why = format!("it is another segment, that of {other}");
                self.findings.add(Kind::Misplaced, &name, why);
                self.lost(&name, record);
            }
            Opened::None(breach) => {
                self.unreadable(&name, breach, record.is_some(), changed);
                self.lost(&name, record);
            }
        }
        Ok(())
    }

    /// Hashing and decoding would hold up every other task of the runtime's thread.
    async fn audit(&mut self, key: ObjectKey, bytes: Bytes) -> Result<(Opened, Digest), Error> {
        let mut sessions = std::mem::take(&mut self.sessions);
        let mut findings = std::mem::take(&mut self.findings);
        let sources = self.options.sources.cloned();
        let work = tokio::task::spawn_blocking(move || {
            let sha256 = Digest::of(&bytes);
            let (sources, found) = (sources.as_deref(), &mut findings);
            let opened = segment::audit(&key, &bytes, sha256, sources, &mut sessions, found);
            (opened, sha256, sessions, findings)
        });
        let (opened, sha256);
        (opened, sha256, self.sessions, self.findings) = work.await?;
        Ok((opened, sha256))
    }

    /// Compares a segment with its record.
    fn enrolled(
        &mut self,
        name: &str,
        audited: &Audited,
        record: Option<&EnrolledRecord>,
        changed: bool,
        is_last: bool,
    ) {
        let (kind, why) = match record {
            Some(_) if changed => {
                (Kind::Digest, "size or SHA-256 of its bytes is not that of its record")
            }
            Some(record) if *record != audited.enrolled => {
                (Kind::Record, "its record is not the one its bytes give")
            }
            Some(_) => return,
            None if is_last && self.link.continues(&audited.enrolled.segment) => (
                Kind::Unenrolled,
                "it continues the chain and there is no record of it: its sealer ended before it wrote that, or somebody \
                 else made it up",
            ),
            None => (Kind::MissingRecord, "there is no record of it"),
        };
        self.findings.add(kind, name, why);
    }

    /// Goes on after a segment: the chain, sums and the bodies that it lists.
    async fn continued(
        &mut self,
        name: &str,
        audited: Box<Audited>,
        record: Option<EnrolledRecord>,
    ) -> Result<(), Error> {
        let (expired, segment) = (self.is_expired(&audited.enrolled), &audited.enrolled.segment);
        let at = log::Place { epoch: segment.chain.epoch, start: Some(segment.start) };
        let found = Found {
            given: Some(audited.enrolled.leaf_hash()),
            beside: record.as_ref().map(EnrolledRecord::leaf_hash),
            time_max: segment.time_max,
        };
        self.enrolled.meet(at, name, found, &mut self.findings);
        self.follow(name, &audited.enrolled, record.map(|record| record.leaf_hash()));
        self.counts.events += audited.events;
        self.counts.raw += audited.raw;
        self.counts.signatures.add(audited.signatures);
        if self.options.storage {
            let due = lock::stated(&audited.enrolled.segment);
            for (claim, salt) in &audited.claims {
                let why = due::note(&mut self.storage.bodies, claim, *salt, due, expired);
                if let Some(why) = why {
                    self.findings.add(Kind::Body, &claim.key(), why);
                }
            }
            return Ok(());
        }
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

    /// What is under a segment's key is none.
    fn unreadable(&mut self, name: &str, breach: Breach, has_record: bool, changed: bool) {
        let Breach { kind, why } = breach;
        match (has_record, changed) {
            (true, true) => {
                let why = format!("its bytes are not those of its record, and no segment: {why}");
                self.findings.add(Kind::Digest, name, why);
            }
            (true, false) => self.findings.add(kind, name, why),
            (false, _) => {
                let why = format!("it is no segment ({why}) and there is no record of one");
                self.findings.add(Kind::Junk, name, why);
            }
        }
    }

    /// Goes on without the segment, by its record if there is one.
    fn lost(&mut self, name: &str, record: Option<EnrolledRecord>) {
        self.sessions.incomplete = true;
        match record {
            Some(record) => self.follow(name, &record, None),
            None => self.link.lose(),
        }
    }
}

/// Whether bytes without a record are what a key should hold: the chain's next segment, or the end of its epoch.
fn could_be(link: &Link, key: &ObjectKey, bytes: &Bytes) -> bool {
    if TerminalObject::is_at_head_of(bytes) {
        return text(bytes).is_some_and(|text| link.clone().close(text, key).is_empty());
    }
    let segment = Segment::open(bytes.clone());
    segment.is_ok_and(|it| key_of(&it.record) == *key && link.continues(&it.record))
}
