//! CORE. Which keys sources sign with, and what an event's signature is worth by them.

use std::collections::{HashMap, HashSet};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use schemas::signature::{VerifyingKey, check_record, public_key};
use schemas::{Event, Signature};
use serde::Deserialize;

/// A source's public key, as an operator registers it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// What its signatures call the key.
    pub key_id: String,
    /// Whose events it may sign.
    pub tenant: String,
    /// The Ed25519 key: base64 of 32 bytes.
    pub public_key: String,
    /// Whether every event of its producer must be signed.
    #[serde(default)]
    pub required: bool,
    /// The producer whose events alone it signs; none: any of the tenant's.
    #[serde(default)]
    pub producer_id: Option<String>,
}

/// Why sources cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSource {
    /// The key is none.
    #[error("the public key of source {0:?} is not the base64 of an Ed25519 key")]
    Key(String),
    /// Two keys of one name.
    #[error("source {key_id:?} of tenant {tenant:?} is there twice")]
    Twice {
        /// The name.
        key_id: String,
        /// The tenant.
        tenant: String,
    },
    /// It is not said whose events must be signed.
    #[error("source {0:?} is required: name the producer_id whose events must be signed")]
    Required(String),
}

/// The keys of sources, by tenant and name.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    keys: HashMap<(String, String), (VerifyingKey, Option<String>)>,
    /// Tenants and producers whose events must be signed.
    required: HashSet<(String, String)>,
}

/// What an event's signature is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is its source's.
    Right,
    /// It is not, or is absent where it must be there.
    Wrong(&'static str),
    /// It is by a key that is not registered.
    UnknownKey,
    /// There is none.
    Unsigned,
}

impl Sources {
    /// Takes the registered keys.
    ///
    /// # Errors
    /// A key that is none, a name that is there twice, or a requirement that names no producer.
    pub fn new(sources: Vec<Source>) -> Result<Self, BadSource> {
        let mut known = Self::default();
        for source in sources {
            let key = BASE64_STANDARD.decode(&source.public_key).ok();
            let key = key.and_then(|bytes| public_key(&bytes));
            let key = key.ok_or_else(|| BadSource::Key(source.key_id.clone()))?;
            if source.required {
                let producer = source.producer_id.clone();
                let producer =
                    producer.ok_or_else(|| BadSource::Required(source.key_id.clone()))?;
                known.required.insert((source.tenant.clone(), producer));
            }
            let name = (source.tenant, source.key_id);
            if known.keys.insert(name.clone(), (key, source.producer_id)).is_some() {
                return Err(BadSource::Twice { tenant: name.0, key_id: name.1 });
            }
        }
        Ok(known)
    }

    /// Judges an event's signature.
    pub(crate) fn judge(&self, event: &Event<'_>) -> Verdict {
        let tenant = event.envelope.tenant.to_string();
        let producer = event.envelope.producer_id.as_deref();
        let required = producer
            .is_some_and(|producer| self.required.contains(&(tenant.clone(), producer.to_owned())));
        let Some(signature) = event.signature.and_then(Signature::from_bytes) else {
            return if required {
                Verdict::Wrong("its source signs all its events, and it is not signed")
            } else {
                Verdict::Unsigned
            };
        };
        match self.keys.get(&(tenant, signature.key_id.to_string())) {
            None if required => {
                Verdict::Wrong("its source's keys are known, and it is signed with another")
            }
            None => Verdict::UnknownKey,
            Some((_, Some(owner))) if producer != Some(owner.as_str()) => {
                Verdict::Wrong("it is signed with the key of another producer")
            }
            Some((key, _)) if check_record(key, &event.event_digest, &signature) => Verdict::Right,
            Some(_) => Verdict::Wrong("its signature is not its source's over this event"),
        }
    }
}
