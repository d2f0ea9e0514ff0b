//! SHA-256 with domain separation (`docs/format.md`, section 1), and the salts that make digests hiding.

use std::fmt;

use ring::digest::{Context, SHA256};

/// A SHA-256 output.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

/// 16 random bytes that keep a digest from confirming a guess of what it covers.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Salt(pub [u8; 16]);

impl Digest {
    /// 32 zero bytes: "none" wherever the format wants a digest and there is nothing to cover.
    pub const ZERO: Self = Self([0; 32]);

    /// Plain SHA-256 of `bytes`, for files and schema texts.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::finished(ring::digest::digest(&SHA256, bytes))
    }

    fn finished(output: ring::digest::Digest) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(output.as_ref());
        Self(bytes)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::text::hex(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::text::hex(&self.0))
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An `H(domain, …)` being put together: the input is gathered and hashed in one go, since it is nearly always short and
/// the hash function is fastest so. Contents, which are long, are hashed where they stand: [`crate::body_digest`].
#[derive(Clone, Debug)]
pub struct Hasher(Vec<u8>);

impl Hasher {
    /// Starts `H(domain, …)`.
    #[must_use]
    pub fn new(domain: &str) -> Self {
        Self::plain().bytes(b"chancery.").bytes(domain.as_bytes()).bytes(b".v1\0")
    }

    /// Starts SHA-256 without a domain.
    #[must_use]
    pub fn plain() -> Self {
        Self(Vec::with_capacity(256))
    }

    /// Appends bytes.
    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Appends one byte.
    #[must_use]
    pub fn u8(self, value: u8) -> Self {
        self.bytes(&[value])
    }

    /// Appends a length or count. Nothing here is ever near 4 GiB: a value is at most 32 MiB.
    #[must_use]
    pub fn len(self, value: usize) -> Self {
        self.bytes(&u32::try_from(value).unwrap_or(u32::MAX).to_be_bytes())
    }

    /// Appends `lp(bytes)`: the length, then the bytes.
    #[must_use]
    pub fn lp(self, bytes: &[u8]) -> Self {
        self.len(bytes.len()).bytes(bytes)
    }

    /// Appends `opt(bytes)`: absence and emptiness differ.
    #[must_use]
    pub fn opt(self, bytes: Option<&[u8]>) -> Self {
        match bytes {
            None => self.u8(0),
            Some(bytes) => self.u8(1).lp(bytes),
        }
    }

    /// The digest.
    #[must_use]
    pub fn finish(self) -> Digest {
        Digest::of(&self.0)
    }

    /// The digest of what was gathered, followed by `content`, which is not copied.
    #[must_use]
    pub fn finish_with(self, content: &[u8]) -> Digest {
        let mut context = Context::new(&SHA256);
        context.update(&self.0);
        context.update(content);
        Digest::finished(context.finish())
    }
}

/// SHA-256 of a few short parts, `N` bytes together, without an allocation.
pub(crate) fn digest_of_parts<const N: usize>(parts: &[&[u8]]) -> Digest {
    let mut input = [0; N];
    let mut rest = input.as_mut_slice();
    for part in parts {
        let Some((place, after)) = std::mem::take(&mut rest).split_at_mut_checked(part.len())
        else {
            break;
        };
        place.copy_from_slice(part);
        rest = after;
    }
    assert!(rest.is_empty(), "the parts fill the input");
    Digest::of(&input)
}
