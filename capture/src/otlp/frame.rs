//! What spans, their events and log records have in common: ids, times, and the content of what has no field.

use bytes::Bytes;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use schemas::{Digest, Micros};

use super::origin::Origin;
use super::value::{json, write_key, write_string};
use crate::convention::Reading;
use crate::happening::{Content, Happening};

/// A JSON object in the making: the content of kind `attributes`.
#[derive(Debug)]
pub(super) struct Rest(pub(super) Vec<u8>);

impl Rest {
    pub(super) fn new() -> Self {
        Self(Vec::from(b"{"))
    }

    pub(super) fn key(&mut self, key: &str) {
        write_key(key, &mut self.0);
    }

    /// A field that is absent where it is empty.
    pub(super) fn text(&mut self, key: &str, text: &str) {
        if !text.is_empty() {
            self.key(key);
            write_string(text, &mut self.0);
        }
    }

    /// A field that is absent where it is 0.
    pub(super) fn count(&mut self, key: &str, count: impl Into<u64>) {
        let count = count.into();
        if count > 0 {
            self.key(key);
            json(&count, &mut self.0);
        }
    }

    pub(super) fn number(&mut self, key: &str, number: i32) {
        self.key(key);
        json(&number, &mut self.0);
    }

    pub(super) fn hex(&mut self, key: &str, bytes: &[u8]) {
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.text(key, &digits);
    }

    /// An id that is none and not just absent.
    pub(super) fn odd_id<const N: usize>(&mut self, key: &str, bytes: &[u8]) {
        if id::<N>(bytes).is_none() && bytes.iter().any(|byte| *byte > 0) {
            self.hex(key, bytes);
        }
    }

    pub(super) fn kind(&mut self, kind: i32) {
        match SpanKind::try_from(kind) {
            Ok(SpanKind::Unspecified) => {}
            Ok(kind) => {
                let name = kind.as_str_name().trim_start_matches("SPAN_KIND_");
                self.text("kind", &name.to_ascii_lowercase());
            }
            Err(_) => self.number("kind", kind),
        }
    }

    /// A list of JSON texts, absent where it is empty.
    pub(super) fn list(&mut self, key: &str, items: Vec<Vec<u8>>) {
        if items.is_empty() {
            return;
        }
        self.key(key);
        self.0.push(b'[');
        for (index, mut item) in items.into_iter().enumerate() {
            if index > 0 {
                self.0.push(b',');
            }
            self.0.append(&mut item);
        }
        self.0.push(b']');
    }

    /// What no dialect took of the attributes.
    pub(super) fn attributes(&mut self, reading: &Reading<'_>) {
        let contents: Vec<&Content> = reading.contents().collect();
        reading.attributes.write_rest(&contents, &mut self.0);
    }

    pub(super) fn close(self) -> Vec<u8> {
        let Self(mut out) = self;
        out.push(b'}');
        out
    }

    /// The happening: what the dialect made of it, then resource and rest.
    pub(super) fn finish(
        self,
        mut reading: Reading<'_>,
        origin: &Origin,
        identity: Option<Digest>,
    ) -> Happening {
        reading.dropped += origin.dropped;
        origin.fill(&mut reading.envelope);
        let mut happening = reading.finish();
        happening.push(origin.content());
        let rest = self.close();
        if rest != b"{}" {
            happening.push(Content::json("", "attributes", Bytes::from(rest)));
        }
        Happening { identity, ..happening }
    }
}

/// An id of so many bytes that are not all zero.
pub(super) fn id<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok().filter(|id: &[u8; N]| id.iter().any(|byte| *byte > 0))
}

/// Nanoseconds since 1970 as microseconds, which always fit.
pub(super) fn micros(nanos: u64) -> Micros {
    Micros(i64::try_from(nanos / 1000).unwrap_or(i64::MAX))
}
