//! What became of the events.

/// Counts of events, those that the recorder itself adds included: `recorded` is the sum of the four that follow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Events that were to be recorded.
    pub recorded: u64,
    /// Events that are durable.
    pub acknowledged: u64,
    /// Events for which there was no room, or that came after the recorder was closed.
    pub dropped: u64,
    /// Events that the gateway or the broker will never take.
    pub refused: u64,
    /// Events that wait or are on their way.
    pub pending: u64,
    /// What they cost in memory, roughly and rather too much.
    pub pending_bytes: usize,
    /// Why the last attempt failed, or the last event was refused.
    pub last_error: Option<String>,
}
