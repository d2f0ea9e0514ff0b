//! From the last enrolled link of a chain to its end: the records and openings between, each checked to continue the one before.

use bytes::Bytes;
use schemas::tlog::{Commit, Entry};
use schemas::{EnrolledRecord, Epoch, EpochOpening, ObjectKey};

use crate::adopt::SEGMENT_BYTES_MAX;
use crate::chain::Head;
use crate::check::enrolled;
use crate::decode;
use crate::enrol::Desk;
use crate::epoch::TEXT_BYTES_MAX;
use crate::error::Error;
use crate::log::{Enrolled, Log};
use crate::stop::Stop;
use crate::tail::wrong;

impl Desk {
    /// Fails where the log has enrolled more of a chain than the store holds, or something else.
    pub(crate) async fn confirm(&self, log: &Log, head: &Head) -> Result<Confirmed, Error> {
        let partition = head.chain.partition;
        let Some(enrolled) = log.enrolled(partition) else { return Ok(Confirmed::Whole) };
        if (head.chain.epoch, head.next) < (enrolled.epoch, enrolled.next) {
            return self.behind(head, enrolled).await;
        }
        // The first link behind what is enrolled must continue it; each further one is looked at when it is enrolled.
        self.link_after(Some(enrolled), head).await?;
        Ok(Confirmed::Whole)
    }

    /// Whether what lies between a head and what is enrolled was taken away, or only not listed yet: reads do not lag.
    async fn behind(&self, head: &Head, enrolled: Enrolled) -> Result<Confirmed, Error> {
        let chain = &head.chain;
        if chain.epoch < enrolled.epoch {
            return match self.opening(head, enrolled.epoch).await? {
                Some(_) => Err(Error::Unsettled { what: "a newer epoch is not listed".to_owned() }),
                None => Ok(Confirmed::Dropped(enrolled)),
            };
        }
        let mut at = Enrolled { epoch: chain.epoch, next: head.next, leaf: head.prev };
        while at.next < enrolled.next {
            let record = self.record(head, at).await?.filter(|one| one.segment.prev == at.leaf);
            let Some(record) = record else { return Ok(Confirmed::Dropped(enrolled)) };
            at = Enrolled { next: record.segment.next, leaf: record.leaf_hash(), ..at };
        }
        if at == enrolled { Ok(Confirmed::Whole) } else { Err(self.forked(head, &at)) }
    }

    /// The link after `at` on the way to `head`; `None` once that is reached.
    pub(crate) async fn link_after(
        &self,
        at: Option<Enrolled>,
        head: &Head,
    ) -> Result<Option<Entry>, Error> {
        let Some(at) = at else {
            return self.opening(head, Epoch(0)).await.map(|one| one.map(Entry::Opening));
        };
        let last = head.chain.epoch;
        if at.epoch > last || (at.epoch == last && at.next >= head.next) {
            let same = at.epoch != last || at.next != head.next || at.leaf == head.prev;
            return if same { Ok(None) } else { Err(self.forked(head, &at)) };
        }
        let opening = match at.epoch < last {
            true => self.opening(head, Epoch(at.epoch.0 + 1)).await?,
            false => None,
        };
        if let Some(opening) = opening.as_ref().filter(|opening| opening.prev == Some(at.leaf)) {
            return Ok(Some(Entry::Opening(opening.clone())));
        }
        let record = self.record(head, at).await?.filter(|one| one.segment.prev == at.leaf);
        let Some(record) = record else {
            // An opening may leave enrolled links behind: its offsets then begin before their end.
            let back = opening.filter(|opening| opening.start < at.next);
            return back.map(Entry::Opening).map(Some).ok_or_else(|| self.forked(head, &at));
        };
        let entry = Entry::Record(Box::new(record));
        if !Commit::fits(&entry) {
            return Err(wrong(&self.key(head, at), "its record is too large for the log"));
        }
        Ok(Some(entry))
    }

    async fn opening(&self, head: &Head, epoch: Epoch) -> Result<Option<Box<EpochOpening>>, Error> {
        let key = ObjectKey::Epoch(self.topic.clone(), head.chain.partition, epoch).to_string();
        let Some(bytes) = self.store.get(&key, TEXT_BYTES_MAX).await? else { return Ok(None) };
        let text = std::str::from_utf8(&bytes).map_err(|_| wrong(&key, "it is not UTF-8"))?;
        let opening = EpochOpening::parse(text).map_err(|error| wrong(&key, &error.to_string()))?;
        Ok(Some(Box::new(opening)))
    }

    /// The record of the segment that begins at `at`: the one beside it, or, where that is none, the one its bytes give.
    async fn record(&self, head: &Head, at: Enrolled) -> Result<Option<EnrolledRecord>, Error> {
        let (topic, partition) = (self.topic.clone(), head.chain.partition);
        let key = ObjectKey::Record(topic, partition, at.epoch, at.next).to_string();
        let beside = self.store.get(&key, TEXT_BYTES_MAX).await?;
        let parse = |bytes: Bytes| EnrolledRecord::parse(std::str::from_utf8(&bytes).ok()?).ok();
        // Its hash is checked by the next link of the chain, the last one's by the chain's end.
        let follows = |record: &EnrolledRecord| record.segment.prev == at.leaf;
        if let Some(record) = beside.and_then(parse).filter(follows) {
            return Ok(Some(record));
        }
        let key = self.key(head, at);
        let bytes = self.store.get(&key, SEGMENT_BYTES_MAX).await?;
        let read = |bytes: Bytes| {
            let segment = decode::visit(&bytes, |_| Ok(())).ok()?.record;
            Some(enrolled(segment, key.clone(), &bytes))
        };
        Ok(bytes.and_then(read))
    }

    fn key(&self, head: &Head, at: Enrolled) -> String {
        let (topic, partition) = (self.topic.clone(), head.chain.partition);
        ObjectKey::Segment(topic, partition, at.epoch, at.next).to_string()
    }

    fn forked(&self, head: &Head, at: &Enrolled) -> Error {
        let why = "the chain in the store does not go on from what the log has enrolled of it";
        let stop = Stop::Object { key: self.key(head, *at), why: why.to_owned() };
        let (topic, partition) = (self.topic.clone(), head.chain.partition);
        Error::Stopped { topic, partition, stop }
    }
}

/// Whether a chain holds all that is enrolled of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Confirmed {
    Whole,
    /// It ends before this.
    Dropped(Enrolled),
}
