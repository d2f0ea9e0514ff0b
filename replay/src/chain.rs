//! CORE. How the objects of a partition link (`docs/format.md`, section 7): each says where the one before ended and what it was.

use schemas::{
    Chain, Digest, EnrolledRecord, EpochOpening, ObjectKey, Offset, SegmentRecord, TerminalObject,
};

use crate::finding::Kind;

/// The end of a chain, as far as it was followed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Link {
    /// Where the next segment begins; unknown after something that cannot be read.
    next: Option<Offset>,
    total: Option<u64>,
    /// Leaf hashes of the object before: of the one that its bytes give and of the one its copy gives, should they differ.
    leaves: Vec<Digest>,
    chain: Option<Chain>,
    closed: bool,
}

type Found = Vec<(Kind, String)>;

impl Link {
    /// Where the next segment of the epoch begins.
    pub(crate) fn next(&self) -> Option<Offset> {
        self.next
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether a record is of the next segment, as far as the chain is known.
    pub(crate) fn continues(&self, record: &SegmentRecord) -> bool {
        !self.closed
            && self.chain.as_ref().is_none_or(|chain| *chain == record.chain)
            && self.next.is_none_or(|next| next == record.start)
            && (self.leaves.is_empty() || self.leaves.contains(&record.prev))
    }

    /// Nothing is known any more of where the chain is.
    pub(crate) fn lose(&mut self) {
        *self = Self { chain: self.chain.take(), closed: self.closed, ..Self::default() };
    }

    /// Goes on to a new epoch.
    pub(crate) fn open(&mut self, opening: Option<&EpochOpening>, key: &ObjectKey) -> Found {
        let mut found = Found::new();
        let Some(opening) = opening else {
            *self = Self::default();
            return found;
        };
        let mut wrong = |right: bool, why: String| {
            if !right {
                found.push((Kind::Epoch, why));
            }
        };
        let chain = &opening.chain;
        let own = ObjectKey::Epoch(chain.topic.clone(), chain.partition, chain.epoch);
        wrong(own == *key, format!("it is the opening of {own}"));
        let first = chain.epoch.0 == 0;
        let genesis = opening.reason == "genesis" && opening.prev.is_none() && opening.total == 0;
        wrong(!first || genesis, "epoch 0 is not a genesis".to_owned());
        wrong(
            first || (opening.prev.is_some() && opening.reason != "genesis"),
            "an epoch after the first is a genesis".to_owned(),
        );
        wrong(chain.partition.0 < chain.partitions, "its partition is none of the topic's".into());
        wrong(
            opening.prev.is_none_or(|prev| self.leaves.is_empty() || self.leaves.contains(&prev)),
            "it does not continue the last record before".to_owned(),
        );
        wrong(
            first || self.total.is_none_or(|total| total == opening.total),
            "its total is not that of the epochs before".to_owned(),
        );
        let ascending = opening.missing.is_sorted_by(|a, b| a.end < b.start);
        let empty = opening.missing.iter().any(|range| range.start >= range.end);
        wrong(ascending && !empty, "its missing ranges are not ascending and apart".to_owned());
        let lost = self.next.filter(|next| *next < opening.start && opening.reason != "recreated");
        let told = |next: Offset| {
            let covers = |range: &std::ops::Range<u64>| {
                range.start <= next.0 && opening.start.0 <= range.end
            };
            opening.missing.iter().any(covers)
        };
        wrong(
            first || lost.is_none_or(told),
            "offsets before it are in neither epoch and not said to be missing".to_owned(),
        );
        *self = Self {
            next: Some(opening.start),
            total: Some(opening.total),
            leaves: vec![opening.leaf_hash()],
            chain: Some(chain.clone()),
            closed: false,
        };
        found
    }

    /// Goes on to a segment; `copy` is the leaf hash of the record beside it, should it be another.
    pub(crate) fn follow(&mut self, enrolled: &EnrolledRecord, copy: Option<Digest>) -> Found {
        let (mut found, record) = (Found::new(), &enrolled.segment);
        let mut wrong = |right: bool, why: String| {
            if !right {
                found.push((Kind::Chain, why));
            }
        };
        if self.closed {
            wrong(false, "it comes after the end of its epoch".to_owned());
            return found;
        }
        wrong(
            self.chain.as_ref().is_none_or(|chain| *chain == record.chain),
            "cluster, topic or partition are not those of its epoch".to_owned(),
        );
        if let Some(next) = self.next.filter(|next| *next != record.start) {
            wrong(false, format!("it begins at {} where the chain is at {next}", record.start));
            if record.start < next {
                return found;
            }
        } else {
            let known = self.leaves.is_empty() || self.leaves.contains(&record.prev);
            wrong(known, "it does not continue the record before".to_owned());
            let total = self.total.and_then(|total| total.checked_add(record.rows));
            wrong(
                self.total.is_none() || total == Some(record.total),
                "its total is not that of the rows before and its own".to_owned(),
            );
        }
        self.next = Some(record.next);
        self.total = Some(record.total);
        self.leaves = vec![enrolled.leaf_hash()];
        self.leaves.extend(copy);
        found
    }

    /// Ends the epoch.
    pub(crate) fn close(&mut self, text: &str, key: &ObjectKey) -> Found {
        let wrong = |why: &str| vec![(Kind::Epoch, why.to_owned())];
        let terminal = match TerminalObject::parse(text) {
            Ok(terminal) => terminal,
            Err(error) => return wrong(&error.to_string()),
        };
        self.closed = true;
        let TerminalObject { topic, partition, epoch, start, prev } = terminal;
        if ObjectKey::Segment(topic, partition, epoch, start) != *key {
            return wrong("it is the terminal object of another key");
        }
        if self.next.is_some_and(|next| next != start) {
            return wrong("it is not where the epoch's next segment would be");
        }
        if !self.leaves.is_empty() && !self.leaves.contains(&prev) {
            return wrong("it does not continue the epoch's last record");
        }
        Found::new()
    }
}
