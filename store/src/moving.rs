//! SHELL: the one kind of object that is written over: seen first, then replaced if it still is what was seen.

use bytes::Bytes;
use object_store::{PutMode, PutOptions, PutPayload, UpdateVersion};
use schemas::Digest;

use crate::content;
use crate::error::Error;
use crate::folder;
use crate::store::{Created, Store};

/// What an object was when it was read, to replace just that.
#[derive(Clone, Debug)]
pub struct Seen {
    version: UpdateVersion,
    sha256: Digest,
}

/// What became of a write over an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// It is done.
    Done,
    /// The object is another by now, or gone.
    Moved,
}

impl Store {
    /// Writes over an object, where it still is what was seen: another writer is never undone. `None` was absent.
    ///
    /// Only for what moves: evidence is created, and never replaced. It is not locked.
    ///
    /// # Errors
    /// The store refused or did not answer: it may have happened.
    pub async fn replace(
        &self,
        key: &str,
        seen: Option<Seen>,
        bytes: Bytes,
    ) -> Result<Replaced, Error> {
        let Some(seen) = seen else {
            return Ok(match self.create(key, bytes, None).await? {
                Created::New => Replaced::Done,
                Created::Exists => Replaced::Moved,
            });
        };
        if let Some(folder) = &self.folder {
            let (folder, key) = (folder.clone(), key.to_owned());
            let written = tokio::task::spawn_blocking(move || {
                folder::replace(&folder, &key, seen.sha256, &bytes)
            });
            return written.await.map_err(Error::Task)?;
        }
        let options = PutOptions::from(PutMode::Update(seen.version));
        match self.objects.put_opts(&self.path(key), PutPayload::from(bytes), options).await {
            Ok(_) => Ok(Replaced::Done),
            Err(
                object_store::Error::Precondition { .. } | object_store::Error::NotFound { .. },
            ) => Ok(Replaced::Moved),
            Err(source) => Err(Error::Object { doing: "replace", key: key.to_owned(), source }),
        }
    }

    /// Reads an object of at most `bytes_max` that is to be replaced.
    ///
    /// # Errors
    /// The store refused or did not answer, or the object is larger.
    pub async fn see(&self, key: &str, bytes_max: u64) -> Result<Option<(Bytes, Seen)>, Error> {
        let Some(found) = self.found(key).await? else { return Ok(None) };
        let (e_tag, version) = (found.meta.e_tag.clone(), found.meta.version.clone());
        let bytes = content::bytes(found, key, bytes_max).await?;
        let sha256 = Digest::of(&bytes);
        Ok(Some((bytes, Seen { version: UpdateVersion { e_tag, version }, sha256 })))
    }
}
