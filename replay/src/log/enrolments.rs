//! CORE. The links of each partition's chain as the log has them (`docs/format.md`, section 9.1): in order, each once, the first of
//! two counting.

use std::collections::BTreeMap;

use schemas::tlog::{Beat, Entry, Heartbeat};
use schemas::{Digest, Epoch, EpochOpening, ObjectKey, Offset, Partition, Seconds, Topic};

/// Most links that are kept; those beyond are followed, and not compared with what the store holds.
pub(crate) const LINKS_MAX: u64 = 1 << 24;
/// Among so many links before it, one that does not continue the last is looked for.
const LOOK_BACK_MAX: usize = 1_000;

/// An enrolled link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) place: Place,
    /// Its place in the log.
    pub(crate) index: u64,
    pub(crate) leaf: Digest,
    /// Until when what it is of is kept, where it says so.
    pub(crate) until: Option<Seconds>,
    /// The latest time of a row, in milliseconds.
    pub(crate) time_max: Option<i64>,
}

/// Where a link stands in its chain: an opening before the segments of its epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) epoch: Epoch,
    /// Of a segment.
    pub(crate) start: Option<Offset>,
}

/// The links of one partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chain {
    /// Those that count, in the order of the chain: their places ascend.
    links: Vec<Link>,
    /// Where the chain goes on after the last.
    next: Offset,
    /// Those that a later epoch set aside.
    pub(crate) abandoned: Vec<Link>,
    /// Links that count and are not kept.
    pub(crate) omitted: u64,
    /// The last link that counts, kept or not.
    last: Option<Link>,
}

/// The links of all partitions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Enrolments {
    chains: BTreeMap<(Topic, Partition), Chain>,
    kept: u64,
}

impl Enrolments {
    pub(crate) fn partitions(&self) -> impl Iterator<Item = &(Topic, Partition)> {
        self.chains.keys()
    }

    pub(crate) fn chains(&self) -> impl Iterator<Item = &Chain> {
        self.chains.values()
    }

    pub(crate) fn chain(&self, topic: &Topic, partition: Partition) -> Option<&Chain> {
        self.chains.get(&(topic.clone(), partition))
    }

    /// Takes in a link; says what is wrong with it, and then it does not count, unless it is only at odds with the one before.
    pub(crate) fn push(&mut self, index: u64, entry: &Entry, leaf: Digest) -> Option<String> {
        let (topic, partition) = entry.partition()?;
        let (place, until, time_max) = match entry {
            Entry::Record(record) => {
                let segment = &record.segment;
                let place = Place { epoch: segment.chain.epoch, start: Some(segment.start) };
                let key = ObjectKey::Segment(topic.clone(), partition, place.epoch, segment.start);
                if key.to_string() != record.key {
                    return Some(format!(
                        "it is a record of {key} that names the key {}",
                        record.key
                    ));
                }
                (place, segment.retain_until, segment.time_max)
            }
            Entry::Opening(opening) => {
                (Place { epoch: opening.chain.epoch, start: None }, None, None)
            }
            Entry::Heartbeat(_) | Entry::KeyChange(_) => return None,
        };
        let link = Link { place, index, leaf, until, time_max };
        let chain = self.chains.entry((topic.clone(), partition)).or_default();
        if let Entry::Opening(opening) = entry {
            chain.set_aside(opening, topic, partition);
        }
        let wrong = match chain.verdict(&link, entry.prev()) {
            Ok(odd) => odd,
            Err(why) => return Some(why),
        };
        chain.next = entry.next().unwrap_or_default();
        chain.last = Some(link.clone());
        if self.kept < LINKS_MAX {
            chain.links.push(link);
            self.kept += 1;
        } else {
            chain.omitted += 1;
        }
        wrong
    }

