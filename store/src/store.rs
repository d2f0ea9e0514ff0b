//! SHELL: the object store: create-only writes, whole reads, ordered listings.
//!
//! Nothing that is evidence is overwritten or deleted: it is written by [`Store::create`], and its lock travels with it.
//! What moves instead is `moving`'s.

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{GetResult, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload};
use schemas::Digest;
use url::Url;

use crate::content::{self, Content};
use crate::error::Error;
use crate::folder;
use crate::lock::Lock;
use crate::page::Page;
use crate::s3::S3;

/// What a create-only write found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// The object is new.
    New,
    /// The key was taken, perhaps by this very write: its first answer may have been lost, and the library asked again. Read
    /// it back. What is then absent (a delete marker over it, a listing that lags) is an invitation to try again, not proof.
    Exists,
}

/// An object store under a prefix.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) objects: Arc<dyn ObjectStore>,
    prefix: Path,
    /// What only S3 has, where it is S3.
    s3: Option<S3>,
    /// The folder of a local store: its files are written and synced here, since the library syncs nothing.
    pub(crate) folder: Option<PathBuf>,
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
                let bucket =
                    url.host_str().ok_or_else(|| wrong("it names no bucket".to_owned()))?;
                let opened = S3::open(AmazonS3Builder::from_env(), bucket, &prefix);
                Ok(Self::of_s3(opened.map_err(|e| wrong(e.to_string()))?, prefix))
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
        Self { objects, prefix, s3: None, folder: None }
    }

    fn of_s3(s3: S3, prefix: Path) -> Self {
        Self { objects: s3.objects.clone(), prefix, s3: Some(s3), folder: None }
    }

    fn folder(path: &FilePath) -> Result<Self, Error> {
        let path = folder::open(path)?;
        let objects = LocalFileSystem::new_with_prefix(&path).map_err(|source| Error::Object {
            doing: "open",
            key: path.display().to_string(),
            source,
        })?;
        let prefix = Path::default();
        Ok(Self { objects: Arc::new(objects), prefix, s3: None, folder: Some(path) })
    }

    /// What only S3 has, where the store is a bucket.
    #[must_use]
    pub fn s3(&self) -> Option<&S3> {
        self.s3.as_ref()
    }

    /// Writes an object unless its key is taken, under `lock` where the store knows locks (S3 does; a folder and memory do
    /// not). On a local folder it is durable when this returns.
    ///
    /// [`Created::Exists`] is said only where the store itself says that the key is taken; a write that lost to another one
    /// under way (S3's 409) may have found nothing there, and is an error like that of a lost answer.
    ///
    /// # Errors
    /// The store refused or did not answer: the object may be there or not ([`Kind::Unknown`](crate::Kind::Unknown)). Read
    /// back, and where nothing is there try again.
    pub async fn create(
        &self,
        key: &str,
        bytes: Bytes,
        lock: Option<Lock>,
    ) -> Result<Created, Error> {
        if let Some(folder) = &self.folder {
            let (folder, key) = (folder.clone(), key.to_owned());
            let written =
                tokio::task::spawn_blocking(move || folder::create(&folder, &key, &bytes));
            return written.await.map_err(Error::Task)?;
        }
        let mut options = PutOptions::from(PutMode::Create);
        if let Some(lock) = lock {
            options.extensions.insert(lock);
        }
        match self.objects.put_opts(&self.path(key), PutPayload::from(bytes), options).await {
            Ok(_) => Ok(Created::New),
            Err(error) if self.says_taken(&error) => Ok(Created::Exists),
            Err(source) => Err(Error::Object { doing: "create", key: key.to_owned(), source }),
        }
    }

    /// Reads an object of at most `bytes_max`; `None` where there is none.
    ///
    /// # Errors
    /// The store refused or did not answer, or the object is larger.
    pub async fn get(&self, key: &str, bytes_max: u64) -> Result<Option<Bytes>, Error> {
        Ok(self.get_version(key, bytes_max).await?.map(|(bytes, _)| bytes))
    }

    /// Reads an object of at most `bytes_max`, and says which version it was, where the store has versions; `None` where
    /// there is none.
    ///
    /// # Errors
    /// The store refused or did not answer, or the object is larger.
    pub async fn get_version(
        &self,
        key: &str,
        bytes_max: u64,
    ) -> Result<Option<(Bytes, Option<String>)>, Error> {
        let Some(found) = self.found(key).await? else { return Ok(None) };
        let version = found.meta.version.clone();
        Ok(Some((content::bytes(found, key, bytes_max).await?, version)))
    }

    /// Size and SHA-256 of an object, hashed as it comes: it may be larger than what is held in memory.
    ///
    /// # Errors
    /// The store refused or did not answer.
    pub async fn size_and_sha256(&self, key: &str) -> Result<Option<(u64, Digest)>, Error> {
        Ok(self.content(key).await?.map(|content| (content.bytes, content.sha256)))
    }

    /// Size, SHA-256 and version of an object, hashed as it comes: it may be larger than what is held in memory.
    ///
    /// # Errors
    /// The store refused or did not answer.
    pub async fn content(&self, key: &str) -> Result<Option<Content>, Error> {
        match self.found(key).await? {
            Some(found) => content::hash(found, key).await.map(Some),
            None => Ok(None),
        }
    }

    /// All keys under `folder` that sort after `after`, ascending.
    ///
    /// # Errors
    /// The store refused or did not answer.
    pub async fn list(&self, folder: &str, after: Option<&str>) -> Result<Vec<String>, Error> {
        if self.s3.is_none() {
            return self.listed(folder, after).await;
        }
        let mut keys = Vec::new();
        loop {
            let page = {
                let after = keys.last().map(String::as_str).or(after);
                self.page(folder, after).await?
            };
            keys.extend(page.keys);
            if !page.full {
                return Ok(keys);
            }
        }
    }

    /// The first keys under `folder` that sort after `after`, ascending: one request, however many there are.
    ///
    /// # Errors
    /// The store refused or did not answer.
    pub async fn page(&self, folder: &str, after: Option<&str>) -> Result<Page, Error> {
        if let Some(s3) = &self.s3 {
            let slash = if folder.is_empty() { "" } else { "/" };
            return s3.page(&format!("{folder}{slash}"), after).await;
        }
        if let Some(root) = &self.folder {
            let (root, folder, after) = (root.clone(), folder.to_owned(), after.map(str::to_owned));
            let listed =
                tokio::task::spawn_blocking(move || folder::page(&root, &folder, after.as_deref()));
            return listed.await.map_err(Error::Task)?;
        }
        Ok(Page::first(self.listed(folder, after).await?))
    }

    /// All keys, by the library, which stumbles over keys that it would not have written itself.
    async fn listed(&self, folder: &str, after: Option<&str>) -> Result<Vec<String>, Error> {
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

    pub(crate) async fn found(&self, key: &str) -> Result<Option<GetResult>, Error> {
        match self.objects.get(&self.path(key)).await {
            Ok(found) => Ok(Some(found)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(Error::Object { doing: "read", key: key.to_owned(), source }),
        }
    }

    /// The library takes S3's 409 for a taken key, though it is said where another write is under way and nothing may be
    /// there in the end; a condition that failed is told by its cause.
    fn says_taken(&self, error: &object_store::Error) -> bool {
        use object_store::Error::{AlreadyExists, NotModified, Precondition};
        let AlreadyExists { source, .. } = error else { return false };
        let cause = source.downcast_ref::<object_store::Error>();
        self.s3.is_none() || matches!(cause, Some(NotModified { .. } | Precondition { .. }))
    }

    pub(crate) fn path(&self, key: &str) -> Path {
        Path::from_iter(self.prefix.parts().chain(Path::from(key).parts()))
    }

    pub(crate) fn key(&self, location: &Path) -> String {
        let parts = location.prefix_match(&self.prefix);
        parts.map_or_else(|| location.to_string(), |parts| Path::from_iter(parts).to_string())
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;
    use schemas::{LockMode, Seconds};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::error::Kind;

    /// A server that answers as it is told, one answer a connection, and says what it was asked; an empty answer is none.
    async fn scripted(
        answers: &'static [&'static str],
    ) -> (Store, tokio::task::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let served = tokio::spawn(async move {
            let mut asked = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                asked.push(request(&mut stream).await);
                if !answer.is_empty() {
                    let rest = "content-length: 0\r\nconnection: close\r\netag: \"e\"\r\n\r\n";
                    let answer = format!("HTTP/1.1 {answer}\r\n{rest}");
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            }
            asked
        });
        let builder = AmazonS3Builder::new()
            .with_endpoint(endpoint)
            .with_allow_http(true)
            .with_access_key_id("id")
            .with_secret_access_key("secret");
        let prefix = Path::from("p");
        (Store::of_s3(S3::open(builder, "bucket", &prefix).unwrap(), prefix), served)
    }

    /// A request with its body of three bytes, in lower case.
    async fn request(stream: &mut TcpStream) -> String {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\nabc") {
            let mut byte = [0];
            stream.read_exact(&mut byte).await.unwrap();
            bytes.push(byte[0]);
        }
        String::from_utf8(bytes).unwrap().to_lowercase()
    }

    async fn create(store: &Store) -> Result<Created, Error> {
        let lock = Lock { mode: LockMode::Compliance, until: Seconds(1_800_000_000) };
        store.create("k", Bytes::from_static(b"abc"), Some(lock)).await
    }

    #[tokio::test]
    async fn a_lock_and_a_checksum_are_signed_on_every_attempt() {
        let (store, served) = scripted(&["500 No", "200 OK"]).await;
        assert_eq!(create(&store).await.unwrap(), Created::New);
        let asked = served.await.unwrap();
        assert_eq!(asked.len(), 2);
        for asked in asked {
            assert!(asked.starts_with("put /bucket/p/k http/1.1\r\n"), "{asked}");
            let headers: std::collections::BTreeMap<&str, &str> =
                asked.lines().filter_map(|line| line.split_once(": ")).collect();
            assert_eq!(headers["if-none-match"], "*");
            assert_eq!(headers["x-amz-object-lock-mode"], "compliance");
            assert_eq!(headers["x-amz-object-lock-retain-until-date"], "2027-01-15t08:00:00z");
            let signed = headers["authorization"];
            for name in ["mode", "retain-until-date"] {
                assert!(signed.contains(&format!(";x-amz-object-lock-{name}")), "{signed}");
            }
            assert!(signed.contains(";x-amz-checksum-sha256;"), "{signed}");
            assert_eq!(headers["x-amz-content-sha256"], Digest::of(b"abc").to_string());
        }
    }

    #[tokio::test]
    async fn a_taken_key_is_said_to_be_taken_also_after_an_answer_was_lost() {
        for script in [&["412 No"][..], &["500 No", "412 No"], &["", "412 No"]] {
            let (store, served) = scripted(script).await;
            assert_eq!(create(&store).await.unwrap(), Created::Exists, "{script:?}");
            assert_eq!(served.await.unwrap().len(), script.len());
        }
    }

    #[tokio::test]
    async fn a_write_that_met_another_one_under_way_is_unknown_and_not_taken() {
        let (store, served) = scripted(&["409 Conflict"]).await;
        assert_eq!(create(&store).await.unwrap_err().kind(), Kind::Unknown);
        served.await.unwrap();
    }

    #[tokio::test]
    async fn a_page_is_the_first_keys_of_any_store() {
        let folder = tempfile::tempdir().unwrap();
        let local = Store::open(folder.path().to_str().unwrap()).unwrap();
        std::fs::create_dir(folder.path().join("f")).unwrap();
        std::fs::write(folder.path().join("f/0002#77"), "staged by one that was killed").unwrap();
        for store in [local, Store::new(Arc::new(InMemory::new()), Path::from("p"))] {
            let keys: Vec<String> = (0..1003).map(|number| format!("f/{number:04}")).collect();
            for key in keys.iter().rev().chain([&"g/1".to_owned(), &"f/9/2".to_owned()]) {
                let created = store.create(key, Bytes::from_static(b"x"), None).await.unwrap();
                assert_eq!(created, Created::New);
            }
            let page = store.page("f", None).await.unwrap();
            assert_eq!(page, Page { keys: keys[..1000].to_vec(), full: true });
            let page = store.page("f", Some(&keys[1001])).await.unwrap();
            let rest = vec![keys[1002].clone(), "f/9/2".to_owned()];
            assert_eq!(page, Page { keys: rest.clone(), full: false });
            assert_eq!(store.list("f", Some(&keys[1001])).await.unwrap(), rest);
            assert_eq!(store.page("nothing", None).await.unwrap(), Page::default());
        }
    }
}
