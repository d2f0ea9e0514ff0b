//! What can go wrong, and what a caller should do about it.
//!
//! Errors are `Clone`, since a group of appends fails together and every caller is told.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Why the spool did not do as it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The folder is open already, in this process or another.
    #[error("spool {} is already open", dir.display())]
    Locked {
        /// The spool's folder.
        dir: PathBuf,
    },
    /// The operating system refused; what was begun has been undone. A full disk is one of these.
    #[error("could not {doing} {}", path.display())]
    Io {
        /// What was being done, as a verb.
        doing: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: Arc<io::Error>,
    },
    /// The file is of a format that this version does not know.
    #[error("{} has format version {version}, which this program does not know", file.display())]
    Version {
        /// The segment file.
        file: PathBuf,
        /// The version it claims.
        version: u32,
    },
    /// Bytes that were once durable are not what was written.
    #[error("{} is corrupt at byte {position} (offset {offset}): {why}", file.display())]
    Corrupt {
        /// The segment file.
        file: PathBuf,
        /// Where in the file the bad record begins.
        position: u64,
        /// The offset that should be there.
        offset: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The offset is below the start: truncation has forgotten it.
    #[error("offset {offset} was forgotten: the spool starts at {start}")]
    Forgotten {
        /// The offset asked for.
        offset: u64,
        /// The first offset still there.
        start: u64,
    },
    /// The offset is above the next one: this spool never had it.
    #[error("offset {offset} is ahead of the spool: its next is {next}")]
    Ahead {
        /// The offset asked for.
        offset: u64,
        /// The offset the next message will get.
        next: u64,
    },
    /// The spool has reached its limit; truncation makes room.
    #[error("spool is full: {bytes} bytes and {wanted} more would pass {bytes_max}")]
    Full {
        /// What is there, and promised to appends under way.
        bytes: u64,
        /// What this append needs.
        wanted: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// The message, or the call as a whole, is larger than the spool will ever take.
    #[error("{bytes} bytes in one append are more than the {bytes_max} allowed")]
    TooLarge {
        /// The size of the message or of the call.
        bytes: u64,
        /// The limit it breaks.
        bytes_max: u64,
    },
    /// The records were written, but not known to be durable: they may survive or not.
    #[error("could not make appends to {} durable", file.display())]
    Sync {
        /// The segment file.
        file: PathBuf,
        /// What the operating system said.
        source: Arc<io::Error>,
    },
    /// An earlier append ended in [`Error::Sync`]; nothing is taken until the spool is reopened.
    #[error("spool takes no appends until it is reopened, since an earlier one failed to sync")]
    Poisoned {
        /// What the operating system said then.
        source: Arc<io::Error>,
    },
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Try the same again, later.
    Transient,
    /// It may have happened: read back first.
    Unknown,
    /// The caller and the spool disagree about its state: stop and reopen.
    Conflict,
    /// Stop and wake a human.
    Corrupt,
    /// The request itself can never succeed: change it.
    Refused,
}

impl Error {
    /// What the caller should do now.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Io { .. } | Self::Full { .. } => Kind::Transient,
            Self::Sync { .. } => Kind::Unknown,
            Self::Locked { .. }
            | Self::Forgotten { .. }
            | Self::Ahead { .. }
            | Self::Poisoned { .. } => Kind::Conflict,
            Self::Version { .. } | Self::Corrupt { .. } => Kind::Corrupt,
            Self::TooLarge { .. } => Kind::Refused,
        }
    }

    /// For `map_err`: what was being done, to which path.
    pub(crate) fn io(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source: Arc::new(source) }
    }
}
