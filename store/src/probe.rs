//! SHELL: whether a store keeps what is written to it: the few questions that are asked at each start.
//!
//! It leaves one small object, always the same. `chancery doctor` asks more, and leaves more.

use bytes::Bytes;

use crate::error::Error;
use crate::store::{Created, Store};

/// The object that the probe leaves.
const KEY: &str = "probe/conditional";
/// Always the same, so that a server which overwrites it loses nothing.
const TEXT: &[u8] = b"A store is asked at each start whether it refuses to write this again.\n";

/// What is wrong with a store, in plain words; nothing where it keeps what is written to it.
///
/// It asks whether the bucket has versions and locks, and whether a write to a taken key is refused.
///
/// # Errors
/// The store refused or did not answer.
pub async fn probe(store: &Store) -> Result<Vec<String>, Error> {
    let mut problems = Vec::new();
    match store.s3() {
        Some(s3) => {
            let bucket = s3.bucket().await?;
            if !bucket.versioning {
                problems.push(
                    "versioning is not on: what is overwritten or deleted is gone".to_owned(),
                );
            }
            if !bucket.lock {
                let why = "object lock is not on: whoever may delete can take evidence away. It can only be turned on \
                           when a bucket is made, on most servers";
                problems.push(why.to_owned());
            }
        }
        None => problems.push(
            "it is no bucket, and so has no lock: whoever can write here can take evidence away"
                .to_owned(),
        ),
    }
    if !refuses_to_overwrite(store, KEY).await? {
        problems.push(
            "a write that must not overwrite did: the server, or a proxy before it, passes over the header \
             If-None-Match, and two sealers could both believe to have written the same segment"
                .to_owned(),
        );
    }
    Ok(problems)
}

/// Whether a second write to the key is refused.
async fn refuses_to_overwrite(store: &Store, key: &str) -> Result<bool, Error> {
    // Twice, since the first may be the one that makes it.
    store.create(key, Bytes::from_static(TEXT), None).await?;
    Ok(store.create(key, Bytes::from_static(TEXT), None).await? == Created::Exists)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_is_told_to_have_no_lock_and_refuses_to_overwrite() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().to_str().unwrap()).unwrap();
        for _ in 0..2 {
            let problems = probe(&store).await.unwrap();
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].contains("no lock"), "{problems:?}");
        }
        assert_eq!(store.list("", None).await.unwrap(), [KEY]);
    }
}
