//! CORE: what a request to `/llm/…` or `/mcp/…` is for: `/llm/NAME[/KEY]/PATH?QUERY`.

use hyper::Uri;
use hyper::http::uri::{Parts, PathAndQuery};

use super::config::Address;

/// What an upstream speaks; its requests come to paths that begin so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Speech {
    /// An API of models.
    Llm,
    /// The Model Context Protocol.
    Mcp,
}

/// How keys begin, so that a part of a path is known for one.
const KEY_PREFIX: &str = "chk_";

/// A request's target, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target<'t> {
    pub(crate) speech: Speech,
    /// The upstream's name.
    pub(crate) name: &'t str,
    pub(crate) key: Option<&'t str>,
    /// Path and query for the upstream; begins with a slash, or is empty, or is only a query.
    pub(crate) rest: &'t str,
}

impl Speech {
    pub(crate) fn root(self) -> &'static str {
        match self {
            Self::Llm => "/llm/",
            Self::Mcp => "/mcp/",
        }
    }

    /// The section of its settings.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Llm => "llm",
            Self::Mcp => "mcp",
        }
    }

    /// Who captures, in the events.
    pub(crate) fn proxy(self) -> &'static str {
        match self {
            Self::Llm => "llm_proxy",
            Self::Mcp => "mcp_proxy",
        }
    }
}

impl<'t> Target<'t> {
    /// Reads a path with its query.
    pub(crate) fn parse(text: &'t str) -> Option<Self> {
        let (speech, text) = [Speech::Llm, Speech::Mcp]
            .into_iter()
            .find_map(|speech| Some((speech, text.strip_prefix(speech.root())?)))?;
        let (name, rest) = first(text);
        let (segment, after) = first(rest.strip_prefix('/').unwrap_or_default());
        if segment.starts_with(KEY_PREFIX) {
            return Some(Self { speech, name, key: Some(segment), rest: after });
        }
        Some(Self { speech, name, key: None, rest })
    }

    /// Whether a server might read the path as one outside of the upstream's own.
    pub(crate) fn climbs(&self) -> bool {
        let path = self.rest.split('?').next().unwrap_or_default();
        if !path.contains(['.', '%', '\\']) {
            return false;
        }
        let path = path.to_ascii_lowercase().replace("%2e", ".");
        let path = path.replace("%2f", "/").replace("%5c", "/").replace('\\', "/");
        path.split('/').any(|segment| matches!(segment, "." | ".."))
    }

    /// The same at the upstream; `None` where that is no URI.
    pub(crate) fn at(&self, address: &Address) -> Option<Uri> {
        // An MCP server is one URL, and another with a slash behind it.
        let is_whole = self.speech == Speech::Mcp && !address.path.is_empty();
        let slash = if self.rest.starts_with('/') || is_whole { "" } else { "/" };
        let path = format!("{}{slash}{}", address.path, self.rest);
        let mut parts = Parts::default();
        parts.scheme = Some(address.scheme.clone());
        parts.authority = Some(address.authority.clone());
        parts.path_and_query = Some(PathAndQuery::from_maybe_shared(path).ok()?);
        Uri::from_parts(parts).ok()
    }
}

/// Up to the next slash or the query, and the rest with it.
fn first(text: &str) -> (&str, &str) {
    text.split_at(text.find(['/', '?']).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::Upstream;

    fn at(text: &str) -> Option<(String, Option<&str>, String)> {
        let upstream = Upstream { url: "https://a.example/base/".into(), ..Upstream::default() };
        let target = Target::parse(text)?;
        let uri = target.at(&upstream.address().unwrap())?;
        Some((target.name.to_owned(), target.key, uri.to_string()))
    }

    #[test]
    fn a_target_is_a_name_perhaps_a_key_and_the_upstreams_own_path() {
        let base = "https://a.example/base";
        for (text, name, key, path) in [
            ("/llm/a/v1/chat?x=%2F&y", "a", None, "/v1/chat?x=%2F&y"),
            ("/llm/a/chk_1_2/v1/chat", "a", Some("chk_1_2"), "/v1/chat"),
            ("/llm/a/chk_1_2", "a", Some("chk_1_2"), "/"),
            ("/llm/a/chk_1_2?q", "a", Some("chk_1_2"), "/?q"),
            ("/llm/a/v1/chk_1_2", "a", None, "/v1/chk_1_2"),
            ("/llm/a?q", "a", None, "/?q"),
            ("/llm/a", "a", None, "/"),
            ("/llm/a//v1", "a", None, "//v1"),
            ("/llm/", "", None, "/"),
            ("/mcp/a", "a", None, ""),
            ("/mcp/a/", "a", None, "/"),
            ("/mcp/a/chk_1_2?q", "a", Some("chk_1_2"), "?q"),
            ("/mcp/a/x?q", "a", None, "/x?q"),
        ] {
            assert_eq!(at(text), Some((name.to_owned(), key, format!("{base}{path}"))), "{text}");
        }
        assert_eq!(at("/v1/events"), None);
    }

    #[test]
    fn no_path_climbs_out_of_the_upstreams() {
        let climbs = |text| Target::parse(text).unwrap().climbs();
        for text in
            ["/llm/a/../b", "/llm/a/%2E%2e/b", "/llm/a/x%2f..%2fb", "/llm/a/x\\..\\b", "/llm/a/."]
        {
            assert!(climbs(text), "{text}");
        }
        for text in ["/llm/a/v1.5/..x", "/llm/a/v1?x=/../", "/llm/a/models/gpt-4.1:generate"] {
            assert!(!climbs(text), "{text}");
        }
    }
}
