//! CORE. What changed between two values, field by field.

use serde_json::Value;

/// Most fields that one diff lists.
pub const FIELDS_MAX: usize = 1000;

/// A field that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldChange {
    /// RFC 6901 pointer below the value that was compared.
    pub path: String,
    /// Before, as JSON or text; `None` where it was not there.
    pub before: Option<String>,
    /// After.
    pub after: Option<String>,
}

/// Compares two bodies: as JSON where both are, as a whole otherwise.
pub(crate) fn between(before: Option<&[u8]>, after: Option<&[u8]>) -> Vec<FieldChange> {
    let json = |bytes: Option<&[u8]>| bytes.map(serde_json::from_slice::<Value>).transpose().ok();
    let mut changes = Vec::new();
    match (json(before), json(after)) {
        (Some(before), Some(after)) => {
            fields(String::new(), before.as_ref(), after.as_ref(), &mut changes);
        }
        _ => {
            let text =
                |bytes: Option<&[u8]>| bytes.map(|b| String::from_utf8_lossy(b).into_owned());
            let (before, after) = (text(before), text(after));
            if before != after {
                changes.push(FieldChange { path: String::new(), before, after });
            }
        }
    }
    changes
}

/// Parsed JSON is at most 128 levels deep, and so is this.
fn fields(path: String, before: Option<&Value>, after: Option<&Value>, out: &mut Vec<FieldChange>) {
    if before == after || out.len() >= FIELDS_MAX {
        return;
    }
    match (before, after) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let added = b.keys().filter(|key| !a.contains_key(*key));
            for key in a.keys().chain(added) {
                let step = key.replace('~', "~0").replace('/', "~1");
                fields(format!("{path}/{step}"), a.get(key), b.get(key), out);
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            for index in 0..a.len().max(b.len()) {
                fields(format!("{path}/{index}"), a.get(index), b.get(index), out);
            }
        }
        (before, after) => {
            let text = |value: Option<&Value>| value.map(Value::to_string);
            out.push(FieldChange { path, before: text(before), after: text(after) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_deep_inside_is_one_line() {
        let found = between(
            Some(br#"{"a":{"b/c":[1,2]},"same":true}"#),
            Some(br#"{"a":{"b/c":[1,3]},"same":true,"new":null}"#),
        );
        let change = |path: &str, before: Option<&str>, after: Option<&str>| FieldChange {
            path: path.to_owned(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        };
        let expected =
            [change("/a/b~1c/1", Some("2"), Some("3")), change("/new", None, Some("null"))];
        assert_eq!(found, expected);
    }

    #[test]
    fn text_is_compared_as_a_whole() {
        assert_eq!(between(Some(b"one"), Some(b"two")).len(), 1);
        assert_eq!(between(Some(b"one"), Some(b"one")), []);
    }
}
