//! CORE. Numbers that a source counted, and which of them are missing.

use std::collections::BTreeMap;

/// Numbers seen, as ranges from first to last.
#[derive(Debug, Default)]
pub(super) struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    pub(super) fn add(&mut self, number: u64) {
        let before = self.0.range(..=number).next_back().map(|(first, last)| (*first, *last));
        if before.is_some_and(|(_, last)| last >= number) {
            return;
        }
        let last = number.checked_add(1).and_then(|next| self.0.remove(&next)).unwrap_or(number);
        match before.filter(|(_, end)| end.checked_add(1) == Some(number)) {
            Some((first, _)) => self.0.insert(first, last),
            None => self.0.insert(number, last),
        };
    }

    /// Numbers from 0 up to the last that are not there.
    pub(super) fn missing(&self) -> u64 {
        let (mut missing, mut expected) = (0_u64, 0);
        for (first, last) in &self.0 {
            missing = missing.saturating_add(first - expected);
            expected = last.saturating_add(1);
        }
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn missing_numbers_are_counted_in_any_order(numbers in proptest::collection::vec(0_u64..60, 1..80)) {
            let mut ranges = Ranges::default();
            numbers.iter().for_each(|number| ranges.add(*number));
            let seen: std::collections::BTreeSet<_> = numbers.iter().copied().collect();
            let last = *seen.last().unwrap();
            prop_assert_eq!(ranges.missing(), last + 1 - u64::try_from(seen.len()).unwrap());
        }
    }
}
