//! What can stop a command. What is wrong with a store is a finding instead, and stops nothing.

/// Why a command could not go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address of a store leads nowhere.
    #[error("cannot open the store {address}: {why}")]
    Open {
        /// As given.
        address: String,
        /// What is wrong with it.
        why: String,
    },
    /// The store did not answer.
    #[error("cannot read {key} from the store")]
    Read {
        /// Object or prefix.
        key: String,
        /// What the store said.
        #[source]
        source: Box<store::Error>,
    },
    /// An object is larger than any that a sealer writes.
    #[error("{key} has {bytes} bytes, the limit is {bytes_max}")]
    TooLarge {
        /// The object.
        key: String,
        /// Its size.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// An object is not what its key says; `verify` tells more.
    #[error("{key} is damaged: {why}")]
    Damaged {
        /// The object.
        key: String,
        /// What is wrong.
        why: String,
    },
    /// No event of the session was found.
    #[error("no session {session} in this store")]
    NoSession {
        /// As asked for.
        session: String,
    },
    /// No event of the trace was found.
    #[error("no event of the trace {trace} in this store")]
    NoTrace {
        /// As asked for.
        trace: String,
    },
    /// Several tenants have a session of this id.
    #[error("{session} belongs to several tenants ({}): name one", tenants.join(", "))]
    Ambiguous {
        /// As asked for.
        session: String,
        /// Who has one.
        tenants: Vec<String>,
    },
    /// The session has more than a reader will hold at once.
    #[error("the session {session} is over the limit of {limit}")]
    TooMuch {
        /// The session.
        session: String,
        /// What is limited, and to how much.
        limit: String,
    },
    /// What is to be proven is sealed, and not in the log yet.
    #[error(
        "{what} is not enrolled yet: what is not in the log cannot be proven; ask again in a while"
    )]
    NotEnrolled {
        /// The segment, or the store.
        what: String,
    },
    /// It cannot be proven as it was put.
    #[error("this cannot be proven: {why}")]
    Unprovable {
        /// Why not.
        why: String,
    },
    /// The store has no legal holds.
    #[error("there are no legal holds here: {why}")]
    NoHolds {
        /// What it lacks.
        why: &'static str,
    },
    /// The output could not be written.
    #[error("cannot write the output")]
    Write(#[from] std::io::Error),
    /// A task of this program ended before its work.
    #[error("a reading task stopped")]
    Stopped(#[from] tokio::task::JoinError),
}

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Try again.
    Transient,
    /// The question cannot be answered as it was put: ask another.
    Refused,
    /// What is asked for is not there yet: ask again later.
    Early,
    /// Stop and wake a human.
    Corrupt,
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Read { .. } | Self::Stopped(_) | Self::Write(_) => ErrorKind::Transient,
            Self::NotEnrolled { .. } => ErrorKind::Early,
            Self::TooLarge { .. } | Self::Damaged { .. } => ErrorKind::Corrupt,
            Self::Open { .. }
            | Self::NoSession { .. }
            | Self::NoTrace { .. }
            | Self::Ambiguous { .. }
            | Self::NoHolds { .. }
            | Self::Unprovable { .. }
            | Self::TooMuch { .. } => ErrorKind::Refused,
        }
    }
}

/// An error and its causes.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}
