//! SHELL: the rules of redaction from where the settings say that they are.

use std::path::Path;

use capture::redact::Rules;

use crate::error::Error;

/// The environment variable with the key of hashes.
const KEY: &str = "CHANCERY_REDACT_KEY";
/// Bytes of a file of rules.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The rules that a setting names: `default`, a file, or with `off` none.
///
/// # Errors
/// [`Error::Redaction`], [`Error::File`].
pub fn rules(setting: &str) -> Result<Option<Rules>, Error> {
    match setting {
        "off" => Ok(None),
        "default" => Ok(Some(Rules::defaults())),
        path => read(Path::new(path)).map(Some),
    }
}

fn read(path: &Path) -> Result<Rules, Error> {
    let file = |source| Error::File { doing: "read the rules", path: path.to_owned(), source };
    if std::fs::metadata(path).map_err(file)?.len() > FILE_BYTES_MAX {
        return Err(file(std::io::Error::other("it is over 1 MiB")));
    }
    let text = std::fs::read_to_string(path).map_err(file)?;
    let key = std::env::var(KEY).ok();
    let rules = Rules::parse(&text, key.as_deref().map(str::as_bytes));
    rules.map_err(|source| Error::Redaction { path: path.to_owned(), source })
}
