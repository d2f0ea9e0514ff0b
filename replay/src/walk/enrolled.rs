//! CORE. What the log says of one partition, as a walk over what the store holds meets it.

use schemas::{Digest, Partition, Seconds, Topic};

use crate::finding::{Findings, Kind};
use crate::log::{Chain, Link, Log, Place};

/// The enrolled links of a partition, and which of them have been met.
#[derive(Debug, Default)]
pub(crate) struct Enrolled<'a> {
    /// The log and the partition's chain in it; `None` where the store has no log.
    log: Option<(&'a Log, &'a Chain)>,
    met: Vec<bool>,
    /// Links after the last that is enrolled.
    pub(crate) pending: Pending,
}

/// Links that wait to be enrolled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) links: u64,
    /// The least of their times, in milliseconds.
    pub(crate) oldest: Option<i64>,
}

impl Pending {
    pub(crate) fn add(&mut self, other: Self) {
        self.links += other.links;
        self.oldest = match (self.oldest, other.oldest) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
}

/// A link as the store has it: the leaf hash that its bytes give, and that of the record beside it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) given: Option<Digest>,
    pub(crate) beside: Option<Digest>,
    pub(crate) time_max: Option<i64>,
}

impl<'a> Enrolled<'a> {
    pub(crate) fn new(log: Option<&'a Log>, topic: &Topic, partition: Partition) -> Self {
        static NONE: Chain = Chain::NONE;
        let Some(log) = log else { return Self::default() };
        let chain = log.enrolments.chain(topic, partition).unwrap_or(&NONE);
        let met = vec![false; chain.links().len()];
        Self { log: Some((log, chain)), met, ..Self::default() }
    }

    fn at(&self, place: Place) -> Option<(usize, &'a Link)> {
        self.log.and_then(|(_, chain)| chain.at(place))
    }

    /// Whether a segment is to be read in full: if it is selected, or if the log does not vouch for the record beside it.
    pub(crate) fn reads(&self, place: Place, beside: Option<Digest>) -> bool {
        let selected = |link| self.log.is_some_and(|(log, _)| log.selection.reads(link));
        self.at(place)
            .is_none_or(|(_, link)| selected(link) || beside.is_none_or(|leaf| leaf != link.leaf))
    }

    /// Meets a link: is it the one that is enrolled? Where the record beside a segment is, the walk compares the two itself.
    pub(crate) fn meet(&mut self, place: Place, key: &str, found: Found, findings: &mut Findings) {
        let Some((_, link)) = self.at(place) else {
            return self.unknown(place, key, found.time_max, findings);
        };
        let other = |leaf: Option<Digest>| leaf.is_some_and(|leaf| leaf != link.leaf);
        let what = match (other(found.given), found.beside) {
            (_, Some(beside)) if beside == link.leaf => return,
            (false, None) => return,
            (true, None) => "it is",
            (true, Some(_)) => "it and the record beside it are",
            (false, Some(_)) => "the record beside it is",
        };
        let why = format!("{what} not what was enrolled as entry {} of the log", link.index);
        findings.add(Kind::Forked, key, why);
    }

    /// Where a link is enrolled, something else was found.
    pub(crate) fn replaced(&self, place: Place, key: &str, findings: &mut Findings) {
        if let Some((_, link)) = self.at(place) {
            let index = link.index;
            let why =
                format!("the segment that was enrolled here as entry {index} of the log is gone");
            findings.add(Kind::Forked, key, why);
        }
    }

    /// A link that the log does not have: one after the last waits, one before was never seen by it.
    fn unknown(&mut self, place: Place, key: &str, time: Option<i64>, findings: &mut Findings) {
        let Some((_, chain)) = self.log else { return };
        if chain.last().is_none_or(|last| place > last) {
            self.pending.add(Pending { links: 1, oldest: time });
        } else if chain.omitted == 0 {
            let why = "the log does not have it, and has others that come after it";
            findings.add(Kind::Unenrolled, key, why);
        }
    }

    /// Notes that something lies at a place: what is wrong with it is said elsewhere.
    pub(crate) fn note(&mut self, place: Place) {
        let at = self.at(place).map(|(at, _)| at);
        if let Some(met) = at.and_then(|at| self.met.get_mut(at)) {
            *met = true;
        }
    }

    /// Whether there is nothing at all of what is enrolled.
    pub(crate) fn is_all_gone(&self) -> bool {
        !self.met.is_empty() && !self.met.contains(&true)
    }

    /// The enrolled links of which nothing was met and that should be there, in order; and how many may be gone.
    pub(crate) fn gone(&self, now: Option<Seconds>) -> (Vec<(Place, u64)>, u64) {
        let links = self.log.map(|(_, chain)| chain.links()).unwrap_or_default();
        let missed = links.iter().zip(&self.met).filter(|(_, met)| !**met).map(|(link, _)| link);
        let is_over =
            |until: Option<Seconds>| until.zip(now).is_some_and(|(until, now)| until < now);
        let (over, gone): (Vec<_>, Vec<_>) = missed.partition(|link| is_over(link.until));
        let gone = gone.into_iter().map(|link| (link.place, link.index)).collect();
        (gone, u64::try_from(over.len()).unwrap_or(u64::MAX))
    }
}
