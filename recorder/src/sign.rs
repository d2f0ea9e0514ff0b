//! CORE: the key that an agent signs its events with.

use std::fmt;

use schemas::signature::{ALGORITHM, SigningKey, from_pem, sign};
use schemas::{Digest, STRING_BYTES_MAX, Signature};

use crate::error::Error;

/// An Ed25519 key and the name under which its public half is registered.
#[derive(Clone)]
pub struct Signer {
    key_id: String,
    key: SigningKey,
}

impl Signer {
    /// A key in PEM, as `openssl genpkey -algorithm ed25519` writes it.
    ///
    /// # Errors
    /// [`Error::Config`] where it is none, or `key_id` is empty or over 4,096 bytes. The message contains no part of the key.
    pub fn from_pem(key_id: &str, pem: &str) -> Result<Self, Error> {
        let wrong = |why: String| Error::Config { field: "signer", why };
        let key = from_pem(pem).map_err(|error| wrong(format!("is {error}")))?;
        if !(1..=STRING_BYTES_MAX).contains(&key_id.len()) {
            return Err(wrong(format!("has a key_id that is not 1 to {STRING_BYTES_MAX} bytes")));
        }
        Ok(Self { key_id: key_id.to_owned(), key })
    }

    /// The Avro bytes of the signature over an event.
    pub(crate) fn sign(&self, event_digest: &Digest) -> Vec<u8> {
        let value = sign(&self.key, event_digest).to_bytes();
        let (key_id, alg) = (self.key_id.as_str().into(), ALGORITHM.into());
        Signature { key_id, alg, value: &value }.to_bytes()
    }
}

impl fmt::Debug for Signer {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}
