//! CORE: messages of one partition in, batches ready to be sealed out.
//!
//! Time is an argument. A batch covers every offset from its start: those that hold no message are gaps.

use std::collections::{BTreeSet, HashMap};

use schemas::{
    Event, Framing, GAPS_MAX, Gaps, Malformed, Offset, Place, Published, SchemaId, read,
    read_confluent,
};

use crate::message::Message;

/// When a batch is cut; whichever comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Bytes of keys, headers and values.
    pub bytes_max: usize,
    /// Milliseconds since the first message came.
    pub age_max_ms: u64,
    /// Messages.
    pub rows_max: usize,
}

/// A run of messages that will be one segment.
#[derive(Debug)]
pub struct Batch {
    /// First offset covered.
    start: Offset,
    /// First offset not covered: every offset in `[start, next)` is a message here or in `gaps`.
    next: Offset,
    /// Ascending by offset.
    messages: Vec<Message>,
    gaps: Gaps,
    bytes: usize,
    opened_at_ms: u64,
    /// What the ids in Confluent frames stand for, as far as the registry was asked.
    schemas: HashMap<SchemaId, Option<&'static Published>>,
}

/// A message whose offset lies before what the batch already covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("offset {offset} came after {next} was reached")]
pub struct Rewound {
    /// The message's offset.
    pub offset: Offset,
    /// What was expected, or later.
    pub next: Offset,
}

impl Batch {
    /// An empty batch that begins at `start`.
    #[must_use]
    pub fn new(start: Offset) -> Self {
        let (messages, gaps, schemas) = (Vec::new(), Gaps::default(), HashMap::new());
        Self { start, next: start, messages, gaps, bytes: 0, opened_at_ms: 0, schemas }
    }

    /// Adds a message; offsets skipped before it become a gap.
    ///
    /// # Errors
    /// An offset that is covered already.
    pub fn push(&mut self, message: Message, now_ms: u64) -> Result<(), Rewound> {
        if message.offset < self.next {
            return Err(Rewound { offset: message.offset, next: self.next });
        }
        if self.is_empty() {
            self.opened_at_ms = now_ms;
        }
        self.gaps.push(self.next.0..message.offset.0);
        self.next = Offset(message.offset.0.saturating_add(1));
        self.bytes += message.bytes();
        self.messages.push(message);
        Ok(())
    }

    /// Whether it covers nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.next
    }

    /// Whether nothing more fits.
    #[must_use]
    pub fn is_full(&self, cut: &Cut) -> bool {
        self.bytes >= cut.bytes_max
            || self.messages.len() >= cut.rows_max
            || self.gaps.ranges().len() >= GAPS_MAX
    }

    /// When it is old enough to be cut; `None` while it is empty.
    #[must_use]
    pub fn due_at_ms(&self, cut: &Cut) -> Option<u64> {
        (!self.is_empty()).then(|| self.opened_at_ms.saturating_add(cut.age_max_ms))
    }

    /// Forgets what lies before `next`, because another segment has sealed it.
    pub fn adopt(&mut self, next: Offset) {
        let kept =
            std::mem::take(&mut self.messages).into_iter().filter(|message| message.offset >= next);
        let mut after = Self::new(next);
        after.schemas = std::mem::take(&mut self.schemas);
        for message in kept {
            // Ascending and not before `next`, so no push can be rewound.
            let pushed = after.push(message, self.opened_at_ms);
            debug_assert!(pushed.is_ok(), "a batch's messages are in order");
        }
        *self = after;
    }

    /// The ids in Confluent frames of which nobody has said what they stand for.
    pub(crate) fn unknown(&self) -> BTreeSet<SchemaId> {
        let ids =
            self.messages.iter().filter_map(|message| SchemaId::of(message.value.as_deref()?));
        ids.filter(|id| !self.schemas.contains_key(id)).collect()
    }

    /// Learns what an id stands for, as the registry says.
    pub(crate) fn learn(&mut self, id: SchemaId, schema: Option<&'static Published>) {
        self.schemas.insert(id, schema);
    }

    /// Takes one of its messages apart. None of its ids is unknown.
    pub(crate) fn read<'m>(
        &self,
        message: &'m Message,
        place: Place,
        framing: Framing,
    ) -> Result<Event<'m>, Malformed> {
        let message = message.as_read();
        match framing {
            Framing::SingleObject => read(&message, place),
            Framing::Confluent => {
                read_confluent(&message, place, |id| self.schemas.get(&id).copied().flatten())
            }
        }
    }

    /// First offset covered.
    #[must_use]
    pub fn start(&self) -> Offset {
        self.start
    }

    /// First offset not covered.
    #[must_use]
    pub fn next(&self) -> Offset {
        self.next
    }

    /// The messages, ascending by offset.
    #[must_use]
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// Offsets that hold no message.
    #[must_use]
    pub fn gaps(&self) -> &Gaps {
        &self.gaps
    }

    /// Bytes of keys, headers and values.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CUT: Cut = Cut { bytes_max: 100, age_max_ms: 5_000, rows_max: 3 };

    fn message(offset: u64) -> Message {
        let timestamp = schemas::Timestamp::default();
        Message {
            offset: Offset(offset),
            timestamp,
            key: None,
            headers: Vec::new(),
            value: Some(vec![0; 10]),
            leader_epoch: None,
        }
    }

    #[test]
    fn a_rewound_offset_is_refused() {
        let mut batch = Batch::new(Offset(5));
        batch.push(message(7), 0).unwrap();
        let refused = batch.push(message(7), 0).unwrap_err();
        assert_eq!(refused, Rewound { offset: Offset(7), next: Offset(8) });
    }

    #[test]
    fn skipped_offsets_are_gaps_and_every_offset_is_accounted_for() {
        let mut batch = Batch::new(Offset(5));
        for offset in [7, 8, 12] {
            batch.push(message(offset), 0).unwrap();
        }
        assert_eq!(batch.gaps().ranges(), [5..7, 9..12]);
        assert_eq!((batch.messages().len(), batch.gaps().offsets()), (3, 13 - 5 - 3));
    }

    #[test]
    fn a_batch_is_cut_by_bytes_by_rows_and_by_age_whichever_is_first() {
        let mut batch = Batch::new(Offset(0));
        assert_eq!(batch.due_at_ms(&CUT), None);
        batch.push(message(0), 1_000).unwrap();
        assert!(!batch.is_full(&CUT));
        assert_eq!(batch.due_at_ms(&CUT), Some(6_000));
        batch.push(message(1), 2_000).unwrap();
        assert_eq!(batch.due_at_ms(&CUT), Some(6_000), "age counts from the first message");
        batch.push(message(2), 2_000).unwrap();
        assert!(batch.is_full(&CUT), "by rows");
        let mut wide = Batch::new(Offset(0));
        wide.push(Message { value: Some(vec![0; 100]), ..message(0) }, 0).unwrap();
        assert!(wide.is_full(&CUT), "by bytes");
    }

    #[test]
    fn adopting_anothers_segment_keeps_only_what_it_did_not_seal() {
        let mut batch = Batch::new(Offset(0));
        for offset in [0, 1, 4] {
            batch.push(message(offset), 0).unwrap();
        }
        batch.adopt(Offset(3));
        assert_eq!((batch.start(), batch.next()), (Offset(3), Offset(5)));
        assert_eq!(batch.gaps().ranges().first(), Some(&(3..4)));
        assert_eq!(batch.messages().len(), 1);
    }
}
