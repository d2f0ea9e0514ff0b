//! The durable queue on disk, which is also the embedded log of one machine.
//!
//! An append-only log of messages with consecutive offsets from 0, in a folder of segment files. An
//! append that returned survives the process and, as far as `fsync` tells, the machine; an offset
//! names one message for ever, also after the head was truncated to nothing.
//!
//! The order of effects, and what a crash leaves behind:
//!
//! 1. A group of appends is one write at the end of the last file. A crash leaves a *torn tail*:
//!    nobody was told that it is there, and the next open cuts it.
//! 2. One `fdatasync`; then, and only then, readers see the group and callers are answered. A crash
//!    between the two leaves records that nobody was told of: they are kept, so a caller that
//!    repeats itself makes duplicates, never losses.
//! 3. A new file is prepared under a temporary name, synced, renamed, and the folder is synced.
//! 4. Truncation deletes whole files, the oldest first, and syncs the folder after each.
//!
//! It is synchronous and thread-safe: an asynchronous owner calls it from blocking threads. It does
//! not read the clock, know what a message means, compress, replicate, or keep readers' positions.

mod call;
mod config;
mod cursor;
mod error;
mod file;
mod index;
mod log;
mod record;
mod recovery;
mod spool;
mod tear;
mod writer;

pub use crate::config::Config;
pub use crate::error::{Error, Kind};
pub use crate::record::{Message, Record};
pub use crate::recovery::Recovery;
pub use crate::spool::Spool;
