//! CORE: exchanges that are not on record, until an event tells of them.

use std::collections::BTreeMap;

use capture::{Content, Happening};
use schemas::{Micros, Tenant};
use serde_json::json;

use crate::auth::Credential;

/// What is not on record, by who asked.
#[derive(Debug, Default)]
pub(crate) struct Losses(BTreeMap<(Tenant, String), Loss>);

/// Exchanges of one credential.
#[derive(Clone, Debug)]
pub(crate) struct Loss {
    pub(crate) credential: Credential,
    count: u64,
    first: Micros,
    last: Micros,
    reasons: BTreeMap<&'static str, u64>,
}

impl Losses {
    /// Adds an exchange that began then; says whether it is the first since the last event that told of losses.
    pub(crate) fn add(
        &mut self,
        credential: &Credential,
        began: Micros,
        reason: &'static str,
    ) -> bool {
        let first = self.0.is_empty();
        let (credential, reasons) = (credential.clone(), [(reason, 1)].into());
        self.put(Loss { credential, count: 1, first: began, last: began, reasons });
        first
    }

    /// Adds what an event was to tell of, and did not.
    pub(crate) fn put(&mut self, loss: Loss) {
        let key = (loss.credential.tenant.clone(), loss.credential.id.clone());
        match self.0.get_mut(&key) {
            Some(known) => known.join(loss),
            None => drop(self.0.insert(key, loss)),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of it, to be told of.
    pub(crate) fn take(&mut self) -> Vec<Loss> {
        std::mem::take(&mut self.0).into_values().collect()
    }
}

impl Loss {
    fn join(&mut self, other: Self) {
        self.count += other.count;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        for (reason, count) in other.reasons {
            *self.reasons.entry(reason).or_default() += count;
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The event that tells of it.
    pub(crate) fn happening(&self, route: &str, proxy: &'static str) -> Happening {
        let mut happening = Happening::new("producer.gap", proxy);
        happening.envelope.occurred_at = self.first;
        let lasted = u64::try_from(self.last.0.saturating_sub(self.first.0));
        happening.envelope.duration_us = Some(lasted.unwrap_or_default());
        let reason = json!({
            "route": route,
            "exchanges": self.count,
            "first": self.first.to_string(),
            "last": self.last.to_string(),
            "reasons": self.reasons,
        });
        happening.push(Content::json("", "reason", reason.to_string()));
        happening
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_add_up_by_tenant_and_come_back_if_nothing_told_of_them() {
        let who =
            |tenant: &str| Credential { id: String::new(), tenant: Tenant::new(tenant).unwrap() };
        let mut losses = Losses::default();
        assert!(losses.add(&who("a"), Micros(5_000_000), "queue"));
        assert!(!losses.add(&who("b"), Micros(6_000_000), "queue"));
        let taken = losses.take();
        assert!(losses.is_empty() && taken.len() == 2);
        losses.add(&who("a"), Micros(4_000_000), "unavailable");
        for loss in taken {
            losses.put(loss);
        }
        let taken = losses.take();
        let reason = taken[0].happening("openai", "llm_proxy").contents[0].data.clone();
        let reason: serde_json::Value = serde_json::from_slice(&reason).unwrap();
        let expected = json!({
            "route": "openai", "exchanges": 2,
            "first": "1970-01-01T00:00:04.000000Z", "last": "1970-01-01T00:00:05.000000Z",
            "reasons": {"queue": 1, "unavailable": 1},
        });
        assert_eq!(reason, expected);
        assert_eq!(taken[1].count(), 1);
    }
}
