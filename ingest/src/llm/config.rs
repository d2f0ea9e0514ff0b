//! CORE: the settings of upstreams: the model APIs that agents reach through the gateway.

use std::path::PathBuf;

use hyper::Uri;
use hyper::header::HeaderName;
use hyper::http::uri::{Authority, Scheme};
use serde::Deserialize;

/// Bytes of an upstream's name.
const NAME_BYTES_MAX: usize = 64;

/// Settings of one upstream, `[ingest.llm.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Upstream {
    /// Where exchanges go: `https://` or `http://`, a host, and a path that goes before that of requests. No default.
    pub url: String,
    /// PEM file of the authorities that vouch for the upstream's certificate, in place of those that browsers trust; read when
    /// the gateway starts. Default none.
    pub ca_file: Option<PathBuf>,
    /// What happens to exchanges that cannot be recorded. Default `open`.
    pub on_failure: OnFailure,
    /// The request header that names the session. Default none.
    pub session_header: Option<String>,
    /// Milliseconds that an exchange may be under way before an event tells that it began. Default 1,000: most exchanges
    /// cost one event, and a crash forgets only those that were younger. 0 tells of each; with `closed` each is told of.
    pub start_after_ms: u64,
    /// Bytes of an exchange's bodies, both ways. Default 32 MiB; of one that is larger nothing is recorded.
    pub exchange_bytes_max: usize,
    /// Milliseconds to find, reach and shake hands with the upstream. Default 10,000.
    pub connect_timeout_ms: u64,
    /// Milliseconds from the request's head to that of the answer. Default 600,000: so long do clients wait.
    pub answer_timeout_ms: u64,
    /// Milliseconds between two parts of an answer. Default 300,000, since models think; of an MCP server 24 hours, since it may
    /// have nothing to tell.
    pub answer_pause_ms: Option<u64>,
    /// Milliseconds between two parts of a request. Default 30,000.
    pub request_pause_ms: u64,
    /// Milliseconds that a connection to the upstream is kept for the next exchange. Default 30,000.
    pub idle_timeout_ms: u64,
    /// Such connections. Default 256.
    pub idle_connections_max: usize,
}

/// What happens to exchanges that cannot be recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// They go on, and are counted.
    #[default]
    Open,
    /// They are refused or broken off.
    Closed,
}

impl Default for Upstream {
    fn default() -> Self {
        Self {
            url: String::new(),
            ca_file: None,
            on_failure: OnFailure::Open,
            session_header: None,
            start_after_ms: 1000,
            exchange_bytes_max: 32 << 20,
            connect_timeout_ms: 10_000,
            answer_timeout_ms: 600_000,
            answer_pause_ms: None,
            request_pause_ms: 30_000,
            idle_timeout_ms: 30_000,
            idle_connections_max: 256,
        }
    }
}

/// An upstream's address, read.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    pub(crate) scheme: Scheme,
    pub(crate) authority: Authority,
    /// Goes before a request's path; does not end with a slash.
    pub(crate) path: String,
}

impl Upstream {
    /// Says what is wrong with it, under this name.
    pub(crate) fn check(&self, name: &str, in_flight_bytes_max: usize) -> Result<(), String> {
        let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=NAME_BYTES_MAX).contains(&name.len()) || !name.bytes().all(good) {
            return Err(format!("has {name:?}, which is not of the form [a-z0-9-]{{1,64}}"));
        }
        let address = self.address().map_err(|why| format!("has {name}, whose url {why}"))?;
        if self.ca_file.is_some() && address.scheme != Scheme::HTTPS {
            return Err(format!("has {name}, with a ca_file and a url that is not https"));
        }
        self.session_header().map_err(|()| {
            format!("has {name}, whose session_header is not the name of a header")
        })?;
        if self.exchange_bytes_max > in_flight_bytes_max {
            return Err(format!(
                "has {name}, whose exchange_bytes_max is over in_flight_bytes_max"
            ));
        }
        Ok(())
    }

    pub(crate) fn session_header(&self) -> Result<Option<HeaderName>, ()> {
        self.session_header.as_ref().map(|name| name.parse().map_err(|_| ())).transpose()
    }

    pub(crate) fn address(&self) -> Result<Address, &'static str> {
        let url: Uri = self.url.parse().map_err(|_| "is not a URL")?;
        let parts = url.into_parts();
        let scheme = parts.scheme.filter(|it| *it == Scheme::HTTPS || *it == Scheme::HTTP);
        let scheme = scheme.ok_or("must begin with https:// or http://")?;
        let authority = parts.authority.ok_or("has no host")?;
        if authority.as_str().contains('@') {
            return Err("must not hold a password: what agents send goes on as it came");
        }
        let path = parts.path_and_query.as_ref();
        if path.is_some_and(|path| path.query().is_some()) {
            return Err("must not have a query");
        }
        let path = path.map_or("", |path| path.path()).trim_end_matches('/').to_owned();
        Ok(Address { scheme, authority, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, url: &str) -> Result<(), String> {
        Upstream { url: url.to_owned(), ..Upstream::default() }.check(name, 1 << 30)
    }

    #[test]
    fn an_upstream_has_a_name_and_a_plain_address() {
        for url in ["https://api.example", "http://127.0.0.1:8000/base/", "https://[::1]/a"] {
            assert_eq!(check("openai", url), Ok(()), "{url}");
        }
        for url in ["", "api.example", "ftp://a", "https://", "https://u:p@a", "https://a/?x=1"] {
            assert!(check("openai", url).is_err(), "{url}");
        }
        for name in ["", "A", "a/b", "a.b", &"a".repeat(65)] {
            assert!(check(name, "https://a").is_err(), "{name}");
        }
        let upstream = Upstream { url: "http://a/base/".into(), ..Upstream::default() };
        assert_eq!(upstream.address().unwrap().path, "/base");
        // Nobody vouches for what is not encrypted.
        assert!(
            Upstream { ca_file: Some("ca.pem".into()), ..upstream }.check("a", 1 << 30).is_err()
        );
    }
}
