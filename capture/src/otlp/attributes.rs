//! Attributes from which a dialect takes what it knows; what it leaves is written down as it came.

use std::ops::Range;

use bytes::Bytes;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use schemas::Cut;

use super::value::{typed, write, write_key, write_string};
use crate::happening::{Content, is_name};

/// The attributes of a span, a record or an event.
#[derive(Debug, Default)]
pub(crate) struct Attributes {
    list: Vec<Attribute>,
    /// Places in `list`, sorted by key; those with the same key stay in order.
    sorted: Vec<usize>,
}

#[derive(Debug)]
struct Attribute {
    key: String,
    value: Option<Value>,
    taken: bool,
    /// A text that stays, in place of the value: contents may be slices of it.
    shared: Option<Bytes>,
}

impl Attributes {
    pub(crate) fn new(list: Vec<KeyValue>) -> Self {
        let attribute = |KeyValue { key, value, .. }| {
            let value = value.and_then(|AnyValue { value }| value);
            Attribute { key, value, taken: false, shared: None }
        };
        let list: Vec<Attribute> = list.into_iter().map(attribute).collect();
        let mut sorted: Vec<usize> = (0..list.len()).collect();
        sorted.sort_by(|a, b| Self::key_at(&list, *a).cmp(Self::key_at(&list, *b)));
        Self { list, sorted }
    }

