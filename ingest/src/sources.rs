//! SHELL: the sources file: the public keys that events may be signed with, and who must sign.
//!
//! The private key is in nobody's file but the source's own. The file is replaced as a whole, and a running gateway takes
//! up the change by itself. What a signature is worth later on is for `verify` to say, by the same file.

#![expect(clippy::disallowed_methods, reason = "the sources file is looked at each second at most")]

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemas::signature::{SigningKey, VerifyingKey, check_record, public_key, to_pem};
use schemas::{Digest, Signature, Tenant};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::file::{self, Stamp};
use crate::random;
use crate::refusal::{Code, Refusal};

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A source's public key, as the file has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// What its signatures call the key.
    pub key_id: String,
    /// Whose events it may sign.
    pub tenant: String,
    /// The Ed25519 key: base64 of 32 bytes.
    pub public_key: String,
    /// Whether every event of its producer must be signed with one of that producer's keys.
    #[serde(default)]
    pub required: bool,
    /// The producer whose events alone it signs; any of the tenant's where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub producer_id: Option<String>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    source: Vec<Source>,
}

/// What a new source is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct New {
    /// Its tenant.
    pub tenant: String,
    /// Name of its key; made where absent.
    pub key_id: Option<String>,
    /// As [`Source::producer_id`].
    pub producer_id: Option<String>,
    /// As [`Source::required`].
    pub required: bool,
}

/// Makes a key pair: the private key goes to the file `private`, which must not exist and which only its owner may read,
/// the public key into the sources file. Returns the entry.
///
/// # Errors
/// [`Error::Invalid`] for what is no tenant; [`Error::Source`]; [`Error::File`], [`Error::Malformed`], [`Error::Random`].
pub fn create(path: &Path, private: &Path, new: New) -> Result<Source, Error> {
    let tenant = Tenant::new(&new.tenant)?;
    let (mut seed, mut id) = ([0; 32], [0; 8]);
    random::fill(&mut seed)?;
    random::fill(&mut id)?;
    let key = SigningKey::from_bytes(&seed);
    let made = || id.iter().map(|byte| format!("{byte:02x}")).collect();
    let source = Source {
        key_id: new.key_id.unwrap_or_else(made),
        tenant: tenant.to_string(),
        public_key: STANDARD.encode(key.verifying_key().as_bytes()),
        required: new.required,
        producer_id: new.producer_id,
    };
    // The private key first: a crash between leaves a key that nobody knows, and not an entry that nobody can sign for.
    let added = source.clone();
    file::change(path, |file: &mut File| {
        file.source.push(added);
        Known::new(&file.source)?;
        file::create(private, &to_pem(&key))
    })?;
    Ok(source)
}

/// All sources, oldest first. No file is no sources.
///
/// # Errors
/// [`Error::File`], [`Error::Malformed`].
pub fn list(path: &Path) -> Result<Vec<Source>, Error> {
    file::read(path).map(|file: File| file.source)
}

/// The sources of a running gateway.
#[derive(Debug)]
pub struct Sources {
    path: PathBuf,
    state: Mutex<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    looked_at: Instant,
    stamp: Option<Stamp>,
    known: Known,
}

/// The keys, by tenant and name.
#[derive(Debug, Default)]
struct Known {
    keys: HashMap<(String, String), (VerifyingKey, Option<String>)>,
    /// Tenants and producers whose events must be signed.
    required: HashSet<(String, String)>,
}

/// What is known of an event before it is taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claimed<'a> {
    pub(crate) tenant: &'a str,
    pub(crate) producer_id: Option<&'a str>,
    /// None of an event that the gateway will make itself: that has no signature either.
    pub(crate) event_digest: Option<&'a Digest>,
    pub(crate) signature: Option<&'a Signature<'a>>,
}

/// What a signature is worth that is no reason to refuse its event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Worth {
    Unsigned,
    UnknownKey,
    Good,
}

