//! A body: its bytes as they came, what they say once a content-encoding is undone, and how the contents hold it.
//!
//! A body that came with a content-encoding is kept as it came, since no encoder is sure to give the same bytes again; what
//! was read from it stands beside it.

use std::borrow::Cow;
use std::io::Read;
use std::ops::Range;

use bytes::Bytes;
use schemas::{Cut, Digest};
use serde_json::{Value, json};

use super::Headers;
use crate::happening::Content;

/// Bytes that a body may have once its encoding is undone. What grows past them is opaque.
pub(super) const PLAIN_BYTES_MAX: usize = 32 << 20;
/// Streams repeat themselves so much that it gives 13.6 to one on recorded ones, at 400 MB/s; level 9 gives 14.3, at 50.
const ZSTD_LEVEL: i32 = 1;

/// A stretch of a body that is a content of its own.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) span: Range<usize>,
    pub(super) role: Cow<'static, str>,
    pub(super) kind: &'static str,
    pub(super) media_type: Cow<'static, str>,
}

impl Part {
    /// JSON text.
    pub(super) fn json(
        span: Range<usize>,
        role: impl Into<Cow<'static, str>>,
        kind: &'static str,
    ) -> Self {
        Self { span, role: role.into(), kind, media_type: "application/json".into() }
    }
}

/// A body.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    wire: Bytes,
    /// `None` where the encoding could not be undone.
    plain: Option<Bytes>,
    encoding: Option<String>,
    media_type: Cow<'static, str>,
}

impl Body {
    pub(crate) fn new(headers: &Headers, wire: &Bytes) -> Self {
        let encoding = header(headers, "content-encoding").map(|name| name.trim().to_lowercase());
        let encoding = encoding.filter(|name| !name.is_empty() && name != "identity");
        let plain = match &encoding {
            None => Some(wire.clone()),
            Some(name) => decode(name, wire).map(Bytes::from),
        };
        let media_type = media_type(headers);
        Self { wire: wire.clone(), plain, encoding, media_type }
    }

