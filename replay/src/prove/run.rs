//! CORE. Which links of a chain a claim needs, by the times that their records tell of.

use std::ops::Range;

use schemas::tlog::Entry;
use schemas::{SegmentRecord, partition_of};

use crate::prove::log::Enrolled;

/// Whether a segment may have messages of a time in the range. Messages without a time may be of any.
pub(crate) fn overlaps(record: &SegmentRecord, range: &Range<i64>) -> bool {
    match (record.time_min, record.time_max) {
        (Some(min), Some(max)) => min < range.end && max >= range.start,
        _ => record.rows > 0,
    }
}

fn record(link: &Enrolled) -> Option<&SegmentRecord> {
    match &link.entry {
        Entry::Record(record) => Some(&record.segment),
        _ => None,
    }
}

/// From where on every link is of a topic with so many partitions that the key belongs to this one.
pub(crate) fn holding(links: &[Enrolled], key: &[u8]) -> usize {
    let holds = |link: &Enrolled| {
        let chain = match &link.entry {
            Entry::Record(record) => &record.segment.chain,
            Entry::Opening(opening) => &opening.chain,
            _ => return false,
        };
        partition_of(key, chain.partitions) == chain.partition
    };
    links.iter().rposition(|link| !holds(link)).map_or(0, |at| at + 1)
}

/// From the first link whose segment may have messages of these times to the last; `None` where there is none.
pub(crate) fn overlapping(links: &[Enrolled], range: &Range<i64>) -> Option<Range<usize>> {
    let may = |link: &Enrolled| record(link).is_some_and(|record| overlaps(record, range));
    Some(links.iter().position(may)?..links.iter().rposition(may)? + 1)
}

/// As [`overlapping`], with a record on either side that shows where these times end, or the end of the chain.
pub(crate) fn enclosing(links: &[Enrolled], range: &Range<i64>) -> Range<usize> {
    let later = |link: &Enrolled| {
        record(link).and_then(|record| record.time_min).is_some_and(|min| min >= range.end)
    };
    let earlier = |link: &Enrolled| {
        record(link).and_then(|record| record.time_max).is_some_and(|max| max < range.start)
    };
    let inner = overlapping(links, range).unwrap_or_else(|| {
        let at = links.iter().position(later).unwrap_or(links.len());
        at..at
    });
    let (before, _) = links.split_at_checked(inner.start).unwrap_or((links, &[]));
    let (_, after) = links.split_at_checked(inner.end).unwrap_or((&[], links));
    let start = before.iter().rposition(earlier).unwrap_or(0);
    let end = after.iter().position(later).map_or(links.len(), |at| inner.end + at + 1);
    start..end
}

#[cfg(test)]
mod tests {
    use schemas::{
        Chain, Counted, Digest, EnrolledRecord, Epoch, EpochOpening, Framing, Offset, Partition,
        Seconds, Topic,
    };

    use super::*;

    fn links(times: &[(i64, i64)]) -> Vec<Enrolled> {
        let chain = Chain {
            cluster: None,
            topic_id: None,
            topic: Topic::new("t").unwrap(),
            partition: Partition(0),
            partitions: 1,
            framing: Framing::SingleObject,
            epoch: Epoch(0),
        };
        let opening = EpochOpening {
            chain: chain.clone(),
            start: Offset(0),
            total: 0,
            reason: "genesis".to_owned(),
            opened_at: Seconds(0),
            prev: None,
            missing: vec![],
            abandoned: vec![],
        };
        let record = |(at, (min, max)): (u64, &(i64, i64))| {
            let segment = SegmentRecord {
                chain: chain.clone(),
                start: Offset(at),
                next: Offset(at + 1),
                rows: 1,
                gaps: Counted::default(),
                claims: Counted::default(),
                leader_epochs: None,
                time_min: Some(*min),
                time_max: Some(*max),
                retention_class: "c".to_owned(),
                lock: None,
                retain_until: None,
                root: Digest::ZERO,
                total: at + 1,
                writer: "w".to_owned(),
                prev: Digest::ZERO,
            };
            let (key, sha256) = (String::new(), Digest::ZERO);
            Entry::Record(Box::new(EnrolledRecord { segment, key, size: 0, sha256 }))
        };
        let opening = Entry::Opening(Box::new(opening));
        let entries = std::iter::once(opening).chain((0..).zip(times).map(record));
        (0..).zip(entries).map(|(index, entry)| Enrolled { index, entry }).collect()
    }

    #[test]
    fn a_run_takes_in_every_record_of_its_times_and_one_beyond_on_either_side() {
        // The fourth record is late: its messages are of the second one's time.
        let links = links(&[(0, 9), (10, 19), (20, 29), (12, 13), (30, 39)]);
        assert_eq!(overlapping(&links, &(12..14)), Some(2..5));
        assert_eq!(enclosing(&links, &(12..14)), 1..6);
        assert_eq!(enclosing(&links, &(0..5)), 0..3);
        assert_eq!(enclosing(&links, &(35..50)), 4..6);
        assert_eq!(overlapping(&links, &(50..60)), None);
        assert_eq!(enclosing(&links, &(50..60)), 5..6);
    }

    #[test]
    fn a_time_between_two_records_is_enclosed_by_them() {
        let links = links(&[(0, 9), (20, 29)]);
        assert_eq!(enclosing(&links, &(12..14)), 1..3);
    }
}
