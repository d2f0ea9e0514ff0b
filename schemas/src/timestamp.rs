//! When a message was written, and by whose clock. What is made of it is the record's affair.

/// What a message's timestamp means, numbered as Kafka numbers it plus one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimestampType {
    /// There is none.
    #[default]
    None,
    /// The producer's clock.
    CreateTime,
    /// The broker's clock.
    LogAppendTime,
}

impl TimestampType {
    /// The number the format gives it.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::None => 0,
            Self::CreateTime => 1,
            Self::LogAppendTime => 2,
        }
    }

    /// The inverse of [`Self::code`].
    #[must_use]
    pub fn from_code(code: i32) -> Option<Self> {
        [Self::None, Self::CreateTime, Self::LogAppendTime]
            .into_iter()
            .find(|kind| i32::from(kind.code()) == code)
    }
}

/// When a message was written, in milliseconds since 1970; 0 where the type is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timestamp {
    /// Whose clock.
    pub kind: TimestampType,
    /// Milliseconds.
    pub millis: i64,
}
