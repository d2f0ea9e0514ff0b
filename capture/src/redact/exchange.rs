//! Contents that hold the rest of an exchange, or of a span's attributes: texts with parts cut out of them that are contents of
//! their own, and hashes and copies of bodies, in which a finding may hide.

use schemas::Cut;
use serde_json::{Map, Value};

use super::rules::{Place, Rule, What};
use super::text::Findings;

/// Kinds of such contents.
const KINDS: [&str; 2] = ["http", "jsonrpc"];
/// How an attribute is written that was cut.
const CUT: &[u8] = b"{\"$cut\":{";
/// Bytes from the name of a body's encoding to the end of the content.
const ENCODING_BYTES_MAX: usize = 256;
const ENCODING: &[u8] = b"\"encoding\"";
/// How deep such a content is followed.
const DEPTH_MAX: usize = 16;

/// Whether it is such a content.
pub(super) fn is_rest(kind: &str, data: &[u8]) -> bool {
    KINDS.contains(&kind)
        || (kind == "attributes" && data.windows(CUT.len()).any(|window| window == CUT))
}

/// Which contents were cut out of which attribute, by such a content of attributes.
pub(super) fn parts(data: &[u8]) -> Vec<(usize, String)> {
    let value: Value = serde_json::from_slice(data).unwrap_or_default();
    let attributes = value.get("attributes").and_then(Value::as_object).into_iter().flatten();
    let cut = |value: &'_ Value| value.get("$cut")?.get("parts")?.as_array().cloned();
    let place = |part: &Value| usize::try_from(part.get(1)?.as_u64()?).ok();
    attributes
        .filter_map(|(key, value)| Some((key, cut(value)?)))
        .flat_map(|(key, parts)| {
            let places: Vec<usize> = parts.iter().filter_map(place).collect();
            places.into_iter().map(move |place| (place, key.clone()))
        })
        .collect()
}

/// Applies a rule to such a content; what is left of it, if the rule found anything. `None` too where it is none.
pub(super) fn redact(rule: &Rule, data: &[u8], findings: &mut Findings) -> Option<Option<Vec<u8>>> {
    if matches!(rule.what, What::Whole) {
        return None;
    }
    let mut value: Value = serde_json::from_slice(data).ok()?;
    let before = findings.clone();
    let wanted = match &rule.place {
        Place::Anywhere => &mut value,
        Place::Field(name, _) => {
            value.get_mut("attributes")?.get_mut(name).filter(|it| it.get("$cut").is_some())?
        }
        Place::Path(_) => return None,
    };
    if visit(rule, wanted, findings, 0).is_none() {
        *findings = before;
        return None;
    }
    let text = value.to_string().into_bytes();
    if !matches!(rule.place, Place::Anywhere) {
        return Some((findings.count > before.count).then_some(text));
    }
    // Whoever writes such a content itself may have something in a key or a number.
    let left = rule.json(&text, findings);
    Some((findings.count > before.count).then(|| left.unwrap_or(text)))
}

/// `None` where it is not as such a content is.
fn visit(rule: &Rule, value: &mut Value, findings: &mut Findings, depth: usize) -> Option<()> {
    if depth > DEPTH_MAX {
        return None;
    }
    let is_cut = |fields: &Map<String, Value>| {
        fields.len() == 2 && fields.contains_key("rest") && fields.contains_key("parts")
    };
    if value.as_object().is_some_and(is_cut) {
        let cut = Cut::from_json(value)?;
        let cut = cut.map_rest(|piece| {
            let left = rule.json_anywhere(piece.as_bytes(), findings);
            left.map(|left| String::from_utf8_lossy(&left).into_owned())
        });
        *value = cut.to_json();
        return Some(());
    }
    match value {
        Value::Array(items) => {
            items.iter_mut().try_for_each(|item| visit(rule, item, findings, depth + 1))
        }
        Value::Object(fields) => {
            fields.values_mut().try_for_each(|value| visit(rule, value, findings, depth + 1))
        }
        leaf => {
            rule.strings(leaf, findings);
            Some(())
        }
    }
}

/// Which content is a body as it went over the wire, and in which encoding, by a content of kind `http`.
pub(super) fn encoded(data: &[u8]) -> Option<(usize, String)> {
    // It is the last thing that is said of a body: most need not be read.
    let tail = data.get(data.len().saturating_sub(ENCODING_BYTES_MAX)..)?;
    tail.windows(ENCODING.len()).any(|window| window == ENCODING).then_some(())?;
    let value: Value = serde_json::from_slice(data).ok()?;
    let body = value.get("body")?;
    let place = usize::try_from(body.get("content")?.as_u64()?).ok()?;
    Some((place, body.get("encoding")?.as_str()?.to_owned()))
}

/// Takes away what says more of a body than its contents do, in a content of kind `http`; which contents go with it.
pub(super) fn forget(data: &[u8]) -> Option<(Vec<u8>, Option<usize>)> {
    let mut value: Value = serde_json::from_slice(data).ok()?;
    let body = value.get_mut("body")?.as_object_mut()?;
    body.insert("sha256".to_owned(), Value::Null);
    let mut dropped = body.get("zstd").cloned();
    if body.contains_key("encoding") {
        dropped = dropped.or_else(|| body.get("content").cloned());
    }
    let place = dropped.and_then(|place| usize::try_from(place.as_u64()?).ok());
    if place.is_some() {
        body.remove("zstd");
        body.remove("content");
        body.insert("dropped".to_owned(), "redaction".into());
    }
    Some((value.to_string().into_bytes(), place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_and_copies_of_a_body_are_forgotten() {
        let (text, place) =
            forget(br#"{"status":200,"body":{"size":9,"sha256":"ab","zstd":3}}"#).unwrap();
        assert_eq!(
            text,
            br#"{"status":200,"body":{"size":9,"sha256":null,"dropped":"redaction"}}"#
        );
        assert_eq!(place, Some(3));
        let coded = br#"{"body":{"size":9,"sha256":"ab","content":2,"encoding":"gzip"}}"#;
        assert_eq!(forget(coded).unwrap().1, Some(2));
        let (text, place) = forget(br#"{"body":{"sha256":"ab","content":2}}"#).unwrap();
        assert_eq!((&*text, place), (&br#"{"body":{"sha256":null,"content":2}}"#[..], None));
        assert_eq!(forget(b"{}"), None);
    }
}
