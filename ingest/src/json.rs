//! CORE: a request's text taken apart into raw JSON values, under limits.
//!
//! What is to be stored as it came stays a slice of the request. Duplicate keys are refused in everything that the
//! gateway interprets; inside of a value that it only stores, they are stored.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

use crate::config::Config;
use crate::refusal::{Code, Refusal};

/// The events of a request: the items of an array, or the objects of a sequence (one, or NDJSON).
pub(crate) fn events<'a>(body: &'a [u8], config: &Config) -> Result<Vec<&'a RawValue>, Refusal> {
    let text = std::str::from_utf8(body).map_err(|error| {
        Refusal::body(format!("the body is not UTF-8 at byte {}", error.valid_up_to()))
    })?;
    if shape(body).0 > config.nesting_max {
        let (limit, max) = ("nesting_max", config.nesting_max);
        return Err(Refusal::limit(Code::LimitExceeded, "the body is nested", limit, max));
    }
    let too_many = || {
        let (limit, max) = ("events_max", config.events_max);
        Refusal::limit(Code::TooLarge, "the request has events", limit, max)
    };
    let broken = |error| Refusal::body(format!("the body is not JSON: {error}"));
    let text = text.trim_ascii_start();
    let mut events = Vec::new();
    if text.starts_with('[') {
        let outcome = items(text, config.events_max, &mut events);
        return match outcome {
            Ok(()) => Ok(events),
            Err(_) if events.len() > config.events_max => Err(too_many()),
            Err(error) => Err(broken(error)),
        };
    }
    for value in serde_json::Deserializer::from_str(text).into_iter::<&RawValue>() {
        events.push(value.map_err(broken)?);
        if events.len() > config.events_max {
            return Err(too_many());
        }
    }
    if events.is_empty() {
        return Err(Refusal::body("the body is empty"));
    }
    Ok(events)
}

/// How deep arrays and objects are nested, and how many there are. Of what is not JSON it may say anything.
pub(crate) fn shape(body: &[u8]) -> (usize, usize) {
    let (mut depth, mut deepest, mut count) = (0_usize, 0_usize, 0_usize);
    let mut bytes = body.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' => {
                depth += 1;
                count += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
    }
    (deepest, count)
}

fn skip_string(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
}

/// Reads an array's items into `into`, and stops one above `max`.
fn items<'a>(
    text: &'a str,
    max: usize,
    into: &mut Vec<&'a RawValue>,
) -> Result<(), serde_json::Error> {
    let mut from = serde_json::Deserializer::from_str(text);
    Items { into, max }.deserialize(&mut from)?;
    from.end()
}

/// The items of the list in `field`, at most `max`.
pub(crate) fn list<'a>(
    raw: &'a RawValue,
    field: &str,
    (limit, max): (&'static str, usize),
) -> Result<Vec<&'a RawValue>, Refusal> {
    let mut into = Vec::new();
    match items(raw.get(), max, &mut into) {
        Ok(()) => Ok(into),
        Err(_) if into.len() > max => Err(Refusal::field_limit(field, "has items", limit, max)),
        Err(_) => Err(Refusal::field(field, "must be an array")),
    }
}

/// The fields of an object in their order, each key once, at most `max`. `field` is the object's own path, or empty.
pub(crate) fn object<'a>(
    raw: &'a RawValue,
    field: &str,
    (limit, max): (&'static str, usize),
) -> Result<Vec<(Cow<'a, str>, &'a RawValue)>, Refusal> {
    let about = |why: String| match field {
        "" => Refusal::body(format!("the event {why}")),
        field => Refusal::field(field, why),
    };
    let mut into = Vec::new();
    let mut from = serde_json::Deserializer::from_str(raw.get());
    match (Fields { into: &mut into, max }).deserialize(&mut from) {
        Ok(()) => {}
        Err(_) if into.len() > max => {
            let what = format!("{field}{}has fields", if field.is_empty() { "" } else { " " });
            return Err(Refusal::limit(Code::LimitExceeded, &what, limit, max));
        }
        Err(_) => return Err(about("must be an object".to_owned())),
    }
    let mut keys: Vec<&str> = into.iter().map(|(key, _)| &**key).collect();
    keys.sort_unstable();
    match keys.array_windows().find(|[a, b]| a == b) {
        None => Ok(into),
        Some([key, _]) if key.len() < 256 => Err(about(format!("has the key {key:?} twice"))),
        Some(_) => Err(about("has a key twice".to_owned())),
    }
}

/// A whole value, each key of each object once.
pub(crate) fn value(raw: &RawValue, field: &str) -> Result<Value, Refusal> {
    let read: Result<Strict, _> = serde_json::from_str(raw.get());
    read.map(|Strict(value)| value).map_err(|error| {
        let error = error.to_string();
        let why = error.split(" at line ").next().unwrap_or_default();
        Refusal::field(field, format!("is not valid: {why}"))
    })
}

