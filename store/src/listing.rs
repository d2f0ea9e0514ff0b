//! SHELL: what readers need besides: the folders in a folder, and objects piece by piece.

use futures_util::TryStreamExt as _;

use crate::error::Error;
use crate::store::Store;

/// What lies directly in a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Children {
    /// Folders, by their whole names.
    pub folders: Vec<String>,
    /// Keys of objects.
    pub objects: Vec<String>,
}

impl Store {
    /// What lies directly in `folder`; costs a listing of as many names as come back, however much lies deeper.
    ///
    /// # Errors
    /// The store refused or did not answer.
    pub async fn children(&self, folder: &str) -> Result<Children, Error> {
        let listed = self.objects.list_with_delimiter(Some(&self.path(folder))).await;
        let failed = |source| Error::Object { doing: "list", key: folder.to_owned(), source };
        let listed = listed.map_err(failed)?;
        Ok(Children {
            folders: listed.common_prefixes.iter().map(|path| self.key(path)).collect(),
            objects: listed.objects.iter().map(|object| self.key(&object.location)).collect(),
        })
    }

    /// Feeds an object, or one version of it, to `take` chunk by chunk and returns its size; `None` where there is none. It
    /// may be larger than what is held in memory.
    ///
    /// # Errors
    /// The store refused or did not answer; `take` may have been fed a part by then.
    pub async fn stream(
        &self,
        key: &str,
        version: Option<&str>,
        mut take: impl FnMut(&[u8]) + Send,
    ) -> Result<Option<u64>, Error> {
        let failed = |source| Error::Object { doing: "read", key: key.to_owned(), source };
        let found = match self.s3() {
            Some(s3) => s3.found(key, version).await?,
            None => self.found(key).await?,
        };
        let Some(found) = found else { return Ok(None) };
        let (mut chunks, mut bytes) = (found.into_stream(), 0_u64);
        while let Some(chunk) = chunks.try_next().await.map_err(failed)? {
            bytes = bytes.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
            take(&chunk);
        }
        Ok(Some(bytes))
    }
}