    /// The value of a key, if it is still here. Of several with the same key it is the first.
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.list.get(self.find(key)?)?.value.as_ref()
    }

    /// The string that a key has, if it is still here.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match self.get(key)? {
            Value::StringValue(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// Whether any key begins so, taken or not.
    pub(crate) fn has_prefix(&self, prefix: &str) -> bool {
        !self.range(prefix).is_empty()
    }

    /// Takes a value out.
    pub(crate) fn take(&mut self, key: &str) -> Option<Value> {
        self.take_if(key, |_| true)
    }

    /// Takes a value out if it is what is wanted; otherwise it stays.
    pub(crate) fn take_if(
        &mut self,
        key: &str,
        fits: impl FnOnce(&Value) -> bool,
    ) -> Option<Value> {
        let place = self.find(key)?;
        self.take_at(place, fits)
    }

    /// Takes a string out.
    pub(crate) fn take_text(&mut self, key: &str) -> Option<String> {
        match self.take_if(key, |value| matches!(value, Value::StringValue(_)))? {
            Value::StringValue(text) => Some(text),
            _ => None,
        }
    }

    /// A string that stays, as bytes of which contents may be slices: where one is, it is written with a hole. It is not found
    /// any more.
    pub(crate) fn share(&mut self, key: &str) -> Option<Bytes> {
        let place = self.find(key)?;
        let attribute = self.list.get_mut(place)?;
        match attribute.value.take()? {
            Value::StringValue(text) => {
                attribute.shared = Some(text.into());
                attribute.shared.clone()
            }
            value => {
                attribute.value = Some(value);
                None
            }
        }
    }

    /// Takes out what was shared: all of it is contents.
    pub(crate) fn unshare(&mut self, key: &str) {
        let place = self.find(key);
        let attribute = place.and_then(|place| self.list.get_mut(place));
        if let Some(attribute) = attribute.filter(|attribute| attribute.shared.is_some()) {
            attribute.taken = true;
        }
    }

    /// Takes a string out that may stand in the envelope.
    pub(crate) fn take_name(&mut self, key: &str) -> Option<String> {
        let fits = |value: &Value| matches!(value, Value::StringValue(text) if is_name(text));
        match self.take_if(key, fits)? {
            Value::StringValue(text) => Some(text),
            _ => None,
        }
    }

    /// Takes an integer out.
    pub(crate) fn take_integer(&mut self, key: &str) -> Option<i64> {
        match self.take_if(key, |value| matches!(value, Value::IntValue(_)))? {
            Value::IntValue(number) => Some(number),
            _ => None,
        }
    }

    /// Takes an integer out that is not negative.
    pub(crate) fn take_count(&mut self, key: &str) -> Option<u64> {
        match self.take_if(key, |value| matches!(value, Value::IntValue(0..)))? {
            Value::IntValue(number) => u64::try_from(number).ok(),
            _ => None,
        }
    }

    /// Takes a finite number out.
    pub(crate) fn take_number(&mut self, key: &str) -> Option<f64> {
        let number = number(self.get(key)?)?;
        self.take(key).map(|_| number)
    }

    /// A number that stays here: what is made of it does not say all that it says.
    pub(crate) fn number(&self, key: &str) -> Option<f64> {
        number(self.get(key)?)
    }

    /// What stands under the keys that begin so: their places, and what follows the prefix.
    pub(crate) fn under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
        let places = self.sorted.get(self.range(prefix)).unwrap_or_default();
        places.iter().filter_map(move |&place| {
            let attribute = self.list.get(place).filter(|attribute| !attribute.taken)?;
            Some((place, attribute.key.strip_prefix(prefix)?))
        })
    }

    /// The value at a place of [`Self::under`].
    pub(crate) fn at(&self, place: usize) -> Option<&Value> {
        self.list.get(place)?.value.as_ref()
    }

    /// Takes the value at a place of [`Self::under`] out.
    pub(crate) fn take_at(
        &mut self,
        place: usize,
        fits: impl FnOnce(&Value) -> bool,
    ) -> Option<Value> {
        let attribute = self.list.get_mut(place)?;
        if attribute.taken || !attribute.value.as_ref().is_some_and(fits) {
            return None;
        }
        attribute.taken = true;
        attribute.value.take()
    }

    /// All that are here still, in the order that they came in.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, Option<&Value>)> {
        let here = self.list.iter().filter(|attribute| !attribute.taken);
        here.map(|attribute| (attribute.key.as_str(), attribute.value.as_ref()))
    }

    /// Takes all out, as a JSON object; `None` where there is nothing.
    pub(crate) fn take_all(&mut self) -> Option<Vec<u8>> {
        let mut out = Vec::from(b"{");
        for attribute in self.list.iter_mut().filter(|attribute| !attribute.taken) {
            attribute.taken = true;
            write_key(&attribute.key, &mut out);
            write(attribute.value.take().as_ref(), &mut out);
        }
        out.push(b'}');
        (out.len() > 2).then_some(out)
    }

    /// Appends what nobody took to a JSON object: `attributes`, and `repeated` for keys that came again. What is a content
    /// is not said again.
    pub(super) fn write_rest(&self, contents: &[&Content], out: &mut Vec<u8>) {
        let again = self.again();
        let mut rest = Vec::from(b"{");
        let mut repeated = Vec::new();
        for (place, attribute) in self.list.iter().enumerate().filter(|(_, it)| !it.taken) {
            if again.binary_search(&place).is_ok() {
                repeated.extend_from_slice(if repeated.is_empty() { b"[[" } else { b",[" });
                write_string(&attribute.key, &mut repeated);
                repeated.push(b',');
                attribute.write(contents, &mut repeated);
                repeated.push(b']');
            } else {
                write_key(&attribute.key, &mut rest);
                attribute.write(contents, &mut rest);
            }
        }
        if rest.len() > 1 {
            rest.push(b'}');
            write_key("attributes", out);
            out.append(&mut rest);
        }
        if !repeated.is_empty() {
            repeated.push(b']');
            write_key("repeated", out);
            out.append(&mut repeated);
        }
    }

    /// Places of those here whose key another one here has, too, that came before; sorted.
    fn again(&self) -> Vec<usize> {
        let here = |place: &&usize| self.list.get(**place).is_some_and(|it| !it.taken);
        let mut again = Vec::new();
        let mut before: Option<&str> = None;
        for &place in self.sorted.iter().filter(here) {
            let key = Self::key_at(&self.list, place);
            if before == Some(key) {
                again.push(place);
            }
            before = Some(key);
        }
        again.sort_unstable();
        again
    }

    fn find(&self, key: &str) -> Option<usize> {
        let from = self.sorted.partition_point(|&place| Self::key_at(&self.list, place) < key);
        let same = |place: &&usize| Self::key_at(&self.list, **place) == key;
        let mut places = self.sorted.get(from..)?.iter().take_while(same);
        places.find(|place| self.list.get(**place).is_some_and(|it| !it.taken)).copied()
    }

    /// Where in `sorted` the keys are that begin so.
    fn range(&self, prefix: &str) -> Range<usize> {
        let key = |place: &usize| Self::key_at(&self.list, *place);
        let start = self.sorted.partition_point(|place| key(place) < prefix);
        let after = self.sorted.get(start..).unwrap_or_default();
        start..start + after.partition_point(|place| key(place).starts_with(prefix))
    }

    fn key_at(list: &[Attribute], place: usize) -> &str {
        list.get(place).map_or("", |attribute| &attribute.key)
    }
}

