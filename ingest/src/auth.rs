//! SHELL: who is asking: a bearer key of the keys file, or anybody on this machine.
//!
//! The file is looked at each second at most, and read when it was replaced. One that has become unreadable changes
//! nothing: the keys last read stay as they were.

#![expect(clippy::disallowed_methods, reason = "the keys file is looked at each second at most")]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemas::{Digest, Tenant};
use subtle::ConstantTimeEq;

use crate::error::Error;
use crate::file::Stamp;
use crate::keys;
use crate::refusal::{Code, Refusal};

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Decides who may write, and for which tenant.
#[derive(Debug)]
pub struct Auth(Door);

#[derive(Debug)]
enum Door {
    Keys(KeysFile),
    Loopback(Tenant),
}

/// What a request was let in with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Credential {
    /// Empty where none was needed.
    pub(crate) id: String,
    pub(crate) tenant: Tenant,
}

#[derive(Debug)]
struct KeysFile {
    path: PathBuf,
    state: Mutex<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    looked_at: Instant,
    stamp: Option<Stamp>,
    keys: HashMap<String, (Digest, Tenant)>,
}

impl Auth {
    /// Bearer keys, as `chancery keys` keeps them in a file.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Malformed`]; a file that is not there has no keys.
    pub fn keys(path: &Path) -> Result<Self, Error> {
        let stamp = Stamp::of(path);
        let state = Loaded { looked_at: Instant::now(), stamp, keys: load(path)? };
        Ok(Self(Door::Keys(KeysFile { path: path.to_owned(), state: Mutex::new(state) })))
    }

    /// No keys: every process of this machine writes for `tenant`. Only for a listener on a loopback address.
    #[must_use]
    pub fn loopback(tenant: Tenant) -> Self {
        Self(Door::Loopback(tenant))
    }

    /// Refuses to serve others without keys.
    pub(crate) fn check(&self, address: SocketAddr) -> Result<(), Error> {
        match &self.0 {
            Door::Loopback(_) if !address.ip().is_loopback() => Err(Error::NotLoopback { address }),
            _ => Ok(()),
        }
    }

    /// Judges a request by its `Authorization`, the key in a header of our own, which goes before, and `Origin`.
    pub(crate) fn authenticate(
        &self,
        authorization: Option<&str>,
        key: Option<&str>,
        origin: Option<&str>,
    ) -> Result<Credential, Refusal> {
        let presented = key.map(str::to_owned).or_else(|| presented(authorization?));
        self.judge(presented.as_deref(), origin)
    }

    /// Judges a request by the key that it shows and its `Origin`.
    pub(crate) fn judge(
        &self,
        key: Option<&str>,
        origin: Option<&str>,
    ) -> Result<Credential, Refusal> {
        match &self.0 {
            Door::Loopback(_) if origin.is_some() => {
                let why = "requests of web pages are not taken without a key";
                Err(Refusal::new(Code::Forbidden, why))
            }
            Door::Loopback(tenant) => Ok(Credential { id: String::new(), tenant: tenant.clone() }),
            Door::Keys(file) => {
                let unauthorized = |why| Refusal::new(Code::Unauthorized, why);
                let text = key.ok_or_else(|| unauthorized("a key of the gateway is needed"))?;
                file.find(text).ok_or_else(|| unauthorized("the key is not known or was revoked"))
            }
        }
    }
}

/// The key in an `Authorization`: a bearer's, or the password of whatever user.
fn presented(authorization: &str) -> Option<String> {
    let (scheme, credentials) = authorization.split_once(' ')?;
    let credentials = credentials.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(credentials.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(credentials).ok()?).ok()?;
    pair.split_once(':').map(|(_, password)| password.to_owned())
}

impl KeysFile {
    fn find(&self, text: &str) -> Option<Credential> {
        let (id, secret) = keys::parse(text)?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.looked_at.elapsed() >= LOOK_EVERY {
            state.looked_at = Instant::now();
            self.reload(&mut state);
        }
        // The id is public; only what proves its possession is compared in constant time.
        let (expected, tenant) = state.keys.get(id)?;
        let given = Digest::of(secret.as_bytes());
        let same = bool::from(given.0.ct_eq(&expected.0));
        same.then(|| Credential { id: id.to_owned(), tenant: tenant.clone() })
    }

