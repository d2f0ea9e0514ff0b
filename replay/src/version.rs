//! SHELL. What lies under keys in a store with versions, and which of it is the original: told by content, never by age alone.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use schemas::{Digest, Partition, Topic};
use store::Version;

use crate::error::{Error, causes};
use crate::fetch::{Catalogue, FOLDERS, Shelf, Store};
use crate::finding::{Findings, Kind};

/// Most versions of one key that are looked at: the oldest, among which the original is. The rest are counted.
pub(crate) const VERSIONS_MAX: usize = 1_000;
/// Of why a store does not give an object, so much is told.
const CAUSE_CHARS_MAX: usize = 300;

/// Versions and delete markers of one key, oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Versions {
    /// At most [`VERSIONS_MAX`].
    pub(crate) list: VecDeque<Version>,
    pub(crate) omitted: u64,
}

/// Versions and delete markers by key.
pub(crate) type ByKey = BTreeMap<String, Versions>;

/// An object as it is read: one version of it, if the store has versions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pinned {
    /// Of the original; where that is not to be told, of the oldest version.
    pub(crate) bytes: Option<Bytes>,
    pub(crate) version: Option<Version>,
    /// Whether it is the original as far as its content shows, or the only version there is.
    pub(crate) sure: bool,
    /// What else lies under the key, and whether over the version that was read.
    pub(crate) others: Vec<(Version, bool)>,
    pub(crate) omitted: u64,
}

impl Pinned {
    fn of(versions: &Versions, at: Option<usize>) -> Self {
        let others = versions.list.iter().enumerate().filter(|(index, _)| Some(*index) != at);
        Self {
            bytes: None,
            version: at.and_then(|at| versions.list.get(at).cloned()),
            sure: true,
            others: others.map(|(i, other)| (other.clone(), at.is_none_or(|at| i > at))).collect(),
            omitted: versions.omitted,
        }
    }

    /// The version at this place among a key's, not read.
    pub(crate) fn at(versions: &Versions, at: usize) -> Self {
        Self::of(versions, Some(at))
    }

    /// The oldest version, not read.
    pub(crate) fn oldest(versions: &Versions) -> Self {
        let mut data = versions.list.iter().enumerate().filter(|(_, v)| !v.is_delete_marker);
        let oldest = data.next().map(|(at, _)| at);
        Self { sure: data.next().is_none(), ..Self::of(versions, oldest) }
    }

    /// The object's text.
    pub(crate) fn text(&self) -> Option<Result<String, String>> {
        let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec());
        self.bytes.as_ref().map(|bytes| text(bytes).map_err(|_| "it is not UTF-8".to_owned()))
    }
}

impl Store {
    /// Hands over every version and delete marker below `prefix`, key by key, a key's newest first.
    pub(crate) async fn each_version(
        &self,
        prefix: &str,
        mut take: impl FnMut(Version),
    ) -> Result<(), Error> {
        let Some(s3) = self.objects().s3() else { return Ok(()) };
        let read = |source| Error::Read { key: prefix.to_owned(), source: Box::new(source) };
        let mut from = None;
        loop {
            let page = s3.versions(prefix, from.as_ref()).await.map_err(read)?;
            page.versions.into_iter().for_each(&mut take);
            from = page.next;
            if from.is_none() {
                return Ok(());
            }
        }
    }

    /// The partitions of which there is anything, hidden or not.
    pub(crate) async fn catalogue_of_versions(&self) -> Result<Catalogue, Error> {
        let mut catalogue = Catalogue::default();
        for folder in FOLDERS {
            self.each_version(&format!("{folder}/"), |version| catalogue.put(&version.key)).await?;
        }
        Ok(catalogue)
    }

    /// As [`Store::shelf`], from all versions and delete markers.
    pub(crate) async fn shelf_of_versions(
        &self,
        topic: Topic,
        partition: Partition,
    ) -> Result<Shelf, Error> {
        let mut shelf = Shelf::new(topic, partition);
        let mut found = ByKey::new();
        for prefix in shelf.folders() {
            let mut last: Option<String> = None;
            self.each_version(&format!("{prefix}/"), |version| {
                if last.as_ref() != Some(&version.key) {
                    shelf.put(version.key.clone());
                    last = Some(version.key.clone());
                }
                put(found.entry(version.key.clone()).or_default(), version);
            })
            .await?;
        }
        found.values_mut().for_each(oldest_first);
        shelf.versions = Some(found);
        Ok(shelf)
    }

    /// The object under a key. Of several versions the oldest that `is_original` is it.
    pub(crate) async fn pin(
        &self,
        versions: Option<&ByKey>,
        key: &str,
        bytes_max: u64,
        is_original: impl Fn(&Bytes) -> bool,
    ) -> Result<Pinned, Error> {
        let Some(versions) = versions else {
            return Ok(Pinned { bytes: self.get(key, bytes_max).await?, ..Pinned::default() });
        };
        let none = Versions::default();
        let versions = versions.get(key).unwrap_or(&none);
        let (at, mut bytes, sure) = self.choose(versions, bytes_max, is_original).await?;
        if at.is_none() {
            // Bytes that were put behind a server's back may be read though no version of them is listed.
            bytes = self.get(key, bytes_max).await?;
        }
        Ok(Pinned { bytes, sure, ..Pinned::of(versions, at) })
    }

