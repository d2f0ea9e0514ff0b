//! The parts of a JSON text that are to be kept as they came. What is inside of them is not looked at, so depth costs nothing.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Fields of an object that are looked through.
const FIELDS_MAX: usize = 1024;
/// Items of an array that are looked through: tools of a page, messages of a batch.
const ITEMS_MAX: usize = 4096;

/// An object's fields, as they stand in its text.
#[derive(Debug, Default)]
pub(super) struct Fields<'a> {
    fields: Vec<(Cow<'a, str>, &'a str)>,
    /// Whether the text is an object to its end.
    pub(super) is_whole: bool,
}

impl<'a> Fields<'a> {
    /// Reads the text of an object, as far as it goes.
    pub(super) fn of(text: &'a str) -> Self {
        let mut read = Self::default();
        let mut from = serde_json::Deserializer::from_str(text);
        let outcome = (&mut read).deserialize(&mut from);
        read.is_whole = outcome.and_then(|()| from.end()).is_ok();
        read
    }

    /// A field's text. Of fields with one name the last counts, as in most readers of JSON.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.fields.iter().rev().find(|(key, _)| key == name).map(|(_, value)| *value)
    }

    /// A field that is a string.
    pub(super) fn string(&self, name: &str) -> Option<Cow<'a, str>> {
        string(self.get(name)?)
    }
}

/// The field of this name of an object's text.
pub(super) fn get<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    Fields::of(text).get(name)
}

/// The text of a JSON string, borrowed where it has no escapes.
pub(super) fn string(text: &str) -> Option<Cow<'_, str>> {
    let read: Result<Text<'_>, _> = serde_json::from_str(text);
    read.map(|Text(text)| text).ok()
}

/// The texts of an array's items; `None` where it is none, or has too many.
pub(super) fn items(text: &str) -> Option<Vec<&str>> {
    let mut items = Vec::new();
    let mut from = serde_json::Deserializer::from_str(text);
    Items(&mut items).deserialize(&mut from).and_then(|()| from.end()).ok()?;
    Some(items)
}

/// Where a part of a text stands in it.
pub(super) fn place(whole: &str, part: &str) -> Option<Range<usize>> {
    let start = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    let place = start..start.checked_add(part.len())?;
    (place.end <= whole.len()).then_some(place)
}

/// Serde borrows a `Cow` only where it is told to.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> DeserializeSeed<'a> for &mut Fields<'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for &mut Fields<'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut from: A) -> Result<(), A::Error> {
        while let Some((Text(key), value)) = from.next_entry::<Text<'a>, &RawValue>()? {
            if self.fields.len() >= FIELDS_MAX {
                return Err(A::Error::custom("too many fields"));
            }
            self.fields.push((key, value.get()));
        }
        Ok(())
    }
}

struct Items<'v, 'a>(&'v mut Vec<&'a str>);

impl<'a> DeserializeSeed<'a> for Items<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'a> Visitor<'a> for Items<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut from: A) -> Result<(), A::Error> {
        while let Some(item) = from.next_element::<&RawValue>()? {
            if self.0.len() >= ITEMS_MAX {
                return Err(A::Error::custom("too many items"));
            }
            self.0.push(item.get());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_before_a_fault_is_read() {
        let fields = Fields::of(r#"{"a": [1, 2] ,"b":"x\u00e4","a":{ } ,"c":"cut"#);
        assert!(!fields.is_whole);
        assert_eq!((fields.get("a"), fields.get("c")), (Some("{ }"), None));
        assert_eq!(fields.string("b").unwrap(), "xä");
        assert!(Fields::of(" {} ").is_whole);
        assert!(!Fields::of("{} {}").is_whole);
    }

    #[test]
    fn depth_costs_nothing() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(1 << 20), "]".repeat(1 << 20));
        assert_eq!(Fields::of(&deep).get("a").unwrap().len(), 2 << 20);
    }

    #[test]
    fn a_part_is_found_where_it_stands() {
        let text = r#"{"a":1,"b":1}"#;
        assert_eq!(place(text, get(text, "b").unwrap()), Some(11..12));
        assert_eq!(place(get(text, "a").unwrap(), text), None);
    }
}
