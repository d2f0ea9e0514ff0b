//! Hexadecimal and RFC 3339 text of ids, digests and times.

use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'?'));
    bytes.iter().flat_map(|&byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Reads exactly `N` bytes of lower-case hexadecimal.
pub(crate) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != N * 2 {
        return None;
    }
    let nibble = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = nibble(*high)? << 4 | nibble(*low)?;
    }
    Some(bytes)
}

/// RFC 3339 in UTC with microseconds; `None` outside the years 0 to 9999.
pub(crate) fn rfc3339_micros(micros: i64) -> Option<String> {
    let format =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000).ok()?;
    (0..=9999).contains(&time.year()).then(|| time.format(&format).ok()).flatten()
}

/// Microseconds since the epoch of an RFC 3339 time with any offset; finer digits are cut.
pub(crate) fn micros_of_rfc3339(text: &str) -> Option<i64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?.to_offset(UtcOffset::UTC);
    i64::try_from(time.unix_timestamp_nanos().div_euclid(1000)).ok()
}

/// RFC 3339 in UTC, whole seconds, as the records write it.
pub(crate) fn rfc3339_seconds(seconds: i64) -> Option<String> {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    let time = OffsetDateTime::from_unix_timestamp(seconds).ok()?;
    (0..=9999).contains(&time.year()).then(|| time.format(&format).ok()).flatten()
}

/// The inverse of [`rfc3339_seconds`]; any other spelling is refused.
pub(crate) fn seconds_of_rfc3339(text: &str) -> Option<i64> {
    let seconds = OffsetDateTime::parse(text, &Rfc3339).ok()?.unix_timestamp();
    (rfc3339_seconds(seconds)? == text).then_some(seconds)
}
