//! SHELL. The walk over one partition's chain: epoch by epoch, segment by segment, each object fetched once.
//!
//! What makes an object right is said by `chain.rs` and `segment.rs`; here they are handed to them in order, and what lies
//! at one place of an epoch by `walk/place.rs`.

mod enrolled;
mod place;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use schemas::{
    Digest, EnrolledRecord, Epoch, EpochOpening, ObjectKey, Offset, Partition, Seconds, Topic,
};
use store::Lock;

use crate::audit::VerifyOptions;
use crate::chain::Link;
use crate::context::Sessions;
use crate::error::Error;
use crate::fetch::{Shelf, Store, TEXT_BYTES_MAX};
use crate::finding::{Findings, Kind};
use crate::lock::OPENING_SECONDS_MIN;
use crate::log::{Log, Place};
use crate::report::{Abandoned, Loss, SignatureCounts, abandoned, losses};
use crate::storage::Storage;
use crate::version::Pinned;
use enrolled::{Enrolled, Found};

pub(crate) use enrolled::Pending;

/// What was read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) segments: u64,
    pub(crate) events: u64,
    pub(crate) raw: u64,
    pub(crate) bytes: u64,
    pub(crate) expired: u64,
    /// Segments of which only the record was read.
    pub(crate) unread: u64,
    pub(crate) signatures: SignatureCounts,
}

/// The walk over one partition.
pub(crate) struct Walk<'a> {
    store: &'a Store,
    options: VerifyOptions<'a>,
    shelf: Shelf,
    link: Link,
    /// Objects that are no part of the chain, by key: the epoch that says so, their version and SHA-256.
    aside: BTreeMap<String, Vec<(Epoch, Option<String>, Digest)>>,
    pub(crate) sessions: Sessions,
    pub(crate) findings: Findings,
    pub(crate) counts: Counts,
    pub(crate) storage: Storage<'a>,
    /// What the log says.
    pub(crate) enrolled: Enrolled<'a>,
    pub(crate) losses: Vec<Loss>,
    pub(crate) abandoned: Vec<Abandoned>,
}

/// Openings by epoch, as far as they can be read, and the objects they were read from.
type Openings = BTreeMap<Epoch, (EpochOpening, Pinned)>;

/// Walks one partition.
pub(crate) async fn walk<'a>(
    store: &'a Store,
    options: VerifyOptions<'a>,
    log: Option<&'a Log>,
    (topic, partition): (Topic, Partition),
) -> Result<Walk<'a>, Error> {
    let shelf = if options.storage {
        store.shelf_of_versions(topic, partition).await?
    } else {
        store.shelf(topic, partition).await?
    };
    let mut findings = Findings::of(&shelf.topic, partition);
    for key in &shelf.junk {
        findings.add(Kind::Junk, key, "nothing accounts for it");
    }
    let storage = Storage::new(store, &options);
    let enrolled = Enrolled::new(log, &shelf.topic, partition);
    let (link, aside, sessions, counts, losses, abandoned) = Default::default();
    let mut walk = Walk {
        store,
        options,
        shelf,
        link,
        aside,
        sessions,
        findings,
        counts,
        storage,
        enrolled,
        losses,
        abandoned,
    };
    walk.epochs().await?;
    walk.gone();
    Ok(walk)
}

