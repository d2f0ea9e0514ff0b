//! SHELL: the object store: create-only writes, whole reads, ordered listings.
//!
//! Nothing is overwritten or deleted. Every write goes through [`Store::create`], and its lock travels with it.

use std::io::Write as _;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload};
use ring::digest::{Context, SHA256};
use schemas::Digest;
use url::Url;

use crate::error::Error;
use crate::lock::Lock;

/// What a create-only write found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// The object is new.
    New,
    /// The key was taken.
    Exists,
}

/// An object store under a prefix.
#[derive(Clone, Debug)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    prefix: Path,
    /// The folder of a local store: its files are written and synced here, since the library syncs nothing.
    folder: Option<PathBuf>,
}

impl Store {
    /// Opens a folder, made where it is absent, or a URL: `file:///…` or `s3://bucket/prefix` with the standard `AWS_*`
    /// variables.
    ///
    /// # Errors
    /// The address cannot be understood, or the folder cannot be made.
    pub fn open(address: &str) -> Result<Self, Error> {
        let wrong = |why: String| Error::Address { address: address.to_owned(), why };
        match Url::parse(address) {
            Ok(url) if url.scheme() == "s3" => {
                let prefix = Path::from_url_path(url.path()).map_err(|e| wrong(e.to_string()))?;
                let s3 = AmazonS3Builder::from_env().with_url(address).build();
                Ok(Self::new(Arc::new(s3.map_err(|e| wrong(e.to_string()))?), prefix))
            }
            Ok(url) if url.scheme() == "file" => {
                let path = url
                    .to_file_path()
                    .map_err(|()| wrong("not a path of this machine".to_owned()))?;
                Self::folder(&path)
            }
            Ok(url) if url.scheme().len() > 1 => {
                Err(wrong(format!("{}:// is not supported; use s3:// or file://", url.scheme())))
            }
            _ => Self::folder(FilePath::new(address)),
        }
    }

    /// A store over any object store.
    #[must_use]
    pub fn new(objects: Arc<dyn ObjectStore>, prefix: Path) -> Self {
        Self { objects, prefix, folder: None }
    }

    fn folder(path: &FilePath) -> Result<Self, Error> {
        std::fs::create_dir_all(path).map_err(local("make the folder", path))?;
        let path = path.canonicalize().map_err(local("find", path))?;
        let objects = LocalFileSystem::new_with_prefix(&path).map_err(|source| Error::Object {
            doing: "open",
            key: path.display().to_string(),
            source,
        })?;
        Ok(Self { objects: Arc::new(objects), prefix: Path::default(), folder: Some(path) })
    }

    /// Writes an object unless its key is taken, under `lock` where the store knows locks (S3 does; a folder and memory do
    /// not). On a local folder it is durable when this returns.
    ///
    /// # Errors
    /// The store refused or did not answer: the object may be there or not.
    pub async fn create(
        &self,
        key: &str,
        bytes: Bytes,
        lock: Option<Lock>,
    ) -> Result<Created, Error> {
        if let Some(folder) = &self.folder {
            let (folder, key) = (folder.clone(), key.to_owned());
            let written = tokio::task::spawn_blocking(move || create_file(&folder, &key, &bytes));
            return written.await.map_err(Error::Task)?;
        }
        let mut options = PutOptions::from(PutMode::Create);
        if let Some(lock) = lock {
            options.extensions.insert(lock);
        }
        match self.objects.put_opts(&self.path(key), PutPayload::from(bytes), options).await {
            Ok(_) => Ok(Created::New),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(Created::Exists),
            Err(source) => Err(Error::Object { doing: "create", key: key.to_owned(), source }),
        }
    }

