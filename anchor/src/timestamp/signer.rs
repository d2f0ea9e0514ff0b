//! `SignerInfo`: who signed, what exactly, and whether the signature is good.

use der::asn1::ObjectIdentifier;
use der::{Tag, TagNumber};
use ring::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512, digest};
use rustls_pki_types::SignatureVerificationAlgorithm;
use webpki::ring as known;

use super::certificate::Certificate;
use super::info;
use super::items::{Item, Items, context, context_primitive};
use super::refusal::WhyNot;
use super::token::TST_INFO;

const PLACE: &str = "the signer";

const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SIGNING_CERTIFICATE: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.12");
const SIGNING_CERTIFICATE_V2: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");

const OID_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const OID_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const RSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const RSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12");
const RSA_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13");
const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");

const KEY_ID: Tag = context_primitive(TagNumber::N0);

/// Most signed attributes. There is use for half a dozen.
const ATTRIBUTES_MAX: usize = 32;

/// The signer of a time-stamp.
#[derive(Debug)]
pub(super) struct Signer<'a> {
    /// Issuer and serial number of its certificate; or the id of its key, which is not looked at, since the signed attributes
    /// name the certificate.
    id: Item<'a>,
    digest: ObjectIdentifier,
    /// As they came: `[0] IMPLICIT SET OF Attribute`.
    attributes: Item<'a>,
    signature_algorithm: ObjectIdentifier,
    signature: &'a [u8],
}

