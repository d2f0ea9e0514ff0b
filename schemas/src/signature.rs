//! A source's signature over an event (`docs/format.md`, section 3.5): strict Ed25519 over the event digest.
//!
//! Which key is whose, and whose events must be signed, is for the reader's trust file to say.

use ed25519_dalek::Signer as _;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, KeypairBytes};
pub use ed25519_dalek::{Signature as SignatureBytes, SigningKey, VerifyingKey};

use crate::digest::Digest;
use crate::event::Signature;

/// `alg` of a signature record.
pub const ALGORITHM: &str = "ed25519";

/// Separates these signatures from any other use of the key.
const DOMAIN: &[u8; 21] = b"chancery.signature.v1";

/// A text that is no Ed25519 private key in PKCS#8 PEM. It does not say what it is instead: the text may be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an Ed25519 private key in PKCS#8 PEM")]
pub struct NotAKey;

/// Signs an event by its digest.
#[must_use]
pub fn sign(key: &SigningKey, event: &Digest) -> SignatureBytes {
    key.sign(&signed(event))
}

/// Whether `signature` is the holder's of `key` over this event. Strict: no cofactor, no small-order points, canonical `S`.
#[must_use]
pub fn check(key: &VerifyingKey, event: &Digest, signature: &SignatureBytes) -> bool {
    key.verify_strict(&signed(event), signature).is_ok()
}

/// As [`check`], for the record that an event carries: another algorithm or length is no signature.
#[must_use]
pub fn check_record(key: &VerifyingKey, event: &Digest, record: &Signature<'_>) -> bool {
    let signature = SignatureBytes::from_slice(record.value);
    record.alg == ALGORITHM && signature.is_ok_and(|signature| check(key, event, &signature))
}

/// The public key with these bytes. `None` for what strict Ed25519 does not take for one: no point of the curve, a point of
/// small order, or a point not spelled as it must be.
#[must_use]
pub fn public_key(bytes: &[u8]) -> Option<VerifyingKey> {
    let bytes: &[u8; 32] = bytes.try_into().ok()?;
    let key = VerifyingKey::from_bytes(bytes).ok()?;
    (is_reduced(bytes) && !key.is_weak()).then_some(key)
}

/// A private key as PKCS#8 PEM. Empty where the system cannot encode it, which does not happen.
#[must_use]
pub fn to_pem(key: &SigningKey) -> String {
    // The seed alone: many readers refuse the public key beside it.
    let pair = KeypairBytes { secret_key: key.to_bytes(), public_key: None };
    pair.to_pkcs8_pem(LineEnding::LF).map(|pem| pem.to_string()).unwrap_or_default()
}

/// Reads what [`to_pem`] or `openssl genpkey -algorithm ed25519` wrote.
///
/// # Errors
/// [`NotAKey`].
pub fn from_pem(text: &str) -> Result<SigningKey, NotAKey> {
    SigningKey::from_pkcs8_pem(text).map_err(|_| NotAKey)
}

fn signed(event: &Digest) -> [u8; 54] {
    let mut message = [0; 54];
    let parts = DOMAIN.iter().chain(&[0]).chain(&event.0);
    message.iter_mut().zip(parts).for_each(|(place, byte)| *place = *byte);
    message
}

/// Whether the y coordinate is below 2^255 − 19: the others decode to the same points under a second spelling.
fn is_reduced(key: &[u8; 32]) -> bool {
    let [low, middle @ .., high] = key;
    *low < 0xed || high & 0x7f != 0x7f || middle.iter().any(|byte| *byte != 0xff)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[7; 32])
    }

    #[test]
    fn a_signature_is_good_for_its_event_and_key_alone() {
        let (key, event) = (key(), Digest([1; 32]));
        let signature = sign(&key, &event);
        assert!(check(&key.verifying_key(), &event, &signature));
        assert!(!check(&key.verifying_key(), &Digest([2; 32]), &signature));
        let other = SigningKey::from_bytes(&[8; 32]).verifying_key();
        assert!(!check(&other, &event, &signature));
    }

    #[test]
    fn a_record_needs_the_right_algorithm_and_length() {
        let (key, event) = (key(), Digest([1; 32]));
        let value = sign(&key, &event).to_bytes();
        let good = Signature { key_id: "k".into(), alg: ALGORITHM.into(), value: &value };
        let check = |record: &Signature<'_>| check_record(&key.verifying_key(), &event, record);
        assert!(check(&good));
        assert!(!check(&Signature { alg: "Ed25519".into(), ..good.clone() }));
        assert!(!check(&Signature { value: &value[..63], ..good.clone() }));
    }

    #[test]
    fn a_private_key_survives_pem_and_nothing_else_is_one() {
        let pem = to_pem(&key());
        assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----\n"));
        assert_eq!(from_pem(&pem).unwrap().to_bytes(), key().to_bytes());
        assert_eq!(from_pem("secret").unwrap_err(), NotAKey);
    }
}