    /// Reads an object of at most `bytes_max`; `None` where there is none.
    ///
    /// # Errors
    /// The store refused or did not answer, or the object is larger.
    pub async fn get(&self, key: &str, bytes_max: u64) -> Result<Option<Bytes>, Error> {
        let failed = |source| Error::Object { doing: "read", key: key.to_owned(), source };
        let found = match self.objects.get(&self.path(key)).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(source) => return Err(failed(source)),
        };
        let bytes = found.meta.size;
        if bytes > bytes_max {
            return Err(Error::TooLarge { key: key.to_owned(), bytes, bytes_max });
        }
        found.bytes().await.map(Some).map_err(failed)
    }

    /// Size and SHA-256 of an object, hashed as it comes: it may be larger than what is held in memory.
    ///
    /// # Errors
    /// The store refused or did not answer.
    pub async fn size_and_sha256(&self, key: &str) -> Result<Option<(u64, Digest)>, Error> {
        let failed = |source| Error::Object { doing: "read", key: key.to_owned(), source };
        let found = match self.objects.get(&self.path(key)).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(source) => return Err(failed(source)),
        };
        let (mut chunks, mut size, mut hash) = (found.into_stream(), 0, Context::new(&SHA256));
        while let Some(chunk) = chunks.try_next().await.map_err(failed)? {
            size += chunk.len();
            hash.update(&chunk);
        }
        let mut digest = Digest::ZERO;
        digest.0.copy_from_slice(hash.finish().as_ref());
        Ok(Some((u64::try_from(size).unwrap_or(u64::MAX), digest)))
    }

    /// All keys under `folder` that sort after `after`, ascending.
    ///
    /// # Errors
    /// The store refused or did not answer.
    pub async fn list(&self, folder: &str, after: Option<&str>) -> Result<Vec<String>, Error> {
        let prefix = self.path(folder);
        let found = match after {
            None => self.objects.list(Some(&prefix)),
            Some(after) => self.objects.list_with_offset(Some(&prefix), &self.path(after)),
        };
        let keys = found.map_ok(|object| self.key(&object.location)).try_collect::<Vec<_>>().await;
        let failed = |source| Error::Object { doing: "list", key: folder.to_owned(), source };
        let mut keys = keys.map_err(failed)?;
        keys.sort_unstable();
        Ok(keys)
    }

    fn path(&self, key: &str) -> Path {
        Path::from_iter(self.prefix.parts().chain(Path::from(key).parts()))
    }

    fn key(&self, location: &Path) -> String {
        let parts = location.prefix_match(&self.prefix);
        parts.map_or_else(|| location.to_string(), |parts| Path::from_iter(parts).to_string())
    }
}

fn local(doing: &'static str, path: &FilePath) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.display().to_string();
    move |source| Error::Local { doing, path, source }
}

/// Writes beside, syncs, then links: the name appears with all its bytes or not at all, and only if it is free.
///
/// A crash before the link leaves a `#`-named file, which listings pass over and the next try writes anew.
fn create_file(folder: &FilePath, key: &str, bytes: &[u8]) -> Result<Created, Error> {
    let path = folder.join(key);
    let parent = path.parent().unwrap_or(folder);
    make_folders(folder, parent)?;
    let mut staged = path.clone().into_os_string();
    staged.push(format!("#{}", std::process::id()));
    let staged = PathBuf::from(staged);
    let mut file = std::fs::File::create(&staged).map_err(local("create", &staged))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(local("create", &staged))?;
    let linked = std::fs::hard_link(&staged, &path);
    std::fs::remove_file(&staged).map_err(local("clear away", &staged))?;
    match linked {
        Ok(()) => sync_folder(parent).map(|()| Created::New),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            // It may be this process's own from before a crash, its folder not yet synced.
            sync_folder(parent).map(|()| Created::Exists)
        }
        Err(error) => Err(local("create", &path)(error)),
    }
}

/// Makes `parent` and the folders between it and `root`, each durable in the one that holds it.
fn make_folders(root: &FilePath, parent: &FilePath) -> Result<(), Error> {
    if parent.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(parent).map_err(local("make the folder", parent))?;
    let inside = parent.ancestors().take_while(|folder| *folder != root);
    for holder in inside.filter_map(FilePath::parent) {
        sync_folder(holder)?;
    }
    Ok(())
}

fn sync_folder(path: &FilePath) -> Result<(), Error> {
    std::fs::File::open(path).and_then(|folder| folder.sync_all()).map_err(local("sync", path))
}
