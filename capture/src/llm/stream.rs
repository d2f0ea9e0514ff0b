//! Streams taken apart into frames: server-sent events as the WHATWG defines them, JSON lines, and a JSON array of chunks.
//!
//! Each takes no more memory than its body, and a frame that the stream broke off in comes last, as far as it came.

use std::borrow::Cow;

/// How a body is made of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Events,
    Lines,
}

impl Framing {
    /// The framing of a body; `None` where it is one text.
    pub(super) fn of(media_type: &str, text: &str) -> Option<Self> {
        let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match &*essence {
            "text/event-stream" => Some(Self::Events),
            "application/x-ndjson" | "application/jsonl" | "application/stream+json" => {
                Some(Self::Lines)
            }
            // Some name no type, or a wrong one.
            _ if ["data:", "event:", ": "].iter().any(|start| text.starts_with(start)) => {
                Some(Self::Events)
            }
            _ if is_lines(text) => Some(Self::Lines),
            _ => None,
        }
    }

    /// The data of each frame.
    pub(super) fn frames(self, text: &str) -> Box<dyn Iterator<Item = Cow<'_, str>> + '_> {
        match self {
            Self::Events => Box::new(Events::new(text)),
            Self::Lines => {
                Box::new(text.lines().filter(|line| !line.trim().is_empty()).map(Cow::Borrowed))
            }
        }
    }
}

/// Whether each line is an object. No text that is printed over lines begins so.
fn is_lines(text: &str) -> bool {
    let mut lines = text.lines().take(2);
    let (one, two) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    one.starts_with('{') && one.ends_with('}') && two.starts_with('{')
}

/// The data of server-sent events.
#[derive(Clone, Debug)]
pub(super) struct Events<'a> {
    rest: &'a str,
}

impl<'a> Events<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text.strip_prefix('\u{feff}').unwrap_or(text) }
    }

    /// The next line; ends at CR, LF, or both.
    fn line(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        let Some((line, rest)) = self.rest.split_once(['\r', '\n']) else {
            return Some(std::mem::take(&mut self.rest));
        };
        let is_cr = self.rest.as_bytes().get(line.len()) == Some(&b'\r');
        self.rest = rest.strip_prefix('\n').filter(|_| is_cr).unwrap_or(rest);
        Some(line)
    }
}

impl<'a> Iterator for Events<'a> {
    type Item = Cow<'a, str>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut data: Option<Cow<'a, str>> = None;
        while let Some(line) = self.line() {
            if line.is_empty() {
                if data.as_deref().is_some_and(|data| !data.is_empty()) {
                    break;
                }
                data = None;
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            if field == "data" {
                let value = value.strip_prefix(' ').unwrap_or(value);
                match &mut data {
                    None => data = Some(Cow::Borrowed(value)),
                    Some(data) => {
                        let data = data.to_mut();
                        data.push('\n');
                        data.push_str(value);
                    }
                }
            }
        }
        data.filter(|data| !data.is_empty())
    }
}
