//! What can go wrong, for those who start and end a recorder. Recording itself does not fail.

use crate::stats::Stats;

/// Why a recorder could not be started or ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting that makes no sense.
    #[error("the recorder's setting {field} {why}")]
    Config {
        /// The setting.
        field: &'static str,
        /// The rule that it breaks.
        why: String,
    },
    /// The client of the target could not be made.
    #[error("could not make a client for {target}")]
    Client {
        /// The gateway or the brokers.
        target: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The system gave no thread or no timer for the sender.
    #[error("could not start the thread that sends events")]
    Thread {
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The system gave no random bytes.
    #[error("the system gave no random bytes")]
    Random,
    /// Not everything could be sent in time.
    #[error("{} events are not acknowledged: {}", stats.pending, stats.last_error.as_deref().unwrap_or("there was no time"))]
    Unfinished {
        /// What became of the events so far.
        stats: Box<Stats>,
    },
}
