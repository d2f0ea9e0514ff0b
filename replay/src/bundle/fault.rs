//! CORE. Why a bundle is not to be believed.

use std::fmt;

use schemas::BundleName;
use serde::Serialize;

/// Most faults that are listed; a bundle with one is refused as a whole.
pub const FAULTS_MAX: usize = 100;

/// One reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The member of the bundle that it was found in; none where it is the file itself.
    pub member: Option<String>,
    /// What is wrong, in words.
    pub reason: String,
}

impl Fault {
    /// Of the file itself.
    pub(crate) fn file(reason: impl Into<String>) -> Self {
        Self { member: None, reason: reason.into() }
    }

    /// Of a member.
    pub(crate) fn of(member: &BundleName, reason: impl Into<String>) -> Self {
        Self { member: Some(member.to_string()), reason: reason.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.member {
            Some(member) => write!(f, "{member}: {}", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

/// Reasons as they are found.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    pub(crate) fn add(&mut self, member: &BundleName, reason: impl Into<String>) {
        if self.0.len() < FAULTS_MAX {
            self.0.push(Fault::of(member, reason));
        }
    }

    /// Adds the reason of a failure and goes on.
    pub(crate) fn take<T, E: fmt::Display>(
        &mut self,
        member: &BundleName,
        result: Result<T, E>,
    ) -> Option<T> {
        result.map_err(|error| self.add(member, error.to_string())).ok()
    }

    pub(crate) fn finish(self) -> Result<(), Vec<Fault>> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0) }
    }
}
