//! Retrieved documents: each is a content, and a line of the envelope names it.

use std::borrow::Cow;

use schemas::Retrieval;
use serde::Deserialize;
use serde_json::Number;
use serde_json::value::RawValue;

use super::Reading;
use crate::happening::{Content, Slot, is_name};

/// Bytes of names of documents that the envelope lists: it has room for 1 MiB in all.
const NAMES_BYTES_MAX: usize = 64 << 10;

/// What documents are known to say of themselves.
#[derive(Default, Deserialize)]
struct Document<'a> {
    #[serde(borrow, alias = "document_id", alias = "document.id")]
    id: Option<&'a RawValue>,
    #[serde(alias = "document.score")]
    score: Option<Number>,
    #[serde(borrow)]
    version: Option<&'a RawValue>,
    #[serde(borrow)]
    document: Option<&'a RawValue>,
}

impl Reading<'_> {
    /// Adds a document, JSON or text, from this source.
    pub(super) fn document(&mut self, source: &str, content: Content) {
        let (id, score, version) = said(&content.data);
        let place = self.output.len();
        self.output.push(content);
        let index = self.envelope.retrievals.len();
        let named = [Some(source), id.as_deref(), version.as_deref()];
        let bytes = named.into_iter().flatten().map(str::len).sum::<usize>();
        if index < self.limits.list_items_max && self.named_bytes + bytes <= NAMES_BYTES_MAX {
            self.named_bytes += bytes;
            let retrieval = Retrieval {
                source: source.to_owned().into(),
                document_id: id.unwrap_or_default().into(),
                version: version.map(Into::into),
                score,
                digest: None,
            };
            self.envelope.retrievals.push(retrieval);
            self.slots.push((Slot::Document(index), place));
        }
    }
}

/// Id, score and version.
fn said(document: &[u8]) -> (Option<String>, Option<f64>, Option<String>) {
    let outer: Document<'_> = serde_json::from_slice(document).unwrap_or_default();
    let inner = outer.document.and_then(|inner| serde_json::from_str(inner.get()).ok());
    let inner: Document<'_> = inner.unwrap_or_default();
    let score = outer.score.or(inner.score).and_then(|score| score.as_f64());
    let score = score.filter(|score| score.is_finite());
    (outer.id.or(inner.id).and_then(name), score, outer.version.or(inner.version).and_then(name))
}

/// A string, or a number as it is written.
fn name(raw: &RawValue) -> Option<String> {
    let text: Cow<'_, str> = match raw.get().as_bytes().first()? {
        b'"' => serde_json::from_str(raw.get()).ok()?,
        b'-' | b'0'..=b'9' => Cow::Borrowed(raw.get()),
        _ => return None,
    };
    is_name(&text).then(|| text.into_owned())
}
