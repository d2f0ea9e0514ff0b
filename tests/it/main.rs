//! The binary from the outside: its commands together, its exit codes, and what a kill leaves behind.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "tests fail by panicking, and wait for other processes"
)]

mod avro;
#[cfg(feature = "services")]
mod away;
mod binary;
#[cfg(feature = "services")]
mod breaking;
#[cfg(feature = "services")]
mod broker;
#[cfg(feature = "services")]
mod bucket;
mod crash;
#[cfg(feature = "services")]
mod doctor;
mod hostile;
mod import;
mod llm;
mod mcp;
mod prove;
#[cfg(feature = "services")]
mod proxy;
mod recorder;
mod redaction;
#[cfg(feature = "services")]
mod registry;
#[cfg(feature = "services")]
mod resume;
#[cfg(feature = "services")]
mod secure;
#[cfg(feature = "services")]
mod services;
#[cfg(feature = "services")]
mod storage;
#[cfg(feature = "services")]
mod unrecorded;
mod up;
mod verify_log;
