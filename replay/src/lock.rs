//! CORE. Whether an object is locked as it must be.

use schemas::{LockMode, Seconds, SegmentRecord};
use store::Lock;

/// Least time that an epoch's opening is locked for.
pub(crate) const OPENING_SECONDS_MIN: i64 = 24 * 60 * 60;

/// The lock that a record says its segment has.
pub(crate) fn stated(record: &SegmentRecord) -> Option<Lock> {
    let stated = record.lock.zip(record.retain_until);
    stated.map(|(mode, until)| Lock { mode, until })
}

/// What of a lock is less than it must be, in words; nothing once its time has passed.
pub(crate) fn fault(found: Option<Lock>, due: Lock, now: Option<Seconds>) -> Option<String> {
    if now.is_some_and(|now| due.until < now) {
        return None;
    }
    let Lock { mode, until } = due;
    match found {
        None => Some(format!("it is not locked, and must be: {mode} until {until}")),
        Some(found) if weaker(found.mode, mode) => {
            Some(format!("its lock is {}, and must be {mode}", found.mode))
        }
        Some(found) if found.until < until => Some(format!(
            "its lock was shortened: it ends {}, and must not before {until}",
            found.until
        )),
        Some(_) => None,
    }
}

/// Whether more people can remove an object locked so.
fn weaker(found: LockMode, due: LockMode) -> bool {
    found == LockMode::Governance && due == LockMode::Compliance
}

/// The lock that keeps an object for as long as both.
pub(crate) fn longer(one: Option<Lock>, other: Option<Lock>) -> Option<Lock> {
    let (Some(one), Some(other)) = (one, other) else { return one.or(other) };
    let mode = if weaker(one.mode, other.mode) { other.mode } else { one.mode };
    Some(Lock { mode, until: Seconds(one.until.0.max(other.until.0)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(mode: LockMode, until: i64) -> Lock {
        Lock { mode, until: Seconds(until) }
    }

    #[test]
    fn a_lock_is_as_it_must_be_or_stronger() {
        use LockMode::{Compliance, Governance};
        let now = Some(Seconds(50));
        let due = lock(Governance, 100);
        for good in [due, lock(Compliance, 100), lock(Governance, 101)] {
            assert_eq!(fault(Some(good), due, now), None);
        }
        for bad in [None, Some(lock(Governance, 99)), Some(lock(Compliance, 99))] {
            assert!(fault(bad, due, now).is_some(), "{bad:?}");
            assert_eq!(fault(bad, due, Some(Seconds(101))), None, "its time has passed");
        }
        assert!(fault(Some(due), lock(Compliance, 100), now).is_some());
    }

    #[test]
    fn of_two_locks_the_stronger_and_longer_is_due() {
        use LockMode::{Compliance, Governance};
        let both = longer(Some(lock(Governance, 9)), Some(lock(Compliance, 5)));
        assert_eq!(both, Some(lock(Compliance, 9)));
        assert_eq!(longer(None, both), both);
        assert_eq!(longer(both, None), both);
    }
}
