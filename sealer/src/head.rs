//! Finds where a partition's chain ends in the store, or opens its first epoch.
//!
//! Start-up adopts what the store holds, once it has compared it with what the source still has; it never encodes anything
//! to compare. How much it reads does not grow with the chain.

use bytes::Bytes;
use schemas::{Digest, EnrolledRecord, ObjectKey, Offset, Seconds};
use store::Created;
use tracing::{info, warn};

use crate::adopt::{self, Found, Segment};
use crate::chain::Head;
use crate::epoch::{self, TEXT_BYTES_MAX};
use crate::error::Error;
use crate::find::{Page, Search};
use crate::lane::Lane;
use crate::source::Extent;
use crate::stop::Stop;

/// Segments behind the hint that are walked one by one; where there are more, the hint is of no use.
pub(crate) const WALK_MAX: usize = 64;
/// Pages of nothing but junk that are passed over.
const JUNK_PAGES_MAX: usize = 16;
/// Objects at the end of an epoch that are looked at for the last segment, where those behind it are junk.
const CANDIDATES_MAX: usize = 64;

/// The end of a chain, and what stands in the way of its next segment.
#[derive(Debug)]
pub(crate) struct Trail {
    pub(crate) head: Head,
    /// The last segment's record.
    pub(crate) last: Option<Box<EnrolledRecord>>,
    /// What was found at the next key.
    pub(crate) blocked: Option<Found>,
}

/// The head of the partition's chain; where there is none, epoch 0 is opened where the source begins.
///
/// # Errors
/// The store or the source failed, or the partition cannot go on before somebody has looked at it.
pub(crate) async fn load(lane: &Lane, now: Seconds) -> Result<Head, Error> {
    let loaded = end(lane, now).await;
    if let Err(Error::Stopped { .. }) = loaded {
        // A topic that was re-created meanwhile is no truncated one.
        lane.source.still(&lane.origin).await?;
    }
    loaded
}

async fn end(lane: &Lane, now: Seconds) -> Result<Head, Error> {
    let origin = &lane.origin;
    if lane.source.is_compacted().await? {
        return Err(origin.stopped(Stop::Compacted));
    }
    let extent = lane.source.extent(origin).await?;
    let opening = epoch::last(&lane.store, &origin.topic, origin.partition, origin).await?;
    let opening = match opening {
        Some(opening) => opening,
        None => epoch::open_first(lane, extent.start, now).await?,
    };
    if let Some(stop) = origin.differs_from(&opening.chain) {
        return Err(origin.stopped(stop));
    }
    let trail =
        Walk { lane, extent, compare: Some(now) }.to_its_end(Head::opened(&opening)).await?;
    let head = trail.head;
    let key = head.segment_key().to_string();
    match trail.blocked {
        Some(Found::Terminal) => {
            return Err(origin.stopped(Stop::Ended { epoch: head.chain.epoch, key }));
        }
        Some(Found::Junk(why)) => return Err(origin.wrong(key, why)),
        Some(Found::Segment(_)) | None => {}
    }
    // Asked again: what another sealer has sealed meanwhile may reach past the end that the log had before.
    let extent = lane.source.extent(origin).await?;
    if extent.end < head.next {
        return Err(origin.stopped(Stop::Truncated { next: head.next, end: extent.end }));
    }
    if extent.start > head.next {
        return Err(origin.stopped(Stop::Overtaken { next: head.next, start: extent.start }));
    }
    info!(partition = %origin.partition, next = %head.next, total = head.total, "chain adopted");
    Ok(head)
}

/// A walk along the last segments of an epoch.
pub(crate) struct Walk<'a> {
    pub(crate) lane: &'a Lane,
    pub(crate) extent: Extent,
    /// The time, where each segment is to be compared with the source and its record put; else they are only looked at.
    pub(crate) compare: Option<Seconds>,
}

