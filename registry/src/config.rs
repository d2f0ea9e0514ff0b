//! Where the registry is.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;

/// Settings of the registry. Without `url` there is none.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where its API begins, such as `https://registry.example/apis/ccompat/v7`. It may carry `user:password@`, which the
    /// environment is a better place for. Default empty: no registry.
    pub url: String,
    /// Certificates in PEM that its own is checked against, besides the public ones. Default none.
    pub ca: Option<PathBuf>,
    /// Milliseconds that an answer may take. Default 5,000.
    pub timeout_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { url: String::new(), ca: None, timeout_ms: 5000 }
    }
}

impl fmt::Debug for Config {
    /// Without the URL, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Config");
        out.field("ca", &self.ca).field("timeout_ms", &self.timeout_ms).finish_non_exhaustive()
    }
}
