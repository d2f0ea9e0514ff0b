//! `TSTInfo`: what the authority says.

use std::time::Duration;

use der::asn1::ObjectIdentifier;
use der::{Tag, TagNumber};
use schemas::Seconds;
use time::{Date, PrimitiveDateTime, Time};

use super::Nonce;
use super::items::{Item, Items, context, context_primitive};
use super::refusal::WhyNot;

pub(super) const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");

const PLACE: &str = "the time-stamp";

/// The part of it that matters here.
#[derive(Debug)]
pub(super) struct Info<'a> {
    /// SHA-256 of the data, 32 bytes if it is one.
    pub(super) imprint: &'a [u8],
    pub(super) serial: String,
    pub(super) time: Seconds,
    pub(super) accuracy: Option<Duration>,
    pub(super) nonce: Option<Nonce>,
}

impl<'a> Info<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, WhyNot> {
        let mut items = Items::sequence(bytes, PLACE)?;
        let version = items.expect(Tag::Integer)?;
        if version.number()? != 1 {
            return Err(version.malformed());
        }
        items.expect(Tag::ObjectIdentifier)?;
        let imprint = imprint(items.expect(Tag::Sequence)?)?;
        let serial = hexadecimal(items.expect(Tag::Integer)?.value);
        let time = items.expect(Tag::GeneralizedTime)?;
        let time = seconds(time.value).ok_or_else(|| time.malformed())?;
        let accuracy = items.optional(Tag::Sequence)?.map(accuracy).transpose()?;
        items.optional(Tag::Boolean)?;
        let nonce = items.optional(Tag::Integer)?;
        // The authority's name: a hint.
        items.optional(context(TagNumber::N0))?;
        if let Some(extensions) = items.optional(context(TagNumber::N1))? {
            no_critical_one(extensions)?;
        }
        items.end()?;
        let nonce = nonce.and_then(|item| Nonce::from_integer(item.value));
        Ok(Self { imprint, serial, time, accuracy, nonce })
    }
}

/// A number as people write it: without the leading zero byte that says it is positive.
fn hexadecimal(integer: &[u8]) -> String {
    let bytes = match integer {
        [0, rest @ ..] if !rest.is_empty() => rest,
        all => all,
    };
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn imprint(item: Item<'_>) -> Result<&[u8], WhyNot> {
    let mut items = item.items()?;
    let oid = items.expect(Tag::Sequence)?.algorithm()?;
    let digest = items.expect(Tag::OctetString)?;
    items.end()?;
    if oid == SHA256 { Ok(digest.value) } else { Err(WhyNot::OtherData) }
}

fn accuracy(item: Item<'_>) -> Result<Duration, WhyNot> {
    let mut items = item.items()?;
    let mut part = |tag| items.optional(tag)?.map_or(Ok(0), Item::number).map(u64::from);
    let seconds = Duration::from_secs(part(Tag::Integer)?);
    let millis = Duration::from_millis(part(context_primitive(TagNumber::N0))?);
    let micros = Duration::from_micros(part(context_primitive(TagNumber::N1))?);
    items.end()?;
    // Three numbers of 32 bits: the sum is far from the largest duration.
    Ok(seconds.saturating_add(millis).saturating_add(micros))
}

/// None of them is known here, and one that is critical must not be passed over.
fn no_critical_one(extensions: Item<'_>) -> Result<(), WhyNot> {
    let mut extensions = extensions.items()?;
    while let Some(extension) = extensions.more()? {
        let mut items = extension.items()?;
        items.expect(Tag::ObjectIdentifier)?;
        if items.optional(Tag::Boolean)?.is_some_and(|critical| critical.value != [0]) {
            return Err(WhyNot::Malformed {
                place: "an extension that is not known here and is critical, a part",
            });
        }
    }
    Ok(())
}

/// `YYYYMMDDhhmmss[.f…]Z`, in seconds since 1970 and not from before; a fraction is rounded up.
fn seconds(text: &[u8]) -> Option<Seconds> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    if whole.len() != 14 || !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None;
    }
    // DER: a fraction has digits and does not end in 0.
    if fraction
        .is_some_and(|digits| digits.is_empty() || digits.contains('.') || digits.ends_with('0'))
    {
        return None;
    }
    let part = |range: std::ops::Range<usize>| whole.get(range)?.parse::<u8>().ok();
    let month = time::Month::try_from(part(4..6)?).ok()?;
    let date = Date::from_calendar_date(whole.get(..4)?.parse().ok()?, month, part(6..8)?).ok()?;
    let time = Time::from_hms(part(8..10)?, part(10..12)?, part(12..14)?).ok()?;
    let seconds = PrimitiveDateTime::new(date, time).assume_utc().unix_timestamp();
    (seconds >= 0).then_some(Seconds(seconds + i64::from(fraction.is_some())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<i64> {
        seconds(text.as_bytes()).map(|seconds| seconds.0)
    }

    #[test]
    fn a_serial_number_is_written_as_people_write_it() {
        assert_eq!(hexadecimal(&[0, 0xd8, 0x66]), "d866");
        assert_eq!(hexadecimal(&[0x0a, 0]), "0a00");
        assert_eq!(hexadecimal(&[0]), "00");
    }

    #[test]
    fn a_time_is_read_to_the_second_that_has_certainly_begun_after_it() {
        assert_eq!(read("19700101000000Z"), Some(0));
        assert_eq!(read("20261128084148Z"), Some(1_795_855_308));
        assert_eq!(read("20261128084148.000001Z"), Some(1_795_855_309));
        assert_eq!(read("20261231235959.9Z"), read("20270101000000Z"));
    }

    #[test]
    fn a_time_that_is_spelled_otherwise_is_refused() {
        for text in [
            "",
            "Z",
            "20261128084148",
            "202611280841Z",
            "20261128084148.Z",
            "20261128084148.10Z",
            "20261128084148.0Z",
            "20261128084148.1.1Z",
            "20261128084148,1Z",
            "20261128084148+0100",
            "20261328084148Z",
            "20260229084148Z",
            "20261128244148Z",
            "20261128084160Z",
            "+0261128084148Z",
            "19691231235959Z",
            "2026112808414\u{e9}Z",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
