//! SHELL: what is read of an object, once it is found.

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::GetResult;
use ring::digest::{Context, SHA256};
use schemas::Digest;

use crate::error::Error;

/// What an object holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Its size.
    pub bytes: u64,
    /// The digest of it all.
    pub sha256: Digest,
    /// The version that was read, where the store has versions.
    pub version: Option<String>,
}

/// All of it, if it is at most `bytes_max`.
pub(crate) async fn bytes(found: GetResult, key: &str, bytes_max: u64) -> Result<Bytes, Error> {
    let bytes = found.meta.size;
    if bytes > bytes_max {
        return Err(Error::TooLarge { key: key.to_owned(), bytes, bytes_max });
    }
    found.bytes().await.map_err(unread(key))
}

/// Hashes it as it comes.
pub(crate) async fn hash(found: GetResult, key: &str) -> Result<Content, Error> {
    let version = found.meta.version.clone();
    let (mut chunks, mut size, mut hash) = (found.into_stream(), 0, Context::new(&SHA256));
    while let Some(chunk) = chunks.try_next().await.map_err(unread(key))? {
        size += chunk.len();
        hash.update(&chunk);
    }
    let mut sha256 = Digest::ZERO;
    sha256.0.copy_from_slice(hash.finish().as_ref());
    Ok(Content { bytes: u64::try_from(size).unwrap_or(u64::MAX), sha256, version })
}

fn unread(key: &str) -> impl Fn(object_store::Error) -> Error {
    move |source| Error::Object { doing: "read", key: key.to_owned(), source }
}
