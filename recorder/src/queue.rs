//! CORE: the events that wait, bounded in bytes, and the account of those that did not get in.
//!
//! Every event takes its positions (of its session, of the producer) whether there is room for it or not, so that a
//! lost one leaves a hole. What a session lost is owed to it as a `producer.gap`, before any other event of it and as
//! soon as there is room.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use schemas::{EventId, Micros, SessionId, TraceId};
use serde_json::json;

use crate::content::Content;
use crate::event::Event;
use crate::memory::Memory;
use crate::stats::Stats;

/// Most ranges that a gap names one by one; beyond, the last one is widened.
const RANGES_MAX: usize = 32;
/// What a gap costs, at most.
const GAP_COST: usize = 16 << 10;

/// What is known of a session for as long as somebody holds it.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) id: SessionId,
    /// On whose behalf the agent acts.
    pub(crate) principal: Option<(String, String)>,
    pub(crate) trace_id: Option<TraceId>,
    ledger: Mutex<Ledger>,
    /// Used by the sender alone.
    memory: Mutex<Memory>,
}

/// A session's positions, and what it lost.
#[derive(Debug)]
struct Ledger {
    /// The next position; `None` where somebody else counted before.
    next: Option<u64>,
    lost: Vec<Lost>,
    /// Whether it stands among those to whom a gap is owed.
    is_owed: bool,
}

/// Why an event was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// There was no room for it.
    NoRoom,
    /// It will never be taken.
    Refused,
}

/// Events that were lost one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lost {
    why: Loss,
    events: u64,
    first: Position,
    last: Position,
}

/// Where an event stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) producer_seq: u64,
    pub(crate) session_seq: Option<u64>,
}

/// An event that waits.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) state: Arc<State>,
    pub(crate) event: Event,
    pub(crate) position: Position,
    /// Events that had been dropped when it was noted down.
    pub(crate) dropped: u64,
    /// What it says was lost, if it is a gap.
    pub(crate) lost: Vec<Lost>,
    pub(crate) cost: usize,
}

/// The queue.
#[derive(Debug)]
pub(crate) struct Queue {
    items: VecDeque<Item>,
    bytes_max: usize,
    producer_seq: u64,
    stats: Stats,
    /// Sessions to which a gap is owed.
    owed: VecDeque<Arc<State>>,
    pub(crate) is_closed: bool,
    /// Events that got in so far, and those of them that are settled, batch by batch.
    pub(crate) entered: u64,
    pub(crate) left: u64,
    /// Events up to here do not wait for others.
    pub(crate) hurry_to: u64,
    /// Nothing will be sent any more.
    pub(crate) has_ended: bool,
}

