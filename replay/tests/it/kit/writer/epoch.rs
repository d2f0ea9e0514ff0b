//! The end of an epoch and the beginning of the next one, for chains that the test writer writes.

use schemas::{Chain, Digest, EpochOpening, ObjectKey, Offset, Seconds, TerminalObject};

use super::Writer;
use crate::kit::put;

impl Writer {
    pub(crate) fn epoch(&self) -> u32 {
        self.chain.epoch.0
    }

    /// The last link of the chain, and the rows up to it.
    pub(crate) fn head(&self) -> (Digest, u64, u64) {
        (self.prev, self.next, self.total)
    }

    /// Sets aside what was sealed since the chain was there, and opens the next epoch.
    pub(crate) async fn set_aside(&mut self, head: (Digest, u64, u64), key: &str, sha256: Digest) {
        (self.prev, self.next, self.total) = head;
        self.chain.epoch.0 += 1;
        let abandoned = vec![(key.to_owned(), None, sha256)];
        self.open("operator", vec![], abandoned).await;
    }

    /// Closes the epoch and opens the next one.
    pub(crate) async fn go_on(
        &mut self,
        reason: &str,
        start: u64,
        missing: Option<std::ops::Range<u64>>,
    ) {
        let (topic, partition) = (self.chain.topic.clone(), self.chain.partition);
        let at = (self.chain.epoch, Offset(self.next));
        let terminal = TerminalObject {
            topic: topic.clone(),
            partition,
            epoch: at.0,
            start: at.1,
            prev: self.prev,
        };
        let key = ObjectKey::Segment(topic.clone(), partition, at.0, at.1).to_string();
        put(&self.objects, &key, terminal.to_string().into_bytes()).await;
        self.chain.epoch.0 += 1;
        self.next = start;
        self.open(reason, missing.into_iter().collect(), vec![]).await;
    }

    async fn open(
        &mut self,
        reason: &str,
        missing: Vec<std::ops::Range<u64>>,
        abandoned: Vec<(String, Option<String>, Digest)>,
    ) {
        let opening = EpochOpening {
            chain: self.chain.clone(),
            start: Offset(self.next),
            total: self.total,
            reason: reason.to_owned(),
            opened_at: Seconds(1_790_000_100),
            prev: Some(self.prev),
            missing,
            abandoned,
        };
        let Chain { topic, partition, epoch, .. } = self.chain.clone();
        let key = ObjectKey::Epoch(topic, partition, epoch).to_string();
        put(&self.objects, &key, opening.to_string().into_bytes()).await;
        self.prev = opening.leaf_hash();
    }
}