    fn reload(&self, state: &mut Loaded) {
        let stamp = Stamp::of(&self.path);
        if stamp == state.stamp {
            return;
        }
        match load(&self.path) {
            Ok(keys) => {
                tracing::info!(path = %self.path.display(), keys = keys.len(), "keys read");
                *state = Loaded { keys, stamp, ..*state };
            }
            Err(error) => {
                tracing::error!(%error, "the keys file changed, but the keys read before stay");
            }
        }
    }
}

/// The keys that are good, by id.
fn load(path: &Path) -> Result<HashMap<String, (Digest, Tenant)>, Error> {
    let good = keys::list(path)?.into_iter().filter(|key| key.revoked_at.is_none());
    let entry =
        |key: keys::Key| Ok((key.id, (key.secret_sha256.parse()?, Tenant::new(&key.tenant)?)));
    good.map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(outcome: Result<Credential, Refusal>) -> Code {
        outcome.unwrap_err().code
    }

    #[test]
    fn a_key_opens_for_its_tenant_and_nothing_else_does() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.toml");
        let key = keys::create(&path, "acme").unwrap();
        let other = keys::create(&path, "other").unwrap();
        let auth = Auth::keys(&path).unwrap();
        let ask = |header: &str| auth.authenticate(Some(header), None, None);
        assert_eq!(ask(&format!("Bearer {key}")).unwrap().tenant.as_str(), "acme");
        assert_eq!(ask(&format!("bearer  {other} ")).unwrap().tenant.as_str(), "other");
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        assert_eq!(ask(&basic(&format!("anybody:{key}"))).unwrap().tenant.as_str(), "acme");
        let both = auth.authenticate(Some(&basic("a:b")), Some(&other), None);
        assert_eq!(both.unwrap().tenant.as_str(), "other");
        let (id, secret) = keys::parse(&key).unwrap();
        let (other_id, _) = keys::parse(&other).unwrap();
        for header in [
            "",
            "Bearer",
            "Bearer ",
            &key,
            &format!("Basic {key}"),
            &basic(&key),
            &basic(&format!("{key}:")),
            &format!("Bearer {key}x"),
            &format!("Bearer chk_{id}_"),
            &format!("Bearer chk_{other_id}_{secret}"),
            &format!("Bearer chk_{}_{secret}", id.to_uppercase()),
        ] {
            assert_eq!(code(ask(header)), Code::Unauthorized, "{header}");
        }
        assert_eq!(code(auth.authenticate(None, None, None)), Code::Unauthorized);
    }

    /// The file is changed under a running gateway; the second in between is skipped by hand.
    #[test]
    fn a_revoked_key_is_refused_and_a_broken_file_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.toml");
        let header = format!("Bearer {}", keys::create(&path, "acme").unwrap());
        let auth = Auth::keys(&path).unwrap();
        let look = || {
            let Door::Keys(file) = &auth.0 else { panic!("keys") };
            file.state.lock().unwrap().looked_at -= LOOK_EVERY;
            auth.authenticate(Some(&header), None, None)
        };
        std::fs::write(&path, "broken").unwrap();
        assert!(look().is_ok());
        std::fs::remove_file(&path).unwrap();
        keys::create(&path, "acme").unwrap();
        assert_eq!(code(look()), Code::Unauthorized);
    }

    #[test]
    fn without_keys_only_this_machine_is_served_and_no_web_page() {
        let auth = Auth::loopback(Tenant::new("local").unwrap());
        for (address, good) in
            [("127.0.0.1:1", true), ("[::1]:1", true), ("0.0.0.0:1", false), ("10.1.1.1:1", false)]
        {
            assert_eq!(auth.check(address.parse().unwrap()).is_ok(), good, "{address}");
        }
        assert_eq!(auth.authenticate(None, None, None).unwrap().id, "");
        assert_eq!(code(auth.authenticate(None, None, Some("https://a.example"))), Code::Forbidden);
    }
}
