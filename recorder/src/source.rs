//! SHELL: the clock, ids and random bytes, which everything else is given.

#![expect(clippy::disallowed_methods, reason = "this is where the clock is read")]

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use ring::rand::{SecureRandom, SystemRandom};
use schemas::{EventId, Micros};

use crate::error::Error;

const POOL_BYTES: usize = 1024;

/// The time now.
pub(crate) fn now() -> Micros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// A moment to measure from, whatever happens to the clock.
pub(crate) fn instant() -> Instant {
    Instant::now()
}

/// A new event's id.
pub(crate) fn event_id() -> EventId {
    EventId(uuid::Uuid::now_v7().into_bytes())
}

/// Random bytes from the system, many at a time, since each call is a system call.
#[derive(Debug)]
pub(crate) struct Random {
    pool: [u8; POOL_BYTES],
    used: usize,
}

impl Random {
    pub(crate) fn new() -> Self {
        Self { pool: [0; POOL_BYTES], used: POOL_BYTES }
    }

    /// 16 bytes, handed out once.
    pub(crate) fn draw(&mut self) -> Result<[u8; 16], Error> {
        if let Some(bytes) = self.pool.get(self.used..).and_then(|rest| rest.first_chunk()) {
            self.used += bytes.len();
            return Ok(*bytes);
        }
        SystemRandom::new().fill(&mut self.pool).map_err(|_| Error::Random)?;
        let bytes = self.pool.first_chunk().copied().unwrap_or_default();
        self.used = bytes.len();
        Ok(bytes)
    }
}