impl Worth {
    pub(crate) const ALL: [(Self, &'static str); 3] =
        [(Self::Unsigned, "unsigned"), (Self::UnknownKey, "unknown_key"), (Self::Good, "good")];
}

impl Sources {
    /// The sources in a file, as `chancery sources` keeps it.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Malformed`], [`Error::Source`]; a file that is not there has no sources.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let stamp = Stamp::of(path);
        let known = Known::new(&list(path)?)?;
        let state = Mutex::new(Loaded { looked_at: Instant::now(), stamp, known });
        Ok(Self { path: path.to_owned(), state })
    }

    /// Refuses an event whose signature is wrong, or missing where it must be there.
    pub(crate) fn judge(&self, event: &Claimed<'_>) -> Result<Worth, Refusal> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.looked_at.elapsed() >= LOOK_EVERY {
            state.looked_at = Instant::now();
            self.reload(&mut state);
        }
        let judged = state.known.judge(event);
        judged.map_err(|why| Refusal { code: Code::Signature, ..Refusal::field("signature", why) })
    }

    /// A file that has become unusable changes nothing: the sources last read stay as they were.
    fn reload(&self, state: &mut Loaded) {
        let stamp = Stamp::of(&self.path);
        if stamp == state.stamp {
            return;
        }
        match list(&self.path).and_then(|sources| Known::new(&sources)) {
            Ok(known) => {
                tracing::info!(path = %self.path.display(), keys = known.keys.len(), "sources read");
                *state = Loaded { known, stamp, ..*state };
            }
            Err(error) => {
                tracing::error!(%error, "the sources file changed, but the sources read before stay");
            }
        }
    }
}

impl Known {
    fn new(sources: &[Source]) -> Result<Self, Error> {
        let mut known = Self::default();
        for source in sources {
            let Source { key_id, tenant, .. } = source.clone();
            let wrong = |why| Error::Source { key_id: key_id.clone(), tenant: tenant.clone(), why };
            Tenant::new(&tenant)?;
            let key = STANDARD.decode(&source.public_key).ok();
            let key = key.and_then(|bytes| public_key(&bytes));
            let key = key.ok_or_else(|| wrong("has a public key that is not an Ed25519 key"))?;
            if !(1..=schemas::STRING_BYTES_MAX).contains(&key_id.len()) {
                return Err(wrong("has a key_id that no signature can name"));
            }
            if source.required {
                let producer = source.producer_id.clone();
                let producer = producer.ok_or_else(|| {
                    wrong("is required, and no producer_id says whose events must be signed")
                })?;
                known.required.insert((tenant.clone(), producer));
            }
            let name = (tenant.clone(), key_id.clone());
            if known.keys.insert(name, (key, source.producer_id.clone())).is_some() {
                return Err(wrong("is there twice"));
            }
        }
        Ok(known)
    }

