//! SHELL: the keys file: who may send events, and for which tenant.
//!
//! A key is shown once, when it is made; the file has the SHA-256 of its secret. 32 random bytes need no slow hash.
//! The file is replaced as a whole, and a running gateway takes up the change by itself.

#![expect(clippy::disallowed_methods, reason = "keys are stamped with the time they were made")]

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemas::{Digest, Micros, Tenant};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::random;

/// How every key begins, for scanners that look for leaked ones.
const PREFIX: &str = "chk_";

/// A key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Public id: `credential_id` in the admissions of events that came with it.
    pub id: String,
    /// The one tenant it may write for.
    pub tenant: String,
    /// SHA-256 of the secret's text, in hex.
    pub secret_sha256: String,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339; absent while it is good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<String>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    #[serde(default)]
    keys: Vec<Key>,
}

/// Makes a key for a tenant; returns its text, `chk_<id>_<secret>`, which stands nowhere else. Makes the file if need be.
///
/// # Errors
/// [`Error::Invalid`] for what is no tenant; [`Error::KeysFile`], [`Error::KeysMalformed`], [`Error::Random`].
pub fn create(path: &Path, tenant: &str) -> Result<String, Error> {
    let tenant = Tenant::new(tenant)?;
    let (mut id, mut secret) = ([0; 8], [0; 32]);
    random::fill(&mut id)?;
    random::fill(&mut secret)?;
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let secret = URL_SAFE_NO_PAD.encode(secret);
    change(path, |keys| {
        keys.push(Key {
            id: id.clone(),
            tenant: tenant.to_string(),
            secret_sha256: Digest::of(secret.as_bytes()).to_string(),
            created_at: now(),
            revoked_at: None,
        });
        Ok(())
    })?;
    Ok(format!("{PREFIX}{id}_{secret}"))
}

/// All keys, revoked ones included, oldest first. No file is no keys.
///
/// # Errors
/// [`Error::KeysFile`], [`Error::KeysMalformed`].
pub fn list(path: &Path) -> Result<Vec<Key>, Error> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(failed("read", path)(source)),
    };
    let keys: Result<Keys, _> = toml::from_str(&text);
    let malformed = |source| Error::KeysMalformed { path: path.to_owned(), source };
    keys.map(|keys| keys.keys).map_err(|source| malformed(Box::new(source)))
}

/// Revokes a key for good. Running gateways refuse it within about a second.
///
/// # Errors
/// [`Error::KeyUnknown`]; [`Error::KeysFile`], [`Error::KeysMalformed`].
pub fn revoke(path: &Path, id: &str) -> Result<(), Error> {
    change(path, |keys| {
        let key = keys.iter_mut().find(|key| key.id == id);
        let key = key.ok_or_else(|| Error::KeyUnknown { id: id.to_owned() })?;
        key.revoked_at.get_or_insert_with(now);
        Ok(())
    })
}

/// The id and the secret in a key's text.
pub(crate) fn parse(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix(PREFIX)?.split_once('_')
}

fn now() -> String {
    let age = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Micros(i64::try_from(age.as_micros()).unwrap_or(i64::MAX)).to_string()
}

/// Rewrites the file under a lock, so that of two changes at a time none is lost.
fn change(
    path: &Path,
    change: impl FnOnce(&mut Vec<Key>) -> Result<(), Error>,
) -> Result<(), Error> {
    let lock = beside(path, "lock");
    let file = private().create(true).truncate(false).open(&lock).map_err(failed("lock", &lock))?;
    file.lock().map_err(failed("lock", &lock))?;
    let mut keys = list(path)?;
    change(&mut keys)?;
    let text = toml::to_string(&Keys { keys }).map_err(io::Error::other);
    write(path, &text.map_err(failed("write", path))?).map_err(failed("write", path))
}

/// Replaces the file: a crash leaves the old one or the new one.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let new = beside(path, "new");
    let mut file = private().create(true).truncate(true).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    File::open(dir.unwrap_or(Path::new(".")))?.sync_all()
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::KeysFile { doing, path, source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_listed_without_its_secret_and_revoked_by_its_id() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.toml");
        let text = create(&path, "acme").unwrap();
        let (id, secret) = parse(&text).unwrap();
        assert_eq!(secret.len(), 43);
        create(&path, "other").unwrap();
        revoke(&path, id).unwrap();
        let keys = list(&path).unwrap();
        assert_eq!([&*keys[0].tenant, &*keys[1].tenant], ["acme", "other"]);
        assert!(keys[0].revoked_at.is_some() && keys[1].revoked_at.is_none());
        assert!(!std::fs::read_to_string(&path).unwrap().contains(secret));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.toml");
        assert!(matches!(create(&path, "No Tenant"), Err(Error::Invalid(_))));
        assert!(matches!(revoke(&path, "nobody"), Err(Error::KeyUnknown { .. })));
        std::fs::write(&path, "[[keys]]\nid = 5").unwrap();
        assert!(matches!(list(&path), Err(Error::KeysMalformed { .. })));
    }
}
