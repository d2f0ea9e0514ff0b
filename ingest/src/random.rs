//! SHELL: random bytes from the system, many at a time, since each call is a system call.

use ring::rand::{SecureRandom, SystemRandom};

use crate::error::Error;
use crate::refusal::Refusal;

const POOL_BYTES: usize = 1024;

/// Random bytes for one request.
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
    pub(crate) fn draw(&mut self) -> Result<[u8; 16], Refusal> {
        if let Some(bytes) = self.pool.get(self.used..).and_then(|rest| rest.first_chunk()) {
            self.used += bytes.len();
            return Ok(*bytes);
        }
        fill(&mut self.pool).map_err(|error| Refusal::unavailable(error.to_string()))?;
        let bytes = self.pool.first_chunk().copied().unwrap_or_default();
        self.used = bytes.len();
        Ok(bytes)
    }
}

/// Fills `bytes`.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), Error> {
    SystemRandom::new().fill(bytes).map_err(|_| Error::Random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bytes_are_handed_out_twice() {
        let mut random = Random::new();
        let drawn: std::collections::HashSet<_> =
            (0..1000).map(|_| random.draw().unwrap()).collect();
        assert_eq!(drawn.len(), 1000);
    }
}