impl Walk<'_> {
    /// From the hint's segment on, or else from the last one, to the end of the chain that begins at `opened`.
    pub(crate) async fn to_its_end(&self, opened: Head) -> Result<Trail, Error> {
        if let Some(hint) = self.extent.hint {
            let near = self.page(&opened, hint, self.extent.end).await?;
            let useful = !near.more && near.starts.len() <= WALK_MAX;
            // The hint may be anybody's, and so may a segment be that stands there and continues nothing.
            if useful
                && near.starts.first() == Some(&hint)
                && let Some(segment) = self.segment(&opened, hint).await?
                && self.is_linked(&opened, &segment).await?
            {
                self.pass(&segment).await?;
                return self.on(Head::at(&segment.record), Some(segment), &near.starts).await;
            }
        }
        let starts = self.last(&opened, self.extent.end).await?;
        for start in starts.iter().rev().take(CANDIDATES_MAX) {
            if let Some(segment) = self.segment(&opened, *start).await?
                && self.is_linked(&opened, &segment).await?
            {
                self.pass(&segment).await?;
                return self.on(Head::at(&segment.record), Some(segment), &starts).await;
            }
        }
        match starts.last() {
            // So much junk that no segment is left to be seen.
            Some(last) if starts.len() > CANDIDATES_MAX => {
                let key = Head { next: *last, ..opened }.segment_key();
                Err(self.lane.origin.wrong(key, "neither it nor those before it are segments"))
            }
            _ => self.on(opened, None, &starts).await,
        }
    }

    /// The last segments that begin no later than `end`.
    async fn last(&self, opened: &Head, end: Offset) -> Result<Vec<Offset>, Error> {
        let mut search = Search::new(opened.next, end);
        while let Some(from) = search.ask() {
            search.tell(self.page(opened, from, end).await?);
        }
        Ok(search.found())
    }

    /// The segments that begin between `from` and `end`, as many as one request gives.
    async fn page(&self, opened: &Head, from: Offset, end: Offset) -> Result<Page, Error> {
        let chain = &opened.chain;
        let folder =
            format!("segments/{}/{:05}/{:010}", chain.topic, chain.partition.0, chain.epoch.0);
        // Listings begin behind a name: without its ending it sorts before the segment that begins right there.
        let mut after = format!("{folder}/{:020}", from.0);
        for _ in 0..JUNK_PAGES_MAX {
            let mut names = self.lane.store.page(&folder, Some(&after)).await?;
            if let Some(page) = Page::of(&names, from..=end) {
                return Ok(page);
            }
            after = names.keys.pop().unwrap_or(after);
        }
        Ok(Page::default())
    }

    /// The segment at `start`; `None` where there is none of this chain.
    pub(crate) async fn segment(
        &self,
        opened: &Head,
        start: Offset,
    ) -> Result<Option<Box<Segment>>, Error> {
        let key = Head { next: start, ..opened.clone() }.segment_key().to_string();
        match adopt::read(self.lane, &key).await? {
            Some(Found::Segment(segment)) if segment.record.segment.chain == opened.chain => {
                Ok(Some(segment))
            }
            Some(Found::Junk(why)) => {
                warn!(%key, why, "not a segment; passed over");
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// The segment that ends at `next` and whose record's leaf hash is `prev`, among those whose names come before: others may
    /// have been planted between. `None` where none is seen, which is not to say that there is none: a listing may lag.
    pub(crate) async fn linked(
        &self,
        opened: &Head,
        next: Offset,
        prev: Digest,
    ) -> Result<Option<Box<Segment>>, Error> {
        let (mut before, mut left) = (next, CANDIDATES_MAX);
        while left > 0 && before > opened.next {
            let starts = self.last(opened, Offset(before.0 - 1)).await?;
            for start in starts.iter().rev().take(left) {
                if let Some(segment) = self.segment(opened, *start).await?
                    && (segment.record.segment.next, segment.record.leaf_hash()) == (next, prev)
                {
                    return Ok(Some(segment));
                }
            }
            left = left.saturating_sub(starts.len());
            let Some(first) = starts.first() else { break };
            before = *first;
        }
        Ok(None)
    }

    /// Whether the segment continues the one before it, or the opening.
    async fn is_linked(&self, opened: &Head, segment: &Segment) -> Result<bool, Error> {
        if opened.after(&segment.record).is_ok() {
            return Ok(true);
        }
        let record = &segment.record.segment;
        let before = self.linked(opened, record.start, record.prev).await?;
        Ok(before.is_some_and(|before| Head::at(&before.record).after(&segment.record).is_ok()))
    }

    /// Follows the chain from `head`, which is after `last`, as far as `listed` goes.
    async fn on(
        &self,
        mut head: Head,
        last: Option<Box<Segment>>,
        listed: &[Offset],
    ) -> Result<Trail, Error> {
        let mut last = last.map(|segment| Box::new(segment.record));
        let mut blocked = None;
        while blocked.is_none() && listed.binary_search(&head.next).is_ok() {
            let key = head.segment_key().to_string();
            match adopt::read(self.lane, &key).await? {
                Some(Found::Segment(segment)) => match head.after(&segment.record) {
                    Ok(after) => {
                        self.pass(&segment).await?;
                        head = after;
                        last = Some(Box::new(segment.record));
                    }
                    Err(why) => blocked = Some(Found::Junk(why.to_owned())),
                },
                Some(found) => blocked = Some(found),
                // Listed, and not there: a writer will find out.
                None => break,
            }
        }
        Ok(Trail { head, last, blocked })
    }

    async fn pass(&self, segment: &Segment) -> Result<(), Error> {
        let Some(now) = self.compare else { return Ok(()) };
        segment.compare(self.lane, None).await?;
        put_record(self.lane, &segment.record, now).await
    }
}

/// Puts a record beside its segment. What stands there already and differs is a verifier's finding, and no reason to stop.
pub(crate) async fn put_record(
    lane: &Lane,
    record: &EnrolledRecord,
    now: Seconds,
) -> Result<(), Error> {
    let chain = &record.segment.chain;
    let (topic, start) = (chain.topic.clone(), record.segment.start);
    let key = ObjectKey::Record(topic, chain.partition, chain.epoch, start).to_string();
    let text = Bytes::from(record.to_string());
    let lock = lane.keeping.record_lock(now)?;
    if lane.store.create(&key, text.clone(), lock).await? == Created::Exists
        && lane.store.get(&key, TEXT_BYTES_MAX).await?.is_some_and(|found| found != text)
    {
        warn!(%key, "the record beside the segment is not the segment's; verify will report it");
    }
    Ok(())
}
