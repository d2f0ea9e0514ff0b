//! What can go wrong with a store, and what to do about it.

use std::fmt;

/// Why the store did not do as it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An address that cannot be understood.
    #[error("store {address}: {why}")]
    Address {
        /// The address.
        address: String,
        /// What is wrong with it.
        why: String,
    },
    /// The object store refused or did not answer.
    #[error("could not {doing} {key} in the store")]
    Object {
        /// What was being done.
        doing: &'static str,
        /// To which object.
        key: String,
        /// What the store said.
        #[source]
        source: object_store::Error,
    },
    /// S3 refused.
    #[error("could not {doing} {}", key.escape_debug())]
    S3 {
        /// What was being done.
        doing: &'static str,
        /// To which object, by its whole key, or `the bucket`.
        key: String,
        /// What S3 said.
        #[source]
        refusal: Box<Refusal>,
    },
    /// The local folder refused.
    #[error("could not {doing} {path}")]
    Local {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: String,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// An object is larger than what is read of one.
    #[error("{key} has {bytes} bytes, more than the {bytes_max} that are read")]
    TooLarge {
        /// The object.
        key: String,
        /// Its size.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// A task of the store ended unexpectedly.
    #[error("a task of the store ended unexpectedly")]
    Task(#[source] tokio::task::JoinError),
}

/// What an S3 server said when it refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// S3's word for it; servers differ in status and word for the same thing.
    pub code: String,
    /// The server's own sentence.
    pub why: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server answered {}", self.status)?;
        [&self.code, &self.why]
            .into_iter()
            .filter(|said| !said.is_empty())
            .try_for_each(|said| write!(f, ", {said}"))
    }
}

impl Refusal {
    /// Whether the same request may succeed in a moment.
    pub(crate) fn passes(&self) -> bool {
        matches!(self.status, 408 | 409 | 429 | 500..)
    }
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Try the same again.
    Transient,
    /// It may have happened: read back first.
    Unknown,
    /// It can never succeed: change what was asked.
    Refused,
}

impl Error {
    /// What to do now.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Object { doing: "create", .. } | Self::Local { doing: "create", .. } => {
                Kind::Unknown
            }
            Self::S3 { refusal, .. } if !refusal.passes() => Kind::Refused,
            Self::S3 { .. } | Self::Object { .. } | Self::Local { .. } | Self::Task(_) => {
                Kind::Transient
            }
            Self::Address { .. } | Self::TooLarge { .. } => Kind::Refused,
        }
    }

    /// What S3 said, where it was S3 that refused.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::S3 { refusal, .. } => Some(refusal),
            _ => None,
        }
    }
}
