//! CORE: the lock that travels with a write.

use schemas::{LockMode, Seconds};

/// How an object is locked, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Who may remove it before its time.
    pub mode: LockMode,
    /// Until when.
    pub until: Seconds,
}
