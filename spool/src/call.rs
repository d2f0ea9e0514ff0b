//! One call of `append` on its way: what it brings, and how it ended.

use std::ops::Range;
use std::sync::OnceLock;

use crate::config::Config;
use crate::error::Error;
use crate::file::HEADER_BYTES;
use crate::record::{Message, PAYLOAD_BYTES_MAX};

/// Waits in the queue, is written in one group with others, and is told its outcome once.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) messages: Vec<Message>,
    /// The size of its frames.
    pub(crate) bytes: u64,
    pub(crate) outcome: OnceLock<Result<Range<u64>, Error>>,
}

impl Call {
    /// Refuses what can never be appended.
    pub(crate) fn new(messages: Vec<Message>, config: &Config) -> Result<Self, Error> {
        let payload_max = u64::from(config.record_bytes_max).min(PAYLOAD_BYTES_MAX);
        let mut bytes = 0;
        for message in &messages {
            within(message.payload_bytes(), payload_max)?;
            bytes += message.frame_bytes();
        }
        let call = Self { messages, bytes, outcome: OnceLock::new() };
        // An empty spool has the header of its one file.
        within(call.reserve(), config.bytes_max.saturating_sub(HEADER_BYTES))?;
        Ok(call)
    }

    /// What to keep free for it: it may need a new file.
    pub(crate) fn reserve(&self) -> u64 {
        self.bytes + HEADER_BYTES
    }
}

fn within(bytes: u64, bytes_max: u64) -> Result<(), Error> {
    if bytes > bytes_max { Err(Error::TooLarge { bytes, bytes_max }) } else { Ok(()) }
}
