//! The roots that a user trusts, and whether a certificate leads to one of them.

use std::time::Duration;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use schemas::Seconds;
use webpki::{ALL_VERIFICATION_ALGS, KeyUsage, anchor_from_trusted_cert};

use super::certificate::{Certificate, name};
use super::refusal::WhyNot;

/// Contents of the object identifier of time-stamping, 1.3.6.1.5.5.7.3.8, as `webpki` wants it.
const TIME_STAMPING: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x08];

/// Certificates that are trusted because the user says so. Never empty.
#[derive(Clone, Debug)]
pub struct Roots(Vec<TrustAnchor<'static>>);

/// A text that holds no certificates to trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not one or more certificates in PEM")]
pub struct NotRoots;

impl Roots {
    /// Reads certificates in PEM, one or more; other parts of the text are passed over.
    ///
    /// # Errors
    /// [`NotRoots`].
    pub fn from_pem(text: &[u8]) -> Result<Self, NotRoots> {
        let roots: Result<Vec<TrustAnchor<'static>>, NotRoots> =
            CertificateDer::pem_slice_iter(text)
                .map(|der| {
                    let der = der.map_err(|_| NotRoots)?;
                    Ok(anchor_from_trusted_cert(&der).map_err(|_| NotRoots)?.to_owned())
                })
                .collect();
        roots.and_then(|roots| if roots.is_empty() { Err(NotRoots) } else { Ok(Self(roots)) })
    }

    /// The subject of the root that `certificate` leads to, by way of `others` if need be: every signature is good, every
    /// certificate is within its validity at `time`, those between are authorities', and the paths tried are few.
    pub(super) fn check(
        &self,
        certificate: &Certificate<'_>,
        others: &[&[u8]],
        time: Seconds,
    ) -> Result<String, WhyNot> {
        let untrusted = |source| WhyNot::Untrusted { source };
        let others: Vec<_> = others.iter().map(|der| CertificateDer::from(*der)).collect();
        // No time-stamp that was parsed is from before 1970.
        let time = UnixTime::since_unix_epoch(Duration::from_secs(time.0.unsigned_abs()));
        // The certificate's own was looked at; those between may be for all purposes, but not for others only.
        let usage = KeyUsage::required_if_present(TIME_STAMPING);
        let certificate = certificate.webpki().map_err(untrusted)?;
        let (roots, known) = (self.0.as_slice(), ALL_VERIFICATION_ALGS);
        let path = certificate.verify_for_usage(known, roots, &others, time, usage, None, None);
        path.map(|path| name(&path.anchor().subject)).map_err(untrusted)
    }
}
