//! What readers see: the durable part of the log; and the calls that wait to become part of it.
//!
//! It is values in memory, changed under one short lock; it does no I/O but opening a file to read.

use std::collections::VecDeque;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use crate::call::Call;
use crate::error::Error;
use crate::index::{Index, Mark};
use crate::record::Salt;

/// Calls that wait are written together up to this size, or one call, if it is larger.
const GROUP_BYTES_MAX: u64 = 16 << 20;

/// A segment file, as far as it is durable.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) first: u64,
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    pub(crate) salt: Salt,
    pub(crate) index: Index,
}

/// Where to read: an open file, so that truncation cannot take it away.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
    pub(crate) salt: Salt,
    /// At or before the offset asked for.
    pub(crate) mark: Mark,
    pub(crate) end: u64,
    /// The offset after the last in this file.
    pub(crate) next: u64,
}

#[derive(Debug)]
pub(crate) struct Log {
    /// Ascending, without gaps, never empty; the last is the one that is written to.
    segments: VecDeque<Segment>,
    /// Every offset below is durable, and none at or above it was ever acknowledged.
    pub(crate) next: u64,
    /// The sum of `bytes` over the segments.
    pub(crate) bytes: u64,
    /// What the calls in the queue and under way may add; `bytes + reserved <= bytes_max`.
    reserved: u64,
    /// At most one for each thread inside `append`.
    queue: VecDeque<Arc<Call>>,
}

impl Log {
    pub(crate) fn new(segments: VecDeque<Segment>, next: u64) -> Self {
        assert!(!segments.is_empty(), "a spool has at least the file it writes to");
        let bytes = segments.iter().map(|segment| segment.bytes).sum();
        Self { segments, next, bytes, reserved: 0, queue: VecDeque::new() }
    }

    /// The file that is written to.
    pub(crate) fn last(&self) -> &Segment {
        let Some(segment) = self.segments.back() else { unreachable!("segments are never empty") };
        segment
    }

    pub(crate) fn start(&self) -> u64 {
        self.segments.front().map_or(self.next, |segment| segment.first)
    }

    /// Lets a call in, if there is room for it.
    pub(crate) fn enqueue(&mut self, call: Arc<Call>, bytes_max: u64) -> Result<(), Error> {
        let (bytes, wanted) = (self.bytes + self.reserved, call.reserve());
        if bytes + wanted > bytes_max {
            return Err(Error::Full { bytes, wanted, bytes_max });
        }
        self.reserved += wanted;
        self.queue.push_back(call);
        Ok(())
    }

    /// The calls to write next, in the order they came.
    pub(crate) fn take_group(&mut self) -> Vec<Arc<Call>> {
        let mut bytes = 0;
        let mut group = Vec::new();
        while let Some(call) = self.queue.front() {
            bytes += call.bytes;
            if bytes > GROUP_BYTES_MAX && !group.is_empty() {
                break;
            }
            group.extend(self.queue.pop_front());
        }
        group
    }

    /// Gives back what the group had reserved, written or not.
    pub(crate) fn release(&mut self, group: &[Arc<Call>]) {
        self.reserved -= group.iter().map(|call| call.reserve()).sum::<u64>();
    }

    /// Frames up to `next` have become durable at the end of the last file.
    pub(crate) fn extend(&mut self, next: u64, bytes: u64, marks: &[Mark]) {
        if let Some(segment) = self.segments.back_mut() {
            segment.bytes += bytes;
            marks.iter().for_each(|mark| segment.index.add(*mark));
            self.bytes += bytes;
            self.next = next;
        }
    }

    /// A new last file, without records yet.
    pub(crate) fn push(&mut self, segment: Segment) {
        assert_eq!(segment.first, self.next, "files have no gap between them");
        self.bytes += segment.bytes;
        self.segments.push_back(segment);
    }

    /// Forgets the first file, if all of it is below `before` and another follows.
    pub(crate) fn pop_below(&mut self, before: u64) -> Option<Segment> {
        let second = self.segments.get(1)?;
        if second.first > before {
            return None;
        }
        let segment = self.segments.pop_front()?;
        self.bytes -= segment.bytes;
        Some(segment)
    }

    /// Undoes [`Log::pop_below`], for a file that could not be deleted.
    pub(crate) fn unpop(&mut self, segment: Segment) {
        self.bytes += segment.bytes;
        self.segments.push_front(segment);
    }

    /// Where `offset` is to be read; `None` if it is the next.
    pub(crate) fn locate(&self, offset: u64) -> Result<Option<Place>, Error> {
        let (start, next) = (self.start(), self.next);
        if offset < start {
            return Err(Error::Forgotten { offset, start });
        }
        if offset > next {
            return Err(Error::Ahead { offset, next });
        }
        let after = self.segments.partition_point(|segment| segment.first <= offset);
        let found = after.checked_sub(1).and_then(|at| self.segments.get(at));
        let Some(segment) = found.filter(|_| offset < next) else { return Ok(None) };
        let path = segment.path.clone();
        let file = File::open(&path).map_err(Error::io("open", &path))?;
        let (mark, salt, end) = (segment.index.floor(offset), segment.salt, segment.bytes);
        let next = self.segments.get(after).map_or(next, |segment| segment.first);
        Ok(Some(Place { file, path, salt, mark, end, next }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::record::Message;

    fn call(bytes: usize) -> Arc<Call> {
        let message = Message { timestamp_ms: 1, key: None, value: vec![0; bytes] };
        Arc::new(Call::new(vec![message], &Config::default()).unwrap())
    }

    #[test]
    fn calls_that_wait_are_taken_together_up_to_a_limit() {
        let segment = Segment::empty(PathBuf::from("5.log"), 5, Salt(1));
        let mut log = Log::new(VecDeque::from([segment]), 5);
        let sizes = [10, 1000, 20 << 20, 9 << 20, 6 << 20, 2 << 20];
        for size in sizes {
            log.enqueue(call(size), u64::MAX).unwrap();
        }
        let groups = std::iter::repeat_with(|| log.take_group()).take(4);
        let groups = groups.map(|group| group.iter().map(|call| call.bytes - 36).collect());
        let groups = groups.collect::<Vec<Vec<u64>>>();
        assert_eq!(groups, [vec![10, 1000], vec![20 << 20], vec![9 << 20, 6 << 20], vec![2 << 20]]);
    }
}
