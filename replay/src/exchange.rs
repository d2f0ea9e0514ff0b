//! CORE. An HTTP exchange as a proxy recorded it: both bodies byte for byte, put together from the contents of its event and
//! compared with the hash that was taken on the wire. `format.md`, "Exchanges".

use std::cell::Cell;
use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use schemas::{Cut, Digest};
use serde_json::{Map, Value};

use crate::session::{Body, Content};
use crate::trace::Step;

/// Most bytes of one body that is put together.
pub const EXCHANGE_BYTES_MAX: u64 = 1 << 30;
/// Largest window of a compressed body, as a power of two: memory that a frame may ask for.
const WINDOW_LOG_MAX: u32 = 27;

/// A request and its response, as far as they were recorded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exchange {
    pub(crate) request: Option<Half>,
    pub(crate) response: Option<Half>,
}

/// One direction.
#[derive(Clone, Debug)]
pub(crate) struct Half {
    /// What was recorded beside the body.
    pub(crate) head: Map<String, Value>,
    /// The body and what the record says of it; `None` where there was none.
    pub(crate) body: Option<Whole>,
}

/// A body.
#[derive(Clone, Debug)]
pub(crate) struct Whole {
    pub(crate) size: u64,
    /// As recorded; `None` where the exchange was redacted, so that nothing is there to compare with.
    pub(crate) sha256: Option<String>,
    pub(crate) encoding: Option<String>,
    pub(crate) bytes: Result<Bytes, &'static str>,
}

impl Exchange {
    /// The exchange that a step tells of; `None` where it tells of none.
    pub(crate) fn of(step: &Step) -> Option<Self> {
        let mut exchange = Self::default();
        for event in [step.last(), &step.event] {
            let whole = event.whole();
            for content in whole.iter().filter(|content| content.kind == "http") {
                let Some(head) = object(content) else { continue };
                let half = if head.contains_key("method") {
                    &mut exchange.request
                } else {
                    &mut exchange.response
                };
                half.get_or_insert_with(|| Half::new(head, whole));
            }
        }
        (exchange.request.is_some() || exchange.response.is_some()).then_some(exchange)
    }
}

fn object(content: &Content) -> Option<Map<String, Value>> {
    match &content.body {
        Body::Clear(bytes) => serde_json::from_slice(bytes).ok(),
        _ => None,
    }
}

impl Half {
    fn new(mut head: Map<String, Value>, contents: &[Arc<Content>]) -> Self {
        let body = head.remove("body");
        let body = body.as_ref().and_then(Value::as_object).map(|body| Whole::new(body, contents));
        Self { head, body }
    }
}

impl Whole {
    fn new(body: &Map<String, Value>, contents: &[Arc<Content>]) -> Self {
        let size = body.get("size").and_then(Value::as_u64).unwrap_or(0);
        let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
        let sha256 = text("sha256");
        let is_redacted = sha256.is_none();
        let size_max = if is_redacted { EXCHANGE_BYTES_MAX } else { size };
        let bytes = rebuilt(body, size_max, contents).and_then(|bytes| {
            let hash = Digest::of(&bytes).to_string();
            let same = is_redacted || sha256.as_deref() == Some(hash.as_str());
            same.then_some(bytes).ok_or("what was put together has another hash than was recorded")
        });
        Self { size, sha256, encoding: text("encoding"), bytes }
    }
}

/// The bytes by one of the three ways that a record may have them.
fn rebuilt(
    body: &Map<String, Value>,
    size: u64,
    contents: &[Arc<Content>],
) -> Result<Bytes, &'static str> {
    if size > EXCHANGE_BYTES_MAX {
        return Err("it is larger than what is put together");
    }
    if body.contains_key("dropped") {
        return Err("redaction dropped it");
    }
    let place = |name: &str| body.get(name).and_then(Value::as_u64);
    if let Some(cut) = body.get("cut") {
        let cut = Cut::from_json(cut).ok_or("its record cannot be read")?;
        return fill(&cut, size, contents);
    }
    if let Some(place) = place("content") {
        return clear(contents, place).cloned();
    }
    let place = place("zstd").ok_or("its record cannot be read")?;
    decompress(clear(contents, place)?, size)
}

