//! One rule and one text, or one JSON text: what it finds there, and what it leaves.

use std::ops::Range;

use ring::hmac;
use serde_json::Value;

use super::detect::Detector;
use super::json::{self, Token};
use super::path::Path;
use super::rules::{Action, Place, Rule, What};
use super::string::Text;

/// Bytes of an HMAC that stand for a value: no two values of a deployment have the same.
const HASH_BYTES: usize = 16;
/// Findings that are shown of one rule in one place.
const SHOWN_MAX: usize = 8;
/// Characters of a finding that are shown, and what part of it that may be at most.
const SHOWN_CHARS: usize = 4;
const SHOWN_PART: usize = 4;

/// What a rule found in one place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Findings {
    pub(super) count: u64,
    pub(super) shown: Vec<Shown>,
}

/// A finding as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its first characters and its length.
    pub before: String,
    /// What stands there now.
    pub after: String,
}

impl Findings {
    pub(super) fn add(&mut self, found: &[u8], after: &str) {
        self.count += 1;
        if self.shown.len() < SHOWN_MAX {
            self.shown.push(Shown { before: shape(found), after: after.to_owned() });
        }
    }
}

impl Rule {
    /// Whether it may find something in these bytes. Cheap where it looks for keys and tokens.
    pub(super) fn sniffs(&self, data: &[u8]) -> bool {
        match &self.what {
            What::Detected(detectors) => detectors.iter().any(|detector| detector.sniffs(data)),
            What::Whole | What::Pattern(_) => true,
        }
    }

    /// Whether it looks for keys and tokens.
    pub(super) fn finds_keys(&self) -> bool {
        matches!(&self.what, What::Detected(detectors) if detectors.contains(&Detector::ApiKeys))
    }

    /// Applies itself to a text that is not JSON; what is left of it, if it found anything.
    pub(super) fn text(&self, text: &[u8], findings: &mut Findings) -> Option<Vec<u8>> {
        if let What::Whole = self.what {
            let (left, shown) = match self.left(text) {
                Some(marker) => (marker.clone().into_bytes(), marker),
                None => (Vec::new(), String::new()),
            };
            findings.add(text, &shown);
            return Some(left);
        }
        let found = self.find(text);
        if found.is_empty() {
            return None;
        }
        let mut edits = Vec::with_capacity(found.len());
        for place in found {
            let was = text.get(place.clone()).unwrap_or_default();
            let marker = self.left(was);
            findings.add(was, marker.as_deref().unwrap_or_default());
            match marker {
                Some(marker) => edits.push((place, marker.into_bytes())),
                None => return Some(Vec::new()),
            }
        }
        Some(edited(text, &edits))
    }

    /// Applies itself to JSON, at the path where it has one.
    pub(super) fn json(&self, data: &[u8], findings: &mut Findings) -> Option<Vec<u8>> {
        match &self.place {
            Place::Anywhere => self.json_anywhere(data, findings),
            Place::Path(path) | Place::Field(_, path) => self.json_at(path, data, findings),
        }
    }

    /// As [`Self::json`], wherever it looks otherwise.
    pub(super) fn json_anywhere(&self, data: &[u8], findings: &mut Findings) -> Option<Vec<u8>> {
        if let What::Whole = self.what {
            return Some(self.value(data, findings));
        }
        let mut edits = Vec::new();
        json::tokens(data, |token| self.token(data, &token, &mut edits, findings));
        (!edits.is_empty()).then(|| edited(data, &edits))
    }

    fn json_at(&self, path: &Path, data: &[u8], findings: &mut Findings) -> Option<Vec<u8>> {
        let mut edits = Vec::new();
        json::values(data, path, |place| {
            let value = data.get(place.clone()).unwrap_or_default();
            if let What::Whole = self.what {
                edits.push((place, self.value(value, findings)));
            } else if let Some(left) = self.json_anywhere(value, findings) {
                edits.push((place, left));
            }
        });
        (!edits.is_empty()).then(|| edited(data, &edits))
    }

    /// What stands in place of a whole JSON value.
    fn value(&self, value: &[u8], findings: &mut Findings) -> Vec<u8> {
        let inner = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
        let text = Text::read(inner.unwrap_or(value));
        let text = if inner.is_some() { &*text.text } else { value };
        let left = self.left(text);
        findings.add(text, left.as_deref().unwrap_or("null"));
        left.map_or_else(|| b"null".to_vec(), |marker| format!("\"{marker}\"").into_bytes())
    }

