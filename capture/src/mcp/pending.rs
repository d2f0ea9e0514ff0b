//! Requests that nobody has answered yet, each side's by their ids, bounded in number and bytes.

use std::collections::{BTreeMap, HashMap};

use schemas::Micros;

use super::conversation::Side;
use super::message::{Id, Message};
use crate::happening::Content;

/// Requests of a conversation that may wait at once.
const PENDING_MAX: usize = 1024;
/// Bytes of their messages.
const PENDING_BYTES_MAX: usize = 64 << 20;

/// A request that waits.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) side: Side,
    pub(super) id: Id,
    pub(super) method: String,
    pub(super) message: Message,
    pub(super) at: Micros,
    /// What the tool that is called was at that time.
    pub(super) tool: Option<Content>,
}

/// What waits, in the order in which it came.
#[derive(Debug, Default)]
pub(super) struct Pending {
    asked: BTreeMap<u64, Asked>,
    places: HashMap<(Side, Id), u64>,
    bytes: usize,
    next: u64,
}

impl Pending {
    /// Takes a request; what has to go for it: the one with its id, and the oldest where there is no room.
    pub(super) fn push(&mut self, asked: Asked) -> (Option<Asked>, Vec<Asked>) {
        let same = self.take(asked.side, &asked.id);
        let place = self.next;
        self.next += 1;
        self.bytes += asked.message.bytes().len();
        self.places.insert((asked.side, asked.id.clone()), place);
        self.asked.insert(place, asked);
        let mut oldest = Vec::new();
        while self.asked.len() > PENDING_MAX || self.bytes > PENDING_BYTES_MAX {
            let Some((_, first)) = self.asked.pop_first() else { break };
            self.leave(&first);
            oldest.push(first);
        }
        (same, oldest)
    }

    /// The request of this side with this id.
    pub(super) fn take(&mut self, side: Side, id: &Id) -> Option<Asked> {
        let place = self.places.get(&(side, id.clone()))?;
        let asked = self.asked.remove(place)?;
        self.leave(&asked);
        Some(asked)
    }

    /// All of them.
    pub(super) fn drain(&mut self) -> Vec<Asked> {
        (self.places, self.bytes) = (HashMap::new(), 0);
        std::mem::take(&mut self.asked).into_values().collect()
    }

    /// Where the next one will stand.
    pub(super) fn mark(&self) -> u64 {
        self.next
    }

    /// Those that came since then.
    pub(super) fn drain_since(&mut self, mark: u64) -> Vec<Asked> {
        let drained = self.asked.split_off(&mark);
        drained.values().for_each(|asked| self.leave(asked));
        drained.into_values().collect()
    }

    fn leave(&mut self, asked: &Asked) {
        self.places.remove(&(asked.side, asked.id.clone()));
        self.bytes = self.bytes.saturating_sub(asked.message.bytes().len());
    }
}
