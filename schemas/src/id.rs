//! Ids, offsets and keys as newtypes: parsed at the edge, valid ever after.

use std::fmt;

use crate::digest::{Digest, Hasher};
use crate::text;

/// Why a text is not a value of the type asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} is not valid: {why}")]
pub struct Invalid {
    /// The type that was asked for.
    pub what: &'static str,
    /// The rule that was broken.
    pub why: &'static str,
}

/// Owner of sessions: `[a-z0-9-]{1,64}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tenant(String);

/// A session's id: 1 to 512 bytes of UTF-8.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(String);

/// A topic's name, by Kafka's rule: `[a-zA-Z0-9._-]{1,249}`, neither `.` nor `..`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(String);

impl Tenant {
    /// Longest tenant.
    pub const BYTES_MAX: usize = 64;

    /// Parses a tenant.
    ///
    /// # Errors
    /// Anything but `[a-z0-9-]{1,64}`.
    pub fn new(text: &str) -> Result<Self, Invalid> {
        let fits = (1..=Self::BYTES_MAX).contains(&text.len());
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if fits && text.bytes().all(plain) {
            return Ok(Self(text.to_owned()));
        }
        Err(Invalid { what: "tenant", why: "it must match [a-z0-9-]{1,64}" })
    }
}

impl SessionId {
    /// Longest session id, in bytes.
    pub const BYTES_MAX: usize = 512;

    /// Parses a session id.
    ///
    /// # Errors
    /// An empty text or one over 512 bytes.
    pub fn new(text: &str) -> Result<Self, Invalid> {
        if (1..=Self::BYTES_MAX).contains(&text.len()) {
            return Ok(Self(text.to_owned()));
        }
        Err(Invalid { what: "session id", why: "it must be 1 to 512 bytes long" })
    }
}

impl Topic {
    /// Parses a topic name.
    ///
    /// # Errors
    /// Anything Kafka would refuse.
    pub fn new(text: &str) -> Result<Self, Invalid> {
        let fits = (1..=249).contains(&text.len()) && text != "." && text != "..";
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if fits && text.bytes().all(plain) {
            return Ok(Self(text.to_owned()));
        }
        Err(Invalid {
            what: "topic",
            why: "it must match [a-zA-Z0-9._-]{1,249} and not be . or ..",
        })
    }
}

macro_rules! text_id {
    ($($name:ident),*) => {$(
        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}
text_id!(Tenant, SessionId, Topic);

/// Tenant and session of a message: the Kafka key `tenant/session_id`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KafkaKey {
    /// Owner of the session.
    pub tenant: Tenant,
    /// The session.
    pub session: SessionId,
}

impl KafkaKey {
    /// Reads a Kafka key.
    ///
    /// # Errors
    /// No `/`, or either side is not what it must be.
    pub fn parse(bytes: &[u8]) -> Result<Self, Invalid> {
        let not = |why| Invalid { what: "Kafka key", why };
        let text = std::str::from_utf8(bytes).map_err(|_| not("it is not UTF-8"))?;
        let (tenant, session) = text.split_once('/').ok_or(not("it has no /"))?;
        Ok(Self { tenant: Tenant::new(tenant)?, session: SessionId::new(session)? })
    }

    /// The bytes of the key.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        format!("{}/{}", self.tenant, self.session).into_bytes()
    }

    /// The session's key in the tree and in object names.
    #[must_use]
    pub fn session_key(&self) -> SessionKey {
        SessionKey::of(self.tenant.as_str(), self.session.as_str())
    }
}

/// `H("session", lp(tenant) ‖ lp(session_id))`; sorts the rows of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey(pub Digest);

impl SessionKey {
    /// The key of rows that belong to no session.
    pub const NONE: Self = Self(Digest::ZERO);

    pub(crate) fn of(tenant: &str, session: &str) -> Self {
        Self(Hasher::new("session").lp(tenant.as_bytes()).lp(session.as_bytes()).finish())
    }
}

impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! number_id {
    ($($(#[$doc:meta])* $name:ident($int:ty);)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $int);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}
number_id! {
    /// Position of a message in its partition.
    Offset(u64);
    /// A partition of a topic.
    Partition(u32);
    /// An incarnation of a partition's chain.
    Epoch(u32);
}

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Micros(pub i64);

impl Micros {
    /// Reads RFC 3339; digits finer than a microsecond are cut.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text::micros_of_rfc3339(text).map(Self)
    }
}

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match text::rfc3339_micros(self.0) {
            Some(text) => f.write_str(&text),
            None => write!(f, "{}us", self.0),
        }
    }
}

/// An event's id: the 16 bytes of a UUID.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(pub [u8; 16]);

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        uuid::Uuid::from_bytes(self.0).hyphenated().fmt(f)
    }
}

impl std::str::FromStr for EventId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = Invalid { what: "UUID", why: "it must be the hyphenated form" };
        let uuid = uuid::Uuid::try_parse(text).ok().filter(|_| text.len() == 36);
        uuid.map(|uuid| Self(uuid.into_bytes())).ok_or(wrong)
    }
}

/// A W3C trace id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId(pub [u8; 16]);

/// A W3C span id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId(pub [u8; 8]);

macro_rules! hex_id {
    ($($name:ident, $what:literal, $why:literal;)*) => {$(
        impl std::str::FromStr for $name {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                text::unhex(text).map(Self).ok_or(Invalid { what: $what, why: $why })
            }
        }
    )*};
}
hex_id! {
    Digest, "digest", "it must be 64 lower-case hex digits";
    TraceId, "trace id", "it must be 32 lower-case hex digits";
    SpanId, "span id", "it must be 16 lower-case hex digits";
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::hex(&self.0))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::hex(&self.0))
    }
}
