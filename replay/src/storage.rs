//! SHELL. What an object store shows beside bytes: what lies over and under originals, and how they are locked.

use schemas::Seconds;
use store::{Lock, Version};

use crate::audit::VerifyOptions;
use crate::due::Bodies;
use crate::error::Error;
use crate::fetch::{Store, read};
use crate::finding::{Findings, Kind};
use crate::lock;
use crate::report::StorageCounts;
use crate::version::Pinned;

/// Looks at versions and locks along a walk; at nothing, where the store has none or was not asked to.
#[derive(Debug)]
pub(crate) struct Storage<'a> {
    store: &'a Store,
    on: bool,
    now: Option<Seconds>,
    pub(crate) counts: StorageCounts,
    /// What segments list.
    pub(crate) bodies: Bodies,
    /// The lock of the epoch's last segment that has one.
    pub(crate) lock: Option<Lock>,
}

impl<'a> Storage<'a> {
    pub(crate) fn new(store: &'a Store, options: &VerifyOptions<'_>) -> Self {
        let (counts, bodies, lock) = Default::default();
        let (on, now) = (options.storage, options.now);
        Self { store, on, now, counts, bodies, lock }
    }

    /// Takes over what another walk gathered.
    pub(crate) fn merge(&mut self, other: Self) {
        self.counts.add(other.counts);
        for (key, due) in other.bodies {
            // A session lies in one partition, unless its topic was made anew with more.
            let known = self.bodies.entry(key).or_insert(due);
            known.lock = lock::longer(known.lock, due.lock);
            known.expired &= due.expired;
        }
    }

    /// Names everything that lies under a key besides the version that was read. Over an object that may be gone, delete
    /// markers are how a bucket's own rules remove it.
    pub(crate) fn others(
        &mut self,
        key: &str,
        pinned: &Pinned,
        expired: bool,
        findings: &mut Findings,
    ) {
        self.counts.versions += u64::from(pinned.version.is_some());
        for (other, over) in &pinned.others {
            self.counts.versions += 1;
            if other.is_delete_marker && *over && expired {
                continue;
            }
            let kind = if *over { Kind::Shadowed } else { Kind::ExtraVersion };
            findings.add(kind, key, words(pinned, other, *over));
        }
        if pinned.omitted > 0 {
            let words = format!("{} versions more, newer than those", pinned.omitted);
            findings.add(Kind::Shadowed, key, words);
        }
    }

    /// Compares an object's lock with the one that is due.
    pub(crate) async fn locked(
        &mut self,
        key: &str,
        pinned: &Pinned,
        due: Option<Lock>,
        findings: &mut Findings,
    ) -> Result<(), Error> {
        let is_there = pinned.bytes.is_some() || pinned.version.is_some();
        let (Some(due), true, true) = (due, is_there, self.on) else { return Ok(()) };
        let Some(s3) = self.store.objects().s3() else { return Ok(()) };
        let version = pinned.version.as_ref().map(|version| version.version.as_str());
        let found = match s3.retention(key, version).await {
            // What was put behind a server's back may be read and not be there for it.
            Err(error) if error.refusal().is_some_and(|refusal| refusal.status == 404) => None,
            found => found.map_err(read(key))?,
        };
        self.counts.locks += 1;
        if let Some(why) = lock::fault(found, due, self.now) {
            findings.add(Kind::Lock, key, why);
        }
        Ok(())
    }
}

fn words(pinned: &Pinned, other: &Version, over: bool) -> String {
    let what = if other.is_delete_marker {
        "a delete marker".to_owned()
    } else {
        format!("a version of {} bytes", other.bytes)
    };
    let at = other.at.map_or_else(|| "at an unknown time".to_owned(), |at| format!("at {at}"));
    let what = format!("{what} ({}, put {at})", other.version);
    match &pinned.version {
        None => format!("{what} is all that there is of it"),
        Some(read) if !pinned.sure => {
            format!("{what}; none of its versions is the original, the oldest is {}", read.version)
        }
        Some(original) if over => {
            format!("shadowed by {what}; the original is version {}", original.version)
        }
        Some(original) => {
            format!("{what} is older than the original, version {}", original.version)
        }
    }
}
