//! CORE: how long things are kept: classes with floors, and the lock that each of them gives.
//!
//! It knows nothing of topics or objects: what is of which class is decided by whoever writes.

use std::collections::BTreeMap;

use schemas::{LockMode, Seconds};
use serde::Deserialize;

use crate::lock::Lock;

const DAY: i64 = 24 * 60 * 60;
/// An event may name a base from so long before it: what holds the base outlives the event by as much.
const REACH_BACK: i64 = DAY;
/// A hundred years: whoever wrote more mistyped it, and nobody could take it back.
const DAYS_MAX: u32 = 36_525;

/// Classes whose periods a law sets, the fewest days of each, and the law.
const FLOORS: [(&str, u32, &str); 3] = [
    ("development", 1, "S3 counts in days"),
    ("standard", 183, "six months: EU AI Act, articles 19 and 26"),
    ("financial", 2192, "six years: SEC rule 17a-4"),
];
const FLOOR_OF_OTHERS: (u32, &str) =
    (30, "for a shorter one there is the class development, whose name says what it is for");

/// Why a retention is not usable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadRetention {
    /// `mode` is absent: it has no default, because it is a decision.
    #[error(
        "retention.mode is not set: \"compliance\" cannot be undone by anybody, \"governance\" can by who may bypass it"
    )]
    ModeUnset,
    /// Another mode than the two there are.
    #[error("retention.mode is {0:?}: it is \"compliance\" or \"governance\"")]
    Mode(String),
    /// A class that has no period.
    #[error("retention.classes has no {class:?}; it has {}", list(known))]
    Class {
        /// The class that was asked for.
        class: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// A period that is too short or too long.
    #[error("retention.classes.{class} is {days} days: it must be {min} to {DAYS_MAX} ({why})")]
    Days {
        /// The class.
        class: String,
        /// Its period.
        days: u32,
        /// The fewest that it may have.
        min: u32,
        /// Where that comes from.
        why: &'static str,
    },
}

/// The lock mode and the period of each retention class: the section `[retention]` of the settings.
///
/// Invariant: every period is at least its class's floor and at most a hundred years.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct Retention {
    mode: Option<LockMode>,
    classes: BTreeMap<String, u32>,
}

/// The section as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Written {
    /// `compliance` or `governance`; no default, because it is a decision.
    mode: Option<String>,
    /// Days that each class is kept.
    classes: BTreeMap<String, u32>,
}

impl TryFrom<Written> for Retention {
    type Error = BadRetention;

    fn try_from(written: Written) -> Result<Self, BadRetention> {
        let mode = |text: String| text.parse().map_err(|()| BadRetention::Mode(text));
        Self::new(written.mode.map(mode).transpose()?, written.classes)
    }
}

impl Retention {
    /// Of a mode, and of the days that each class is kept.
    ///
    /// # Errors
    /// A period is under its class's floor, or over a hundred years.
    pub fn new(
        mode: Option<LockMode>,
        classes: BTreeMap<String, u32>,
    ) -> Result<Self, BadRetention> {
        for (class, &days) in &classes {
            let (min, why) = floor(class);
            if !(min..=DAYS_MAX).contains(&days) {
                return Err(BadRetention::Days { class: class.clone(), days, min, why });
            }
        }
        Ok(Self { mode, classes })
    }

    /// The mode, where one is set.
    #[must_use]
    pub fn mode(&self) -> Option<LockMode> {
        self.mode
    }

    /// The classes, with the days that each is kept.
    #[must_use]
    pub fn classes(&self) -> &BTreeMap<String, u32> {
        &self.classes
    }

    /// The lock of a segment or a body of `class` that is written now: its period, and as long more as a base may reach back.
    ///
    /// # Errors
    /// No mode is set, or the class has no period.
    pub fn lock(&self, class: &str, now: Seconds) -> Result<Lock, BadRetention> {
        self.lock_for(1, class, now)
    }