impl State {
    /// A session whose events are counted from 0, if nobody else counted before.
    pub(crate) fn new(id: SessionId, counts: bool) -> Self {
        let ledger = Ledger { next: counts.then_some(0), lost: Vec::new(), is_owed: false };
        Self {
            id,
            principal: None,
            trace_id: None,
            ledger: Mutex::new(ledger),
            memory: Mutex::new(Memory::new()),
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger {
    /// Notes a loss: as more of the last one where it goes on, or where there are too many.
    fn lose(&mut self, lost: Lost) {
        let is_full = self.lost.len() >= RANGES_MAX;
        match self.lost.last_mut() {
            Some(last) if is_full || lost.goes_on_from(last) => {
                last.events += lost.events;
                last.first = last.first.min(lost.first);
                last.last = last.last.max(lost.last);
            }
            _ => self.lost.push(lost),
        }
    }
}

impl Lost {
    fn one(why: Loss, position: Position) -> Self {
        Self { why, events: 1, first: position, last: position }
    }

    fn goes_on_from(&self, before: &Self) -> bool {
        let next = before.last.session_seq.map(|seq| seq + 1);
        before.why == self.why && next == self.first.session_seq
    }
}

impl Queue {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            items: VecDeque::new(),
            bytes_max,
            producer_seq: 0,
            stats: Stats::default(),
            owed: VecDeque::new(),
            is_closed: false,
            entered: 0,
            left: 0,
            hurry_to: 0,
            has_ended: false,
        }
    }

    /// Takes the event, or counts it among the lost and says `false`. `gap` gives the id of the gap that may have to go before it.
    pub(crate) fn push(
        &mut self,
        state: &Arc<State>,
        mut event: Event,
        gap: impl FnOnce() -> EventId,
    ) -> bool {
        let mut ledger = state.ledger();
        let cost = event.cost();
        let owes = !ledger.lost.is_empty();
        let room = self.bytes_max.saturating_sub(self.stats.pending_bytes);
        let fits = cost.saturating_add(if owes { GAP_COST } else { 0 }) <= room;
        if self.is_closed || !fits {
            let position = self.take(&mut ledger);
            ledger.lose(Lost::one(Loss::NoRoom, position));
            self.stats.dropped += 1;
            if !std::mem::replace(&mut ledger.is_owed, true) {
                self.owed.push_back(Arc::clone(state));
            }
            return false;
        }
        if owes {
            self.push_gap(state, &mut ledger, gap(), event.envelope.occurred_at);
        }
        let position = self.take(&mut ledger);
        if event.envelope.kind == "session.end" {
            event.envelope.session_event_count = position.session_seq.map(|seq| seq + 1);
        }
        self.enter(state, event, position, Vec::new(), cost);
        true
    }

    /// The next events, as many as go together, one at least if there are any.
    pub(crate) fn take_batch(&mut self, events_max: usize, bytes_max: usize) -> Vec<Item> {
        let (mut batch, mut bytes) = (Vec::new(), 0_usize);
        while let Some(item) = self.items.front() {
            bytes = bytes.saturating_add(item.cost);
            if batch.len() >= events_max || (bytes > bytes_max && !batch.is_empty()) {
                break;
            }
            batch.extend(self.items.pop_front());
        }
        batch
    }

    /// An event is durable.
    pub(crate) fn acknowledge(&mut self, cost: usize) {
        self.stats.acknowledged += 1;
        self.leave(cost);
    }

    /// An event will never be taken. A gap that is refused is owed again, but only with the session's next event: a
    /// gateway that refuses everything is not to be asked for ever.
    pub(crate) fn refuse(&mut self, ticket: &Ticket, why: &str) {
        self.stats.refused += 1;
        self.stats.last_error = Some(why.to_owned());
        self.leave(ticket.cost);
        let mut ledger = ticket.state.ledger();
        let later = std::mem::take(&mut ledger.lost);
        let own = Lost::one(Loss::Refused, ticket.position);
        ticket.lost.iter().cloned().chain([own]).chain(later).for_each(|lost| ledger.lose(lost));
        let is_gap = !ticket.lost.is_empty();
        if !is_gap && !std::mem::replace(&mut ledger.is_owed, true) {
            self.owed.push_back(Arc::clone(&ticket.state));
        }
    }

    /// Pays what is owed, as far as there is room; `gap` gives a new event's id.
    pub(crate) fn pay(&mut self, now: Micros, mut gap: impl FnMut() -> EventId) {
        while self.stats.pending_bytes.saturating_add(GAP_COST) <= self.bytes_max {
            let Some(state) = self.owed.pop_front() else { return };
            let mut ledger = state.ledger();
            ledger.is_owed = false;
            if !ledger.lost.is_empty() {
                self.push_gap(&state, &mut ledger, gap(), now);
            }
        }
    }

    pub(crate) fn failed(&mut self, why: &str) {
        self.stats.last_error = Some(why.to_owned());
    }

    pub(crate) fn stats(&self) -> Stats {
        let recorded = self.producer_seq;
        let Stats { acknowledged, dropped, refused, .. } = self.stats;
        let pending = recorded - acknowledged - dropped - refused;
        Stats { recorded, pending, ..self.stats.clone() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether nothing is to be waited for any more.
    pub(crate) fn is_urgent(&self, events_max: usize, bytes_max: usize) -> bool {
        self.is_closed || self.left < self.hurry_to || self.is_full(events_max, bytes_max)
    }

    /// Whether a batch is full.
    pub(crate) fn is_full(&self, events_max: usize, bytes_max: usize) -> bool {
        self.items.len() >= events_max || self.stats.pending_bytes >= bytes_max
    }

    fn take(&mut self, ledger: &mut Ledger) -> Position {
        let position = Position { producer_seq: self.producer_seq, session_seq: ledger.next };
        self.producer_seq += 1;
        ledger.next = ledger.next.map(|next| next + 1);
        position
    }

    fn push_gap(&mut self, state: &Arc<State>, ledger: &mut Ledger, id: EventId, at: Micros) {
        let lost = std::mem::take(&mut ledger.lost);
        let mut event = Event::new("producer.gap").with(account(&lost));
        event.envelope.event_id = id;
        event.envelope.occurred_at = at;
        event.envelope.error_type = lost.first().map(|lost| lost.why.name().into());
        let position = self.take(ledger);
        self.enter(state, event, position, lost, GAP_COST);
    }

    fn enter(
        &mut self,
        state: &Arc<State>,
        event: Event,
        position: Position,
        lost: Vec<Lost>,
        cost: usize,
    ) {
        let (state, dropped) = (Arc::clone(state), self.stats.dropped);
        self.stats.pending_bytes += cost;
        self.entered += 1;
        self.items.push_back(Item { state, event, position, dropped, lost, cost });
    }

    fn leave(&mut self, cost: usize) {
        self.stats.pending_bytes = self.stats.pending_bytes.saturating_sub(cost);
    }
}

/// What is kept of an event while it is on its way.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) state: Arc<State>,
    pub(crate) position: Position,
    pub(crate) lost: Vec<Lost>,
    pub(crate) cost: usize,
}

impl Loss {
    fn name(self) -> &'static str {
        match self {
            Self::NoRoom => "no_room",
            Self::Refused => "refused",
        }
    }
}

/// The body of a gap: how many events, which and why.
fn account(lost: &[Lost]) -> Content {
    let range = |lost: &Lost| {
        json!({
            "events": lost.events,
            "reason": lost.why.name(),
            "session_seq_first": lost.first.session_seq,
            "session_seq_last": lost.last.session_seq,
            "producer_seq_first": lost.first.producer_seq,
            "producer_seq_last": lost.last.producer_seq,
        })
    };
    let events: u64 = lost.iter().map(|lost| lost.events).sum();
    let ranges: Vec<_> = lost.iter().map(range).collect();
    Content::json("attributes", &json!({ "lost_events": events, "lost": ranges }))
}

#[cfg(test)]
mod tests;
