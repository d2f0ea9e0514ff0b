//! SHELL. A store of sealed segments: opened from an address, listed and read within limits. It knows keys, not their contents.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path as FilePath;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use schemas::{Epoch, ObjectKey, Offset, Partition, Topic};
use url::Url;

use crate::error::Error;

/// Largest segment object that is read.
pub const SEGMENT_BYTES_MAX: u64 = 1 << 30;
/// Largest record, opening or terminal object that is read.
pub const TEXT_BYTES_MAX: u64 = 1 << 20;

/// Where sealed segments lie.
#[derive(Clone, Debug)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    root: Path,
}

/// What a store holds for one partition.
#[derive(Debug)]
pub(crate) struct Shelf {
    pub(crate) topic: Topic,
    pub(crate) partition: Partition,
    pub(crate) epochs: BTreeSet<Epoch>,
    /// Segments and records by place, and which of the two is there.
    pub(crate) places: BTreeMap<(Epoch, Offset), Present>,
    /// Keys that are none of these.
    pub(crate) junk: Vec<String>,
}

/// Which objects lie at one start offset.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Present {
    /// Size of the segment object, if there is one.
    pub(crate) segment: Option<u64>,
    pub(crate) record: bool,
}

/// The partitions of a store, and keys where there should be none.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    pub(crate) partitions: BTreeSet<(Topic, Partition)>,
    pub(crate) junk: BTreeSet<String>,
}

const FOLDERS: [&str; 3] = ["epochs", "segments", "records"];

impl Store {
    /// Opens the store at a folder, a `file://` or an `s3://bucket/prefix` URL. A folder may hold the store itself or,
    /// as one made by `up`, in its folder `store`. S3 credentials come from the usual `AWS_*` environment variables.
    ///
    /// # Errors
    /// An address that cannot be understood, or a folder that holds no store.
    pub fn open(address: &str) -> Result<Self, Error> {
        let wrong = |why: &str| Error::Open { address: address.to_owned(), why: why.to_owned() };
        if !address.contains("://") {
            return Self::folder(address, FilePath::new(address));
        }
        let url = Url::parse(address).map_err(|error| wrong(&error.to_string()))?;
        match url.scheme() {
            "file" => {
                let path = url.to_file_path().map_err(|()| wrong("it names no local file"))?;
                Self::folder(address, &path)
            }
            "s3" => {
                let bucket = url.host_str().ok_or_else(|| wrong("it names no bucket"))?;
                let objects = AmazonS3Builder::from_env().with_bucket_name(bucket).build();
                let objects = objects.map_err(|error| wrong(&error.to_string()))?;
                let root = Path::from_url_path(url.path());
                let root = root.map_err(|error| wrong(&error.to_string()))?;
                Ok(Self::new(Arc::new(objects), root))
            }
            _ => Err(wrong("the scheme is neither file nor s3")),
        }
    }

    fn folder(address: &str, path: &FilePath) -> Result<Self, Error> {
        let wrong = |why: String| Error::Open { address: address.to_owned(), why };
        let holds = |path: &FilePath| FOLDERS.iter().any(|folder| path.join(folder).is_dir());
        let inner = path.join("store");
        let root = if !holds(path) && inner.is_dir() { inner } else { path.to_owned() };
        if !holds(&root) {
            return Err(wrong("there is no store: neither epochs nor segments".to_owned()));
        }
        let objects = LocalFileSystem::new_with_prefix(&root);
        let objects = objects.map_err(|error| wrong(error.to_string()))?;
        Ok(Self::new(Arc::new(objects), Path::default()))
    }

    /// A store below `root` of an object store.
    #[must_use]
    pub fn new(objects: Arc<dyn ObjectStore>, root: Path) -> Self {
        Self { objects, root }
    }

    pub(crate) fn path(&self, key: &str) -> Path {
        Path::from_iter(self.root.parts().chain(Path::from(key).parts()))
    }

    fn key(&self, path: &Path) -> String {
        path.prefix_match(&self.root)
            .map_or_else(|| path.to_string(), |parts| Path::from_iter(parts).to_string())
    }

    /// Finds the partitions. Costs a listing of folders, not of segments.
    pub(crate) async fn catalogue(&self) -> Result<Catalogue, Error> {
        let mut catalogue = Catalogue::default();
        for folder in FOLDERS {
            for topic_folder in self.folders(folder, &mut catalogue).await? {
                let name = topic_folder.rsplit('/').next().unwrap_or_default();
                let Ok(topic) = Topic::new(name) else {
                    catalogue.junk.insert(topic_folder);
                    continue;
                };
                for partition_folder in self.folders(&topic_folder, &mut catalogue).await? {
                    let name = partition_folder.rsplit('/').next().unwrap_or_default();
                    match name.parse().ok().filter(|number: &u32| format!("{number:05}") == name) {
                        Some(number) => {
                            catalogue.partitions.insert((topic.clone(), Partition(number)));
                        }
                        None => {
                            catalogue.junk.insert(partition_folder);
                        }
                    }
                }
            }
        }
        Ok(catalogue)
    }

