//! SHELL: the keys file: who may send events, and for which tenant.
//!
//! A key is shown once, when it is made; the file has the SHA-256 of its secret. 32 random bytes need no slow hash.
//! The file is replaced as a whole, and a running gateway takes up the change by itself.

#![expect(clippy::disallowed_methods, reason = "keys are stamped with the time they were made")]

use std::path::Path;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemas::{Digest, Micros, Tenant};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::{file, random};

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
/// [`Error::Invalid`] for what is no tenant; [`Error::File`], [`Error::Malformed`], [`Error::Random`].
pub fn create(path: &Path, tenant: &str) -> Result<String, Error> {
    let tenant = Tenant::new(tenant)?;
    let (mut id, mut secret) = ([0; 8], [0; 32]);
    random::fill(&mut id)?;
    random::fill(&mut secret)?;
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let secret = URL_SAFE_NO_PAD.encode(secret);
    file::change(path, |file: &mut Keys| {
        file.keys.push(Key {
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
/// [`Error::File`], [`Error::Malformed`].
pub fn list(path: &Path) -> Result<Vec<Key>, Error> {
    file::read(path).map(|keys: Keys| keys.keys)
}

/// Revokes a key for good. Running gateways refuse it within about a second.
///
/// # Errors
/// [`Error::KeyUnknown`]; [`Error::File`], [`Error::Malformed`].
pub fn revoke(path: &Path, id: &str) -> Result<(), Error> {
    file::change(path, |file: &mut Keys| {
        let key = file.keys.iter_mut().find(|key| key.id == id);
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
        assert!(matches!(list(&path), Err(Error::Malformed { .. })));
    }
}
