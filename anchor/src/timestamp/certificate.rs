//! The certificate of an authority: its key, what it is for, and whose it is.

use der::asn1::ObjectIdentifier;
use der::{Tag, TagNumber};
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm};
use webpki::{EndEntityCert, Error};

use super::items::{Item, Items, context};
use super::refusal::WhyNot;

const PLACE: &str = "the signing certificate";

const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
/// `id-kp-timeStamping`.
pub(super) const TIME_STAMPING: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8");

/// Longest name that is given, in characters.
const NAME_CHARS_MAX: usize = 300;

/// A certificate taken apart as far as is needed; the rest is `webpki`'s to judge.
#[derive(Debug)]
pub(super) struct Certificate<'a> {
    der: CertificateDer<'a>,
    serial: Item<'a>,
    issuer: Item<'a>,
    subject: Item<'a>,
    /// Of the extended key usage: whether it is critical, and its value.
    usage: Option<(bool, Item<'a>)>,
}

impl<'a> Certificate<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, WhyNot> {
        let mut outer = Items::sequence(bytes, PLACE)?;
        let mut items = outer.expect(Tag::Sequence)?.items()?;
        items.optional(context(TagNumber::N0))?;
        let serial = items.expect(Tag::Integer)?;
        items.expect(Tag::Sequence)?;
        let issuer = items.expect(Tag::Sequence)?;
        items.expect(Tag::Sequence)?;
        let subject = items.expect(Tag::Sequence)?;
        items.expect(Tag::Sequence)?;
        let extensions = items.optional(context(TagNumber::N3))?;
        let usage = extensions.map(usage).transpose()?.flatten();
        Ok(Self { der: CertificateDer::from(bytes), serial, issuer, subject, usage })
    }

    /// What a signer calls the certificate by.
    pub(super) fn issuer_and_serial(&self) -> Vec<u8> {
        [self.issuer.raw, self.serial.raw].concat()
    }

    /// RFC 3161, section 2.3: the extended key usage is critical and names time-stamping and nothing else.
    pub(super) fn must_be_for_time_stamps(&self) -> Result<(), WhyNot> {
        let purpose = |list: Item<'a>| list.only()?.oid();
        match self.usage {
            Some((true, list)) if purpose(list) == Ok(TIME_STAMPING) => Ok(()),
            _ => Err(WhyNot::Purpose),
        }
    }

    pub(super) fn check_signature(
        &self,
        algorithms: &[&dyn SignatureVerificationAlgorithm],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), WhyNot> {
        let certificate = self.webpki().map_err(|_| WhyNot::Malformed { place: PLACE })?;
        let is_good =
            |algorithm| certificate.verify_signature(algorithm, message, signature).is_ok();
        let good = algorithms.iter().any(|algorithm| is_good(*algorithm));
        if good { Ok(()) } else { Err(WhyNot::Signature) }
    }

    pub(super) fn webpki(&self) -> Result<EndEntityCert<'_>, Error> {
        EndEntityCert::try_from(&self.der)
    }

    pub(super) fn subject(&self) -> String {
        name(self.subject.value)
    }
}

/// The extended key usage of `[3] EXPLICIT Extensions`.
fn usage(explicit: Item<'_>) -> Result<Option<(bool, Item<'_>)>, WhyNot> {
    let mut extensions = explicit.only()?.items()?;
    let mut found = None;
    while let Some(extension) = extensions.more()? {
        let mut items = extension.items()?;
        let oid = items.expect(Tag::ObjectIdentifier)?.oid()?;
        let critical =
            items.optional(Tag::Boolean)?.is_some_and(|critical| critical.value == [0xff]);
        let value = items.expect(Tag::OctetString)?;
        items.end()?;
        if oid == EXTENDED_KEY_USAGE && found.replace((critical, value.only()?)).is_some() {
            return Err(extension.malformed());
        }
    }
    Ok(found)
}

/// The contents of a `Name` in the manner of RFC 4514, the most particular part first. What cannot be read is left out: the
/// text is for people.
pub(super) fn name(contents: &[u8]) -> String {
    let mut parts = Vec::new();
    if let Ok(mut sets) = Items::new(contents, PLACE) {
        while let Ok(Some(set)) = sets.more() {
            parts.extend(set.items().ok().and_then(relative_name));
        }
    }
    parts.reverse();
    parts.join(",").chars().take(NAME_CHARS_MAX).collect()
}

/// `type=value`, several of them joined by `+`.
fn relative_name(mut set: Items<'_>) -> Option<String> {
    let mut parts = Vec::new();
    while let Some(pair) = set.more().ok()? {
        let mut items = pair.items().ok()?;
        let oid = items.expect(Tag::ObjectIdentifier).ok()?.oid().ok()?.to_string();
        let value = text(items.next().ok()?);
        let short = match oid.as_str() {
            "2.5.4.3" => "CN",
            "2.5.4.6" => "C",
            "2.5.4.7" => "L",
            "2.5.4.8" => "ST",
            "2.5.4.10" => "O",
            "2.5.4.11" => "OU",
            other => other,
        };
        parts.push(format!("{short}={value}"));
    }
    Some(parts.join("+"))
}

/// Printable, and without an unescaped character that would start another part.
fn text(item: Item<'_>) -> String {
    let text = match item.tag {
        Tag::BmpString => {
            let units = item.value.chunks_exact(2);
            let units =
                units.map(|pair| pair.iter().fold(0, |unit, byte| unit << 8 | u16::from(*byte)));
            char::decode_utf16(units).map(|char| char.unwrap_or('\u{fffd}')).collect()
        }
        _ => String::from_utf8_lossy(item.value).into_owned(),
    };
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars().filter(|char| !char.is_control()) {
        if matches!(char, ',' | '+' | '"' | '\\' | '<' | '>' | ';' | '=') {
            escaped.push('\\');
        }
        escaped.push(char);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_for_people_and_says_no_more_than_it_is() {
        // C=DE; then one part of two, `O=a,CN=b` and an unknown type; then a control character and two-byte letters.
        let name = name(
            b"\x31\x0b\x30\x09\x06\x03\x55\x04\x06\x13\x02DE\
              \x31\x1e\x30\x0f\x06\x03\x55\x04\x0a\x0c\x08a,CN=b\\c\x30\x0b\x06\x03\x2a\x03\x04\x0c\x04x\x0ay+\
              \x31\x0d\x30\x0b\x06\x03\x55\x04\x03\x1e\x04\x00\xe9\x00z",
        );
        assert_eq!(name, "CN=\u{e9}z,O=a\\,CN\\=b\\\\c+1.2.3.4=xy\\+,C=DE");
        assert_eq!(super::name(b"\x31\xff"), "");
    }
}