impl<'a> Signer<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, WhyNot> {
        let mut items = Items::sequence(bytes, PLACE)?;
        // The version follows from the kind of the id.
        items.expect(Tag::Integer)?;
        let id = items.next()?;
        let digest = items.expect(Tag::Sequence)?.algorithm()?;
        let attributes = items.expect(context(TagNumber::N0))?;
        let algorithm = items.expect(Tag::Sequence)?;
        let signature_algorithm = match algorithm.algorithm_with_parameters()? {
            (RSA_PSS, _) => RSA_PSS,
            _ => algorithm.algorithm()?,
        };
        let signature = items.expect(Tag::OctetString)?.value;
        // Attributes that are not signed.
        items.optional(context(TagNumber::N1))?;
        items.end()?;
        Ok(Self { id, digest, attributes, signature_algorithm, signature })
    }

    /// The one of `certificates` that the signature is bound to, and the others.
    pub(super) fn certificate(
        &self,
        certificates: &[&'a [u8]],
    ) -> Result<(Certificate<'a>, Vec<&'a [u8]>), WhyNot> {
        let (algorithm, hash) = self.certificate_hash()?;
        let is_it = |der: &&&[u8]| digest(algorithm, der).as_ref() == hash;
        let found = certificates.iter().find(is_it).ok_or(WhyNot::NoCertificate)?;
        let certificate = Certificate::parse(found)?;
        match self.id.tag {
            Tag::Sequence if self.id.value != certificate.issuer_and_serial() => {
                return Err(WhyNot::NoCertificate);
            }
            Tag::Sequence | KEY_ID => {}
            _ => return Err(self.id.malformed()),
        }
        let others = certificates.iter().copied().filter(|der| der != found).collect();
        Ok((certificate, others))
    }

    /// That `certificate` signed the time-stamp `content`.
    pub(super) fn check(
        &self,
        content: &[u8],
        certificate: &Certificate<'a>,
    ) -> Result<(), WhyNot> {
        let wrong = |attribute| WhyNot::Attribute { attribute };
        let kind = self.attribute(CONTENT_TYPE)?.ok_or(wrong("content type"))?;
        if kind.oid()? != TST_INFO {
            return Err(wrong("content type"));
        }
        let unsupported = || WhyNot::Algorithm { use_: "digest", oid: self.digest.to_string() };
        let algorithm = hash_algorithm(self.digest).ok_or_else(unsupported)?;
        let hash = self.attribute(MESSAGE_DIGEST)?.ok_or(wrong("digest"))?;
        if hash.tag != Tag::OctetString || hash.value != digest(algorithm, content).as_ref() {
            return Err(wrong("digest"));
        }
        // What is signed is the attributes spelled as the SET that they are.
        let mut signed = self.attributes.raw.to_vec();
        signed.splice(..1, [Tag::Set.octet()]);
        certificate.check_signature(&self.algorithms()?, &signed, self.signature)
    }

    /// The only value of a signed attribute.
    fn attribute(&self, oid: ObjectIdentifier) -> Result<Option<Item<'a>>, WhyNot> {
        let mut attributes = self.attributes.items()?;
        let mut found = None;
        let mut count = 0;
        while let Some(attribute) = attributes.more()? {
            count += 1;
            let mut items = attribute.items()?;
            let type_ = items.expect(Tag::ObjectIdentifier)?.oid()?;
            let values = items.expect(Tag::Set)?;
            items.end()?;
            if type_ == oid && found.replace(values.only()?).is_some() || count > ATTRIBUTES_MAX {
                return Err(attribute.malformed());
            }
        }
        Ok(found)
    }

    /// `ESSCertIDv2`, or else `ESSCertID`: by what hash the signer knows its certificate.
    fn certificate_hash(&self) -> Result<(&'static Algorithm, &'a [u8]), WhyNot> {
        let v2 = self.attribute(SIGNING_CERTIFICATE_V2)?;
        let v1 = self.attribute(SIGNING_CERTIFICATE)?;
        let list = v2.or(v1).ok_or(WhyNot::Attribute { attribute: "signing certificate" })?;
        // The first certificate of the list is the signer's.
        let mut id =
            list.items()?.expect(Tag::Sequence)?.items()?.expect(Tag::Sequence)?.items()?;
        let algorithm = match id.optional(Tag::Sequence)? {
            Some(item) if v2.is_some() => item.algorithm()?,
            Some(item) => return Err(item.malformed()),
            None => info::SHA256,
        };
        let unsupported = || WhyNot::Algorithm { use_: "digest", oid: algorithm.to_string() };
        let hash = hash_algorithm(algorithm).ok_or_else(unsupported)?;
        let hash = if v2.is_some() { hash } else { &SHA1_FOR_LEGACY_USE_ONLY };
        Ok((hash, id.expect(Tag::OctetString)?.value))
    }

    /// The algorithms that a signature so labelled may be of; the key decides between the curves.
    fn algorithms(&self) -> Result<Vec<&'static dyn SignatureVerificationAlgorithm>, WhyNot> {
        Ok(match (self.signature_algorithm, self.digest) {
            (RSA | RSA_SHA256, info::SHA256) => vec![known::RSA_PKCS1_2048_8192_SHA256],
            (RSA | RSA_SHA384, OID_SHA384) => vec![known::RSA_PKCS1_2048_8192_SHA384],
            (RSA | RSA_SHA512, OID_SHA512) => vec![known::RSA_PKCS1_2048_8192_SHA512],
            // The parameters are not read: one hash everywhere and a salt of its length, or it does not verify.
            (RSA_PSS, info::SHA256) => vec![known::RSA_PSS_2048_8192_SHA256_LEGACY_KEY],
            (RSA_PSS, OID_SHA384) => vec![known::RSA_PSS_2048_8192_SHA384_LEGACY_KEY],
            (RSA_PSS, OID_SHA512) => vec![known::RSA_PSS_2048_8192_SHA512_LEGACY_KEY],
            (ECDSA_SHA256, _) => vec![known::ECDSA_P256_SHA256, known::ECDSA_P384_SHA256],
            (ECDSA_SHA384, _) => vec![known::ECDSA_P256_SHA384, known::ECDSA_P384_SHA384],
            (other, _) => {
                return Err(WhyNot::Algorithm { use_: "signature", oid: other.to_string() });
            }
        })
    }
}

fn hash_algorithm(oid: ObjectIdentifier) -> Option<&'static Algorithm> {
    match oid {
        info::SHA256 => Some(&SHA256),
        OID_SHA384 => Some(&SHA384),
        OID_SHA512 => Some(&SHA512),
        _ => None,
    }
}
