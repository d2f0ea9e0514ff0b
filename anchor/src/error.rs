//! What can go wrong when somebody outside is asked to vouch, and what to do about it.

use std::path::PathBuf;

use schemas::tlog::BadNote;

use crate::timestamp::WhyNot;

/// Why there is nothing to keep.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting that cannot work.
    #[error("setting {field} of an anchor {why}")]
    Config {
        /// The setting.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A file that a setting names could not be read.
    #[error("could not read the certificates {}", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Nobody answered, or not to the end.
    #[error("{host} did not answer when asked for {what}")]
    Silent {
        /// Who was asked.
        host: String,
        /// For what.
        what: &'static str,
        /// What the client said, without the address.
        source: reqwest::Error,
    },
    /// The answer was a refusal, or cannot be one of those that the protocol has.
    #[error("{host} answered {status} when asked for {what}: {message}")]
    Answer {
        /// Who was asked.
        host: String,
        /// For what.
        what: &'static str,
        /// The HTTP status.
        status: u16,
        /// Its reason, or what is wrong with the answer.
        message: String,
    },
    /// What was answered is no time-stamp of what was sent.
    #[error("{host} answered with no good time-stamp")]
    Stamp {
        /// Who was asked.
        host: String,
        /// What is wrong with it.
        source: WhyNot,
    },
    /// A witness has seen another size of the log last than it was told.
    #[error("{host} saw the log last at size {size}")]
    Size {
        /// The witness.
        host: String,
        /// What it saw, in entries.
        size: u64,
    },
    /// A witness says that the checkpoint does not continue what it saw: the log was forked or rewritten, or the proof is
    /// wrong. It keeps the evidence.
    #[error("{host} says that the checkpoint does not continue the log that it saw")]
    Inconsistent {
        /// The witness.
        host: String,
    },
    /// A witness does not know the log's origin or its key: whoever runs it must be asked to watch the log.
    #[error("{host} does not watch this log or does not know its key: it answered {status}")]
    UnknownLog {
        /// The witness.
        host: String,
        /// 404 for the origin, 403 for the key.
        status: u16,
    },
    /// What a witness answered is no cosignature of what was sent, by the key that is trusted.
    #[error("{host} answered with no good cosignature")]
    Cosignature {
        /// The witness.
        host: String,
        /// What is wrong with it.
        source: BadNote,
    },
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Try again, later, or ask somebody else.
    Transient,
    /// It can never succeed like this: change the settings, or whom to ask.
    Refused,
    /// Somebody else was here before: start again from what the error says.
    Conflict,
    /// The log is not what it was. Stop, and wake a human.
    Corrupt,
}

impl Error {
    /// What the caller should do now.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Silent { .. } => Kind::Transient,
            Self::Answer { status: 200 | 408 | 425 | 429 | 500.., .. } => Kind::Transient,
            // 3 is "waiting": the authority will answer later.
            Self::Stamp { source: WhyNot::Refused { status: 3 }, .. } => Kind::Transient,
            Self::Size { .. } => Kind::Conflict,
            Self::Inconsistent { .. } => Kind::Corrupt,
            Self::Answer { .. }
            | Self::UnknownLog { .. }
            | Self::Cosignature { .. }
            | Self::Stamp { .. }
            | Self::Config { .. }
            | Self::Certificates { .. } => Kind::Refused,
        }
    }
}