    /// The lock of what tells of segments (records, epoch openings, terminal objects): twice as long, so that a segment
    /// whose time is over can be told from one that is missing.
    ///
    /// # Errors
    /// No mode is set, or the class has no period.
    pub fn record_lock(&self, class: &str, now: Seconds) -> Result<Lock, BadRetention> {
        self.lock_for(2, class, now)
    }

    fn lock_for(&self, periods: i64, class: &str, now: Seconds) -> Result<Lock, BadRetention> {
        let mode = self.mode.ok_or(BadRetention::ModeUnset)?;
        let days = self.classes.get(class).ok_or_else(|| BadRetention::Class {
            class: class.to_owned(),
            known: self.classes.keys().cloned().collect(),
        })?;
        let after = i64::from(*days) * periods * DAY + REACH_BACK;
        Ok(Lock { mode, until: Seconds(now.0.saturating_add(after)) })
    }
}

fn floor(class: &str) -> (u32, &'static str) {
    let found = FLOORS.iter().find(|(name, ..)| *name == class);
    found.map_or(FLOOR_OF_OTHERS, |(_, min, why)| (*min, why))
}

fn list(known: &[String]) -> String {
    if known.is_empty() { "none".to_owned() } else { known.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Seconds = Seconds(1_800_000_000);

    fn retention(class: &str, days: u32) -> Result<Retention, BadRetention> {
        Retention::new(Some(LockMode::Compliance), [(class.to_owned(), days)].into())
    }

    #[test]
    fn a_segment_is_locked_for_its_period_and_a_day_and_its_record_for_twice_the_period() {
        let retention = retention("standard", 400).unwrap();
        let lock = retention.lock("standard", NOW).unwrap();
        assert_eq!(lock, Lock { mode: LockMode::Compliance, until: Seconds(NOW.0 + 401 * DAY) });
        let lock = retention.record_lock("standard", NOW).unwrap();
        assert_eq!(lock.until, Seconds(NOW.0 + 801 * DAY));
    }

    #[test]
    fn a_period_under_the_floor_of_its_class_is_refused_with_the_reason() {
        for (class, floor) in
            [("development", 1), ("standard", 183), ("financial", 2192), ("x", 30)]
        {
            assert!(retention(class, floor).is_ok(), "{class}");
            let refused = retention(class, floor - 1).unwrap_err().to_string();
            assert!(refused.contains(&format!("retention.classes.{class}")), "{refused}");
            assert!(refused.contains(&format!("must be {floor} to")), "{refused}");
        }
        assert!(retention("standard", DAYS_MAX + 1).is_err());
    }

    #[test]
    fn the_mode_has_no_default_and_is_missed_only_where_a_lock_is_asked_for() {
        let retention = Retention::new(None, [("development".to_owned(), 1)].into()).unwrap();
        assert_eq!(retention.lock("development", NOW), Err(BadRetention::ModeUnset));
        assert_eq!(Retention::default().mode(), None);
    }

    #[test]
    fn a_class_without_a_period_is_refused_and_those_there_are_are_named() {
        let refused = retention("standard", 183).unwrap().lock("developement", NOW).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "retention.classes has no \"developement\"; it has standard"
        );
    }

    #[test]
    fn the_section_is_read_and_what_it_does_not_know_is_refused() {
        let read = |text: &str| toml::from_str::<Retention>(text).map_err(|e| e.to_string());
        let good = read("mode = 'governance'\n[classes]\ndevelopment = 1\n").unwrap();
        assert_eq!(good.mode(), Some(LockMode::Governance));
        assert_eq!(good.classes().get("development"), Some(&1));
        assert_eq!(read("").unwrap(), Retention::default());
        for (wrong, named) in [
            ("mode = 'Governance'", "compliance"),
            ("modus = 'governance'", "modus"),
            ("[classes]\nstandard = 182", "183"),
            ("[classes]\nstandard = -1", "-1"),
        ] {
            let error = read(wrong).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }
}
