//! The limits of a spool.
//!
//! They bound what is written from now on; files written under other limits stay readable.

/// The limits of a spool. All are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// A segment file is closed before a group of appends would make it longer than this; one group
    /// is never split, so a single call may make a file longer. Default 64 MiB: the unit in which
    /// space is given back.
    pub segment_bytes_max: u64,
    /// All files together. An append that would pass it is refused as [`Error::Full`]. Default
    /// 8 GiB: hours of a busy machine, and little of its disk.
    ///
    /// [`Error::Full`]: crate::Error::Full
    pub bytes_max: u64,
    /// Key and value of one message together, 256 MiB at most. Default 32 MiB: well above what
    /// ingest admits.
    pub record_bytes_max: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { segment_bytes_max: 64 << 20, bytes_max: 8 << 30, record_bytes_max: 32 << 20 }
    }
}
