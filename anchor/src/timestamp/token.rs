//! A response taken apart: RFC 3161's `TimeStampResp` around the `SignedData` of RFC 5652.

use der::asn1::ObjectIdentifier;
use der::{Tag, TagNumber};

use super::items::{Item, Items, context};
use super::refusal::WhyNot;
use super::signer::Signer;
use super::{CERTIFICATES_MAX, RESPONSE_BYTES_MAX};

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
/// `id-ct-TSTInfo`.
pub(super) const TST_INFO: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");

/// What a granted response holds.
#[derive(Debug)]
pub(super) struct Token<'a> {
    /// The `TSTInfo`, DER: what is signed, by way of its hash.
    pub(super) content: &'a [u8],
    /// The certificates, each DER. At most [`CERTIFICATES_MAX`].
    pub(super) certificates: Vec<&'a [u8]>,
    /// The only signer.
    pub(super) signer: Signer<'a>,
}

impl<'a> Token<'a> {
    pub(super) fn parse(response: &'a [u8]) -> Result<Self, WhyNot> {
        if response.len() > RESPONSE_BYTES_MAX {
            return Err(WhyNot::Long);
        }
        let mut items = Items::sequence(response, "the envelope")?;
        granted(items.expect(Tag::Sequence)?)?;
        let mut content_info = items.expect(Tag::Sequence)?.items()?;
        items.end()?;
        must_be(content_info.expect(Tag::ObjectIdentifier)?, SIGNED_DATA)?;
        let explicit = content_info.expect(context(TagNumber::N0))?;
        content_info.end()?;
        Self::signed_data(explicit.only()?.raw)
    }

    fn signed_data(bytes: &'a [u8]) -> Result<Self, WhyNot> {
        let mut items = Items::sequence(bytes, "the signed data")?;
        // The version follows from the rest, and the list of digest algorithms is for those who read in one pass.
        items.expect(Tag::Integer)?;
        items.expect(Tag::Set)?;
        let content = content(items.expect(Tag::Sequence)?)?;
        let certificates = match items.optional(context(TagNumber::N0))? {
            Some(set) => certificates(set)?,
            None => Vec::new(),
        };
        // Revocation lists.
        items.optional(context(TagNumber::N1))?;
        let signer = items.expect(Tag::Set)?.only()?;
        items.end()?;
        Ok(Self { content, certificates, signer: Signer::parse(signer.raw)? })
    }
}

/// `PKIStatusInfo`: 0 is granted, 1 is granted with modifications, which are in the response for all to see.
fn granted(status: Item<'_>) -> Result<(), WhyNot> {
    match status.items()?.expect(Tag::Integer)?.number()? {
        0 | 1 => Ok(()),
        status => Err(WhyNot::Refused { status }),
    }
}

/// `EncapsulatedContentInfo`.
fn content(item: Item<'_>) -> Result<&[u8], WhyNot> {
    let mut items = item.items()?;
    must_be(items.expect(Tag::ObjectIdentifier)?, TST_INFO)?;
    let octets = items.expect(context(TagNumber::N0))?.only()?;
    items.end()?;
    if octets.tag == Tag::OctetString { Ok(octets.value) } else { Err(octets.malformed()) }
}

fn certificates(set: Item<'_>) -> Result<Vec<&[u8]>, WhyNot> {
    let mut items = set.items()?;
    let mut certificates = Vec::new();
    while let Some(item) = items.more()? {
        if certificates.len() == CERTIFICATES_MAX {
            return Err(WhyNot::Malformed { place: "the list of certificates" });
        }
        // The rest are certificates of kinds that nobody uses.
        if item.tag == Tag::Sequence {
            certificates.push(item.raw);
        }
    }
    Ok(certificates)
}

fn must_be(item: Item<'_>, oid: ObjectIdentifier) -> Result<(), WhyNot> {
    if item.oid()? == oid { Ok(()) } else { Err(item.malformed()) }
}
