//! Values of attributes as JSON text that keeps their types: an integer has no fraction, a double always has one.
//!
//! What JSON has no word for is an object with one key: `{"$double":"NaN"}`, `{"$bytes":"<base64>"}`; so is a text of which parts
//! are contents, `{"$cut":{"rest":"…","parts":[…]}}`. A map that looks like one has another `$` before its key.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};

/// Keys that stand for a type.
const TYPES: [&str; 4] = ["double", "bytes", "strindex", "cut"];

/// Appends the JSON text of a value. [`depth`] has bounded how deep it goes.
pub(crate) fn write(value: Option<&Value>, out: &mut Vec<u8>) {
    match value {
        None => out.extend_from_slice(b"null"),
        Some(Value::StringValue(text)) => write_string(text, out),
        Some(Value::BoolValue(flag)) => json(flag, out),
        Some(Value::IntValue(number)) => json(number, out),
        Some(Value::DoubleValue(number)) if number.is_finite() => json(number, out),
        Some(Value::DoubleValue(number)) => typed("$double", &non_finite(*number), out),
        Some(Value::BytesValue(bytes)) => typed("$bytes", &STANDARD.encode(bytes), out),
        Some(Value::StringValueStrindex(index)) => typed("$strindex", index, out),
        Some(Value::ArrayValue(list)) => {
            out.push(b'[');
            for (index, item) in list.values.iter().enumerate() {
                comma(index, out);
                write(item.value.as_ref(), out);
            }
            out.push(b']');
        }
        Some(Value::KvlistValue(map)) => write_map(&map.values, out),
    }
}

fn write_map(entries: &[KeyValue], out: &mut Vec<u8>) {
    out.push(b'{');
    let alone = entries.len() == 1;
    for (index, entry) in entries.iter().enumerate() {
        comma(index, out);
        let plain = entry.key.trim_start_matches('$');
        if alone && plain.len() < entry.key.len() && TYPES.contains(&plain) {
            write_string(&format!("${}", entry.key), out);
        } else {
            write_string(&entry.key, out);
        }
        out.push(b':');
        write(value_of(entry.value.as_ref()), out);
    }
    out.push(b'}');
}

/// Appends a JSON string.
pub(crate) fn write_string(text: &str, out: &mut Vec<u8>) {
    json(text, out);
}

/// Appends `"key":`, after a comma where something of the object stands already.
pub(super) fn write_key(key: &str, out: &mut Vec<u8>) {
    if !out.ends_with(b"{") {
        out.push(b',');
    }
    write_string(key, out);
    out.push(b':');
}

/// Appends what always can be written as JSON.
pub(super) fn json<T: serde::Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).unwrap_or_default();
}

/// The value in an `AnyValue`, which may have none.
pub(super) fn value_of(value: Option<&AnyValue>) -> Option<&Value> {
    value.and_then(|value| value.value.as_ref())
}

/// Whether lists and maps in a value go no deeper than `max`.
pub(super) fn is_shallow(value: Option<&Value>, max: usize) -> bool {
    let within = |value| max > 0 && is_shallow(value, max - 1);
    match value {
        Some(Value::ArrayValue(list)) => list.values.iter().all(|item| within(item.value.as_ref())),
        Some(Value::KvlistValue(map)) => {
            map.values.iter().all(|entry| within(value_of(entry.value.as_ref())))
        }
        _ => true,
    }
}

pub(super) fn typed<T: serde::Serialize + ?Sized>(key: &str, value: &T, out: &mut Vec<u8>) {
    out.push(b'{');
    write_key(key, out);
    json(value, out);
    out.push(b'}');
}

fn comma(index: usize, out: &mut Vec<u8>) {
    if index > 0 {
        out.push(b',');
    }
}

fn non_finite(number: f64) -> &'static str {
    match number {
        _ if number.is_nan() => "NaN",
        _ if number > 0.0 => "Infinity",
        _ => "-Infinity",
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::{ArrayValue, KeyValueList};

    use super::*;

    fn text(value: Value) -> String {
        let mut out = Vec::new();
        write(Some(&value), &mut out);
        String::from_utf8(out).unwrap()
    }

    fn map(key: &str, value: Value) -> Value {
        let value = Some(AnyValue { value: Some(value) });
        let entry = KeyValue { key: key.to_owned(), value, ..KeyValue::default() };
        Value::KvlistValue(KeyValueList { values: vec![entry] })
    }

    #[test]
    fn a_value_keeps_its_type() {
        for (value, expected) in [
            (Value::StringValue("ä\n\0".into()), r#""ä\n\u0000""#),
            (Value::IntValue(i64::MIN), "-9223372036854775808"),
            (Value::DoubleValue(1.0), "1.0"),
            (Value::DoubleValue(-0.0), "-0.0"),
            (Value::DoubleValue(1e300), "1e+300"),
            (Value::DoubleValue(f64::NAN), r#"{"$double":"NaN"}"#),
            (Value::DoubleValue(f64::NEG_INFINITY), r#"{"$double":"-Infinity"}"#),
            (Value::BytesValue(vec![0, 255]), r#"{"$bytes":"AP8="}"#),
            (Value::StringValueStrindex(7), r#"{"$strindex":7}"#),
            (Value::ArrayValue(ArrayValue::default()), "[]"),
            (map("a", Value::BoolValue(true)), r#"{"a":true}"#),
        ] {
            assert_eq!(text(value), expected);
        }
    }

    #[test]
    fn a_map_that_looks_like_a_type_is_told_apart_from_it() {
        let value = || Value::StringValue("NaN".into());
        assert_eq!(text(map("$double", value())), r#"{"$$double":"NaN"}"#);
        assert_eq!(text(map("$$bytes", value())), r#"{"$$$bytes":"NaN"}"#);
        assert_eq!(text(map("$ref", value())), r#"{"$ref":"NaN"}"#);
    }

    #[test]
    fn depth_counts_lists_and_maps() {
        let deep = (0..3).fold(Value::IntValue(1), |value, _| map("a", value));
        assert!(is_shallow(Some(&deep), 3));
        assert!(!is_shallow(Some(&deep), 2));
    }
}
