//! What can be recognised by its form alone: keys and tokens, addresses of people, numbers of cards.

use std::ops::Range;
use std::sync::LazyLock;

use regex::bytes::{Regex, RegexBuilder};

/// Bytes that a compiled expression may take.
pub(super) const REGEX_BYTES_MAX: usize = 1 << 20;
/// Digits of a card's number.
const CARD_DIGITS: Range<usize> = 13..20;

/// Something that can be recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detector {
    ApiKeys,
    Email,
    CardNumbers,
}

/// Keys and tokens by their prefixes. A prefix within a word is none, or every task-force would have a key.
const API_KEYS: &str = r"(?-u)(?:sk-(?:ant|proj|svcacct|admin|or)-[A-Za-z0-9_-]{16,}|gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{20,}|chk_[0-9a-f]{16}_[A-Za-z0-9_-]{20,}|eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?|\b(?:sk-[A-Za-z0-9_-]{20,}|[rs]k_(?:live|test)_[A-Za-z0-9]{16,}|(?:AKIA|ASIA)[A-Z0-9]{16}\b|gh[pousr]_[A-Za-z0-9]{20,}|glpat-[A-Za-z0-9_-]{20,}|xox[a-z]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,}|AIza[A-Za-z0-9_-]{35}|hf_[A-Za-z0-9]{30,}|[Bb]earer[ \t]+[A-Za-z0-9._~+/-]{16,}=*)|-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----|\z))";
/// What every text with one of them has, escaped or not; and escapes of plain characters, behind which one may hide.
const API_KEYS_SNIFF: &str = r"(?-u)sk-[A-Za-z0-9_-]{20}|[rs]k_live_|[rs]k_test_|AKIA[A-Z0-9]{16}|ASIA[A-Z0-9]{16}|gh[pousr]_[A-Za-z0-9]{20}|github_pat_|glpat-|xox[a-z]-|xapp-|AIza[A-Za-z0-9_-]{35}|hf_[A-Za-z0-9]{30}|chk_[0-9a-f]{16}_|eyJ[A-Za-z0-9_-]{8,}\.eyJ|[Bb]earer[ \t\\]|PRIVATE KEY-----|\\u00[2-7]";
const EMAIL: &str = r"(?-u)[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}";
const EMAIL_SNIFF: &str = r"(?-u)@|\\u00[2-7]";
const CARD: &str = r"(?-u)[0-9](?:[ -]?[0-9]){12,}";
const CARD_SNIFF: &str = r"(?-u)[0-9](?:[ -]?[0-9]){12}|\\u00[2-7]";

impl Detector {
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "api-keys" => Some(Self::ApiKeys),
            "email" => Some(Self::Email),
            "card-numbers" => Some(Self::CardNumbers),
            _ => None,
        }
    }

    /// Whether it may be anywhere in these bytes, JSON or not. What it does not see is not there.
    pub(super) fn sniffs(self, bytes: &[u8]) -> bool {
        static API_KEYS: LazyLock<Option<Regex>> = LazyLock::new(|| own(API_KEYS_SNIFF));
        static EMAILS: LazyLock<Option<Regex>> = LazyLock::new(|| own(EMAIL_SNIFF));
        static CARDS: LazyLock<Option<Regex>> = LazyLock::new(|| own(CARD_SNIFF));
        let regex = match self {
            Self::ApiKeys => &*API_KEYS,
            Self::Email => &*EMAILS,
            Self::CardNumbers => &*CARDS,
        };
        regex.as_ref().is_none_or(|regex| regex.is_match(bytes))
    }

    /// Where it is in a text, in order and apart from each other.
    pub(super) fn find(self, text: &[u8]) -> Vec<Range<usize>> {
        static KEYS: LazyLock<Option<Regex>> = LazyLock::new(|| own(API_KEYS));
        static EMAILS: LazyLock<Option<Regex>> = LazyLock::new(|| own(EMAIL));
        static CARDS: LazyLock<Option<Regex>> = LazyLock::new(|| own(CARD));
        let all = |regex: &Option<Regex>| -> Vec<Range<usize>> {
            let found = regex.iter().flat_map(|regex| regex.find_iter(text));
            found.map(|found| found.range()).collect()
        };
        match self {
            Self::ApiKeys => all(&KEYS).into_iter().filter(|key| is_key(text, key)).collect(),
            Self::Email => all(&EMAILS),
            Self::CardNumbers => all(&CARDS).into_iter().flat_map(|run| cards(text, run)).collect(),
        }
    }
}

/// An expression of a rule, within limits.
pub(super) fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).size_limit(REGEX_BYTES_MAX).dfa_size_limit(REGEX_BYTES_MAX).build()
}

/// One of our own, which a test compiles.
fn own(pattern: &str) -> Option<Regex> {
    RegexBuilder::new(pattern).size_limit(8 << 20).build().ok()
}

/// Words joined by hyphens are no key; a key has a digit.
fn is_key(text: &[u8], place: &Range<usize>) -> bool {
    let found = text.get(place.clone()).unwrap_or_default();
    let needs_digit = [&b"sk-"[..], b"Bearer", b"bearer", b"glpat-", b"xox", b"xapp-"];
    !needs_digit.iter().any(|prefix| found.starts_with(prefix))
        || found.iter().any(u8::is_ascii_digit)
}