impl Walk<'_> {
    async fn epochs(&mut self) -> Result<(), Error> {
        let openings = self.openings().await?;
        self.tell(&openings);
        let mut epochs: BTreeSet<Epoch> =
            self.shelf.places.keys().map(|(epoch, _)| *epoch).collect();
        epochs.extend(&self.shelf.epochs);
        let mut expected = 0;
        for epoch in epochs {
            let key = self.shelf.epoch_key(epoch);
            if epoch.0 != expected {
                self.findings.add(Kind::Epoch, &key, format!("epoch {expected} is not there"));
                self.sessions.incomplete = true;
                self.link.lose();
            }
            expected = epoch.0.saturating_add(1);
            let place = Place { epoch, start: None };
            self.enrolled.note(place);
            if !self.shelf.epochs.contains(&epoch) {
                self.findings.add(Kind::Epoch, &key, "it is not there");
            }
            let opening = openings.get(&epoch);
            if let Some((opening, _)) = opening {
                let (given, time_max) = (Some(opening.leaf_hash()), None);
                let found = Found { given, beside: None, time_max };
                self.enrolled.meet(place, &key, found, &mut self.findings);
            }
            self.open(epoch, opening.map(|(opening, _)| opening));
            self.storage.lock = None;
            self.segments(epoch).await?;
            if let Some((opening, pinned)) = opening {
                let until = Seconds(opening.opened_at.0.saturating_add(OPENING_SECONDS_MIN));
                let due = self.storage.lock.map(|lock| Lock { until, ..lock });
                self.storage.locked(&key, pinned, due, &mut self.findings).await?;
            }
            self.end(epoch, openings.contains_key(&Epoch(expected)));
        }
        Ok(())
    }

    fn open(&mut self, epoch: Epoch, opening: Option<&EpochOpening>) {
        let (topic, partition) = (self.shelf.topic.clone(), self.shelf.partition);
        if let Some(opening) = opening {
            let end = self.link.next().map(|next| next.0);
            self.losses.extend(losses(&format!("{topic}/{partition}"), opening, end));
        }
        let place = ObjectKey::Epoch(topic, partition, epoch);
        for (kind, why) in self.link.open(opening, &place) {
            self.findings.add(kind, &place.to_string(), why);
        }
    }

    /// An epoch that another follows ends in a terminal object, unless junk lies in its place.
    fn end(&mut self, epoch: Epoch, is_followed: bool) {
        let taken = self.link.next().map(|next| self.shelf.segment_key(epoch, next));
        let abandoned = taken.is_some_and(|key| self.aside.contains_key(&key));
        if is_followed && !self.link.is_closed() && !abandoned {
            let key = self.shelf.epoch_key(epoch);
            self.findings.add(Kind::Epoch, &key, "it was not closed before the next one opened");
        }
    }

    async fn openings(&mut self) -> Result<Openings, Error> {
        let mut openings = Openings::new();
        for epoch in self.shelf.epochs.clone() {
            let key = self.shelf.epoch_key(epoch);
            let is_it = |bytes: &Bytes| {
                let opening = text(bytes).and_then(|text| EpochOpening::parse(text).ok());
                opening.is_some_and(|opening| opening.chain.epoch == epoch)
            };
            let versions = self.shelf.versions.as_ref();
            let pinned = self.store.pin(versions, &key, TEXT_BYTES_MAX, is_it).await;
            let Some(pinned) = self.store.readable(&key, pinned, &mut self.findings).await? else {
                continue;
            };
            self.storage.others(&key, &pinned, false, &mut self.findings);
            let text = pinned.text().unwrap_or_else(|| Err("it is gone".to_owned()));
            match text.and_then(|t| EpochOpening::parse(&t).map_err(|error| error.to_string())) {
                Ok(opening) => {
                    openings.insert(epoch, (opening, pinned));
                }
                Err(why) => self.findings.add(Kind::Epoch, &key, why),
            }
        }
        Ok(openings)
    }

    /// Takes note of what openings say was abandoned.
    fn tell(&mut self, openings: &Openings) {
        let partition = format!("{}/{}", self.shelf.topic, self.shelf.partition);
        for (&epoch, (opening, _)) in openings {
            self.abandoned.extend(abandoned(&partition, opening));
            for (key, version, sha256) in &opening.abandoned {
                let earlier = matches!(ObjectKey::parse(key), Some(ObjectKey::Segment(_, _, of, _)) if of < epoch);
                if earlier {
                    let listed = self.aside.entry(key.clone()).or_default();
                    listed.push((epoch, version.clone(), *sha256));
                }
            }
        }
    }

    /// Goes through one epoch's segments in order of their start.
    async fn segments(&mut self, epoch: Epoch) -> Result<(), Error> {
        let places = (epoch, Offset(0))..=(epoch, Offset(u64::MAX));
        let places: Vec<_> = self.shelf.places.range(places).map(|(at, is)| (at.1, *is)).collect();
        for (start, present) in places {
            let place = Place { epoch, start: Some(start) };
            self.enrolled.note(place);
            let record = self.record(epoch, start, present).await?;
            let beside = record.as_ref().map(EnrolledRecord::leaf_hash);
            if present.segment && !self.enrolled.reads(place, beside) {
                self.unread(&self.shelf.segment_key(epoch, start), record).await?;
            } else if present.segment || self.options.storage {
                // What no version is listed of may still be read.
                self.object(epoch, start, record).await?;
            } else {
                self.absent(place, &self.shelf.segment_key(epoch, start), record);
            }
        }
        Ok(())
    }

    /// What is enrolled and of which nothing lies in the store.
    fn gone(&mut self) {
        let (gone, expired) = self.enrolled.gone(self.options.now);
        self.counts.expired += expired;
        if let (true, Some((_, first))) = (self.enrolled.is_all_gone(), gone.first()) {
            let [_, folder, _] = self.shelf.folders();
            let why = format!(
                "nothing of the partition is left, and the log has {} links of it, from entry {first} on",
                gone.len()
            );
            return self.findings.add(Kind::Dropped, &folder, why);
        }
        for (place, index) in gone {
            let key = match place.start {
                Some(start) => self.shelf.segment_key(place.epoch, start),
                None => self.shelf.epoch_key(place.epoch),
            };
            let why = format!("nothing of it is left, and it is entry {index} of the log");
            self.findings.add(Kind::Dropped, &key, why);
        }
    }
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}