    /// What of a heartbeat is not so.
    pub(crate) fn beat(&self, heartbeat: &Heartbeat) -> Vec<String> {
        let at = |number| (heartbeat.topic.clone(), Partition(number));
        let range = at(heartbeat.range.start)..at(heartbeat.range.end);
        let enrolled: BTreeMap<Partition, Beat> = self
            .chains
            .range(range)
            .filter_map(|((_, partition), chain)| {
                let last = chain.last.as_ref()?;
                let (epoch, next, leaf) = (last.place.epoch, chain.next, last.leaf);
                Some((*partition, Beat { partition: *partition, epoch, next, leaf, end: None }))
            })
            .collect();
        let told = heartbeat.beats.iter().map(|beat| Beat { end: None, ..*beat });
        let mut wrong: Vec<String> = told
            .clone()
            .filter(|beat| enrolled.get(&beat.partition) != Some(beat))
            .map(|beat| {
                let number = beat.partition;
                match enrolled.get(&number) {
                    None => format!("it tells of partition {number}, of which nothing is enrolled"),
                    Some(is) => format!(
                        "it says that partition {number} is at {} of epoch {}, and it is at {} of epoch {}, after {}",
                        beat.next, beat.epoch, is.next, is.epoch, is.leaf
                    ),
                }
            })
            .collect();
        let silent =
            enrolled.keys().filter(|number| !told.clone().any(|b| b.partition == **number));
        wrong.extend(silent.map(|number| format!("it does not tell of partition {number}")));
        wrong
    }
}

impl Chain {
    /// Of a partition that the log does not know.
    pub(crate) const NONE: Self =
        Self { links: Vec::new(), next: Offset(0), abandoned: Vec::new(), omitted: 0, last: None };

    /// The links that count and are kept.
    pub(crate) fn links(&self) -> &[Link] {
        &self.links
    }

    /// The link at a place.
    pub(crate) fn at(&self, place: Place) -> Option<(usize, &Link)> {
        let at = self.links.binary_search_by_key(&place, |link| link.place).ok()?;
        self.links.get(at).map(|link| (at, link))
    }

    /// The last place that is enrolled.
    pub(crate) fn last(&self) -> Option<Place> {
        self.last.as_ref().map(|link| link.place)
    }

    /// An epoch may set aside what lies where the next segment of the one before would be, even where that was enrolled.
    fn set_aside(&mut self, opening: &EpochOpening, topic: &Topic, partition: Partition) {
        let back = self.links.iter().rev().take(LOOK_BACK_MAX);
        let Some(after) = back.clone().position(|link| Some(link.leaf) == opening.prev) else {
            return;
        };
        let at = self.links.len() - after;
        let key = self.links.get(at).and_then(|link| {
            let start = link.place.start?;
            Some(ObjectKey::Segment(topic.clone(), partition, link.place.epoch, start).to_string())
        });
        let named = |key: &String| opening.abandoned.iter().any(|(named, _, _)| named == key);
        if key.as_ref().is_some_and(named) {
            self.abandoned.extend(self.links.split_off(at));
            self.last = self.links.last().cloned();
        }
    }

    /// Whether a link counts, and then what is odd about it.
    fn verdict(&self, link: &Link, prev: Option<Digest>) -> Result<Option<String>, String> {
        let back = || self.links.iter().rev().take(LOOK_BACK_MAX);
        if let Some(same) = back().find(|one| one.leaf == link.leaf) {
            return Err(format!("it is enrolled twice, first as entry {}", same.index));
        }
        let Some(last) = &self.last else {
            let first = prev.is_none() && link.place == Place { epoch: Epoch(0), start: None };
            let why = "it is the first link of its partition and no opening of epoch 0";
            return if first { Ok(None) } else { Err(why.to_owned()) };
        };
        let Some(prev) = prev else {
            return Err("a second opening of epoch 0: the first counts, and the chain has forked"
                .to_owned());
        };
        if prev != last.leaf {
            let of = back().position(|one| one.leaf == prev);
            let taken = of.and_then(|of| of.checked_sub(1)).and_then(|of| back().nth(of));
            return Err(match taken {
                Some(first) => format!(
                    "the link before it is already followed by entry {}, which counts: the chain has forked",
                    first.index
                ),
                None => "the link before it is not enrolled before it".to_owned(),
            });
        }
        if link.place <= last.place {
            return Err("it is not after the link that it names as the one before it".to_owned());
        }
        let (epoch, start) = (last.place.epoch, link.place.start);
        let fits = match start {
            Some(start) => link.place.epoch == epoch && start == self.next,
            None => link.place.epoch.0 == epoch.0.saturating_add(1),
        };
        let why = || format!("it does not begin where the link before it ended, at {}", self.next);
        Ok((!fits).then(why))
    }
}
