//! Where the authorities are.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;

/// Settings of one time-stamp authority.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthorityConfig {
    /// Where it takes requests, such as `https://tsa.example/`. It may carry `user:password@`. No default.
    pub url: String,
    /// Certificates in PEM, one of which its own must lead to: a response that does not is refused. Default none: whoever
    /// answers is believed.
    pub roots: Option<PathBuf>,
    /// Certificates in PEM that its HTTPS is checked against, besides the public ones. Default none.
    pub ca: Option<PathBuf>,
    /// Milliseconds that an answer may take. Default 10,000: authorities are far away and not always quick.
    pub timeout_ms: u64,
}

impl Default for AuthorityConfig {
    fn default() -> Self {
        Self { url: String::new(), roots: None, ca: None, timeout_ms: 10_000 }
    }
}

impl fmt::Debug for AuthorityConfig {
    /// Without the URL, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("AuthorityConfig");
        out.field("roots", &self.roots).field("ca", &self.ca);
        out.field("timeout_ms", &self.timeout_ms).finish_non_exhaustive()
    }
}