impl Attribute {
    fn write(&self, contents: &[&Content], out: &mut Vec<u8>) {
        let Some(text) = self.shared.as_ref().and_then(|bytes| std::str::from_utf8(bytes).ok())
        else {
            return write(self.value.as_ref(), out);
        };
        let stretches = stretches(text, contents);
        match Cut::new(text, &stretches).filter(|_| !stretches.is_empty()) {
            Some(cut) => typed("$cut", &cut.to_json(), out),
            None => write_string(text, out),
        }
    }
}

/// Which contents are stretches of a text: those that share its bytes.
fn stretches(text: &str, contents: &[&Content]) -> Vec<(Range<usize>, usize)> {
    let stretch = |(place, content): (usize, &&Content)| {
        let start = content.data.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
        let end = start.checked_add(content.data.len())?;
        (start < end && end <= text.len()).then_some((start..end, place))
    };
    let mut stretches: Vec<_> = contents.iter().enumerate().filter_map(stretch).collect();
    stretches.sort_by_key(|(stretch, _)| stretch.start);
    stretches
}

/// A finite number; an integer that a double holds exactly is one.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::DoubleValue(number) => Some(*number).filter(|number| number.is_finite()),
        Value::IntValue(number) => i32::try_from(*number).ok().map(f64::from),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(list: &[(&str, Value)]) -> Attributes {
        let attribute = |(key, value): &(&str, Value)| KeyValue {
            key: (*key).to_owned(),
            value: Some(AnyValue { value: Some(value.clone()) }),
            ..KeyValue::default()
        };
        Attributes::new(list.iter().map(attribute).collect())
    }

    fn rest(attributes: &Attributes) -> String {
        let mut out = Vec::from(b"{");
        attributes.write_rest(&[], &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_does_not_fit_stays() {
        let long = Value::StringValue("x".repeat(1025));
        let mut all = attributes(&[
            ("a", Value::IntValue(-1)),
            ("b", long.clone()),
            ("c", Value::StringValue("1".into())),
            ("d", Value::DoubleValue(f64::NAN)),
        ]);
        assert_eq!(all.take_count("a"), None);
        assert_eq!(all.take_name("b"), None);
        assert_eq!(all.take_count("c"), None);
        assert_eq!(all.take_number("d"), None);
        assert_eq!(all.take("b"), Some(long));
        assert_eq!(all.take_integer("a"), Some(-1));
        assert_eq!(rest(&all), r#"{"attributes":{"c":"1","d":{"$double":"NaN"}}"#);
    }

    #[test]
    fn a_key_that_came_again_is_kept() {
        let value = Value::IntValue;
        let mut all =
            attributes(&[("z", value(1)), ("a", value(2)), ("z", value(3)), ("z", value(4))]);
        assert_eq!(rest(&all), r#"{"attributes":{"z":1,"a":2},"repeated":[["z",3],["z",4]]"#);
        assert_eq!(all.take_count("z"), Some(1));
        assert_eq!(rest(&all), r#"{"attributes":{"a":2,"z":3},"repeated":[["z",4]]"#);
        assert_eq!((all.take_count("z"), all.take_count("z")), (Some(3), Some(4)));
        assert!(!all.has("z"));
    }

    #[test]
    fn keys_are_found_by_how_they_begin() {
        let one = || Value::IntValue(1);
        let all = attributes(&[("a.2", one()), ("a.10", one()), ("ab", one()), ("a.", one())]);
        let under: Vec<&str> = all.under("a.").map(|(_, rest)| rest).collect();
        assert_eq!(under, ["", "10", "2"]);
        assert!(all.has_prefix("a") && !all.has_prefix("b"));
    }
}