    /// The folders in `prefix`; objects lying among them are junk.
    async fn folders(&self, prefix: &str, into: &mut Catalogue) -> Result<Vec<String>, Error> {
        let listed = self.objects.list_with_delimiter(Some(&self.path(prefix))).await;
        let listed = listed.map_err(|source| Error::Read { key: prefix.to_owned(), source })?;
        into.junk.extend(listed.objects.iter().map(|object| self.key(&object.location)));
        Ok(listed.common_prefixes.iter().map(|path| self.key(path)).collect())
    }

    /// Lists what lies in one partition's folders.
    pub(crate) async fn shelf(&self, topic: Topic, partition: Partition) -> Result<Shelf, Error> {
        let place = format!("{topic}/{:05}", partition.0);
        let (epochs, places, junk) = Default::default();
        let mut shelf = Shelf { topic, partition, epochs, places, junk };
        for folder in FOLDERS {
            let prefix = format!("{folder}/{place}");
            let mut listed = self.objects.list(Some(&self.path(&prefix)));
            let wrong = |source| Error::Read { key: prefix.clone(), source };
            while let Some(object) = listed.try_next().await.map_err(wrong)? {
                shelf.put(self.key(&object.location), object.size);
            }
        }
        Ok(shelf)
    }

    /// The object's bytes; `None` where there is none.
    pub(crate) async fn get(&self, key: &str, bytes_max: u64) -> Result<Option<Bytes>, Error> {
        let wrong = |source| Error::Read { key: key.to_owned(), source };
        let found = match self.objects.get(&self.path(key)).await {
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            found => found.map_err(wrong)?,
        };
        let bytes = found.meta.size;
        if bytes > bytes_max {
            return Err(Error::TooLarge { key: key.to_owned(), bytes, bytes_max });
        }
        found.bytes().await.map(Some).map_err(wrong)
    }

    /// Feeds the object to `take` chunk by chunk and returns its size; `None` where there is none.
    pub(crate) async fn stream(
        &self,
        key: &str,
        mut take: impl FnMut(&[u8]) + Send,
    ) -> Result<Option<u64>, Error> {
        let wrong = |source| Error::Read { key: key.to_owned(), source };
        let found = match self.objects.get(&self.path(key)).await {
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            found => found.map_err(wrong)?,
        };
        let mut chunks = found.into_stream();
        let mut bytes = 0;
        while let Some(chunk) = chunks.try_next().await.map_err(wrong)? {
            bytes += u64::try_from(chunk.len()).unwrap_or(u64::MAX);
            take(&chunk);
        }
        Ok(Some(bytes))
    }

    /// The object's text; an object that is too large or not UTF-8 is no text.
    pub(crate) async fn text(&self, key: &str) -> Result<Option<Result<String, String>>, Error> {
        let bytes = match self.get(key, TEXT_BYTES_MAX).await {
            Err(error @ Error::TooLarge { .. }) => return Ok(Some(Err(error.to_string()))),
            bytes => bytes?,
        };
        let text = |bytes: Bytes| {
            String::from_utf8(bytes.into()).map_err(|_| "it is not UTF-8".to_owned())
        };
        Ok(bytes.map(text))
    }
}

impl Shelf {
    fn put(&mut self, key: String, bytes: u64) {
        match ObjectKey::parse(&key) {
            Some(ObjectKey::Epoch(_, _, epoch)) => {
                self.epochs.insert(epoch);
            }
            Some(ObjectKey::Segment(_, _, epoch, start)) => {
                self.places.entry((epoch, start)).or_default().segment = Some(bytes);
            }
            Some(ObjectKey::Record(_, _, epoch, start)) => {
                self.places.entry((epoch, start)).or_default().record = true;
            }
            None => self.junk.push(key),
        }
    }

    pub(crate) fn segment_key(&self, epoch: Epoch, start: Offset) -> String {
        ObjectKey::Segment(self.topic.clone(), self.partition, epoch, start).to_string()
    }

    pub(crate) fn record_key(&self, epoch: Epoch, start: Offset) -> String {
        ObjectKey::Record(self.topic.clone(), self.partition, epoch, start).to_string()
    }

    pub(crate) fn epoch_key(&self, epoch: Epoch) -> String {
        ObjectKey::Epoch(self.topic.clone(), self.partition, epoch).to_string()
    }
}
