//! SHELL. Reads what is signed of a log: its checkpoints, and the cosignatures of witnesses over them; then judges who vouches for
//! it, and how fresh that is.

use bytes::Bytes;
use schemas::tlog::{Checkpoint, KeyName, LogKey};

use crate::error::Error;
use crate::finding::Kind;
use crate::log::growth::Size;
use crate::log::listing::{Listing, note_bytes_max};
use crate::log::trust::{self, Cosignatures};
use crate::log::{OBJECTS_AT_ONCE, Reader, remembered};
use crate::version::Pinned;

/// Largest cosignature that is read.
const COSIGNATURE_BYTES_MAX: u64 = 4096;

impl Reader<'_, '_> {
    /// Reads them all.
    pub(super) async fn notes(&mut self) -> Result<(), Error> {
        let origin = self.growth.origin().filter(|_| self.growth.size() > 0).cloned();
        let Some(origin) = origin else {
            self.lost();
            return Ok(());
        };
        self.report.origin = origin.to_string();
        self.checkpoints(&origin).await?;
        self.newest(&origin).await?;
        let cosignatures = self.cosignatures(&origin).await?;
        let stamped = !self.listing.timestamps.is_empty();
        let stamp = self.stamps().await?;
        let options = self.options.log;
        let (report, findings) = (&mut self.report, &mut self.findings);
        let keys = &self.growth.keys;
        trust::judge(options.trust, &origin, keys, &cosignatures, report, findings);
        if let Some(other) = options.expected.filter(|expected| **expected != origin) {
            let why =
                format!("it is of the log {origin}; an earlier run found the log {other} here");
            findings.add(Kind::Rewritten, "log/checkpoint", why);
        }
        let (growth, before) = (&self.growth, options.remembered);
        let size = Some(report.size).filter(|_| !report.checkpoint.is_empty());
        report.remembered =
            remembered::continues(before, &origin, growth, size, self.followed, findings);
        report.newest = trust::freshness(growth.heartbeat, &cosignatures, stamp, self.options.now);
        let witnesses = options.trust.is_some_and(|policy| policy.wants_witnesses());
        let wanted = [
            (true, "heartbeat"),
            (witnesses, "cosignature"),
            (stamped && options.stamps.is_some(), "time-stamp"),
        ];
        let warnings = &mut report.warnings;
        trust::stale(&report.newest, wanted, options.fresh_hours, warnings, findings);
        let counts = growth.counts;
        (report.records, report.openings) = (counts.records, counts.openings);
        (report.heartbeats, report.key_changes) = (counts.heartbeats, counts.key_changes);
        let aside = growth.enrolments.chains().flat_map(|chain| &chain.abandoned);
        report.abandoned = aside.map(|link| link.index).collect();
        Ok(())
    }

    /// There is something of a log, and no commit that it follows from.
    fn lost(&mut self) {
        if self.followed {
            let key = LogKey::Commit(0).to_string();
            self.findings.add(
                Kind::Commit,
                &key,
                "it is not there, and other parts of the log are",
            );
        }
    }

    /// Every size has its checkpoint, up to the newest.
    async fn checkpoints(&mut self, origin: &KeyName) -> Result<(), Error> {
        let (newest, sizes) = (self.said(), self.listing.checkpoints.clone());
        for at in self.growth.sizes().filter(|at| at.size <= newest && !sizes.contains(&at.size)) {
            let key = LogKey::CheckpointAt(at.size).to_string();
            self.findings.add(Kind::Checkpoint, &key, "it is not there, and a newer one is");
        }
        let sizes: Vec<u64> = sizes.into_iter().collect();
        for chunk in sizes.chunks(OBJECTS_AT_ONCE) {
            let keys = chunk.iter().map(|size| (LogKey::CheckpointAt(*size), *size)).collect();
            let growth = &self.growth;
            let is_it = |size: u64, bytes: &Bytes| {
                let at = growth.at(size);
                at.is_some_and(|at| growth.keys.read(bytes, origin, size, at.root).is_ok())
            };
            for (key, size, pinned) in self.pins(keys, note_bytes_max(), is_it).await {
                self.checkpoint(&key.to_string(), size, pinned, origin).await?;
            }
        }
        Ok(())
    }

    async fn checkpoint(
        &mut self,
        key: &str,
        size: u64,
        pinned: Result<Pinned, Error>,
        origin: &KeyName,
    ) -> Result<(), Error> {
        let Some(pinned) = self.signed(key, size, pinned).await? else { return Ok(()) };
        let Some(at) = self.size(key, size) else { return Ok(()) };
        self.report.checkpoints += 1;
        let keys = &self.growth.keys;
        let read = match &pinned.bytes {
            Some(bytes) => keys.read(bytes, origin, size, at.root).map(drop),
            None => Err("it is gone".to_owned()),
        };
        if let Err(why) = read {
            self.findings.add(Kind::Checkpoint, key, why);
        }
        Ok(())
    }

