//! CORE: `check(store, source)`: whether everything that was ever created in the store belongs there, as far as that can be said
//! of it when it appears.
//!
//! It looks at the objects alone and at what the source really held. It takes nothing from the code under test but the reading
//! of a segment's bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use bytes::Bytes;
use schemas::tlog::Entry;
use schemas::{
    Digest, EnrolledRecord, EpochOpening, ObjectKey, Offset, Partition, Place, TerminalObject,
};

use crate::chain::Head;
use crate::check::check;
use crate::decode;
use crate::memory::Log;
use crate::message::Message;
use crate::simulator::enrolled::Enrolled;
use crate::simulator::memo::Memo;

/// What the audit finds wrong.
pub(super) type Violation = String;

/// What was ever at the offsets of a topic: `None` is a marker. More than one only where the log was truncated.
pub(super) type History = BTreeMap<(String, u64), Vec<Option<Message>>>;

/// A well-formed segment.
#[derive(Debug)]
struct Segment {
    record: EnrolledRecord,
    rows: Vec<Message>,
}

#[derive(Debug)]
struct Epoch {
    opening: EpochOpening,
    /// The end of its chain, of what was planted too where it continues the chain.
    tip: Head,
    ended: bool,
    /// Junk where the next segment would be.
    junk: Option<(String, Digest)>,
    /// The first offset of a planted segment in the chain that is not what the source held.
    invented: Option<u64>,
    segments: Vec<Rc<Segment>>,
}

#[derive(Debug, Default)]
pub(super) struct Audit {
    pub(super) history: History,
    /// Objects that the intruder put.
    pub(super) planted: BTreeSet<String>,
    pub(super) truncated: bool,
    epochs: Vec<Epoch>,
    /// Records of all segments that are part of a chain, by key.
    records: BTreeMap<String, Rc<Segment>>,
    junk: BTreeMap<String, Digest>,
    pub(super) seen: usize,
    pub(super) enrolled: Enrolled,
}

macro_rules! ensure {
    ($holds:expr, $($why:tt)+) => {
        if !$holds {
            return Err(format!($($why)+));
        }
    };
}

impl Audit {
    /// Takes in an object that has just been created.
    pub(super) fn created(&mut self, key: &str, bytes: &Bytes, log: &Log) -> Result<(), Violation> {
        self.seen += 1;
        if key.starts_with("log/") {
            let (epochs, records) = (&self.epochs, &self.records);
            let linked = |entry: &Entry| match entry {
                Entry::Opening(opening) => epochs.iter().any(|epoch| epoch.opening == **opening),
                Entry::Record(record) => {
                    records.get(&record.key).is_some_and(|segment| segment.record == **record)
                }
                Entry::Heartbeat(_) | Entry::KeyChange(_) => true,
            };
            return self.enrolled.created(key, bytes, linked);
        }
        let planted = self.planted.contains(key);
        match ObjectKey::parse(key) {
            _ if planted => self.planted(key, bytes),
            Some(ObjectKey::Epoch(..)) => self.opened(key, bytes, log)?,
            Some(ObjectKey::Segment(_, _, epoch, _)) => {
                let epoch = usize::try_from(epoch.0).unwrap();
                match TerminalObject::is_at_head_of(bytes) {
                    true => self.ended(epoch, key, bytes)?,
                    false => self.sealed(epoch, key, bytes, log)?,
                }
            }
            Some(ObjectKey::Record(topic, partition, epoch, start)) => {
                let segment = ObjectKey::Segment(topic, partition, epoch, start).to_string();
                let segment = self.records.get(&segment);
                let equal =
                    segment.is_some_and(|segment| bytes == segment.record.to_string().as_bytes());
                ensure!(equal, "{key} is not the record of a segment in the store");
            }
            None => return Err(format!("{key} is no key of ours")),
        }
        self.follow();
        Ok(())
    }

