//! CORE: whether a partition that gives no messages has none, or has stalled.

use schemas::Offset;

use crate::source::Chunk;

/// What is known of a partition's silence.
#[derive(Debug)]
pub(crate) struct Watch {
    stall_max_ms: u64,
    /// When the partition last gave something, or was last not asked.
    heard_at_ms: u64,
    /// The log's end when the reader had last come to it.
    reached: Offset,
    /// When the log was first seen to be ahead of what is sealed.
    ahead_since_ms: Option<u64>,
}

impl Watch {
    pub(crate) fn new(stall_max_ms: u64, now_ms: u64) -> Self {
        Self { stall_max_ms, heard_at_ms: now_ms, reached: Offset(0), ahead_since_ms: None }
    }

    /// A chunk came.
    pub(crate) fn heard(&mut self, chunk: &Chunk, now_ms: u64) {
        self.reached = chunk.end.unwrap_or(self.reached);
        self.heard_at_ms = now_ms;
    }

    /// Nobody reads for the moment, so silence means nothing.
    pub(crate) fn not_asked(&mut self, now_ms: u64) {
        self.heard_at_ms = now_ms;
    }

    /// The log ends at `end`, the reader is at `position`, and what lies before `next` is sealed: whether it has stalled.
    pub(crate) fn look(
        &mut self,
        end: Offset,
        position: Offset,
        next: Offset,
        now_ms: u64,
    ) -> bool {
        self.ahead_since_ms = (end > next).then(|| self.ahead_since_ms.unwrap_or(now_ms));
        let silent = now_ms.saturating_sub(self.heard_at_ms) >= self.stall_max_ms;
        // What lies between the position and where the reader has come are markers, which are never given.
        silent && end > position.max(self.reached)
    }

    /// For how long the log has been ahead of what is sealed.
    pub(crate) fn ahead_ms(&self, now_ms: u64) -> u64 {
        self.ahead_since_ms.map_or(0, |since| now_ms.saturating_sub(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(end: Option<u64>) -> Chunk {
        Chunk { end: end.map(Offset), ..Chunk::default() }
    }

    #[test]
    fn silence_is_a_stall_only_where_there_is_something_to_say() {
        let mut watch = Watch::new(100, 0);
        assert!(!watch.look(Offset(5), Offset(5), Offset(5), 1000), "the reader is at the end");
        assert!(watch.look(Offset(6), Offset(5), Offset(5), 1000));
        watch.heard(&chunk(None), 1000);
        assert!(!watch.look(Offset(9), Offset(5), Offset(5), 1099));
        assert!(watch.look(Offset(9), Offset(5), Offset(5), 1100));
        watch.not_asked(1100);
        assert!(!watch.look(Offset(9), Offset(5), Offset(5), 1150));
    }

    #[test]
    fn markers_at_the_end_of_the_log_are_no_stall() {
        let mut watch = Watch::new(100, 0);
        watch.heard(&chunk(Some(7)), 0);
        assert!(!watch.look(Offset(7), Offset(5), Offset(5), 1000));
        assert!(watch.look(Offset(8), Offset(5), Offset(5), 1000));
    }

    #[test]
    fn what_was_never_read_has_an_age_too() {
        let mut watch = Watch::new(100, 0);
        watch.look(Offset(9), Offset(5), Offset(5), 1000);
        watch.look(Offset(9), Offset(9), Offset(6), 1500);
        assert_eq!(watch.ahead_ms(1700), 700);
        watch.look(Offset(9), Offset(9), Offset(9), 1800);
        assert_eq!(watch.ahead_ms(1900), 0);
    }
}
