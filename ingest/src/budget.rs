//! SHELL: the bytes of all requests under way, which have a bound.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::refusal::Refusal;

/// Bytes that requests may take.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes_max: usize,
    /// A permit is a byte that is free.
    free: Arc<Semaphore>,
}

/// Bytes taken from the budget; given back when dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    free: Arc<Semaphore>,
    permit: OwnedSemaphorePermit,
}

impl Budget {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, free: Arc::new(Semaphore::new(bytes_max)) }
    }

    /// A reservation of nothing yet.
    pub(crate) fn reserve(&self) -> Result<Reservation, Refusal> {
        let stopping = |_| Refusal::unavailable("the gateway is stopping");
        let permit = Arc::clone(&self.free).try_acquire_many_owned(0).map_err(stopping)?;
        Ok(Reservation { free: Arc::clone(&self.free), permit })
    }

    /// Bytes that are taken.
    pub(crate) fn taken(&self) -> usize {
        self.bytes_max.saturating_sub(self.free.available_permits())
    }
}

impl Reservation {
    /// Takes more bytes, or says that there are too many under way.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        let busy = || Refusal::unavailable("too many bytes of requests are under way");
        let count = u32::try_from(bytes).map_err(|_| busy())?;
        let more = Arc::clone(&self.free).try_acquire_many_owned(count).map_err(|_| busy())?;
        self.permit.merge(more);
        Ok(())
    }

    /// Takes over what another has taken.
    pub(crate) fn merge(&mut self, other: Self) {
        self.permit.merge(other.permit);
    }

    /// Hands over all that it has taken.
    pub(crate) fn take(&mut self) -> Option<Self> {
        let permit = self.permit.split(self.permit.num_permits())?;
        Some(Self { free: Arc::clone(&self.free), permit })
    }
}
