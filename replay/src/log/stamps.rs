//! SHELL. Reads the time-stamps of a log's checkpoints, and has them judged by whoever knows RFC 3161.

use bytes::Bytes;
use schemas::tlog::LogKey;
use schemas::{Digest, Seconds};

use crate::bundle::Stamped;
use crate::error::Error;
use crate::finding::Kind;
use crate::log::listing::note_bytes_max;
use crate::log::{OBJECTS_AT_ONCE, Reader};
use crate::version::Pinned;

/// Largest time-stamp that is read.
const STAMP_BYTES_MAX: u64 = 64 << 10;

impl Reader<'_, '_> {
    /// Reads them all; the newest that an authority vouches for.
    pub(super) async fn stamps(&mut self) -> Result<Option<(Seconds, u64)>, Error> {
        let listed = std::mem::take(&mut self.listing.timestamps);
        let mut newest = None;
        for chunk in listed.chunks(OBJECTS_AT_ONCE) {
            let mut keys = Vec::new();
            for (size, name) in chunk {
                let of = LogKey::CheckpointAt(*size).to_string();
                let of = self.store.get(&of, note_bytes_max()).await.ok().flatten();
                let digest = of.map(|bytes| Digest::of(&bytes));
                keys.push((LogKey::Timestamp(*size, name.clone()), (*size, digest)));
            }
            let judge = self.options.log.stamps;
            let is_it = |(_, of): (u64, Option<Digest>), bytes: &Bytes| {
                judge.zip(of).is_none_or(|(judge, of)| judge(bytes, &of).is_ok())
            };
            for (key, (size, of), pinned) in self.pins(keys, STAMP_BYTES_MAX, is_it).await {
                let key = key.to_string();
                let Some(pinned) = self.signed(&key, size, pinned).await? else { continue };
                let stamp = self.stamp(&key, size, of, &pinned);
                newest = newest.max(stamp.map(|stamp| (stamp.at, size)));
            }
        }
        Ok(newest)
    }

    /// One of them; gives it where somebody vouches for it.
    fn stamp(
        &mut self,
        key: &str,
        size: u64,
        of: Option<Digest>,
        pinned: &Pinned,
    ) -> Option<Stamped> {
        // That its checkpoint is not there is a finding already.
        let (_, of) = (self.size(key, size)?, of?);
        let stamp = match (&pinned.bytes, self.options.log.stamps) {
            (None, _) => Err("it is gone".to_owned()),
            (Some(_), None) => {
                self.report.trust.timestamps_not_checked += 1;
                return None;
            }
            (Some(bytes), Some(judge)) => judge(bytes, &of),
        };
        match stamp {
            Ok(stamp) if stamp.root.is_some() => {
                self.report.trust.timestamps += 1;
                Some(stamp)
            }
            Ok(_) => {
                self.report.trust.timestamps_not_checked += 1;
                None
            }
            Err(why) => {
                self.findings.add(Kind::Timestamp, key, why);
                None
            }
        }
    }
}