    fn judge(&self, event: &Claimed<'_>) -> Result<Worth, &'static str> {
        let (tenant, producer) = (event.tenant.to_owned(), event.producer_id);
        let required = producer
            .is_some_and(|producer| self.required.contains(&(tenant.clone(), producer.to_owned())));
        let Some(signature) = event.signature else {
            let missing = "is missing: this producer's events must be signed";
            return if required { Err(missing) } else { Ok(Worth::Unsigned) };
        };
        match self.keys.get(&(tenant, signature.key_id.to_string())) {
            None if required => Err("is not by a key that is registered for this producer"),
            None => Ok(Worth::UnknownKey),
            Some((_, Some(owner))) if producer != Some(owner.as_str()) => {
                Err("is by the key of another producer")
            }
            Some((key, _))
                if event.event_digest.is_some_and(|event| check_record(key, event, signature)) =>
            {
                Ok(Worth::Good)
            }
            Some(_) => Err("is not that of the key it names over this event"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use schemas::signature::{ALGORITHM, from_pem, sign};

    use super::*;

    const EVENT: Digest = Digest([1; 32]);

    fn new(tenant: &str, producer: Option<&str>, required: bool) -> New {
        let producer_id = producer.map(str::to_owned);
        New { tenant: tenant.to_owned(), key_id: None, producer_id, required }
    }

    fn claimed<'a>(
        producer_id: Option<&'a str>,
        signature: Option<&'a Signature<'a>>,
    ) -> Claimed<'a> {
        Claimed { tenant: "acme", producer_id, event_digest: Some(&EVENT), signature }
    }

    #[test]
    fn a_source_gets_a_key_that_only_its_owner_may_read() {
        let dir = tempfile::tempdir().unwrap();
        let (path, private) = (dir.path().join("sources.toml"), dir.path().join("key.pem"));
        let source = create(&path, &private, new("acme", None, false)).unwrap();
        assert_eq!(list(&path).unwrap(), std::slice::from_ref(&source));
        let mode = std::fs::metadata(&private).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let pem = std::fs::read_to_string(&private).unwrap();
        let public = from_pem(&pem).unwrap().verifying_key();
        assert_eq!(STANDARD.encode(public.as_bytes()), source.public_key);
        assert!(matches!(
            create(&path, &private, new("acme", None, false)),
            Err(Error::File { doing: "create", .. })
        ));
        assert_eq!(list(&path).unwrap().len(), 1, "no entry without its key");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (path, private) = (dir.path().join("sources.toml"), dir.path().join("key.pem"));
        let required = create(&path, &private, new("acme", None, true));
        assert!(matches!(required, Err(Error::Source { .. })));
        assert!(!private.exists());
        let good = create(&path, &private, new("acme", Some("p"), true)).unwrap();
        let twice = [good.clone(), good.clone()];
        let weak = STANDARD.encode([0; 32]);
        let weak = [Source { public_key: weak, ..good.clone() }];
        let none = [Source { public_key: "x".to_owned(), ..good }];
        for sources in [&twice[..], &weak, &none] {
            assert!(matches!(Known::new(sources), Err(Error::Source { .. })), "{sources:?}");
        }
    }

    #[test]
    fn a_signature_is_judged_by_the_key_it_names() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sources.toml");
        let source = |name: &str, new: New| {
            let private = dir.path().join(name);
            let source = create(&path, &private, new).unwrap();
            (source.key_id, from_pem(&std::fs::read_to_string(private).unwrap()).unwrap())
        };
        let (any, any_key) = source("any", new("acme", None, false));
        let (bound, bound_key) = source("bound", new("acme", Some("p"), true));
        let (other, other_key) = source("other", new("other", None, false));
        let sources = Sources::open(&path).unwrap();
        let judge = |producer, key_id: &str, key: &SigningKey, event: &Digest| {
            let value = sign(key, event).to_bytes();
            let signature =
                Signature { key_id: key_id.into(), alg: ALGORITHM.into(), value: &value };
            sources.judge(&claimed(producer, Some(&signature))).map_err(|refusal| refusal.code)
        };
        assert_eq!(judge(None, &any, &any_key, &EVENT), Ok(Worth::Good));
        assert_eq!(judge(Some("q"), &any, &any_key, &EVENT), Ok(Worth::Good));
        assert_eq!(judge(Some("p"), &bound, &bound_key, &EVENT), Ok(Worth::Good));
        assert_eq!(judge(None, "nobody", &any_key, &EVENT), Ok(Worth::UnknownKey));
        assert_eq!(judge(None, &other, &other_key, &EVENT), Ok(Worth::UnknownKey));
        let wrong = Err(Code::Signature);
        assert_eq!(judge(None, &any, &any_key, &Digest([2; 32])), wrong);
        assert_eq!(judge(None, &any, &other_key, &EVENT), wrong);
        assert_eq!(judge(Some("q"), &bound, &bound_key, &EVENT), wrong, "another producer's");
        assert_eq!(judge(Some("p"), "nobody", &any_key, &EVENT), wrong, "required");
        assert_eq!(judge(Some("p"), &any, &any_key, &EVENT), Ok(Worth::Good), "a key for all");
        let unsigned = |producer| sources.judge(&claimed(producer, None)).map_err(|r| r.code);
        assert_eq!(unsigned(Some("q")), Ok(Worth::Unsigned));
        assert_eq!(unsigned(Some("p")), wrong);
    }

    /// The file is changed under a running gateway; the second in between is skipped by hand.
    #[test]
    fn a_changed_file_is_taken_up_and_a_broken_one_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sources.toml");
        let sources = Sources::open(&path).unwrap();
        let unsigned = || {
            sources.state.lock().unwrap().looked_at -= LOOK_EVERY;
            sources.judge(&claimed(Some("p"), None))
        };
        assert!(unsigned().is_ok());
        create(&path, &dir.path().join("key"), new("acme", Some("p"), true)).unwrap();
        assert!(unsigned().is_err());
        std::fs::write(&path, "broken").unwrap();
        assert!(unsigned().is_err());
    }
}
