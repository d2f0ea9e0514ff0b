//! The names in a bundle: built and parsed here and nowhere else (`docs/format.md`, section 10).

use std::fmt;

use crate::digest::Digest;

/// A name in a bundle.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BundleName {
    /// `bundle`: the claim.
    Claim,
    /// `checkpoint`
    Checkpoint,
    /// `cosignatures`
    Cosignatures,
    /// `timestamps/<name>.tsr`; the name is `[a-z0-9-]{1,64}`.
    Timestamp(String),
    /// `links/<n>/entry`
    Entry(u32),
    /// `links/<n>/proof`
    Proof(u32),
    /// `links/<n>/rows`
    Rows(u32),
    /// `heartbeat/entry`
    Heartbeat,
    /// `heartbeat/proof`
    HeartbeatProof,
    /// `bodies/<digest>`
    Body(Digest),
    /// `schemas/<digest>.avsc`
    Schema(Digest),
    /// `VERIFY.md`
    Manual,
    /// `bundle.html`
    Page,
}

impl BundleName {
    /// Parses a name; `None` for anything this type would not print.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let parts: Vec<&str> = name.split('/').collect();
        let parsed = match parts.as_slice() {
            ["bundle"] => Self::Claim,
            ["checkpoint"] => Self::Checkpoint,
            ["cosignatures"] => Self::Cosignatures,
            ["timestamps", file] => Self::Timestamp(authority(file)?.to_owned()),
            ["links", link, "entry"] => Self::Entry(link.parse().ok()?),
            ["links", link, "proof"] => Self::Proof(link.parse().ok()?),
            ["links", link, "rows"] => Self::Rows(link.parse().ok()?),
            ["heartbeat", "entry"] => Self::Heartbeat,
            ["heartbeat", "proof"] => Self::HeartbeatProof,
            ["bodies", digest] => Self::Body(digest.parse().ok()?),
            ["schemas", file] => Self::Schema(file.strip_suffix(".avsc")?.parse().ok()?),
            ["VERIFY.md"] => Self::Manual,
            ["bundle.html"] => Self::Page,
            _ => return None,
        };
        (parsed.to_string() == name).then_some(parsed)
    }
}

fn authority(file: &str) -> Option<&str> {
    let name = file.strip_suffix(".tsr")?;
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    ((1..=64).contains(&name.len()) && name.bytes().all(plain)).then_some(name)
}

impl fmt::Display for BundleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claim => f.write_str("bundle"),
            Self::Checkpoint => f.write_str("checkpoint"),
            Self::Cosignatures => f.write_str("cosignatures"),
            Self::Timestamp(name) => write!(f, "timestamps/{name}.tsr"),
            Self::Entry(link) => write!(f, "links/{link:08}/entry"),
            Self::Proof(link) => write!(f, "links/{link:08}/proof"),
            Self::Rows(link) => write!(f, "links/{link:08}/rows"),
            Self::Heartbeat => f.write_str("heartbeat/entry"),
            Self::HeartbeatProof => f.write_str("heartbeat/proof"),
            Self::Body(digest) => write!(f, "bodies/{digest}"),
            Self::Schema(digest) => write!(f, "schemas/{digest}.avsc"),
            Self::Manual => f.write_str("VERIFY.md"),
            Self::Page => f.write_str("bundle.html"),
        }
    }
}
