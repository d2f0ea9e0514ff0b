//! The account is exact: what was recorded is what came out plus what the gaps name, whatever happens in between.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::Value;

use super::*;

#[derive(Clone, Debug)]
enum Act {
    /// Records an event of this many bytes in a session.
    Push(usize, usize),
    /// Sends a batch; of each event, whether it is refused.
    Send(Vec<bool>),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (0..3_usize, 0..40_000_usize).prop_map(|(session, bytes)| Act::Push(session, bytes)),
        1 => prop::collection::vec(prop::bool::weighted(0.2), 1..6).prop_map(Act::Send),
    ]
}

/// Positions of a session that events, and accounts of gaps, speak of.
#[derive(Default)]
struct Seen {
    durable: BTreeSet<u64>,
    lost: Vec<(u64, u64, u64)>,
}

impl Seen {
    fn note(&mut self, item: &Item) {
        let seq = item.position.session_seq.unwrap();
        assert!(self.durable.last().is_none_or(|last| *last < seq), "the order is kept");
        self.durable.insert(seq);
        if item.event.envelope.kind != "producer.gap" {
            return;
        }
        let account: Value = serde_json::from_slice(&item.event.contents[0].data).unwrap();
        let number = |range: &Value, field: &str| range[field].as_u64().unwrap();
        for range in account["lost"].as_array().unwrap() {
            let ends = ["session_seq_first", "session_seq_last", "events"];
            let [first, last, events] = ends.map(|field| number(range, field));
            assert!(last < seq, "a gap names what was before it");
            self.lost.push((first, last, events));
        }
    }
}

fn run(acts: &[Act]) {
    let mut queue = Queue::new(96 << 10);
    let states: Vec<_> = ["a", "b", "c"]
        .map(|id| Arc::new(State::new(SessionId::new(id).unwrap(), true)))
        .into_iter()
        .collect();
    let mut seen: Vec<Seen> = states.iter().map(|_| Seen::default()).collect();
    let mut send = |queue: &mut Queue, refusals: &[bool]| {
        let batch = queue.take_batch(refusals.len(), usize::MAX);
        for (item, is_refused) in batch.into_iter().zip(refusals) {
            let at = states.iter().position(|state| Arc::ptr_eq(state, &item.state)).unwrap();
            if !is_refused {
                seen[at].note(&item);
                queue.acknowledge(item.cost);
                continue;
            }
            let Item { state, position, lost, cost, .. } = item;
            queue.refuse(&Ticket { state, position, lost, cost }, "no");
        }
        queue.pay(Micros(1), EventId::default);
    };
    let mut pushed = 0;
    for act in acts {
        match act {
            Act::Push(session, bytes) => {
                let event = Event::new("x").with(Content::text("", "x".repeat(*bytes)));
                queue.push(&states[*session], event, EventId::default);
                pushed += 1;
            }
            Act::Send(refusals) => send(&mut queue, refusals),
        }
        assert!(queue.stats().pending_bytes <= 96 << 10, "the bound is kept");
    }
    for _ in 0..2 {
        while !queue.is_empty() {
            send(&mut queue, &[false; 8]);
        }
        // What a refused gap said is said again with the session's next event.
        for state in &states {
            queue.push(state, Event::new("x"), EventId::default);
        }
    }
    while !queue.is_empty() {
        send(&mut queue, &[false; 8]);
    }
    let stats = queue.stats();
    assert_eq!(stats.pending, 0);
    assert_eq!(stats.pending_bytes, 0);
    assert_eq!(stats.recorded, stats.acknowledged + stats.dropped + stats.refused);
    assert!(stats.recorded >= pushed + 6);
    for (state, seen) in states.iter().zip(seen) {
        check(seen, state.ledger().next.unwrap());
    }
}

/// Every position is there or within a gap, and the gaps count as many as are not there.
fn check(seen: Seen, next: u64) {
    let missing: BTreeSet<u64> = (0..next).filter(|seq| !seen.durable.contains(seq)).collect();
    let within: BTreeSet<u64> =
        seen.lost.iter().flat_map(|(first, last, _)| *first..=*last).collect();
    assert!(missing.is_subset(&within), "{missing:?} {:?}", seen.lost);
    let named: u64 = seen.lost.iter().map(|(_, _, events)| events).sum();
    assert_eq!(named, u64::try_from(missing.len()).unwrap(), "{:?}", seen.lost);
    if seen.lost.iter().all(|(first, last, events)| last - first + 1 == *events) {
        assert_eq!(missing, within);
    }
}

proptest! {
    #[test]
    fn what_is_not_there_is_named_exactly(acts in prop::collection::vec(act(), 1..120)) {
        run(&acts);
    }
}

#[test]
fn more_ranges_than_a_gap_names_are_counted_in_the_last() {
    let mut ledger = Ledger { next: Some(0), lost: Vec::new(), is_owed: false };
    for seq in 0..100 {
        let position = Position { producer_seq: seq * 2, session_seq: Some(seq * 2) };
        ledger.lose(Lost::one(Loss::Refused, position));
    }
    assert_eq!(ledger.lost.len(), RANGES_MAX);
    assert_eq!(ledger.lost.iter().map(|lost| lost.events).sum::<u64>(), 100);
    assert_eq!(ledger.lost.last().unwrap().last.session_seq, Some(198));
    assert!(account(&ledger.lost).data.len() < GAP_COST / 2);
}
