//! Texts that repeat what was sent before: a request with its whole history, a state with all messages. What their lists hold
//! becomes contents, so that it is stored once; the text stays an attribute, with the places where they belong.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::Reading;
use super::message::members;
use crate::happening::Content;

/// Bytes that a text has that is cut.
const TEXT_BYTES_MIN: usize = 1024;
/// Bytes that an item of a list has that is cut out.
const ITEM_BYTES_MIN: usize = 64;
/// Bytes that another value has that is cut out.
const VALUE_BYTES_MIN: usize = 256;

impl Reading<'_> {
    /// Cuts a text that stays, if it is long.
    pub(super) fn cut(&mut self, key: &str) {
        if self.attributes.text(key).is_none_or(|text| text.len() < TEXT_BYTES_MIN) {
            return;
        }
        let Some(text) = self.attributes.share(key) else { return };
        let stretches = stretches(&text).unwrap_or_default();
        if stretches.len() <= self.room() {
            let part =
                |part: &RawValue| Content::json("", "raw", text.slice_ref(part.get().as_bytes()));
            self.parts.extend(stretches.into_iter().map(part));
        }
    }
}

/// What can be cut out of a JSON text, in its order.
fn stretches(text: &[u8]) -> Option<Vec<&RawValue>> {
    let values: Vec<&RawValue> = match text.first()? {
        b'{' => members(text)?.into_iter().map(|(_, value)| value).collect(),
        _ => vec![serde_json::from_slice(text).ok()?],
    };
    let mut stretches = Vec::new();
    for value in values {
        match items(value) {
            Some(items) => {
                stretches.extend(items.into_iter().filter(|it| it.get().len() >= ITEM_BYTES_MIN));
            }
            None if value.get().len() >= VALUE_BYTES_MIN => stretches.push(value),
            None => {}
        }
    }
    Some(stretches)
}

/// The items of a list, or of the one list in it.
fn items(value: &RawValue) -> Option<Vec<&RawValue>> {
    let items: Vec<&RawValue> =
        value.get().starts_with('[').then(|| serde_json::from_str(value.get()).ok()).flatten()?;
    match items.as_slice() {
        [batch] if batch.get().starts_with('[') => serde_json::from_str(batch.get()).ok(),
        _ => Some(items),
    }
}

/// Where in an object's text its messages are, and whether it has anything else.
pub(super) fn messages(text: &[u8]) -> Option<(Vec<&RawValue>, bool)> {
    let members = members(text)?;
    let named = |(key, _): &&(Cow<'_, str>, &RawValue)| key == "messages";
    let (_, list) = members.iter().find(named)?;
    Some((items(list)?, members.len() > 1))
}