/// The cards' numbers in a run of digits, blanks and hyphens.
fn cards(text: &[u8], run: Range<usize>) -> Vec<Range<usize>> {
    let is_word = |at: Option<usize>| {
        at.and_then(|at| text.get(at))
            .is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'.')
    };
    let groups = groups(text, &run);
    let (mut found, mut first) = (Vec::new(), 0);
    while let Some(start) = groups.get(first) {
        let mut next = first + 1;
        let glued = start.start == run.start && is_word(run.start.checked_sub(1));
        let longest = groups.iter().enumerate().skip(first).take(CARD_DIGITS.end);
        for (last, end) in longest.collect::<Vec<_>>().into_iter().rev() {
            let place = start.start..end.end;
            let glued = glued || (end.end == run.end && is_word(Some(run.end)));
            if !glued && text.get(place.clone()).is_some_and(is_card) {
                found.push(place);
                next = last + 1;
                break;
            }
        }
        first = next;
    }
    found
}

/// Where the digits stand that nothing parts.
fn groups(text: &[u8], run: &Range<usize>) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    for at in run.clone() {
        if !text.get(at).is_some_and(u8::is_ascii_digit) {
            continue;
        }
        match groups.last_mut() {
            Some(group) if group.end == at => group.end = at + 1,
            _ => groups.push(at..at + 1),
        }
    }
    groups
}

/// Luhn's check, and the first digit of an issuer.
fn is_card(text: &[u8]) -> bool {
    let digits: Vec<u32> = text.iter().filter_map(|byte| char::from(*byte).to_digit(10)).collect();
    if !CARD_DIGITS.contains(&digits.len()) || !matches!(digits.first(), Some(2..=6)) {
        return false;
    }
    let doubled = |(index, digit): (usize, &u32)| match (index % 2, digit * 2) {
        (0, _) => *digit,
        (_, twice) if twice > 9 => twice - 9,
        (_, twice) => twice,
    };
    digits.iter().rev().enumerate().map(doubled).sum::<u32>() % 10 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(detector: Detector, text: &str) -> Vec<&str> {
        let found = detector.find(text.as_bytes());
        assert!(found.is_empty() || detector.sniffs(text.as_bytes()), "{text}");
        found.into_iter().map(|place| &text[place]).collect()
    }

    #[test]
    fn our_own_expressions_compile() {
        for pattern in [API_KEYS, API_KEYS_SNIFF, EMAIL, EMAIL_SNIFF, CARD, CARD_SNIFF] {
            assert!(own(pattern).is_some(), "{pattern}");
        }
    }

    #[test]
    fn keys_and_tokens_are_told_from_words() {
        let secrets = [
            "sk-ant-api03-AbCdEf0123456789_AbCdEf-xyz",
            "sk-proj-AbCdEf0123456789AbCdEf",
            "AKIAIOSFODNN7EXAMPLE",
            "ghp_0123456789abcdefghijABCDEFGHIJ012345",
            "github_pat_11ABCDEFG0abcdefghij_xyz",
            "xoxb-123456789012-abcdefghij",
            "AIzaSyA0123456789abcdefghijklmnopqrstuv",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
            "Bearer abcdef0123456789abcdef==",
            "chk_0123456789abcdef_AbCdEfGhIjKlMnOpQrStUvWxYz012345678901234",
            "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
            "sk_live_0123456789abcdefABCDEF",
        ];
        for secret in secrets {
            let text = format!("the key={secret}\nis secret");
            assert_eq!(found(Detector::ApiKeys, &text), [secret]);
        }
        for text in [
            "a task-force-of-many-people-and-things",
            "risk-based-authentication-0123456789",
            "sk-learn",
            "sk-based-authentication-is-no-key",
            "AKIA",
            "Bearer of good news is here",
            "bearer authentication-scheme-word",
            "eyJ.eyJ",
            "xox-",
            "pk_live_x",
        ] {
            assert_eq!(found(Detector::ApiKeys, text), [""; 0], "{text}");
        }
        let cut = "x -----BEGIN PRIVATE KEY-----\nMIIEvQ";
        assert_eq!(found(Detector::ApiKeys, cut), [&cut[2..]]);
    }

    #[test]
    fn cards_have_their_check_digit_and_stand_alone() {
        for (text, card) in [
            ("pay 4111111111111111.", None),
            ("pay 4111111111111111 now", Some("4111111111111111")),
            ("4111-1111-1111-1111", Some("4111-1111-1111-1111")),
            ("3782 822463 10005", Some("3782 822463 10005")),
            ("4111 1111 1111 1111 123 456", Some("4111 1111 1111 1111")),
            ("12 4111 1111 1111 1111", Some("4111 1111 1111 1111")),
            ("4111111111111112", None),
            ("1700000000000", None),
            ("a4111111111111111", None),
            ("41111111111111110000000000", None),
        ] {
            // A full stop at the end of a sentence is one of the cases that are let go: it may be a decimal.
            assert_eq!(
                found(Detector::CardNumbers, text),
                card.into_iter().collect::<Vec<_>>(),
                "{text}"
            );
        }
        assert_eq!(
            found(Detector::Email, "to <a.b+c@ex-ample.co.uk>, @x"),
            ["a.b+c@ex-ample.co.uk"]
        );
    }
}
