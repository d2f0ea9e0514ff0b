//! Two batches under way: what is done at once, and what only in turn.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use object_store::path::Path;
use schemas::{Offset, Seconds, Topic};
use store::Store;

use super::actor::P0;
use super::faulty::{Asked, Fate, Faulty, Gates};
use super::simulate;
use crate::batch::Batch;
use crate::chain::Head;
use crate::head::load;
use crate::lane::Lane;
use crate::memory::Log;
use crate::message::Message;
use crate::pipeline::Pipeline;
use crate::seal::Sealed;

const NOW: Seconds = Seconds(1_790_000_000);

/// A topic of six messages and a store whose gates the test opens.
struct Stage {
    gates: Gates,
    log: Log,
}

impl Stage {
    fn new() -> Self {
        let log = Log::new(&Topic::new("t").unwrap(), 1);
        log.held(P0, |held| (0..6).for_each(|_| held.append(message())));
        Self { gates: Gates::default(), log }
    }

    fn lane(&self) -> Lane {
        let store = Arc::new(Faulty { gates: self.gates.clone(), who: 0 });
        Lane::of_memory(Store::new(store, Path::default()), &self.log, P0)
    }

    /// The end of the chain.
    fn end(&self) -> Head {
        let lane = self.lane();
        let mut loading = Box::pin(load(&lane, NOW));
        loop {
            match poll(loading.as_mut()) {
                Some(head) => return head.unwrap(),
                None => self.open(Fate::Done),
            }
        }
    }

    fn sealer(&self) -> Pipeline {
        Pipeline::new(self.lane(), self.end())
    }

    fn begin(&self, sealer: &mut Pipeline, seed: u8, from: u64, to: u64) {
        let mut batch = Batch::new(Offset(from));
        for message in self.log.chunk(P0, Offset(from)..Offset(to)).messages {
            batch.push(message, 0).unwrap();
        }
        sealer.begin(batch, [seed; 32], NOW);
    }

    /// The keys that are being put.
    fn puts(&self) -> Vec<String> {
        let put = |(_, _, asked)| match asked {
            Asked::Put(key, ..) => Some(key),
            _ => None,
        };
        self.gates.shut().into_iter().filter_map(put).collect()
    }

    fn open(&self, fate: Fate) {
        for (id, ..) in self.gates.shut() {
            self.gates.open(id, fate);
        }
    }

    /// Goes on with the gates open until a batch is sealed.
    fn sealed(&self, sealer: &mut Pipeline) -> Sealed {
        loop {
            match step(sealer) {
                Some(Some(sealed)) => return sealed,
                Some(None) => {}
                None => self.open(Fate::Done),
            }
        }
    }
}

fn message() -> Message {
    Message {
        offset: Offset(0),
        timestamp: schemas::Timestamp::default(),
        key: None,
        headers: Vec::new(),
        value: Some(b"message".to_vec()),
        leader_epoch: None,
    }
}

fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// `None` where it waits at a gate.
fn step(sealer: &mut Pipeline) -> Option<Option<Sealed>> {
    let mut step = Box::pin(tokio::task::unconstrained(sealer.step()));
    poll(step.as_mut()).map(Result::unwrap)
}

fn key(start: u64) -> String {
    format!("segments/t/00000/0000000000/{start:020}.parquet")
}

fn record(start: u64) -> String {
    format!("records/t/00000/0000000000/{start:020}.record")
}

#[test]
fn a_segment_is_encoded_while_the_one_before_is_put_and_is_put_only_when_that_is_sealed() {
    simulate(async {
        let stage = Stage::new();
        let mut sealer = stage.sealer();
        stage.begin(&mut sealer, 1, 0, 2);
        assert!(step(&mut sealer).unwrap().is_none(), "the first is encoded");
        assert!(step(&mut sealer).is_none());
        stage.begin(&mut sealer, 1, 2, 4);
        assert!(
            step(&mut sealer).unwrap().is_none(),
            "so is the second, before any PUT is answered"
        );
        assert!(!sealer.has_room(), "and there is no third");
        for key in [key(0), record(0)] {
            assert!(step(&mut sealer).is_none());
            assert_eq!(stage.puts(), [key]);
            stage.open(Fate::Done);
        }
        assert_eq!(step(&mut sealer).unwrap().unwrap().head.next, Offset(2));
        assert!(step(&mut sealer).is_none());
        assert_eq!(stage.puts(), [key(2)]);
        assert!(sealer.has_room());
    });
}

/// Another sealer takes the first key with a segment that reaches less far, as far, into the second batch, past it.
#[test]
fn what_was_encoded_ahead_is_encoded_again_where_another_sealer_was_first() {
    for theirs in 1..=5 {
        simulate(async {
            let stage = Stage::new();
            let mut ours = stage.sealer();
            stage.begin(&mut ours, 1, 0, 2);
            assert!(step(&mut ours).unwrap().is_none());
            stage.begin(&mut ours, 1, 2, 4);
            let mut other = stage.sealer();
            stage.begin(&mut other, 2, 0, theirs);
            assert_eq!(stage.sealed(&mut other).head.next, Offset(theirs));

            let first = stage.sealed(&mut ours);
            assert_eq!((first.adopted, first.head.next), (1, Offset(theirs.max(2))));
            let mut end = first.head;
            while !ours.is_idle() {
                match step(&mut ours) {
                    Some(Some(sealed)) => end = sealed.head,
                    Some(None) => {}
                    None => stage.open(Fate::Done),
                }
            }
            assert_eq!((end.next, end.total), (Offset(theirs.max(4)), theirs.max(4)));
            assert_eq!(stage.end(), end, "the chain is whole");
        });
    }
}
