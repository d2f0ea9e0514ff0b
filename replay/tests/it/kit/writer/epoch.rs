//! The end of an epoch and the beginning of the next one, for chains that the test writer writes.

use schemas::{EpochOpening, ObjectKey, Offset, Seconds, TerminalObject};

use super::Writer;
use crate::kit::put;

impl Writer {
    pub(crate) fn epoch(&self) -> u32 {
        self.chain.epoch.0
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
        let opening = EpochOpening {
            chain: self.chain.clone(),
            start: Offset(start),
            total: self.total,
            reason: reason.to_owned(),
            opened_at: Seconds(1_790_000_100),
            prev: Some(self.prev),
            missing: missing.into_iter().collect(),
            abandoned: vec![],
        };
        let key = ObjectKey::Epoch(topic, partition, self.chain.epoch).to_string();
        put(&self.objects, &key, opening.to_string().into_bytes()).await;
        self.prev = opening.leaf_hash();
    }
}