    fn opened(&mut self, key: &str, bytes: &Bytes, log: &Log) -> Result<(), Violation> {
        let opening =
            EpochOpening::parse(std::str::from_utf8(bytes).unwrap()).map_err(|e| e.to_string())?;
        let number = usize::try_from(opening.chain.epoch.0).unwrap();
        ensure!(number == self.epochs.len(), "{key} is not the opening of the next epoch");
        if let Some(before) = self.epochs.last() {
            let (tip, start) = (&before.tip, opening.start);
            ensure!(
                before.ended || before.junk.is_some(),
                "{key} opens an epoch, and the one before has not ended"
            );
            ensure!(opening.prev == Some(tip.prev), "{key} does not follow the epoch before");
            ensure!(opening.total == tip.total, "{key}: its total is not that of the epoch before");
            let abandoned: Vec<_> =
                opening.abandoned.iter().map(|(key, _, hash)| (key.clone(), *hash)).collect();
            ensure!(
                abandoned == before.junk.clone().into_iter().collect::<Vec<_>>(),
                "{key} abandons {abandoned:?}, and the junk is {:?}",
                before.junk
            );
            let recreated = opening.chain.topic_id != tip.chain.topic_id;
            ensure!(recreated == (opening.reason == "recreated"), "{key}: a wrong reason");
            let kept = log.extent(Partition(0)).start;
            let same_topic = log.origins()[0].topic_id == tip.chain.topic_id;
            if !recreated {
                let gap = tip.next.0..start.0;
                let missing: Vec<_> =
                    Some(gap.clone()).filter(|gap| !gap.is_empty()).into_iter().collect();
                ensure!(
                    opening.missing == missing,
                    "{key} misses {:?}, not {missing:?}",
                    opening.missing
                );
                ensure!(
                    gap.is_empty() || !same_topic || start <= kept,
                    "{key} misses what the source holds"
                );
                let goes_back = start < tip.next;
                ensure!(
                    !goes_back || self.truncated || before.invented.is_some(),
                    "{key} goes back without a reason"
                );
                let invented = before.invented.filter(|offset| same_topic && *offset >= kept.0);
                ensure!(
                    invented.is_none_or(|offset| start.0 <= offset),
                    "{key} keeps what was invented"
                );
            } else {
                ensure!(opening.missing.is_empty(), "{key} misses offsets of another topic");
            }
        }
        let tip = Head::opened(&opening);
        self.epochs.push(Epoch {
            opening,
            tip,
            ended: false,
            junk: None,
            invented: None,
            segments: Vec::new(),
        });
        Ok(())
    }

    fn ended(&mut self, epoch: usize, key: &str, bytes: &Bytes) -> Result<(), Violation> {
        let terminal = TerminalObject::parse(std::str::from_utf8(bytes).unwrap())
            .map_err(|e| e.to_string())?;
        let Some(epoch) = self.epochs.get_mut(epoch) else {
            return Err(format!("{key} ends nothing"));
        };
        ensure!(
            key == epoch.tip.segment_key().to_string(),
            "{key} does not end the epoch at its end"
        );
        ensure!(terminal.prev == epoch.tip.prev, "{key}: its prev is not the chain's");
        ensure!(!epoch.ended, "{key} ends it again");
        epoch.ended = true;
        Ok(())
    }

    fn sealed(
        &mut self,
        number: usize,
        key: &str,
        bytes: &Bytes,
        log: &Log,
    ) -> Result<(), Violation> {
        let Some(epoch) = self.epochs.get_mut(number) else {
            return Err(format!("{key} has no epoch"));
        };
        let segment = read(key, bytes)?;
        ensure!(!epoch.ended, "{key} extends an epoch that has ended");
        ensure!(key == epoch.tip.segment_key().to_string(), "{key}: a fork, or behind a hole");
        epoch.tip = epoch.tip.after(&segment.record).map_err(|why| format!("{key}: {why}"))?;
        let differs = differs(&segment, &self.history);
        ensure!(
            differs.is_none(),
            "{key} is not what the source held at {}",
            differs.unwrap_or_default()
        );
        // One that was sealed while nobody could look any more is beyond what a sealer can notice.
        let kept = log.extent(Partition(0)).start.0;
        let same_topic = log.origins()[0].topic_id == epoch.tip.chain.topic_id;
        let known =
            epoch.invented.filter(|offset| same_topic && *offset >= kept && !self.truncated);
        ensure!(
            known.is_none(),
            "{key} extends a segment that was invented at {}",
            known.unwrap_or_default()
        );
        epoch.segments.push(Rc::clone(&segment));
        self.records.insert(key.to_owned(), segment);
        Ok(())
    }

    fn planted(&mut self, key: &str, bytes: &Bytes) {
        self.junk.insert(key.to_owned(), Digest::of(bytes));
        if let Ok(segment) = read(key, bytes) {
            self.records.insert(key.to_owned(), segment);
        }
    }

    /// Follows every chain over what was planted at its end.
    fn follow(&mut self) {
        for epoch in &mut self.epochs {
            while epoch.junk.is_none() {
                let key = epoch.tip.segment_key().to_string();
                let Some(hash) = self.junk.get(&key) else { break };
                let segment = self.records.get(&key);
                match segment
                    .and_then(|segment| epoch.tip.after(&segment.record).ok().zip(Some(segment)))
                {
                    Some((after, segment)) => {
                        epoch.invented = epoch.invented.or(differs(segment, &self.history));
                        epoch.segments.push(Rc::clone(segment));
                        epoch.tip = after;
                    }
                    None => epoch.junk = Some((key, *hash)),
                }
            }
        }
    }

