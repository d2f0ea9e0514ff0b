//! The text of a JSON string, and where each part of it stands among the escapes.

use std::borrow::Cow;
use std::ops::Range;

/// A string's text, with its escapes undone.
#[derive(Debug)]
pub(super) struct Text<'a> {
    pub(super) text: Cow<'a, [u8]>,
    escapes: Vec<Escape>,
}

#[derive(Debug)]
struct Escape {
    text: Range<usize>,
    raw: Range<usize>,
}

impl<'a> Text<'a> {
    /// Reads what stands between the quotes. An escape that is none, or half of a character, is left as it is.
    pub(super) fn read(raw: &'a [u8]) -> Self {
        if !raw.contains(&b'\\') {
            return Self { text: Cow::Borrowed(raw), escapes: Vec::new() };
        }
        let (mut text, mut escapes) = (Vec::with_capacity(raw.len()), Vec::new());
        let mut at = 0;
        while let Some(rest) = raw.get(at..).filter(|rest| !rest.is_empty()) {
            let plain = rest.iter().position(|byte| *byte == b'\\').unwrap_or(rest.len());
            let (before, escape) = rest.split_at(plain);
            text.extend_from_slice(before);
            at += plain;
            if escape.is_empty() {
                break;
            }
            let (length, character) = undo(escape);
            let start = text.len();
            match character {
                Some(character) => {
                    text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                }
                None => text.extend_from_slice(escape.get(..length).unwrap_or_default()),
            }
            escapes.push(Escape { text: start..text.len(), raw: at..at + length });
            at += length;
        }
        Self { text: Cow::Owned(text), escapes }
    }

    /// Where a part of the text stands in the string, whole escapes at a time.
    pub(super) fn place(&self, part: &Range<usize>) -> Range<usize> {
        let before = |at: usize| {
            let count = self.escapes.partition_point(|escape| escape.text.start < at);
            count.checked_sub(1).and_then(|last| self.escapes.get(last))
        };
        let map = |at: usize, is_end: bool| match before(at) {
            None => at,
            Some(escape) if at >= escape.text.end => escape.raw.end + (at - escape.text.end),
            Some(escape) if is_end => escape.raw.end,
            Some(escape) => escape.raw.start,
        };
        map(part.start, false)..map(part.end, true)
    }
}

/// How long an escape is, and what it stands for.
fn undo(escape: &[u8]) -> (usize, Option<char>) {
    let short = |character| (2, Some(character));
    match escape.get(1) {
        Some(b'n') => short('\n'),
        Some(b't') => short('\t'),
        Some(b'r') => short('\r'),
        Some(b'b') => short('\u{8}'),
        Some(b'f') => short('\u{c}'),
        Some(byte @ (b'"' | b'\\' | b'/')) => short(char::from(*byte)),
        Some(b'u') => match (unit(escape), escape.get(6..).and_then(unit)) {
            (Some(high @ 0xd800..0xdc00), Some(low @ 0xdc00..0xe000)) => {
                let both = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                (12, char::from_u32(both))
            }
            (Some(unit), _) => (6, char::from_u32(unit)),
            (None, _) => (2, None),
        },
        Some(_) => (2, None),
        None => (1, None),
    }
}

/// The number in `\uXXXX`.
fn unit(escape: &[u8]) -> Option<u32> {
    let hex = escape.strip_prefix(b"\\u")?.get(..4)?;
    let mut digits = hex.iter().map(|byte| char::from(*byte).to_digit(16));
    digits.try_fold(0, |unit, digit| Some(unit << 4 | digit?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parts_are_found_behind_escapes() {
        let raw = r#"a\n\u0073k-\ud83d\ude00\"x\ud800"#;
        let text = Text::read(raw.as_bytes());
        assert_eq!(&*text.text, "a\nsk-😀\"x\\ud800".as_bytes());
        assert_eq!(&raw[text.place(&(2..5))], r"\u0073k-");
        assert_eq!(&raw[text.place(&(5..9))], r"\ud83d\ude00");
        assert_eq!(&raw[text.place(&(6..8))], r"\ud83d\ude00");
        assert_eq!(&raw[text.place(&(0..1))], "a");
        assert_eq!(&raw[text.place(&(9..11))], r#"\"x"#);
    }

    proptest! {
        #[test]
        fn it_reads_what_serde_reads(text in any::<String>(), ascii in any::<bool>()) {
            let mut json = serde_json::to_string(&text).unwrap();
            if ascii {
                json = json.encode_utf16().map(|unit| match u8::try_from(unit) {
                    Ok(byte) if byte < 0x80 => char::from(byte).to_string(),
                    _ => format!("\\u{unit:04x}"),
                }).collect();
            }
            let raw = &json.as_bytes()[1..json.len() - 1];
            let read = Text::read(raw);
            prop_assert_eq!(&*read.text, text.as_bytes());
            prop_assert_eq!(read.place(&(0..read.text.len())), 0..raw.len());
        }

        #[test]
        fn no_bytes_break_it(raw in prop::collection::vec(prop::sample::select(b"\\ud8c0n\"x/".to_vec()), 0..40)) {
            let read = Text::read(&raw);
            for start in 0..=read.text.len() {
                let place = read.place(&(start..read.text.len()));
                prop_assert!(place.start <= place.end && place.end == raw.len());
            }
        }
    }
}
