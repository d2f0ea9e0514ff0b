//! SHELL: what readiness and metrics are told of a spool for when Kafka is away.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use spool::Spool;

use crate::metrics::wide;

/// The spool of one topic. Its sink writes what is here, others read it.
#[derive(Debug)]
pub(crate) struct Away {
    pub(crate) topic: String,
    spool: Spool,
    is_direct: AtomicBool,
    /// Everything of the spool below is on the topic.
    head: AtomicU64,
    drained: AtomicU64,
    /// Why the spool does not go to the topic though Kafka is there.
    stuck: Mutex<Option<String>>,
}

impl Away {
    pub(crate) fn new(topic: String, spool: Spool) -> Self {
        let (head, drained) = (AtomicU64::new(spool.start()), AtomicU64::new(0));
        Self {
            topic,
            spool,
            is_direct: AtomicBool::new(true),
            head,
            drained,
            stuck: Mutex::default(),
        }
    }

    pub(crate) fn set(&self, is_direct: bool, head: u64) {
        self.is_direct.store(is_direct, Ordering::Relaxed);
        self.head.store(head, Ordering::Relaxed);
    }

    pub(crate) fn is_direct(&self) -> bool {
        self.is_direct.load(Ordering::Relaxed)
    }

    /// Messages that are not known to be on the topic.
    pub(crate) fn messages(&self) -> u64 {
        self.spool.next().saturating_sub(self.head.load(Ordering::Relaxed))
    }

    /// Size of the spool's files.
    pub(crate) fn bytes(&self) -> u64 {
        self.spool.bytes()
    }

    /// Messages of the spool that were delivered.
    pub(crate) fn drained_total(&self) -> u64 {
        self.drained.load(Ordering::Relaxed)
    }

    pub(crate) fn drained(&self, count: usize) {
        self.drained.fetch_add(wide(count), Ordering::Relaxed);
        self.recovered();
    }

    pub(crate) fn recovered(&self) {
        *self.why() = None;
    }

    /// A human must act; until then it is tried again and again, and nothing is dropped.
    pub(crate) fn stuck(&self, why: String) {
        let mut stuck = self.why();
        if stuck.is_none() {
            let (topic, messages) = (&self.topic, self.messages());
            tracing::error!(
                why,
                topic,
                messages,
                "the spool does not go to the topic; events are kept in it until what hinders them is changed"
            );
        }
        *stuck = Some(why);
    }

    pub(crate) fn stuck_why(&self) -> Option<String> {
        self.why().clone()
    }

    fn why(&self) -> MutexGuard<'_, Option<String>> {
        self.stuck.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
