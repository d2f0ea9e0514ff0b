//! The binary from the outside: its commands together, its exit codes, and what a kill leaves behind.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::disallowed_methods,
    reason = "tests fail by panicking, and wait for other processes"
)]

mod binary;
mod crash;
mod hostile;
mod import;
#[cfg(feature = "services")]
mod services;
mod up;