/// A string, borrowed where it has no escapes.
pub(crate) fn string<'a>(raw: &'a RawValue, field: &str) -> Result<Cow<'a, str>, Refusal> {
    let read: Result<Text<'_>, _> = serde_json::from_str(raw.get());
    read.map(|Text(text)| text).map_err(|_| Refusal::field(field, "must be a string"))
}

/// Serde borrows a `Cow` only where it is told to.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

struct Items<'v, 'a> {
    into: &'v mut Vec<&'a RawValue>,
    max: usize,
}

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
        while let Some(item) = from.next_element()? {
            self.into.push(item);
            if self.into.len() > self.max {
                return Err(A::Error::custom("too many items"));
            }
        }
        Ok(())
    }
}

struct Fields<'v, 'a> {
    into: &'v mut Vec<(Cow<'a, str>, &'a RawValue)>,
    max: usize,
}

impl<'a> DeserializeSeed<'a> for Fields<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for Fields<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut from: A) -> Result<(), A::Error> {
        while let Some((Text(key), value)) = from.next_entry()? {
            self.into.push((key, value));
            if self.into.len() > self.max {
                return Err(A::Error::custom("too many fields"));
            }
        }
        Ok(())
    }
}

/// A [`Value`] that was read without a duplicate key.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Strict(item)) = from.next_element()? {
            items.push(item);
        }
        Ok(items.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((key, Strict(value))) = from.next_entry::<String, _>()? {
            if object.insert(key, value).is_some() {
                return Err(A::Error::custom("a key stands twice"));
            }
        }
        Ok(object.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(body: &str) -> Result<Vec<&str>, Refusal> {
        let events = events(body.as_bytes(), &Config::default())?;
        Ok(events.into_iter().map(RawValue::get).collect())
    }

    #[test]
    fn an_object_an_array_and_ndjson_are_the_same_events() {
        for body in
            ["{\"a\": 1}\n{\"b\":2}\n", " [{\"a\": 1}, {\"b\":2}] ", "{\"a\": 1}\r\n\r\n{\"b\":2}"]
        {
            assert_eq!(texts(body).unwrap(), ["{\"a\": 1}", "{\"b\":2}"]);
        }
        assert_eq!(texts("{}").unwrap(), ["{}"]);
        assert!(texts("[]").unwrap().is_empty());
    }

    #[test]
    fn what_is_not_json_is_refused() {
        let bad = [
            "",
            " \n",
            "[{}",
            "[{}] x",
            "{}]",
            "{\"a\":NaN}",
            "{\"a\":Infinity}",
            "{'a':1}",
            "{\"a\":01}",
            "{\"a\":1,}",
            "[{},]",
            "{\"a\":\"\u{1}\"}",
            "\u{feff}{}",
            "{\"a\":\"\\x\"}",
        ];
        for body in bad {
            assert_eq!(texts(body).unwrap_err().code, Code::InvalidBody, "{body}");
        }
        let latin = events(b"{\"a\":\"\xe4\"}", &Config::default()).unwrap_err();
        assert_eq!(latin.message, "the body is not UTF-8 at byte 6");
    }

    #[test]
    fn nesting_and_counts_are_limited() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        assert_eq!(texts(&deep).unwrap_err().limit, Some("nesting_max"));
        let brackets = format!("{{\"a\":\"\\\"{}\"}}", "[".repeat(1000));
        assert_eq!(texts(&brackets).unwrap(), [brackets.as_str()]);
        for body in [format!("[{}0]", "0,".repeat(20_000)), "{}\n".repeat(10_001)] {
            assert_eq!(texts(&body).unwrap_err().limit, Some("events_max"));
        }
        let raw: &RawValue = serde_json::from_str("{\"a\":1,\"b\":2}").unwrap();
        assert_eq!(object(raw, "", ("fields_max", 1)).unwrap_err().limit, Some("fields_max"));
        let raw: &RawValue = serde_json::from_str("[1,2]").unwrap();
        assert_eq!(list(raw, "links", ("list_items_max", 1)).unwrap_err().field.unwrap(), "links");
    }

    #[test]
    fn a_key_that_stands_twice_is_refused_however_it_is_spelt() {
        let raw: &RawValue = serde_json::from_str("{\"kind\":1,\"\\u006bind\":2}").unwrap();
        let refusal = object(raw, "", ("fields_max", 9)).unwrap_err();
        assert_eq!(refusal.message, "the event has the key \"kind\" twice");
        let raw: &RawValue = serde_json::from_str("[{\"id\":1,\"id\":2}]").unwrap();
        assert_eq!(
            value(raw, "delegation").unwrap_err().message,
            "delegation is not valid: a key stands twice"
        );
    }
}
