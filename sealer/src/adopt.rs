//! A segment that somebody else wrote, or an earlier run of this one: read, checked, and compared with what the source holds,
//! before it is taken for a part of the chain.

use std::collections::BTreeMap;

use bytes::Bytes;
use schemas::{Digest, EnrolledRecord, Hasher, ObjectKey, Offset, TerminalObject};

use crate::batch::Batch;
use crate::check::{check, enrolled};
use crate::compute::compute;
use crate::decode;
use crate::error::Error;
use crate::lane::Lane;
use crate::message::Message;
use crate::stop::Stop;

/// Largest segment that is read.
pub(crate) const SEGMENT_BYTES_MAX: u64 = 1 << 30;

/// How they part where only the log is shorter.
const ENDED: &str = "the log has ended already";

/// What stands at a segment's key.
#[derive(Debug)]
pub(crate) enum Found {
    /// A well-formed segment of that key.
    Segment(Box<Segment>),
    /// The object that ended the epoch.
    Terminal,
    /// Anything else, and why it is no segment.
    Junk(String),
}

/// A well-formed segment, as far as it can be compared with messages.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) record: EnrolledRecord,
    /// A digest of each row's message, by offset.
    rows: BTreeMap<u64, Digest>,
}

/// The first offset where a segment and the source part, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) offset: Offset,
    pub(crate) how: &'static str,
}

/// Reads what stands at `key`; `None` where nothing does.
pub(crate) async fn read(lane: &Lane, key: &str) -> Result<Option<Found>, Error> {
    match lane.store.get(key, SEGMENT_BYTES_MAX).await {
        Ok(None) => Ok(None),
        Ok(Some(bytes)) => inspect(lane, key, bytes).await.map(Some),
        Err(error @ store::Error::TooLarge { .. }) => Ok(Some(Found::Junk(error.to_string()))),
        Err(error) => Err(error.into()),
    }
}

/// Says what an object found at `key` is.
pub(crate) async fn inspect(lane: &Lane, key: &str, bytes: Bytes) -> Result<Found, Error> {
    if TerminalObject::is_at_head_of(&bytes) {
        return Ok(Found::Terminal);
    }
    let (place, name) = (lane.origin.place(), key.to_owned());
    #[cfg(test)]
    let segment = crate::simulator::memo::segment(segment);
    compute(move || match segment(&bytes, place, name) {
        Ok(segment) => Found::Segment(Box::new(segment)),
        Err(why) => Found::Junk(why),
    })
    .await
}

fn segment(bytes: &Bytes, place: schemas::Place, key: String) -> Result<Segment, String> {
    let record = check(bytes, place).map_err(|why| why.to_string())?;
    let chain = &record.chain;
    let named = ObjectKey::Segment(chain.topic.clone(), chain.partition, chain.epoch, record.start);
    if named.to_string() != key {
        return Err(format!("its record belongs to {named}"));
    }
    let mut rows = BTreeMap::new();
    let visited = decode::visit(bytes, |stored| {
        let message = &stored.message;
        let digest = digest(message.timestamp, message.key, message.value, stored.headers);
        rows.insert(message.offset.0, digest);
        Ok(())
    });
    visited.map_err(|why| why.to_string())?;
    Ok(Segment { record: enrolled(record, key, bytes), rows })
}

/// Two messages are the same where this is; it never leaves the process.
fn digest(
    timestamp: schemas::Timestamp,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: Option<&[u8]>,
) -> Digest {
    let time = Hasher::plain().u8(timestamp.kind.code()).bytes(&timestamp.millis.to_be_bytes());
    [key, value, headers].into_iter().fold(time, |all, part| all.opt(part)).finish()
}

impl Segment {
    /// Where the source, as far as it still holds the segment's offsets, holds something else. What `batch` has of them was
    /// read from the source and is not read again.
    pub(crate) async fn difference(
        &self,
        lane: &Lane,
        batch: Option<&Batch>,
    ) -> Result<Option<Difference>, Error> {
        let extent = lane.source.extent(&lane.origin).await?;
        let to = self.record.segment.next;
        let mut comparison =
            Comparison::new(&self.rows, self.record.segment.start.max(extent.start));
        if let Some(batch) = batch
            && let Some(difference) = comparison.take(batch.messages(), batch.next().min(to))
        {
            return Ok(Some(difference));
        }
        if comparison.at < to && extent.end > comparison.at {
            let range = comparison.at..to.min(extent.end);
            let mut feed = lane.source.range(&lane.origin, range.clone()).await?;
            while comparison.at < range.end {
                let Some(chunk) = feed.recv().await.transpose()? else {
                    let what =
                        format!("the source stopped giving partition {}", lane.origin.partition);
                    return Err(Error::Unsettled { what });
                };
                let ended = chunk.end.is_some_and(|end| end >= range.end);
                let until = if ended { range.end } else { chunk.next() };
                if chunk.from > comparison.at {
                    let what = format!("the source skipped offset {}", comparison.at);
                    return Err(Error::Unsettled { what });
                }
                if let Some(difference) = comparison.take(&chunk.messages, until.min(range.end)) {
                    return Ok(Some(difference));
                }
            }
        }
        let offset = extent.end.max(comparison.at);
        Ok((offset < to).then_some(Difference { offset, how: ENDED }))
    }

    /// As [`Self::difference`], as the reason to stop.
    pub(crate) async fn compare(&self, lane: &Lane, batch: Option<&Batch>) -> Result<(), Error> {
        let Some(Difference { offset, how }) = self.difference(lane, batch).await? else {
            return Ok(());
        };
        let (key, next) = (self.record.key.clone(), self.record.segment.next);
        Err(lane.origin.stopped(match how {
            ENDED => Stop::Truncated { next, end: offset },
            how => Stop::Differs { key, offset, how },
        }))
    }
}

/// Rows and messages side by side, in the order of offsets.
struct Comparison<'a> {
    rows: &'a BTreeMap<u64, Digest>,
    /// Before this, they are the same.
    at: Offset,
}

impl<'a> Comparison<'a> {
    fn new(rows: &'a BTreeMap<u64, Digest>, from: Offset) -> Self {
        Self { rows, at: from }
    }

    /// Compares up to `until` with `messages`, which are all that the source has from `at` to there, and may have others
    /// around it.
    fn take(&mut self, messages: &[Message], until: Offset) -> Option<Difference> {
        let range = self.at.0..until.0.max(self.at.0);
        let mut rows = self.rows.range(range.clone()).peekable();
        for message in messages.iter().filter(|message| range.contains(&message.offset.0)) {
            let offset = message.offset;
            let difference = |offset, how| Some(Difference { offset: Offset(offset), how });
            match rows.next() {
                Some((row, _)) if *row < offset.0 => {
                    return difference(*row, "it has a row where the source holds no message");
                }
                Some((row, sealed)) if *row == offset.0 => {
                    if *sealed != digest_of(message) {
                        return difference(
                            *row,
                            "its row is not the message that the source holds",
                        );
                    }
                }
                _ => return difference(offset.0, "it lacks a message that the source holds"),
            }
        }
        if let Some((row, _)) = rows.next() {
            let how = "it has a row where the source holds no message";
            return Some(Difference { offset: Offset(*row), how });
        }
        self.at = self.at.max(until);
        None
    }
}

fn digest_of(message: &Message) -> Digest {
    let headers = message.headers_bytes();
    digest(message.timestamp, message.key.as_deref(), message.value.as_deref(), headers.as_deref())
}
