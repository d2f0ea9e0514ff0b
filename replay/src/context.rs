//! CORE. What must be known of a session's earlier events to check a later one: which bodies it carried, and how its contexts fold.

use std::collections::{HashMap, HashSet};

use schemas::{Digest, Event, SessionKey, context_digest};

use crate::finding::Kind;

/// Most entries of one whole context.
pub const CONTEXT_ENTRIES_MAX: u64 = 1 << 20;
/// Most entries that are resolved for all events of one session together.
pub const CONTEXT_WORK_MAX: u64 = 1 << 28;

/// A run of things that folds into an earlier one: the first `count` of that event's whole context, then `own`.
#[derive(Clone, Debug)]
pub(crate) struct Fold<T> {
    pub(crate) prefix: Option<(Digest, u64)>,
    pub(crate) own: Vec<T>,
    /// Entries of the whole context.
    pub(crate) len: u64,
}

impl<T> Fold<T> {
    pub(crate) fn new(prefix: Option<(Digest, u64)>, own: Vec<T>) -> Self {
        let own_len = u64::try_from(own.len()).unwrap_or(u64::MAX);
        let len = prefix.map_or(0, |(_, count)| count).saturating_add(own_len);
        Self { prefix, own, len }
    }
}

/// Unfolds a whole context, front to back. `before` are the folds of strictly earlier events, so the walk ends.
pub(crate) fn unfold<T: Clone>(
    before: &HashMap<Digest, Fold<T>>,
    fold: &Fold<T>,
) -> Result<Vec<T>, &'static str> {
    if fold.len > CONTEXT_ENTRIES_MAX {
        return Err("its context has more entries than are resolved");
    }
    let mut parts: Vec<&[T]> = vec![&fold.own];
    let mut prefix = fold.prefix;
    while let Some((digest, count)) = prefix {
        let earlier =
            before.get(&digest).ok_or("its context begins in an event that is not here")?;
        if count > earlier.len {
            return Err("its context takes more of an earlier one than there is");
        }
        let inherited = earlier.prefix.map_or(0, |(_, inherited)| inherited);
        prefix = earlier.prefix.map(|(digest, inherited)| (digest, inherited.min(count)));
        let own = usize::try_from(count.saturating_sub(inherited)).unwrap_or(usize::MAX);
        parts.push(earlier.own.get(..own).unwrap_or_default());
    }
    Ok(parts.into_iter().rev().flatten().cloned().collect())
}

#[derive(Debug, Default)]
struct Session {
    bodies: HashSet<Digest>,
    contexts: HashMap<Digest, Fold<Digest>>,
    work: u64,
}

/// Every session of a partition, as far as it was read. Grows with the number of bodies and events.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    sessions: HashMap<SessionKey, Session>,
    /// Whether a part of the partition is missing, so that what cannot be found may have been there.
    pub(crate) incomplete: bool,
    /// Bodies and contexts that could not be judged for that.
    pub(crate) unjudged: u64,
    pub(crate) encrypted: u64,
}

impl Sessions {
    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Takes note of an event and says what of it does not resolve.
    pub(crate) fn observe(&mut self, event: &Event<'_>) -> Vec<(Kind, &'static str)> {
        let session = self.sessions.entry(event.session_key).or_default();
        self.encrypted +=
            event.bodies.iter().map(|body| u64::from(body.enc.is_some())).sum::<u64>();
        session.bodies.extend(event.bodies.iter().map(|body| body.digest));
        let envelope = &event.envelope;
        let missing = envelope.contents.iter().any(|c| !session.bodies.contains(&c.digest));
        let own = envelope.contents.iter().map(|content| content.digest).collect();
        let prefix = envelope.context_prefix.as_ref().map(|p| (p.event_digest, p.count));
        let fold = Fold::new(prefix, own);
        let context = session.check(&fold, envelope.context_digest.as_ref());
        session.contexts.entry(event.event_digest).or_insert(fold);
        let unknown = "it names a body that no event of the session carried so far";
        let found = [missing.then_some((Kind::Body, unknown)), context];
        if self.incomplete {
            self.unjudged += found.iter().flatten().map(|_| 1).sum::<u64>();
            return Vec::new();
        }
        found.into_iter().flatten().collect()
    }
}

impl Session {
    fn check(
        &mut self,
        fold: &Fold<Digest>,
        stated: Option<&Digest>,
    ) -> Option<(Kind, &'static str)> {
        if stated.is_none() && fold.prefix.is_none() {
            return None;
        }
        self.work = self.work.saturating_add(fold.len);
        if self.work > CONTEXT_WORK_MAX {
            return Some((Kind::Context, "its session's contexts are more than are resolved"));
        }
        match unfold(&self.contexts, fold) {
            Err(why) => Some((Kind::Context, why)),
            Ok(whole) => {
                let differs = stated.is_some_and(|stated| context_digest(&whole) != *stated);
                differs.then_some((Kind::Context, "its context is not that of its context digest"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(number: usize) -> Digest {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&u64::try_from(number).unwrap().to_be_bytes());
        Digest(bytes)
    }

    proptest! {
        /// Contexts are folded at random and compared with the whole ones kept beside them.
        #[test]
        fn what_was_folded_unfolds(steps in proptest::collection::vec((0_usize..9, 0_usize..20, 0_usize..4), 1..40)) {
            let mut folds = HashMap::new();
            let mut wholes: Vec<Vec<u32>> = Vec::new();
            let mut fresh = 0_u32;
            for (at, (back, count, new)) in steps.into_iter().enumerate() {
                let own: Vec<u32> = (0..new).map(|_| { fresh += 1; fresh }).collect();
                let base = at.checked_sub(back + 1).map(|base| (base, count.min(wholes[base].len())));
                let base = base.filter(|(_, count)| *count > 0);
                let prefix = base.map(|(base, count)| (name(base), u64::try_from(count).unwrap()));
                let mut whole = base.map_or(vec![], |(base, count)| wholes[base][..count].to_vec());
                whole.extend(&own);
                let fold = Fold::new(prefix, own);
                prop_assert_eq!(unfold(&folds, &fold).unwrap(), whole.clone());
                folds.insert(name(at), fold);
                wholes.push(whole);
            }
        }
    }

    #[test]
    fn a_long_chain_of_prefixes_needs_no_stack() {
        let mut folds = HashMap::new();
        folds.insert(name(0), Fold::new(None, vec![7]));
        for at in 1..100_000 {
            folds.insert(name(at), Fold::new(Some((name(at - 1), 1)), vec![]));
        }
        let last = Fold::new(Some((name(99_999), 1)), vec![8]);
        assert_eq!(unfold(&folds, &last).unwrap(), [7, 8]);
    }

    #[test]
    fn more_than_an_earlier_context_has_is_refused() {
        let folds = HashMap::from([(name(0), Fold::new(None, vec![1]))]);
        assert!(unfold(&folds, &Fold::new(Some((name(0), 2)), vec![])).is_err());
        assert!(unfold(&folds, &Fold::new(Some((name(1), 1)), vec![])).is_err());
    }
}
