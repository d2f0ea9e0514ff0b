//! JSON text taken apart without reading it: strings and numbers wherever they stand, and the values that a path leads to.
//!
//! It takes any bytes, and needs no more memory than its depth: what is no JSON has no sure values, but its strings are found.

use std::ops::Range;

use super::path::{Path, Reached, Way};
use super::string::Text;

/// Depth to which a path is followed. A value below is taken for one that the path leads to: what cannot be looked into is
/// not to be kept.
const DEPTH_MAX: usize = 1024;

/// A string or a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) what: What,
    /// Without quotes.
    pub(super) place: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Key,
    Text,
    Number,
}

/// Finds all strings and numbers.
pub(super) fn tokens(json: &[u8], mut found: impl FnMut(Token)) {
    let mut at = 0;
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => {
                let place = at + 1..string_end(json, at + 1);
                at = place.end + 1;
                let what = if is_key(json, at) { What::Key } else { What::Text };
                found(Token { what, place });
            }
            b'-' | b'0'..=b'9' => {
                let end = run(json, at, |byte| {
                    matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')
                });
                found(Token { what: What::Number, place: at..end });
                at = end;
            }
            _ => at += 1,
        }
    }
}

/// Finds the values that a path leads to, whole; what is in one of them is not looked at again.
pub(super) fn values(json: &[u8], path: &Path, mut found: impl FnMut(Range<usize>)) {
    let mut around: Vec<Around> = Vec::new();
    let mut at = 0;
    while let Some(byte) = json.get(at) {
        match byte {
            b',' => {
                if let Some(around) = around.last_mut() {
                    around.goes_on();
                }
                at += 1;
            }
            b'}' | b']' => {
                around.pop();
                at += 1;
            }
            b':' | b' ' | b'\t' | b'\n' | b'\r' => at += 1,
            b'"' if around.last().is_some_and(Around::wants_key) => {
                let place = at + 1..string_end(json, at + 1);
                at = place.end + 1;
                let key = Text::read(json.get(place).unwrap_or_default());
                if let Some(around) = around.last_mut() {
                    around.next = Next::Member(path.step(around.reached, Way::Member(&key.text)));
                }
            }
            _ => {
                let reached = around.last().map_or(Path::root(), |around| around.value(path));
                let is_open = matches!(byte, b'{' | b'[');
                let is_end = path.is_end(reached);
                if is_open && !is_end && !reached.is_dead() && around.len() < DEPTH_MAX {
                    let next = if *byte == b'{' { Next::Key } else { Next::Item(0) };
                    around.push(Around { reached, next });
                    at += 1;
                    continue;
                }
                let end = value_end(json, at);
                if is_end || (is_open && !reached.is_dead()) {
                    found(at..end);
                }
                at = end;
            }
        }
    }
}

/// The array or object around what comes.
struct Around {
    reached: Reached,
    next: Next,
}

enum Next {
    Key,
    /// The value of a key that leads so far.
    Member(Reached),
    Item(usize),
}

impl Around {
    fn wants_key(&self) -> bool {
        matches!(self.next, Next::Key)
    }

    fn goes_on(&mut self) {
        self.next = match self.next {
            Next::Item(index) => Next::Item(index.saturating_add(1)),
            _ => Next::Key,
        };
    }

    fn value(&self, path: &Path) -> Reached {
        match self.next {
            Next::Member(reached) => reached,
            Next::Item(index) => path.step(self.reached, Way::Item(index)),
            // No key stands before it: no path leads there.
            Next::Key => path.step(self.reached, Way::Item(usize::MAX)),
        }
    }
}

/// Where the value that begins here ends; always beyond its first byte.
fn value_end(json: &[u8], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0_usize);
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => at = string_end(json, at + 1) + 1,
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            _ if depth > 0 => at += 1,
            _ => {
                let is_part = |byte| {
                    !matches!(
                        byte,
                        b',' | b':'
                            | b'}'
                            | b']'
                            | b'{'
                            | b'['
                            | b'"'
                            | b' '
                            | b'\t'
                            | b'\n'
                            | b'\r'
                    )
                };
                at = run(json, at, is_part).max(at + 1);
            }
        }
        if depth == 0 {
            break;
        }
    }
    at.min(json.len())
}