    /// What it says, where that is text.
    pub(crate) fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.plain.as_deref()?).ok()
    }

    /// What it says, as a stream is read: a character that broke off spoils nothing else.
    pub(super) fn lossy(&self) -> Cow<'_, str> {
        // The usual case first: that check is much the faster.
        let plain = self.plain.as_deref().unwrap_or_default();
        self.text().map_or_else(|| String::from_utf8_lossy(plain), Cow::Borrowed)
    }

    /// What it says, as bytes that are shared.
    pub(crate) fn bytes(&self) -> Option<&Bytes> {
        self.plain.as_ref()
    }

    pub(crate) fn media_type(&self) -> &str {
        &self.media_type
    }

    pub(super) fn is_empty(&self) -> bool {
        self.wire.is_empty()
    }

    /// All that it says, as one part of this kind. What no API can read stays as it came.
    pub(super) fn whole(&self, kind: &'static str) -> Vec<Part> {
        let span = 0..self.plain.as_ref().map_or(0, Bytes::len);
        if span.is_empty() || (kind == "raw" && self.encoding.is_some()) {
            return Vec::new();
        }
        let media_type = self.media_type.clone();
        vec![Part { span, role: "".into(), kind, media_type }]
    }

    /// Adds its parts to the contents, and with them all that is needed to rebuild it. Returns how, as JSON.
    pub(super) fn hold(&self, contents: &mut Vec<Content>, parts: Vec<Part>) -> Value {
        let first = contents.len();
        let places: Vec<_> = parts.iter().map(|part| part.span.clone()).zip(first..).collect();
        contents.extend(parts.into_iter().filter_map(|part| self.content(part)));
        let is_kept = contents.len() == first + places.len();
        self.hold_placed(contents, if is_kept { places } else { Vec::new() })
    }

    /// As [`Self::hold`], where these stretches of it are contents already.
    pub(crate) fn hold_placed(
        &self,
        contents: &mut Vec<Content>,
        places: Vec<(Range<usize>, usize)>,
    ) -> Value {
        let is_plain = self.encoding.is_none();
        if is_plain
            && let [(span, place)] = places.as_slice()
            && *span == (0..self.wire.len())
        {
            return self.held("content", (*place).into());
        }
        if is_plain
            && (!places.is_empty() || self.wire.is_empty())
            && let Some(cut) = self.cut(places)
        {
            return self.held("cut", cut.to_json());
        }
        contents.push(Content::new("", "raw", self.media_type.clone(), self.wire.clone()));
        self.held("content", (contents.len() - 1).into())
    }

    /// Adds it to the contents, compressed unless it came so: it repeats itself.
    pub(crate) fn hold_stream(&self, contents: &mut Vec<Content>) -> Value {
        let frame = zstd::bulk::compress(&self.wire, ZSTD_LEVEL).ok();
        let frame = frame.filter(|_| self.encoding.is_none() && !self.wire.is_empty());
        let Some(frame) = frame else { return self.hold(contents, Vec::new()) };
        let essence = self.media_type.split(';').next().unwrap_or_default().trim();
        let media_type = if essence.is_empty() { "application/octet-stream" } else { essence };
        contents.push(Content::new("", "raw", format!("{media_type}+zstd"), frame));
        self.held("zstd", (contents.len() - 1).into())
    }

    fn content(&self, part: Part) -> Option<Content> {
        let plain = self.plain.as_ref()?;
        plain.get(part.span.clone())?;
        let Part { span, role, kind, media_type } = part;
        Some(Content { role, kind: kind.into(), media_type, data: plain.slice(span) })
    }

    fn cut(&self, mut places: Vec<(Range<usize>, usize)>) -> Option<Cut> {
        places.sort_by_key(|(span, _)| span.start);
        Cut::new(std::str::from_utf8(&self.wire).ok()?, &places)
    }

    fn held(&self, how: &str, what: Value) -> Value {
        let sha256 = Digest::of(&self.wire).to_string();
        let mut held = json!({ "size": self.wire.len(), "sha256": sha256, how: what });
        if let Some(encoding) = &self.encoding
            && let Some(held) = held.as_object_mut()
        {
            held.insert("encoding".into(), encoding.as_str().into());
        }
        held
    }
}

/// The first header of this name, where it is text.
pub(crate) fn header<'h>(headers: &'h Headers, name: &str) -> Option<&'h str> {
    let (_, value) = headers.iter().find(|(given, _)| given.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(value).ok()
}

fn media_type(headers: &Headers) -> Cow<'static, str> {
    let given = header(headers, "content-type").map(str::trim);
    match given {
        Some("application/json") => "application/json".into(),
        Some(given) if crate::is_name(given) => given.to_owned().into(),
        _ => "application/octet-stream".into(),
    }
}

/// Undoes encodings, the last applied first; `None` where one is unknown, the bytes do not obey it, or they grow too long.
pub(crate) fn decode(encodings: &str, wire: &[u8]) -> Option<Vec<u8>> {
    let mut names = encodings.rsplit(',').map(str::trim);
    let first = undo(names.next()?, wire)?;
    // More than one is allowed and never seen.
    names.next().is_none().then_some(first)
}

fn undo(encoding: &str, wire: &[u8]) -> Option<Vec<u8>> {
    match encoding {
        "gzip" | "x-gzip" => read(flate2::bufread::MultiGzDecoder::new(wire)),
        "deflate" => read(flate2::bufread::ZlibDecoder::new(wire))
            .or_else(|| read(flate2::bufread::DeflateDecoder::new(wire))),
        "zstd" => read(zstd::stream::read::Decoder::with_buffer(wire).ok()?),
        _ => None,
    }
}

/// What breaks off is read as far as it goes.
fn read(decoder: impl Read) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    let most = u64::try_from(PLAIN_BYTES_MAX).ok()?.checked_add(1)?;
    let end = decoder.take(most).read_to_end(&mut plain);
    let is_any = end.is_ok() || !plain.is_empty();
    (is_any && plain.len() <= PLAIN_BYTES_MAX).then_some(plain)
}
