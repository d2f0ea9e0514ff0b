//! CORE: RFC 3161 time-stamps: the request for one, and what a response shows.
//!
//! A response is somebody's bytes, kept for years: it is checked here from its bytes alone, by whoever has it, and nothing in
//! it is believed because of where it came from. Revocation is not looked at: a list of revoked certificates is not part of
//! a response. Neither is the name that a response gives its authority, which is a hint; who signed is what the signing
//! certificate says. DER alone is read, not the rest of BER.

use std::time::Duration;

use schemas::{Digest, Seconds};

pub use self::refusal::WhyNot;
pub use self::roots::{NotRoots, Roots};

mod certificate;
mod info;
mod items;
mod refusal;
mod roots;
mod signer;
mod token;

/// Longest response that is read, in bytes. Those of public authorities, with their certificates, are a tenth of it.
pub const RESPONSE_BYTES_MAX: usize = 64 << 10;

/// Most certificates in a response.
pub const CERTIFICATES_MAX: usize = 16;

/// Ties a response to its request: random, and never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonce(pub [u8; 8]);

impl Nonce {
    /// What makes eight bytes, whatever they are, a positive number of fixed length: a leading one.
    const LEAD: u8 = 1;

    fn from_integer(value: &[u8]) -> Option<Self> {
        let (lead, bytes) = value.split_first()?;
        (*lead == Self::LEAD).then(|| bytes.try_into().ok().map(Self))?
    }
}

/// What a response shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamped {
    /// When the authority saw the digest, in seconds since 1970, a fraction rounded up: the data existed by then.
    pub time: Seconds,
    /// How far the authority says its clock may have been off, either way. `None`: it does not say.
    pub accuracy: Option<Duration>,
    /// The subject of the signing certificate, in the manner of RFC 4514: `CN=Time Stamps 1,O=Example`.
    pub authority: String,
    /// The authority's number for this time-stamp, in hexadecimal.
    pub serial: String,
    /// The nonce, where there is one and [`request`] could have made it.
    pub nonce: Option<Nonce>,
    /// Whether it is known who the authority is.
    pub trust: Trust,
}

/// What is known of who signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// A path of certificates, each within its validity at the stamped time, leads to the root with this subject. Its own
    /// dates do not matter: whoever gave it trusts it.
    Chained {
        /// The root's subject, in the manner of RFC 4514.
        root: String,
    },
    /// Not checked, for want of roots. The signature is good, but anybody can make a certificate with any name: nobody
    /// vouches for the time.
    Unchecked,
}

/// The request for a time-stamp of the data with this digest, DER. It asks for the certificate that signs: a response must
/// be checkable long after the authority has gone.
#[must_use]
pub fn request(data: &Digest, nonce: Nonce) -> Vec<u8> {
    // TimeStampReq { version 1, messageImprint { { sha256, NULL }, OCTET STRING (32) …
    const HEAD: &[u8] = b"\x30\x44\x02\x01\x01\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";
    // … }, nonce INTEGER (9 bytes), certReq TRUE }
    const NONCE: &[u8] = &[0x02, 0x09, Nonce::LEAD];
    const CERTIFICATE: &[u8] = &[0x01, 0x01, 0xff];
    [HEAD, &data.0, NONCE, &nonce.0, CERTIFICATE].concat()
}

/// Checks a response, DER, to a request for the data with this digest: that it was granted, is for these data, and is signed
/// with the key of a certificate that is for time-stamps alone and is bound into the signature; and, with roots, that the
/// certificate leads to one of them at the stamped time.
///
/// # Errors
/// [`WhyNot`].
pub fn check(response: &[u8], data: &Digest, roots: Option<&Roots>) -> Result<Stamped, WhyNot> {
    let token = token::Token::parse(response)?;
    let info = info::Info::parse(token.content)?;
    if info.imprint != data.0 {
        return Err(WhyNot::OtherData);
    }
    let (certificate, others) = token.signer.certificate(&token.certificates)?;
    token.signer.check(token.content, &certificate)?;
    certificate.must_be_for_time_stamps()?;
    let trust = match roots {
        Some(roots) => Trust::Chained { root: roots.check(&certificate, &others, info.time)? },
        None => Trust::Unchecked,
    };
    let authority = certificate.subject();
    let (accuracy, serial, nonce) = (info.accuracy, info.serial, info.nonce);
    Ok(Stamped { time: info.time, accuracy, authority, serial, nonce, trust })
}
