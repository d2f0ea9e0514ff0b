//! A log in memory that a test can cut, re-create and rewrite under the sealer, as it cannot a broker's without a broker.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use schemas::{Offset, Partition, Topic};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::message::Message;
use crate::origin::Origin;
use crate::source::{Chunk, Extent, FeedSender, IDLE};

/// A topic; clones are the same one.
#[derive(Clone, Debug)]
pub struct Log(Arc<Mutex<State>>);

/// What a test may set as it likes.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) topic: Topic,
    pub(crate) topic_id: String,
    pub(crate) partitions: u32,
    pub(crate) compacted: bool,
    pub(crate) logs: BTreeMap<Partition, Held>,
}

/// One partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    pub(crate) start: u64,
    /// Not before the last message; where it is past it, what lies between are markers.
    pub(crate) end: u64,
    pub(crate) messages: BTreeMap<u64, Message>,
    pub(crate) hint: Option<Offset>,
}

impl Log {
    pub(crate) fn new(topic: &Topic, partitions: u32) -> Self {
        Self(Arc::new(Mutex::new(State {
            topic: topic.clone(),
            topic_id: "id-1".to_owned(),
            partitions,
            compacted: false,
            logs: BTreeMap::new(),
        })))
    }

    /// Changes the log.
    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes one partition.
    pub(crate) fn held<T>(&self, partition: Partition, change: impl FnOnce(&mut Held) -> T) -> T {
        self.with(|state| change(state.logs.entry(partition).or_default()))
    }

    pub(crate) fn origins(&self) -> Vec<Origin> {
        self.with(|state| {
            let origin = |partition| Origin {
                framing: schemas::Framing::SingleObject,
                cluster: Some("cluster".to_owned()),
                topic_id: Some(state.topic_id.clone()),
                topic: state.topic.clone(),
                partition: Partition(partition),
                partitions: state.partitions,
            };
            (0..state.partitions).map(origin).collect()
        })
    }

    pub(crate) fn is_compacted(&self) -> bool {
        self.with(|state| state.compacted)
    }

    pub(crate) fn extent(&self, partition: Partition) -> Extent {
        self.held(partition, |held| Extent {
            start: Offset(held.start),
            end: Offset(held.end),
            hint: held.hint,
        })
    }

    pub(crate) fn commit(&self, partition: Partition, start: Offset) {
        self.held(partition, |held| held.hint = Some(start));
    }

    pub(crate) fn chunk(&self, partition: Partition, range: Range<Offset>) -> Chunk {
        self.held(partition, |held| {
            let messages = held.messages.range(range.start.0..range.end.0).map(|(_, m)| m.clone());
            let messages = messages.collect();
            Chunk { from: range.start, messages, end: Some(Offset(held.end)) }
        })
    }

    pub(crate) fn range(&self, partition: Partition, range: &Range<Offset>, to: &FeedSender) {
        let sent = to.try_send(Ok(self.chunk(partition, range.clone())));
        debug_assert!(sent.is_ok(), "a feed has room for one chunk");
    }

    pub(crate) fn read(
        &self,
        partition: Partition,
        mut from: Offset,
        to: FeedSender,
        stop: CancellationToken,
    ) {
        let log = self.clone();
        tokio::spawn(async move {
            while !stop.is_cancelled() {
                let chunk = log.chunk(partition, from..Offset(u64::MAX));
                from = chunk.next();
                if chunk.messages.is_empty() {
                    clock::wait(IDLE).await;
                } else if to.send(Ok(chunk)).await.is_err() {
                    return;
                }
            }
        });
    }
}

impl Held {
    /// Adds a message at the end.
    pub(crate) fn append(&mut self, message: Message) {
        let offset = Offset(self.end);
        self.messages.insert(self.end, Message { offset, ..message });
        self.end += 1;
    }

    /// Forgets what lies before `start`.
    pub(crate) fn delete_before(&mut self, start: u64) {
        self.start = self.start.max(start);
        self.end = self.end.max(start);
        self.messages = self.messages.split_off(&start);
    }

    /// Loses what lies from `end` on.
    pub(crate) fn truncate(&mut self, end: u64) {
        self.end = end;
        drop(self.messages.split_off(&end));
    }
}
