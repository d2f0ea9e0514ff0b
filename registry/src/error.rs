//! What can go wrong with a registry, and what to do about it.

use std::path::PathBuf;

/// Why the registry was of no use.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting that cannot work.
    #[error("setting registry.{field} {why}")]
    Config {
        /// The setting.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The file of certificates could not be read.
    #[error("could not read the registry's certificates {}", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// It did not answer, or not to the end.
    #[error("the schema registry did not answer when asked to {doing}")]
    Silent {
        /// What it was asked.
        doing: String,
        /// What the client said, without the address.
        source: reqwest::Error,
    },
    /// It answered that it would not, or could not now.
    #[error("the schema registry answered {status} when asked to {doing}: {message}")]
    Status {
        /// What it was asked.
        doing: String,
        /// The HTTP status.
        status: u16,
        /// Its reason.
        message: String,
    },
    /// What answered is no schema registry, or not the part of one that was asked for.
    #[error("what answered when asked to {doing} is no schema registry: {why}; check registry.url")]
    Answer {
        /// What it was asked.
        doing: String,
        /// What was wrong with the answer.
        why: &'static str,
    },
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Try the same again, later.
    Transient,
    /// It can never succeed like this: change the settings, the permissions or the registry.
    Refused,
}

impl Error {
    /// What the caller should do now.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            // A proxy whose registry is away answers all kinds of things.
            Self::Silent { .. } | Self::Answer { .. } => Kind::Transient,
            Self::Status { status: 408 | 425 | 429 | 500.., .. } => Kind::Transient,
            Self::Status { .. } | Self::Config { .. } | Self::Certificates { .. } => Kind::Refused,
        }
    }
}