    /// An object that belongs to a size: its versions and its lock.
    pub(super) async fn signed(
        &mut self,
        key: &str,
        size: u64,
        pinned: Result<Pinned, Error>,
    ) -> Result<Option<Pinned>, Error> {
        let read = self.store.readable(key, pinned, &mut self.findings).await?;
        let Some(pinned) = read else { return Ok(None) };
        self.storage.others(key, &pinned, false, &mut self.findings);
        let due = self.growth.at(size).and_then(|at| at.lock);
        self.storage.locked(key, &pinned, due, &mut self.findings).await?;
        Ok(Some(pinned))
    }

    /// What the commits say of a size that an object is of; where they say nothing, that is found, unless they could not be
    /// followed so far.
    pub(super) fn size(&mut self, key: &str, size: u64) -> Option<Size> {
        let (at, end) = (self.growth.at(size).copied(), self.growth.size());
        if at.is_none() && (self.followed || size <= end) {
            let why = if size > end {
                format!("it is of size {size}, and the commits end at {end}")
            } else {
                format!("it is of size {size}, and no commit ends there")
            };
            self.findings.add(Kind::Checkpoint, key, why);
        }
        at
    }

    /// The newest checkpoint, which is a copy of that of its size.
    async fn newest(&mut self, origin: &KeyName) -> Result<(), Error> {
        let key = LogKey::Checkpoint.to_string();
        if self.options.storage {
            for marker in Listing::checkpoint_markers(self.store).await?.list {
                let why = format!("a delete marker over it ({})", marker.version);
                self.findings.add(Kind::Shadowed, &key, why);
            }
        }
        let Some(bytes) = self.listing.checkpoint.clone() else {
            // A sealer may have ended between the first checkpoint and this.
            if self.listing.checkpoints.len() > 1 {
                self.findings.add(
                    Kind::Checkpoint,
                    &key,
                    "it is not there, and those of its sizes are",
                );
            }
            return Ok(());
        };
        let size = self.said();
        let read = match (self.growth.at(size).copied(), size) {
            (Some(at), _) => self.growth.keys.read(&bytes, origin, size, at.root).map(Some),
            (None, 0) => self.growth.keys.read(&bytes, origin, 0, schemas::Digest::ZERO).map(Some),
            (None, _) => {
                self.size(&key, size);
                Ok(None)
            }
        };
        match read {
            Ok(Some(signed)) => {
                self.report.size = signed.checkpoint.size;
                self.report.root = signed.checkpoint.root.to_string();
                self.report.checkpoint = signed.note.to_string();
            }
            Ok(None) => {}
            Err(why) => self.findings.add(Kind::Checkpoint, &key, why),
        }
        let of = LogKey::CheckpointAt(size).to_string();
        let same = self.store.get(&of, note_bytes_max()).await?;
        if self.listing.checkpoints.contains(&size) && same.is_some_and(|same| same != bytes) {
            let why = format!("it is not the copy of {of}");
            self.findings.add(Kind::Checkpoint, &key, why);
        }
        Ok(())
    }

    async fn cosignatures(&mut self, origin: &KeyName) -> Result<Cosignatures, Error> {
        let (policy, mut all) = (self.options.log.trust, Cosignatures::default());
        let listed = std::mem::take(&mut self.listing.cosignatures);
        for chunk in listed.chunks(OBJECTS_AT_ONCE) {
            let at = chunk.iter().map(|(size, id)| (LogKey::Cosignature(*size, *id), (*size, *id)));
            let growth = &self.growth;
            let of = |size: u64| {
                let root = growth.at(size)?.root;
                Some(Checkpoint { origin: origin.clone(), size, root })
            };
            let is_it = |(size, id): (u64, [u8; 4]), bytes: &Bytes| {
                let mut one = Cosignatures::default();
                of(size).is_some_and(|of| one.push(bytes, id, &of, policy).is_ok())
            };
            for (key, (size, id), pinned) in
                self.pins(at.collect(), COSIGNATURE_BYTES_MAX, is_it).await
            {
                let key = key.to_string();
                let Some(pinned) = self.signed(&key, size, pinned).await? else { continue };
                let Some(at) = self.size(&key, size) else { continue };
                let of = Checkpoint { origin: origin.clone(), size, root: at.root };
                let read = match &pinned.bytes {
                    Some(bytes) => all.push(bytes, id, &of, policy),
                    None => Err("it is gone".to_owned()),
                };
                if let Err(why) = read {
                    self.findings.add(Kind::Cosignature, &key, why);
                }
            }
        }
        Ok(all)
    }
}
