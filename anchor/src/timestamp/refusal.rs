//! Why a response shows nothing.

/// Why a response is no time-stamp of the data, or not one to rely on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WhyNot {
    /// It is over [`super::RESPONSE_BYTES_MAX`].
    #[error("the response is over 64 KiB")]
    Long,
    /// It is not what the standards say it must be.
    #[error("{place} of the response is malformed")]
    Malformed {
        /// The part that is.
        place: &'static str,
    },
    /// The authority did not grant the request.
    #[error("the authority refused, with status {status}")]
    Refused {
        /// `PKIStatus`: 2 is a rejection, 3 means to ask again later.
        status: u32,
    },
    /// It is a time-stamp of something else.
    #[error("the response is for other data")]
    OtherData,
    /// It is a time-stamp of the data, but answers another request: perhaps an old one.
    #[error("the response is to another request")]
    OtherRequest,
    /// It uses an algorithm that is not known here. It may well be good.
    #[error("the {use_} algorithm {oid} is not supported")]
    Algorithm {
        /// What it is used for.
        use_: &'static str,
        /// Its object identifier, dotted.
        oid: String,
    },
    /// What was signed is not this time-stamp, or not with this certificate.
    #[error("the signed {attribute} is missing or another")]
    Attribute {
        /// The signed attribute.
        attribute: &'static str,
    },
    /// The certificate that signed is not in it, and so it cannot be checked.
    #[error("the signing certificate is not in the response, or is not the one the signer names")]
    NoCertificate,
    /// The signature is not by the certificate's key.
    #[error("the signature is wrong")]
    Signature,
    /// The certificate may sign other things too, or no time-stamps at all.
    #[error("the signing certificate is not for time-stamps alone")]
    Purpose,
    /// No path leads to a root.
    #[error("no trusted root vouches for the signing certificate at the stamped time")]
    Untrusted {
        /// What was wrong with the best path.
        source: webpki::Error,
    },
}
