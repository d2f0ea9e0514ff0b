//! What can go wrong with a store, and what to do about it.

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
            Self::Object { .. } | Self::Local { .. } | Self::Task(_) => Kind::Transient,
            Self::Address { .. } | Self::TooLarge { .. } => Kind::Refused,
        }
    }
}
