//! SHELL. A store of sealed segments: opened from an address, listed and read within limits. It knows keys, not their contents.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bytes::Bytes;
use schemas::{Digest, Epoch, ObjectKey, Offset, Partition, Topic};
use url::Url;

use crate::error::Error;
use crate::version::ByKey;

/// Largest segment object that is read.
pub const SEGMENT_BYTES_MAX: u64 = 1 << 30;
/// Largest record, opening or terminal object that is read.
pub const TEXT_BYTES_MAX: u64 = 1 << 20;

/// Where sealed segments lie.
#[derive(Clone, Debug)]
pub struct Store {
    objects: store::Store,
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
    /// What lies under each key, where that was looked at.
    pub(crate) versions: Option<ByKey>,
}

/// Which objects lie at one start offset.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Present {
    pub(crate) segment: bool,
    pub(crate) record: bool,
}

/// The partitions of a store, and keys where there should be none.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    pub(crate) partitions: BTreeSet<(Topic, Partition)>,
    pub(crate) junk: BTreeSet<String>,
}

pub(crate) const FOLDERS: [&str; 3] = ["epochs", "segments", "records"];

impl Store {
    /// Opens the store at a folder, a `file://` or an `s3://bucket/prefix` URL. A folder may hold the store itself or,
    /// as one made by `up`, in its folder `store`. S3 credentials come from the usual `AWS_*` environment variables.
    ///
    /// # Errors
    /// An address that cannot be understood, or a folder that holds no store.
    pub fn open(address: &str) -> Result<Self, Error> {
        let wrong = |why: &str| Error::Open { address: address.to_owned(), why: why.to_owned() };
        if !address.contains("://") {
            return Self::folder(address, Path::new(address));
        }
        let url = Url::parse(address).map_err(|error| wrong(&error.to_string()))?;
        match url.scheme() {
            "file" => {
                let path = url.to_file_path().map_err(|()| wrong("it names no local file"))?;
                Self::folder(address, &path)
            }
            "s3" if url.host_str().is_some() => {
                let objects = store::Store::open(address);
                objects.map(Self::new).map_err(|error| wrong(&error.to_string()))
            }
            "s3" => Err(wrong("it names no bucket")),
            _ => Err(wrong("the scheme is neither file nor s3")),
        }
    }

    /// A folder is looked at before it is opened: a reader makes none.
    fn folder(address: &str, path: &Path) -> Result<Self, Error> {
        let wrong = |why: String| Error::Open { address: address.to_owned(), why };
        let folders = || FOLDERS.iter().chain(&["log/commits", "log/tile"]);
        let holds = |path: &Path| folders().any(|folder| path.join(folder).is_dir());
        let inner = path.join("store");
        let root = if !holds(path) && inner.is_dir() { inner } else { path.to_owned() };
        if !holds(&root) {
            return Err(wrong("there is no store: neither epochs nor segments".to_owned()));
        }
        let root = root.canonicalize().map_err(|error| wrong(error.to_string()))?;
        let root = root.to_str().ok_or_else(|| wrong("its path is not UTF-8".to_owned()))?;
        store::Store::open(root).map(Self::new).map_err(|error| wrong(error.to_string()))
    }

    /// A reader of a store.
    #[must_use]
    pub fn new(objects: store::Store) -> Self {
        Self { objects }
    }

    /// Whether the store has versions and locks: a bucket has, a folder has not.
    #[must_use]
    pub fn has_versions(&self) -> bool {
        self.objects.s3().is_some()
    }

    /// Whether the store answers at all.
    pub(crate) async fn answers(&self) -> bool {
        self.objects.page("epochs", None).await.is_ok()
    }

    pub(crate) fn objects(&self) -> &store::Store {
        &self.objects
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
        let children = self.objects.children(prefix).await.map_err(read(prefix))?;
        into.junk.extend(children.objects);
        Ok(children.folders)
    }

    /// Lists what lies in one partition's folders.
    pub(crate) async fn shelf(&self, topic: Topic, partition: Partition) -> Result<Shelf, Error> {
        let mut shelf = Shelf::new(topic, partition);
        for prefix in shelf.folders() {
            for key in self.objects.list(&prefix, None).await.map_err(read(&prefix))? {
                shelf.put(key);
            }
        }
        Ok(shelf)
    }

    /// The object's bytes; `None` where there is none.
    pub(crate) async fn get(&self, key: &str, bytes_max: u64) -> Result<Option<Bytes>, Error> {
        self.objects.get(key, bytes_max).await.map_err(read(key))
    }

    /// SHA-256 of the object; `None` where there is none.
    pub(crate) async fn content(&self, key: &str) -> Result<Option<Digest>, Error> {
        let read = self.objects.content(key).await.map_err(read(key))?;
        Ok(read.map(|content| content.sha256))
    }

    /// Feeds the object to `take` chunk by chunk and returns its size; `None` where there is none.
    pub(crate) async fn stream(
        &self,
        key: &str,
        version: Option<&str>,
        take: impl FnMut(&[u8]) + Send,
    ) -> Result<Option<u64>, Error> {
        self.objects.stream(key, version, take).await.map_err(read(key))
    }
}

impl Catalogue {
    /// Notes the partition that a key belongs to; keys within a partition's folders are for its shelf to judge.
    pub(crate) fn put(&mut self, key: &str) {
        let mut parts = key.splitn(4, '/').skip(1);
        let (topic, partition) = (parts.next().unwrap_or_default(), parts.next());
        let number =
            partition.and_then(|name| name.parse().ok().filter(|n| format!("{n:05}") == name));
        match (Topic::new(topic), number, parts.next()) {
            (Ok(topic), Some(number), Some(_)) => {
                self.partitions.insert((topic, Partition(number)));
            }
            _ => {
                self.junk.insert(key.to_owned());
            }
        }
    }
}

/// What reading failed with; a limit is told from a store that does not answer.
pub(crate) fn read(key: &str) -> impl FnOnce(store::Error) -> Error {
    move |error| match error {
        store::Error::TooLarge { key, bytes, bytes_max } => {
            Error::TooLarge { key, bytes, bytes_max }
        }
        source => Error::Read { key: key.to_owned(), source: Box::new(source) },
    }
}

impl Shelf {
    pub(crate) fn new(topic: Topic, partition: Partition) -> Self {
        let (epochs, places, junk, versions) = Default::default();
        Self { topic, partition, epochs, places, junk, versions }
    }

    /// The folders that its keys lie in.
    pub(crate) fn folders(&self) -> [String; 3] {
        FOLDERS.map(|folder| format!("{folder}/{}/{:05}", self.topic, self.partition.0))
    }

    pub(crate) fn put(&mut self, key: String) {
        match ObjectKey::parse(&key) {
            Some(ObjectKey::Epoch(_, _, epoch)) => {
                self.epochs.insert(epoch);
            }
            Some(ObjectKey::Segment(_, _, epoch, start)) => {
                self.places.entry((epoch, start)).or_default().segment = true;
            }
            Some(ObjectKey::Record(_, _, epoch, start)) => {
                self.places.entry((epoch, start)).or_default().record = true;
            }
            None => self.junk.push(key),
        }
    }

    /// The one version of a key, where there is only one and no delete marker.
    pub(crate) fn only_version(&self, key: &str) -> Option<store::Version> {
        let versions = &self.versions.as_ref()?.get(key)?.list;
        versions.front().filter(|only| versions.len() == 1 && !only.is_delete_marker).cloned()
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