    /// A sealer believes that its chain ends here.
    pub(super) fn acknowledged(&self, head: &Head) -> Result<(), Violation> {
        let opened = self.epochs.iter().any(|epoch| Head::opened(&epoch.opening) == *head);
        let sealed = || self.records.values().any(|segment| Head::at(&segment.record) == *head);
        ensure!(
            opened || sealed(),
            "a sealer believes in an end at {} that is not in the store",
            head.next
        );
        Ok(())
    }

    /// The source was told that the segment that begins here is sealed.
    pub(super) fn forgotten(&self, start: Offset) -> Result<(), Violation> {
        let sealed = self.records.values().any(|segment| segment.record.segment.start == start);
        ensure!(sealed, "the offset {start} was committed, and no segment begins there");
        Ok(())
    }

    /// The newest epoch's number and the end of its chain.
    pub(super) fn tip(&self) -> Option<&Head> {
        self.epochs.last().map(|epoch| &epoch.tip)
    }

    /// Whether the newest epoch's chain holds a planted segment.
    pub(super) fn is_invaded(&self) -> bool {
        self.epochs.last().is_some_and(|epoch| epoch.invented.is_some())
    }

    pub(super) fn epochs(&self) -> usize {
        self.epochs.len()
    }

    pub(super) fn segments(&self) -> usize {
        self.epochs.iter().map(|epoch| epoch.segments.len()).sum()
    }

    /// Once all is quiet: everything that the source holds, from where the first epoch began, is in the newest segment over
    /// its offset.
    pub(super) fn whole(&self, log: &Log) -> Result<(), Violation> {
        let topic_id = log.origins()[0].topic_id.clone();
        let messages = log.held(Partition(0), |held| held.messages.clone());
        for (offset, message) in messages {
            let covering = self
                .epochs
                .iter()
                .rev()
                .filter(|epoch| epoch.opening.chain.topic_id == topic_id)
                .find_map(|epoch| {
                    let covers = |segment: &&Rc<Segment>| {
                        let record = &segment.record.segment;
                        (record.start.0..record.next.0).contains(&offset)
                    };
                    epoch.segments.iter().find(covers)
                });
            let Some(segment) = covering else {
                return Err(format!("offset {offset} is in no segment"));
            };
            let sealed = segment.rows.iter().find(|row| row.offset.0 == offset);
            // A log that is cut and written anew under a sealer is noticed by the leader's epoch, which this one has not.
            let equal = self.truncated || sealed == Some(&message);
            ensure!(
                equal,
                "offset {offset} is not in {} as the source holds it",
                segment.record.key
            );
        }
        Ok(())
    }
}

/// The first offset at which a segment says what the source never held there.
fn differs(segment: &Segment, history: &History) -> Option<u64> {
    let record = &segment.record.segment;
    let topic_id = record.chain.topic_id.clone().unwrap_or_default();
    (record.start.0..record.next.0).find(|offset| {
        let sealed = segment.rows.iter().find(|row| row.offset.0 == *offset);
        let held = history.get(&(topic_id.clone(), *offset));
        !held.is_some_and(|held| held.iter().any(|held| held.as_ref() == sealed))
    })
}

thread_local! {
    /// Reading is a function of the bytes and the key, and many runs write the same ones.
    static READ: Memo<Rc<Segment>> = Memo::new();
}

fn read(key: &str, bytes: &Bytes) -> Result<Rc<Segment>, Violation> {
    let inputs = format!("{} {key}", Digest::of(bytes));
    READ.with(|memo| memo.of(Digest::of(inputs.as_bytes()), || Ok((parse(key, bytes)?, true))))
}

fn parse(key: &str, bytes: &Bytes) -> Result<Rc<Segment>, Violation> {
    let place = Place { partition: Partition(0), partitions: 1 };
    let wrong = |why: decode::NotASegment| format!("{key}: {why}");
    let record = crate::check::enrolled(check(bytes, place).map_err(wrong)?, key.to_owned(), bytes);
    let mut rows = Vec::new();
    decode::visit(bytes, |stored| {
        let message = &stored.message;
        assert!(stored.headers.is_none(), "the simulator's messages have no headers");
        rows.push(Message {
            offset: message.offset,
            timestamp: message.timestamp,
            key: message.key.map(<[u8]>::to_vec),
            headers: Vec::new(),
            value: message.value.map(<[u8]>::to_vec),
            leader_epoch: None,
        });
        Ok(())
    })
    .map_err(wrong)?;
    Ok(Rc::new(Segment { record, rows }))
}
