//! A text with parts cut out of it that stand elsewhere, and how to put them back: an HTTP body whose messages are bodies of
//! their own is rebuilt byte for byte. format.md, "Exchanges".

use std::ops::Range;

use serde_json::{Value, json};

/// What is left of a text, and what belongs where. JSON form: `{"rest": text, "parts": [[offset, content], …]}`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    rest: String,
    /// Byte offsets in `rest`, ascending and on character boundaries, and the place of what belongs there among the event's whole contents.
    parts: Vec<(usize, usize)>,
}

impl Cut {
    /// Cuts these stretches out of a text, each with the place of the content that has its bytes. They ascend and do not
    /// overlap; `None` where they don't, or do not lie on character boundaries.
    #[must_use]
    pub fn new(text: &str, stretches: &[(Range<usize>, usize)]) -> Option<Self> {
        let (mut cut, mut from) = (Self::default(), 0);
        for (stretch, content) in stretches {
            cut.rest.push_str(text.get(from..stretch.start)?);
            text.get(stretch.clone())?;
            cut.parts.push((cut.rest.len(), *content));
            from = stretch.end;
        }
        cut.rest.push_str(text.get(from..)?);
        Some(cut)
    }

    /// The text, with every part where it was; `None` where one is not to be had.
    #[must_use]
    pub fn fill<'p>(&self, part: impl Fn(usize) -> Option<&'p [u8]>) -> Option<Vec<u8>> {
        let (mut text, mut from) = (Vec::new(), 0);
        for (offset, content) in &self.parts {
            text.extend_from_slice(self.rest.get(from..*offset)?.as_bytes());
            text.extend_from_slice(part(*content)?);
            from = *offset;
        }
        text.extend_from_slice(self.rest.get(from..)?.as_bytes());
        Some(text)
    }

    /// The same with every stretch between two parts as `map` leaves it; `None` leaves it as it is.
    #[must_use]
    pub fn map_rest(&self, mut map: impl FnMut(&str) -> Option<String>) -> Self {
        let (mut mapped, mut from) = (Self::default(), 0);
        let ends = self.parts.iter().map(|(offset, content)| (*offset, Some(*content)));
        for (end, content) in ends.chain([(self.rest.len(), None)]) {
            let stretch = self.rest.get(from..end).unwrap_or_default();
            match map(stretch) {
                Some(other) => mapped.rest.push_str(&other),
                None => mapped.rest.push_str(stretch),
            }
            mapped.parts.extend(content.map(|content| (mapped.rest.len(), content)));
            from = end;
        }
        mapped
    }

    /// The JSON form.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({ "rest": self.rest, "parts": self.parts })
    }

    /// Reads the JSON form.
    #[must_use]
    pub fn from_json(value: &Value) -> Option<Self> {
        let place = |value: &Value| usize::try_from(value.as_u64()?).ok();
        let part = |value: &Value| match value.as_array()?.as_slice() {
            [offset, content] => Some((place(offset)?, place(content)?)),
            _ => None,
        };
        let rest = value.get("rest")?.as_str()?.to_owned();
        let parts: Option<Vec<_>> = value.get("parts")?.as_array()?.iter().map(part).collect();
        let parts = parts?;
        let ascends = parts.windows(2).all(|pair| matches!(pair, [(a, _), (b, _)] if a <= b));
        let fits = parts.iter().all(|(offset, _)| rest.is_char_boundary(*offset));
        (ascends && fits).then_some(Self { rest, parts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cut_out_is_put_back() {
        let text = r#"{"a":"ä","messages":[{"x":1},{"y":2}],"b":0}"#;
        let range = |part: &str| {
            let start = text.find(part).unwrap();
            start..start + part.len()
        };
        let parts = [r#"{"x":1}"#, r#"{"y":2}"#];
        let stretches = [(range(parts[0]), 3), (range(parts[1]), 4)];
        let cut = Cut::new(text, &stretches).unwrap();
        let cut = Cut::from_json(&serde_json::from_str(&cut.to_json().to_string()).unwrap());
        let part = |index: usize| parts.get(index.checked_sub(3)?).map(|part| part.as_bytes());
        assert_eq!(cut.unwrap().fill(part).unwrap(), text.as_bytes());
    }

    #[test]
    fn what_stands_between_the_parts_can_change() {
        let cut = Cut::new("aa-X-bb-Y", &[(3..4, 1), (8..9, 2)]).unwrap();
        let cut = cut.map_rest(|text| text.contains('a').then(|| "longer".to_owned()));
        let part = |index: usize| [&b""[..], b"X", b"Y"].get(index).copied();
        assert_eq!(cut.fill(part).unwrap(), b"longerX-bb-Y");
    }

    #[test]
    fn what_does_not_fit_is_no_cut() {
        assert_eq!(Cut::new("ä", &[(1..2, 0)]), None);
        assert_eq!(Cut::new("abc", &[(1..2, 0), (0..1, 1)]), None);
        for json in [
            r#"{"rest":"a","parts":[[2,0]]}"#,
            r#"{"rest":"ab","parts":[[2,0],[1,0]]}"#,
            r#"{"rest":"a","parts":[[0]]}"#,
            r#"{"rest":1,"parts":[]}"#,
        ] {
            assert_eq!(Cut::from_json(&serde_json::from_str(json).unwrap()), None, "{json}");
        }
        assert_eq!(Cut::new("a", &[(0..1, 7)]).unwrap().fill(|_| None), None);
    }
}
