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
pub(crate) struct Events<'a> {
    rest: &'a str,
}

impl<'a> Events<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn events(text: &str) -> Vec<Cow<'_, str>> {
        Events::new(text).collect()
    }

    #[test]
    fn lines_end_at_cr_lf_or_both() {
        for end in ["\n", "\r\n", "\r"] {
            let text = ["data: a", "", "event: x", "data: b", "", ""].join(end);
            assert_eq!(events(&text), ["a", "b"], "{end:?}");
        }
        assert_eq!(events("data: a\r\n\rdata: b\n\r\n"), ["a", "b"]);
    }

    #[test]
    fn fields_are_read_as_the_standard_says() {
        // A byte order mark, a comment, a field without a colon, one without a space, only one of two spaces taken away.
        assert_eq!(events("\u{feff}data: a\n\n"), ["a"]);
        assert_eq!(events(": comment\ndata:a\ndata\ndata:  b\nid: 7\nretry: 1\n\n"), ["a\n\n b"]);
        // What has no data is no event; what only looks like data has none.
        assert_eq!(events("event: ping\n\ndata:\n\ndatas: x\n\n data: y\n\n"), [""; 0]);
        // What the stream broke off in comes last.
        assert_eq!(events("data: a\n\ndata: b"), ["a", "b"]);
        assert_eq!(events(""), [""; 0]);
    }

    #[test]
    fn a_body_that_names_no_type_is_known_by_how_it_begins() {
        let framing = |text| Framing::of("application/octet-stream", text);
        assert_eq!(framing("data: {}\n\n"), Some(Framing::Events));
        assert_eq!(framing("{\"a\":1}\n{\"a\":2}\n"), Some(Framing::Lines));
        for text in ["{\"a\":1}\n", "{\n{", "", "[1]"] {
            assert_eq!(framing(text), None, "{text}");
        }
        assert_eq!(Framing::of("text/event-stream; charset=utf-8", ""), Some(Framing::Events));
    }
}