    /// An object that is too large cannot be read, nor one that a store does not give though it answers otherwise: its disk
    /// may be damaged, and what else it holds is still to be looked at.
    pub(crate) async fn readable(
        &self,
        key: &str,
        pinned: Result<Pinned, Error>,
        findings: &mut Findings,
    ) -> Result<Option<Pinned>, Error> {
        match pinned {
            Err(error @ Error::TooLarge { .. }) => {
                findings.add(Kind::Unreadable, key, error.to_string());
                Ok(None)
            }
            Err(Error::Read { source, .. }) if self.answers().await => {
                let why: String = causes(&*source).chars().take(CAUSE_CHARS_MAX).collect();
                findings.add(Kind::Unreadable, key, format!("the store does not give it: {why}"));
                Ok(None)
            }
            pinned => pinned.map(Some),
        }
    }

    async fn choose(
        &self,
        versions: &Versions,
        bytes_max: u64,
        is_original: impl Fn(&Bytes) -> bool,
    ) -> Result<(Option<usize>, Option<Bytes>, bool), Error> {
        let all = versions.list.iter().enumerate().filter(|(_, version)| !version.is_delete_marker);
        let all: Vec<(usize, &Version)> = all.collect();
        let mut oldest = (None, None, false);
        for &(at, version) in &all {
            let bytes = match self.get_version(version, bytes_max).await {
                // One of several may be anything; the only one is what its caller must hear of.
                Err(Error::TooLarge { .. } | Error::Read { .. }) if all.len() > 1 => continue,
                bytes => bytes?,
            };
            let Some(bytes) = bytes else { continue };
            if all.len() == 1 || is_original(&bytes) {
                return Ok((Some(at), Some(bytes), true));
            }
            if oldest.0.is_none() {
                oldest = (Some(at), Some(bytes), false);
            }
        }
        Ok(oldest)
    }

    pub(crate) async fn get_version(
        &self,
        version: &Version,
        bytes_max: u64,
    ) -> Result<Option<Bytes>, Error> {
        let Some(s3) = self.objects().s3() else { return Ok(None) };
        let read = s3.get(&version.key, Some(&version.version), bytes_max).await;
        read.map_err(crate::fetch::read(&version.key))
    }

    /// Takes out of a key's versions those that were abandoned there: they are accounted for.
    pub(crate) async fn set_aside(
        &self,
        versions: &mut Versions,
        abandoned: &[(Option<String>, Digest)],
    ) -> Result<(), Error> {
        let mut kept = VecDeque::new();
        for version in std::mem::take(&mut versions.list) {
            let named = abandoned
                .iter()
                .filter(|(id, _)| id.as_ref().is_none_or(|id| *id == version.version));
            let digests: Vec<Digest> = named.map(|(_, digest)| *digest).collect();
            let is_it = !digests.is_empty()
                && self.digest_of(&version).await?.is_some_and(|digest| digests.contains(&digest));
            if !is_it {
                kept.push_back(version);
            }
        }
        versions.list = kept;
        Ok(())
    }

    async fn digest_of(&self, version: &Version) -> Result<Option<Digest>, Error> {
        let Some(s3) = self.objects().s3().filter(|_| !version.is_delete_marker) else {
            return Ok(None);
        };
        let read = s3.content(&version.key, Some(&version.version)).await;
        Ok(read.map_err(crate::fetch::read(&version.key))?.map(|content| content.sha256))
    }

    /// The original of an object that was enrolled with this hash, wherever it lies among the versions of its key.
    pub(crate) async fn original(
        &self,
        key: &str,
        sha256: Digest,
    ) -> Result<Option<Version>, Error> {
        for version in self.versions_of(key).await?.list {
            if self.digest_of(&version).await? == Some(sha256) {
                return Ok(Some(version));
            }
        }
        Ok(None)
    }

    /// As [`Store::pin`], for a reader that looks at versions only where the current one is not what it must be.
    pub(crate) async fn pin_or_recover(
        &self,
        versions: Option<&ByKey>,
        key: &str,
        bytes_max: u64,
        is_original: impl Fn(&Bytes) -> bool,
    ) -> Result<Pinned, Error> {
        let pinned = match self.pin(versions, key, bytes_max, &is_original).await {
            Err(Error::TooLarge { .. }) => Pinned::default(),
            pinned => pinned?,
        };
        let found = pinned.bytes.as_ref().is_some_and(&is_original);
        if found || versions.is_some() || !self.has_versions() {
            return Ok(pinned);
        }
        let all = ByKey::from([(key.to_owned(), self.versions_of(key).await?)]);
        self.pin(Some(&all), key, bytes_max, is_original).await
    }

    async fn versions_of(&self, key: &str) -> Result<Versions, Error> {
        let mut versions = Versions::default();
        self.each_version(key, |version| {
            if version.key == key {
                put(&mut versions, version);
            }
        })
        .await?;
        oldest_first(&mut versions);
        Ok(versions)
    }
}

/// Adds the next version of a listing.
pub(crate) fn put(versions: &mut Versions, version: Version) {
    versions.list.push_back(version);
    if versions.list.len() > VERSIONS_MAX {
        versions.list.pop_front();
        versions.omitted += 1;
    }
}

/// Servers say which one is the latest. The times of the others are taken for what they are: to a second, or rounded up to
/// the next; the order among those of one second is that of the listing, a key's newest first.
pub(crate) fn oldest_first(versions: &mut Versions) {
    let list = versions.list.make_contiguous();
    list.reverse();
    list.sort_by_key(|version| (version.is_latest, version.at));
}