    fn token(
        &self,
        data: &[u8],
        token: &Token,
        edits: &mut Vec<(Range<usize>, Vec<u8>)>,
        findings: &mut Findings,
    ) {
        let raw = data.get(token.place.clone()).unwrap_or_default();
        let text = Text::read(raw);
        let found = self.find(&text.text);
        let start = token.place.start;
        for place in found {
            let was = text.text.get(place.clone()).unwrap_or_default();
            let marker = match (self.left(was), token.what) {
                (Some(marker), _) => Some(marker),
                // An object's key cannot be null.
                (None, json::What::Key) => Some(self.marker()),
                (None, _) => None,
            };
            findings.add(was, marker.as_deref().unwrap_or("null"));
            match (marker, token.what) {
                (Some(marker), json::What::Number) => {
                    return edits.push((token.place.clone(), format!("\"{marker}\"").into_bytes()));
                }
                (Some(marker), _) => {
                    let place = text.place(&place);
                    edits.push((start + place.start..start + place.end, marker.into_bytes()));
                }
                (None, json::What::Number) => {
                    return edits.push((token.place.clone(), b"null".to_vec()));
                }
                (None, _) => {
                    // Findings before this one are of the same string: there are none, as each ends it.
                    let whole = start.saturating_sub(1)..(token.place.end + 1).min(data.len());
                    return edits.push((whole, b"null".to_vec()));
                }
            }
        }
    }

    /// Where in a text it finds what it looks for, in order and apart from each other.
    pub(super) fn find(&self, text: &[u8]) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = match &self.what {
            What::Whole => return Vec::new(),
            What::Pattern(pattern) => pattern.find_iter(text).map(|found| found.range()).collect(),
            What::Detected(detectors) => {
                detectors.iter().flat_map(|detector| detector.find(text)).collect()
            }
        };
        found.retain(|place| !place.is_empty());
        if let Some(markers) = self.markers.as_ref().filter(|_| !found.is_empty()) {
            let markers: Vec<_> = markers.find_iter(text).map(|marker| marker.range()).collect();
            let is_within = |place: &Range<usize>| {
                let after = markers.partition_point(|marker| marker.start <= place.start);
                let marker = after.checked_sub(1).and_then(|before| markers.get(before));
                marker.is_some_and(|marker| place.end <= marker.end)
            };
            found.retain(|place| !is_within(place));
        }
        found.sort_by_key(|place| (place.start, std::cmp::Reverse(place.end)));
        // Of two detectors' findings that overlap, both go: as one.
        let mut apart: Vec<Range<usize>> = Vec::with_capacity(found.len());
        for place in found {
            match apart.last_mut() {
                Some(last) if place.start < last.end => last.end = last.end.max(place.end),
                _ => apart.push(place),
            }
        }
        apart
    }

    /// What stands in place of this; nothing where it is dropped.
    pub(super) fn left(&self, was: &[u8]) -> Option<String> {
        match &self.action {
            Action::Mask => Some(self.marker()),
            Action::Drop => None,
            Action::Hash(key) => {
                let tag = hmac::sign(key, was);
                let hex = tag.as_ref().iter().take(HASH_BYTES).map(|byte| format!("{byte:02x}"));
                Some(format!("[hashed:{}:{}]", self.name, hex.collect::<String>()))
            }
        }
    }

    fn marker(&self) -> String {
        format!("[redacted:{}]", self.name)
    }

    /// Applies itself to every string in a value, and to the value itself where it wants all of it.
    pub(super) fn strings(&self, value: &mut Value, findings: &mut Findings) {
        match value {
            Value::String(text) => {
                if let Some(left) = self.text(text.as_bytes(), findings) {
                    *text = String::from_utf8_lossy(&left).into_owned();
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.strings(item, findings)),
            Value::Object(fields) => {
                fields.values_mut().for_each(|value| self.strings(value, findings));
            }
            _ => {}
        }
    }
}

/// The data with these stretches, which ascend and do not overlap, replaced.
fn edited(data: &[u8], edits: &[(Range<usize>, Vec<u8>)]) -> Vec<u8> {
    let (mut out, mut from) = (Vec::with_capacity(data.len()), 0);
    for (place, with) in edits {
        out.extend_from_slice(data.get(from..place.start).unwrap_or_default());
        out.extend_from_slice(with);
        from = place.end;
    }
    out.extend_from_slice(data.get(from..).unwrap_or_default());
    out
}

/// Enough to recognise what was found, and not to use it.
fn shape(found: &[u8]) -> String {
    let text = String::from_utf8_lossy(found);
    let length = text.chars().count();
    let start: String = text.chars().take(SHOWN_CHARS.min(length / SHOWN_PART)).collect();
    format!("{start}… ({length} characters)")
}
