//! CORE. Which segments are read in full, and which only by their record, which the log vouches for.

use std::collections::BTreeSet;

use schemas::{Digest, Hasher};

use crate::log::enrolments::{Enrolments, Link};

/// From when on segments are read in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// Those with a row of this time or later, in milliseconds since 1970.
    Time(i64),
    /// Those that were enrolled when the log had this size, or later.
    Size(u64),
}

/// How many segments are chosen at random to be read in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// So many.
    pub count: u64,
    /// What chooses them; whoever could have changed a store must not know it before.
    pub seed: [u8; 32],
}

/// The segments that are read in full.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    /// `None` where all are.
    since: Option<Option<Since>>,
    /// Of the others, by their place in the log.
    sampled: BTreeSet<u64>,
}

impl Selection {
    /// Of what the log has. Without `since` and `sample` all are read.
    pub(crate) fn new(
        since: Option<Since>,
        sample: Option<Sample>,
        enrolments: &Enrolments,
    ) -> Self {
        if since.is_none() && sample.is_none() {
            return Self::default();
        }
        let mut selection = Self { since: Some(since), sampled: BTreeSet::new() };
        if let Some(sample) = sample {
            let links = enrolments.chains().flat_map(|chain| chain.links());
            let others = links.filter(|link| !selection.reads(link));
            let others: Vec<u64> = others.map(|link| link.index).collect();
            selection.sampled = draw(others, sample);
        }
        selection
    }

    pub(crate) fn reads(&self, link: &Link) -> bool {
        let Some(since) = self.since else { return true };
        let is_new = match since {
            None => false,
            Some(Since::Size(size)) => link.index >= size,
            // Rows without time may be of any.
            Some(Since::Time(time)) => link.time_max.is_none_or(|max| max >= time),
        };
        link.place.start.is_none() || is_new || self.sampled.contains(&link.index)
    }
}

/// So many of these, each as likely as any other: a shuffle that ends when there are enough.
fn draw(mut from: Vec<u64>, sample: Sample) -> BTreeSet<u64> {
    let mut drawn = BTreeSet::new();
    for number in 0..sample.count {
        let Ok(left @ 1..) = u64::try_from(from.len()) else { break };
        let hash = Hasher::new("sample").bytes(&sample.seed).bytes(&number.to_be_bytes()).finish();
        let at = usize::try_from(below(&hash, left)).unwrap_or(0);
        drawn.insert(from.swap_remove(at));
    }
    drawn
}

/// A number below `end`. Of 128 random bits the bias is less than can be measured.
fn below(hash: &Digest, end: u64) -> u64 {
    let (bytes, _) = hash.0.split_first_chunk::<16>().unwrap_or((&[0; 16], &[]));
    u64::try_from(u128::from_be_bytes(*bytes) % u128::from(end)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_of_its_size_without_repeats_and_follows_its_seed() {
        let sample = |count, seed| draw((0..100).collect(), Sample { count, seed: [seed; 32] });
        assert_eq!((sample(10, 1).len(), sample(200, 1).len()), (10, 100));
        assert_eq!(sample(10, 1), sample(10, 1));
        assert_ne!(sample(10, 1), sample(10, 2));
        let mut hit = BTreeSet::new();
        (0..=255).for_each(|seed| hit.extend(sample(10, seed)));
        assert_eq!(hit.len(), 100, "every one can be drawn");
    }
}
