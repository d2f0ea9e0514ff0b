//! JSON read in place: stretches of the text that hold a value, and single members, without a tree of values.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::Deserializer as _;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A value's text where the member is there and not null.
pub(super) type Raw<'a> = Option<&'a RawValue>;

/// Where a part of a text lies in it.
pub(super) fn span(text: &str, part: &str) -> Option<Range<usize>> {
    let start = part.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
    let span = start..start.checked_add(part.len())?;
    text.get(span.clone()).is_some().then_some(span)
}

/// A string.
pub(super) fn text(raw: Raw<'_>) -> Option<Cow<'_, str>> {
    let json = raw?.get();
    match json.strip_prefix('"')?.strip_suffix('"')? {
        plain if !plain.contains('\\') => Some(Cow::Borrowed(plain)),
        _ => serde_json::from_str(json).ok().map(Cow::Owned),
    }
}

/// A number.
pub(super) fn float(raw: Raw<'_>) -> Option<f64> {
    raw?.get().parse().ok().filter(|number: &f64| number.is_finite())
}

/// A whole number, also where it is written like `4.0`.
pub(super) fn integer(raw: Raw<'_>) -> Option<i64> {
    let json = raw?.get();
    json.strip_suffix(".0").unwrap_or(json).parse().ok()
}

/// A whole number that is not negative.
pub(super) fn count(raw: Raw<'_>) -> Option<u64> {
    integer(raw)?.try_into().ok()
}

/// The items of an array.
pub(super) fn items(raw: Raw<'_>) -> Option<Vec<&RawValue>> {
    serde_json::from_str(raw?.get()).ok()
}

/// The member at the end of this path of names.
pub(super) fn at<'a>(raw: Raw<'a>, path: &[&str]) -> Raw<'a> {
    path.iter().try_fold(raw?, |raw, name| member(raw, name))
}

fn member<'a>(raw: &'a RawValue, name: &str) -> Raw<'a> {
    serde_json::Deserializer::from_str(raw.get()).deserialize_map(Member(name)).ok()?
}

/// Finds one member of an object; of several with its name, the last, as nearly every reader does.
struct Member<'n>(&'n str);

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Raw<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(is_it) = map.next_key_seed(Is(self.0))? {
            if is_it {
                found = map.next_value()?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Whether a key is this one.
struct Is<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<bool, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> &RawValue {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn members_are_found_by_their_path() {
        let json = raw(r#"{"a":{"b":1,"\u0063":2,"b":3},"n":null}"#);
        assert_eq!(count(at(Some(json), &["a", "b"])), Some(3));
        assert_eq!(count(at(Some(json), &["a", "c"])), Some(2));
        assert_eq!(count(at(Some(json), &["a", "b", "c"])), None);
        assert!(at(Some(json), &["n"]).is_none() && at(Some(raw("[1]")), &["n"]).is_none());
    }

    #[test]
    fn a_value_of_another_type_is_none() {
        assert_eq!(text(Some(raw(r#""\u00e4\n""#))).as_deref(), Some("ä\n"));
        assert_eq!(text(Some(raw(r#""\ud800""#))), None);
        assert_eq!(
            (text(Some(raw("7"))), float(Some(raw("\"7\""))), float(Some(raw("1e999")))),
            (None, None, None)
        );
        let integers =
            ["4.0", "-4", "4.5", "9223372036854775808"].map(|json| integer(Some(raw(json))));
        assert_eq!(integers, [Some(4), Some(-4), None, None]);
        assert_eq!(count(Some(raw("-1"))), None);
    }

    #[test]
    fn a_span_is_where_a_part_lies() {
        let text = r#"{"a": [1] }"#;
        let part = at(Some(raw(text)), &["a"]).unwrap().get();
        assert_eq!(&text[span(text, part).unwrap()], "[1]");
        assert_eq!(span(part, text), None);
    }
}