/// The parts of a text put back; no more of them than its size allows.
fn fill(cut: &Cut, size: u64, contents: &[Arc<Content>]) -> Result<Bytes, &'static str> {
    let (left, fault) = (Cell::new(size), Cell::new("a part of it has no place"));
    let part = |place: usize| {
        let bytes =
            clear(contents, u64::try_from(place).ok()?).map_err(|why| fault.set(why)).ok()?;
        let long = "it is longer than was recorded";
        let rest = left.get().checked_sub(u64::try_from(bytes.len()).ok()?);
        left.set(rest.ok_or(long).map_err(|why| fault.set(why)).ok()?);
        Some(bytes.as_ref())
    };
    let filled = cut.fill(part);
    filled.map(Bytes::from).ok_or_else(|| fault.get())
}

fn clear(contents: &[Arc<Content>], place: u64) -> Result<&Bytes, &'static str> {
    let content = usize::try_from(place).ok().and_then(|place| contents.get(place));
    match content.map(|content| &content.body) {
        Some(Body::Clear(bytes)) => Ok(bytes),
        Some(Body::Encrypted(_)) => Err("a part of it is encrypted"),
        Some(Body::Absent(why)) => Err(*why),
        None => Err("a part of it is not among the contents of its event"),
    }
}

fn decompress(frame: &[u8], size: u64) -> Result<Bytes, &'static str> {
    let damaged = "its frame is damaged";
    let mut decoder = zstd::stream::read::Decoder::with_buffer(frame).map_err(|_| damaged)?;
    decoder.window_log_max(WINDOW_LOG_MAX).map_err(|_| damaged)?;
    let mut bytes = Vec::new();
    decoder.take(size.saturating_add(1)).read_to_end(&mut bytes).map_err(|_| damaged)?;
    Ok(Bytes::from(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn contents(bodies: &[&[u8]]) -> Vec<Arc<Content>> {
        let content = |bytes: &&[u8]| {
            Arc::new(Content {
                role: String::new(),
                kind: "raw".to_owned(),
                media_type: "application/octet-stream".to_owned(),
                size: 0,
                digest: Digest::ZERO,
                body: Body::Clear(Bytes::copy_from_slice(bytes)),
                sameness: Digest::ZERO,
            })
        };
        bodies.iter().map(content).collect()
    }

    fn read(how: Value, of: &[u8], contents: &[Arc<Content>]) -> Result<Bytes, &'static str> {
        let mut body = json!({"size": of.len(), "sha256": Digest::of(of).to_string()});
        body.as_object_mut().unwrap().extend(how.as_object().unwrap().clone());
        Whole::new(body.as_object().unwrap(), contents).bytes
    }

    #[test]
    fn bodies_are_put_together_in_three_ways() {
        let text = br#"{"a":[1,2]}"#;
        let frame = zstd::bulk::compress(text, 3).unwrap();
        let contents = contents(&[b"[1,2]", text, &frame]);
        let cut = json!({"cut": {"rest": "{\"a\":}", "parts": [[5, 0]]}});
        for how in [cut, json!({"content": 1}), json!({"zstd": 2})] {
            assert_eq!(read(how, text, &contents).unwrap(), &text[..]);
        }
    }

    #[test]
    fn a_redacted_body_is_given_as_it_is_kept() {
        let contents = contents(&[b"[redacted:name]"]);
        let body = |how: Value| {
            let mut body = json!({"size": 4, "sha256": null});
            body.as_object_mut().unwrap().extend(how.as_object().unwrap().clone());
            Whole::new(body.as_object().unwrap(), &contents).bytes
        };
        let cut = json!({"cut": {"rest": "ab", "parts": [[1, 0]]}});
        assert_eq!(body(cut).unwrap(), &b"a[redacted:name]b"[..]);
        assert_eq!(body(json!({"dropped": "redaction"})), Err("redaction dropped it"));
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let bomb = zstd::bulk::compress(&vec![0; 1 << 24], 3).unwrap();
        let contents = contents(&[b"part", &bomb, b"no frame"]);
        let many: Vec<[u64; 2]> = vec![[0, 0]; 1000];
        for (how, why) in [
            (json!({"content": 7}), "not among"),
            (json!({"content": 0}), "another hash"),
            (json!({"zstd": 1}), "another hash"),
            (json!({"zstd": 2}), "damaged"),
            (json!({"cut": {"rest": "", "parts": [[5, 0]]}}), "cannot be read"),
            (json!({"cut": {"rest": "", "parts": [[0, 9]]}}), "not among"),
            (json!({"cut": {"rest": "", "parts": many}}), "longer"),
            (json!({}), "cannot be read"),
        ] {
            let fault = read(how.clone(), b"12345678", &contents).unwrap_err();
            assert!(fault.contains(why), "{how}: {fault}");
        }
    }
}
