//! CORE: finds the last segments of an epoch by their names alone, in a number of requests that does not grow with their
//! number.
//!
//! One request gives a page of names from some offset on. Where a segment may begin is bounded by the log, so the last page
//! is found by galloping back from the log's end, and by bisecting where a page is full. What a name stands for is not
//! looked at here, nor is the store.

use std::ops::RangeInclusive;

use schemas::{ObjectKey, Offset};

/// How far before the log's end is looked first; each further time so many times as far.
const STRIDE: u64 = 4096;
const STRIDE_GROWTH: u64 = 16;

/// Offsets at which segments begin, by their names: ascending, all there are from the offset asked for to the last of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) starts: Vec<Offset>,
    /// Whether there may be more behind the last.
    pub(crate) more: bool,
}

impl Page {
    /// The segments among `names` that begin in `within`; others are junk, and passed over. `None` where there is nothing
    /// but junk and more to come.
    pub(crate) fn of(names: &store::Page, within: RangeInclusive<Offset>) -> Option<Self> {
        let start = |name: &String| match ObjectKey::parse(name)? {
            ObjectKey::Segment(_, _, _, start) => Some(start),
            _ => None,
        };
        let all: Vec<Offset> = names.keys.iter().filter_map(start).collect();
        let starts: Vec<Offset> =
            all.iter().copied().filter(|start| within.contains(start)).collect();
        let more = names.full && starts.len() == all.len();
        (!names.full || !all.is_empty()).then_some(Self { starts, more })
    }
}

/// A search for the last segments of an epoch.
#[derive(Debug)]
pub(crate) struct Search {
    /// Where the epoch begins.
    first: Offset,
    /// No segment begins at this offset or behind it.
    beyond: Offset,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Nothing was found yet; this far before the end is looked next.
    Back {
        stride: u64,
    },
    /// The last known page is full.
    Between {
        page: Page,
    },
    Found(Vec<Offset>),
}

impl Search {
    /// Among segments that begin at `first` or behind it, and not behind `last`.
    pub(crate) fn new(first: Offset, last: Offset) -> Self {
        let beyond = Offset(last.0.saturating_add(1));
        Self { first, beyond, state: State::Back { stride: STRIDE } }
    }

    /// The offset from which on a page is wanted; `None` once all is known.
    pub(crate) fn ask(&self) -> Option<Offset> {
        match &self.state {
            State::Back { stride } => Some(self.before(*stride)),
            State::Between { page } => {
                let last = page.starts.last()?.0;
                Some(Offset(last.saturating_add((self.beyond.0 - last).div_ceil(2))))
            }
            State::Found(_) => None,
        }
    }

    /// The page that was asked for.
    pub(crate) fn tell(&mut self, page: Page) {
        let Some(asked) = self.ask() else { return };
        let state = std::mem::replace(&mut self.state, State::Found(Vec::new()));
        self.state = match state {
            State::Back { stride } if page.starts.is_empty() => {
                if asked <= self.first {
                    return;
                }
                self.beyond = asked;
                State::Back { stride: stride.saturating_mul(STRIDE_GROWTH) }
            }
            State::Between { page: before } if page.starts.is_empty() => {
                self.beyond = asked;
                self.settle(before)
            }
            _ => self.settle(page),
        };
    }

    /// The last segments, ascending, the very last among them; none where the epoch has none.
    pub(crate) fn found(self) -> Vec<Offset> {
        match self.state {
            State::Found(starts) => starts,
            State::Between { page } => page.starts,
            State::Back { .. } => Vec::new(),
        }
    }

    fn settle(&self, page: Page) -> State {
        let last = page.starts.last().map_or(0, |last| last.0);
        match page.more && last.saturating_add(1) < self.beyond.0 {
            true => State::Between { page },
            false => State::Found(page.starts),
        }
    }

    fn before(&self, stride: u64) -> Offset {
        Offset(self.beyond.0.saturating_sub(stride)).max(self.first)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use schemas::{Epoch, Partition, Topic};

    use super::*;

    fn name(start: u64) -> String {
        let topic = Topic::new("t").unwrap();
        ObjectKey::Segment(topic, Partition(0), Epoch(0), Offset(start)).to_string()
    }

    /// What a store answers that holds these names.
    fn page(names: &BTreeSet<String>, from: Offset, last: Offset) -> Page {
        let after = name(from.0).replace(".parquet", "");
        let mut keys: Vec<String> = names.range(after..).take(1001).cloned().collect();
        let full = keys.len() > 1000;
        keys.truncate(1000);
        let listed = store::Page { keys, full };
        Page::of(&listed, from..=last).unwrap_or_default()
    }

    /// The last segment, and how many pages were asked for.
    fn last(names: &BTreeSet<String>, first: u64, end: u64) -> (Option<u64>, usize) {
        let (first, end) = (Offset(first), Offset(end));
        let mut search = Search::new(first, end);
        let mut requests = 0;
        while let Some(from) = search.ask() {
            search.tell(page(names, from, end));
            requests += 1;
            assert!(requests < 100, "{search:?}");
        }
        (search.found().last().map(|start| start.0), requests)
    }

    #[test]
    fn the_last_segment_is_found_in_a_few_requests_however_many_there_are() {
        for (count, rows) in
            [(1, 1), (10, 500), (1000, 1), (30_000, 1), (30_000, 7000), (100_000, 40)]
        {
            let names: BTreeSet<String> = (0..count).map(|n| name(n * rows)).collect();
            for lag in [1, rows, 100 * rows, 50_000_000] {
                let newest = (count - 1) * rows;
                let (found, requests) = last(&names, 0, newest + lag);
                assert_eq!(found, Some(newest), "{count} of {rows}, {lag} behind");
                assert!(requests <= 25, "{count} of {rows}, {lag} behind: {requests} requests");
            }
        }
    }

    #[test]
    fn an_epoch_without_segments_is_seen_to_have_none() {
        assert_eq!(last(&BTreeSet::new(), 0, 0), (None, 1));
        let (found, requests) = last(&BTreeSet::new(), 5_000, u64::MAX >> 1);
        assert!(found.is_none() && requests < 20, "{requests}");
    }

    #[test]
    fn a_segment_that_begins_right_where_is_looked_is_seen() {
        for start in [0, 1, 904, 905, 4999, 5000] {
            assert_eq!(last(&[name(start)].into(), 0, 5000).0, Some(start));
        }
    }

    /// Other names among them, names behind the log's end, and a gap in which nothing is.
    #[test]
    fn junk_is_passed_over() {
        let mut names: BTreeSet<String> = (0..5000).map(|n| name(n * 3)).collect();
        names.extend((0..50).map(|n| format!("{}x", name(n * 301))));
        names.extend((0..3000).map(|n| name(1_000_000 + n)));
        assert_eq!(last(&names, 0, 20_000).0, Some(14_997));
        names.extend((0..3000).map(|n| format!("segments/t/00000/0000000000/zzz{n}")));
        assert_eq!(last(&names, 0, 20_000).0, Some(14_997));
    }
}
