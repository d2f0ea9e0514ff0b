//! The binary from the outside: its commands together, its exit codes, and what a kill leaves behind.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod binary;
mod crash;
mod hostile;
mod import;
#[cfg(feature = "services")]
mod services;
mod up;
