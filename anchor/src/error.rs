//! What can go wrong when somebody outside is asked to vouch, and what to do about it.

use std::path::PathBuf;

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
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Try again, later, or ask somebody else.
    Transient,
    /// It can never succeed like this: change the settings, or whom to ask.
    Refused,
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
            Self::Answer { .. }
            | Self::Stamp { .. }
            | Self::Config { .. }
            | Self::Certificates { .. } => Kind::Refused,
        }
    }
}
