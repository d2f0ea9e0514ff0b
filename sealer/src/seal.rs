//! The order of effects: what is written when, and what a crash at each step leaves behind.

use bytes::Bytes;
use schemas::EnrolledRecord;
use store::Created;
use tracing::{info, warn};

use crate::adopt::{self, Found};
use crate::chain::Head;
use crate::draft::Draft;
use crate::encode::Encoded;
use crate::error::Error;
use crate::head::put_record;
use crate::lane::Lane;

/// A batch that is sealed.
#[derive(Debug)]
pub(crate) struct Sealed {
    /// The chain's new end.
    pub(crate) head: Head,
    /// Segments, those of other sealers included.
    pub(crate) segments: u64,
    /// Segments of other sealers among them.
    pub(crate) adopted: u64,
    /// Size of the objects that are ours.
    pub(crate) bytes: u64,
    /// Offsets in them that hold no message.
    pub(crate) gaps: u64,
}

/// Seals all of `draft` after `head`.
pub(crate) async fn seal(lane: &Lane, head: Head, draft: Draft) -> Result<Sealed, Error> {
    // All of the batch was read before this look at the topic, so it was read from the topic that the chain is of.
    lane.patiently("look at the topic of", "the chain", || lane.source.still(&lane.origin)).await?;
    let now = draft.cut_at();
    let mut sealed = Sealed { head, segments: 0, adopted: 0, bytes: 0, gaps: 0 };
    // It was encoded while the segment before was put, and is encoded again where the chain ends elsewhere. A crash until
    // here leaves bodies locked longer than they need be, and nothing else.
    let mut left = draft.after(lane, &sealed.head).await?;
    while let Some(draft) = left {
        // A crash before this PUT leaves nothing; the source still has the messages.
        let won = put(lane, &draft, &sealed.head).await?;
        // A crash here leaves a segment without its record and the source ahead of nothing: start-up adopts the
        // segment and puts the record.
        let ours = won.is_none();
        let record = won.unwrap_or_else(|| draft.encoded().record.clone());
        lane.patiently("put the record of", &record.key, || put_record(lane, &record, now)).await?;
        // A crash here leaves the source holding what is sealed: start-up goes on from the chain, not from the source.
        let wrong = |why| lane.origin.wrong(&record.key, why);
        sealed.head = sealed.head.after(&record).map_err(wrong)?;
        let (start, next) = (record.segment.start, record.segment.next);
        lane.source.forget(&lane.origin, start, next).await;
        sealed.segments += 1;
        sealed.adopted += u64::from(!ours);
        sealed.bytes += if ours { record.size } else { 0 };
        sealed.gaps += (next.0 - start.0).saturating_sub(record.segment.rows);
        info!(
            partition = %lane.origin.partition, %start, %next, rows = record.segment.rows,
            bytes = record.size, root = %record.segment.root, ours, "segment sealed"
        );
        left = draft.after(lane, &sealed.head).await?;
    }
    Ok(sealed)
}

/// Puts a segment. `Some` is the record of another sealer's segment that took the key, continues the chain and holds what
/// the source holds.
async fn put(lane: &Lane, draft: &Draft, head: &Head) -> Result<Option<EnrolledRecord>, Error> {
    let Encoded { bytes: object, record } = draft.encoded();
    let key = &record.key;
    let create = || async {
        match lane.store.create(key, object.clone(), draft.lock()).await {
            Ok(Created::New) => Ok(None),
            // Taken, or the answer was lost on the way: what stands there tells which.
            Ok(Created::Exists) => {
                let absent =
                    || Error::Unsettled { what: format!("{key} is taken, but reads as absent") };
                read_back(lane, key).await?.ok_or_else(absent).map(Some)
            }
            Err(error) if error.kind() == store::Kind::Unknown => {
                match read_back(lane, key).await {
                    Ok(Some(found)) => Ok(Some(found)),
                    Ok(None) | Err(_) => Err(error.into()),
                }
            }
            Err(error) => Err(error.into()),
        }
    };
    let found = lane.patiently("put", key, create).await?;
    let Some(found) = found.filter(|found| found != object) else { return Ok(None) };
    let segment = match adopt::inspect(lane, key, found).await? {
        Found::Segment(segment) => segment,
        Found::Terminal => {
            let (partition, epoch) = (lane.origin.partition, head.chain.epoch);
            return Err(Error::Ended { partition, epoch });
        }
        Found::Junk(why) => return Err(lane.origin.wrong(key, why)),
    };
    head.after(&segment.record).map_err(|why| lane.origin.wrong(key, why))?;
    lane.patiently("compare", key, || segment.compare(lane, Some(draft.batch()))).await?;
    warn!(partition = %lane.origin.partition, %key, "another sealer was first; its segment is adopted");
    Ok(Some(segment.record))
}

async fn read_back(lane: &Lane, key: &str) -> Result<Option<Bytes>, Error> {
    match lane.store.get(key, adopt::SEGMENT_BYTES_MAX).await {
        Err(error @ store::Error::TooLarge { .. }) => {
            Err(lane.origin.wrong(key, error.to_string()))
        }
        found => Ok(found?),
    }
}
