//! CORE: where a partition's chain stands, and whether a record continues it.

use schemas::{Chain, Digest, EnrolledRecord, EpochOpening, ObjectKey, Offset};

/// The end of a partition's chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// What every object of the chain has in common.
    pub chain: Chain,
    /// First offset that no segment covers.
    pub next: Offset,
    /// Rows sealed so far, all epochs.
    pub total: u64,
    /// Leaf hash of the last record, or of the opening.
    pub prev: Digest,
    /// Epoch of the partition's leader when the last message was read, where the last segment says.
    pub leader_epoch: Option<u32>,
}

impl Head {
    /// The head of an epoch that has no segment yet.
    #[must_use]
    pub fn opened(opening: &EpochOpening) -> Self {
        Self {
            chain: opening.chain.clone(),
            next: opening.start,
            total: opening.total,
            prev: opening.leaf_hash(),
            leader_epoch: None,
        }
    }

    /// The head after `record`, which need not continue this one: for a walk that starts at the last segment.
    #[must_use]
    pub fn at(record: &EnrolledRecord) -> Self {
        let last_epoch = |epochs: &String| epochs.rsplit_once(':')?.1.parse().ok();
        Self {
            chain: record.segment.chain.clone(),
            next: record.segment.next,
            total: record.segment.total,
            prev: record.leaf_hash(),
            leader_epoch: record.segment.leader_epochs.as_ref().and_then(last_epoch),
        }
    }

    /// The head after `record`.
    ///
    /// # Errors
    /// Why the record does not continue the chain.
    pub fn after(&self, record: &EnrolledRecord) -> Result<Self, &'static str> {
        let segment = &record.segment;
        if segment.chain != self.chain {
            return Err("its cluster, topic, partition or epoch is another");
        }
        if segment.start != self.next || segment.next <= segment.start {
            return Err("its offsets do not follow");
        }
        if segment.prev != self.prev {
            return Err("its prev is not the leaf hash of the record before");
        }
        if self.total.checked_add(segment.rows) != Some(segment.total) {
            return Err("its total is not the total before and its rows");
        }
        Ok(Self::at(record))
    }

    /// Key of the next segment.
    #[must_use]
    pub fn segment_key(&self) -> ObjectKey {
        ObjectKey::Segment(
            self.chain.topic.clone(),
            self.chain.partition,
            self.chain.epoch,
            self.next,
        )
    }

    /// Key of the next segment's record.
    #[must_use]
    pub fn record_key(&self) -> ObjectKey {
        ObjectKey::Record(
            self.chain.topic.clone(),
            self.chain.partition,
            self.chain.epoch,
            self.next,
        )
    }
}