/// Where the string's closing quote is, or else the end.
fn string_end(json: &[u8], mut at: usize) -> usize {
    loop {
        at = run(json, at, |byte| byte != b'"' && byte != b'\\');
        match json.get(at) {
            Some(b'\\') => at += 2,
            _ => return at.min(json.len()),
        }
    }
}

fn is_key(json: &[u8], at: usize) -> bool {
    let colon = run(json, at, |byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
    json.get(colon) == Some(&b':')
}

/// Where bytes of this sort end.
fn run(json: &[u8], at: usize, is_part: impl Fn(u8) -> bool) -> usize {
    let rest = json.get(at..).unwrap_or_default();
    at + rest.iter().position(|byte| !is_part(*byte)).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn at(path: &str, json: &str) -> Vec<String> {
        let mut all = Vec::new();
        values(json.as_bytes(), &path.parse().unwrap(), |place| all.push(json[place].to_owned()));
        all
    }

    #[test]
    fn values_are_found_whole() {
        let json = r#" {"a": {"b":[1, {"c":"x\"}"}, -2.5e3 ]}, "\u0061":{"b":null} } "#;
        assert_eq!(at("$.a.b", json), [r#"[1, {"c":"x\"}"}, -2.5e3 ]"#, "null"]);
        assert_eq!(at("$.a.b[*]", json), ["1", r#"{"c":"x\"}"}"#, "-2.5e3"]);
        assert_eq!(at("$..c", json), [r#""x\"}""#]);
        assert_eq!(at("$.a.b[1].c", json), [r#""x\"}""#]);
        assert_eq!(at("$", "5 [1]"), ["5", "[1]"]);
    }

    #[test]
    fn what_is_too_deep_to_look_into_is_taken_whole() {
        let deep = format!("{}{{\"a\":1}}{}", "[".repeat(2000), "]".repeat(2000));
        let found = at("$..a", &deep);
        assert_eq!((found.len(), found[0].len()), (1, deep.len() - 2 * DEPTH_MAX));
        assert_eq!(at("$.b", &"[".repeat(1 << 20)), [""; 0]);
    }

    #[test]
    fn strings_are_found_in_what_is_no_json() {
        let mut all = Vec::new();
        let text = br#"x{"k" :"v",-1.5e+3,"end"#;
        tokens(text, |token| all.push((token.what, &text[token.place])));
        let expected = [
            (What::Key, &b"k"[..]),
            (What::Text, b"v"),
            (What::Number, b"-1.5e+3"),
            (What::Text, b"end"),
        ];
        assert_eq!(all, expected);
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            (-9_i8..9).prop_map(|n| Value::from(f64::from(n) / 4.0)),
            "[ab\"\\\\{}\\[\\],:\u{e4}]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec(("[abc]", inner), 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    fn deep(value: &Value, name: &str, to: &mut Vec<Value>) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| deep(item, name, to)),
            Value::Object(fields) => {
                for (key, value) in fields {
                    if key == name { to.push(value.clone()) } else { deep(value, name, to) }
                }
            }
            _ => {}
        }
    }

    proptest! {
        #[test]
        fn a_path_finds_what_a_reader_of_json_finds(value in json(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            let parsed = |text: &String| serde_json::from_str::<Value>(text).unwrap();
            let mut expected = Vec::new();
            deep(&value, "a", &mut expected);
            let found: Vec<Value> = at("$..a", &text).iter().map(parsed).collect();
            prop_assert_eq!(format!("{found:?}"), format!("{expected:?}"));
            let member = value.get("a").and_then(|a| a.get(0)).cloned();
            let found: Vec<Value> = at("$.a[0]", &text).iter().map(parsed).collect();
            prop_assert_eq!(format!("{found:?}"), format!("{:?}", member.into_iter().collect::<Vec<_>>()));
        }

        #[test]
        fn no_bytes_break_it(json in prop::collection::vec(prop::sample::select(b"{}[]\",:\\ a1-".to_vec()), 0..60)) {
            let mut last = 0;
            values(&json, &"$..a".parse().unwrap(), |place| { assert!(last <= place.start && place.start < place.end); last = place.end; });
            assert!(last <= json.len());
            let mut last = 0;
            tokens(&json, |token| { assert!(last <= token.place.start && token.place.start <= token.place.end); last = token.place.end; });
            assert!(last <= json.len());
        }
    }
}
