//! CORE: the lock that travels with a write, and its words in S3.

use schemas::{LockMode, Seconds};

/// How an object is locked, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Who may remove it before its time.
    pub mode: LockMode,
    /// Until when.
    pub until: Seconds,
}

impl Lock {
    /// What S3 calls the mode.
    pub(crate) fn s3_mode(self) -> &'static str {
        match self.mode {
            LockMode::Compliance => "COMPLIANCE",
            LockMode::Governance => "GOVERNANCE",
        }
    }

    /// A lock in S3's words; `None` where they are not ones.
    pub(crate) fn of_s3(mode: &str, until: &str) -> Option<Self> {
        Some(Self { mode: mode_of_s3(mode)?, until: seconds_of_s3(until)? })
    }
}

/// A mode as S3 calls it.
pub(crate) fn mode_of_s3(mode: &str) -> Option<LockMode> {
    match mode {
        "COMPLIANCE" => Some(LockMode::Compliance),
        "GOVERNANCE" => Some(LockMode::Governance),
        _ => None,
    }
}

/// A time as S3 servers write it: RFC 3339, mostly with a fraction, which is dropped.
pub(crate) fn seconds_of_s3(text: &str) -> Option<Seconds> {
    let time = time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339);
    time.ok().map(|time| Seconds(time.unix_timestamp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_read_back_from_what_servers_say_of_it() {
        let until: Seconds = "2026-11-24T11:45:19Z".parse().unwrap();
        let lock = Lock { mode: LockMode::Governance, until };
        for text in
            ["2026-11-24T11:45:19Z", "2026-11-24T11:45:19.000Z", "2026-11-24T12:45:19.9+01:00"]
        {
            assert_eq!(Lock::of_s3(lock.s3_mode(), text), Some(lock), "{text}");
        }
        assert_eq!(Lock::of_s3("governance", "2026-11-24T11:45:19Z"), None);
        assert_eq!(Lock::of_s3("GOVERNANCE", "tomorrow"), None);
    }
}
