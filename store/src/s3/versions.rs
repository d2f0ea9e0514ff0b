//! SHELL: listings of a bucket, of keys and of all their versions, in pages.

use schemas::Seconds;
use url::form_urlencoded;

use super::request::Request;
use super::xml::Element;
use super::{S3, parse, unreadable};
use crate::error::Error;
use crate::lock::seconds_of_s3;
use crate::page::Page;

/// What S3 gives at most.
const ENTRIES_MAX: &str = "1000";
const LIST: &str = "list";
const LIST_VERSIONS: &str = "list the versions under";

/// One version of an object, or a marker that says it was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The object.
    pub key: String,
    /// The version.
    pub version: String,
    /// Whether it is what a read without a version finds.
    pub is_latest: bool,
    /// Whether it only says that the object was deleted.
    pub is_delete_marker: bool,
    /// Its size; a marker has none.
    pub bytes: u64,
    /// When the server took it, by its clock.
    pub at: Option<Seconds>,
    /// The server's name for its content.
    pub etag: Option<String>,
}

/// Versions, keys ascending, the newest of a key first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionPage {
    /// At most 1,000.
    pub versions: Vec<Version>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<VersionMarker>,
}

/// A place in a listing of versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionMarker {
    key: String,
    version: Option<String>,
}

impl VersionMarker {
    fn is_of(&self, version: &Version) -> bool {
        self.key == version.key && self.version.as_ref() == Some(&version.version)
    }
}

impl S3 {
    /// The versions and markers of the keys that begin with `prefix`, a page at a time: from the beginning, or from where
    /// the page before ended.
    ///
    /// # Errors
    /// S3 refused or did not answer.
    pub async fn versions(
        &self,
        prefix: &str,
        from: Option<&VersionMarker>,
    ) -> Result<VersionPage, Error> {
        let whole = self.whole(prefix);
        let mut query = vec![
            ("versions", ""),
            ("encoding-type", "url"),
            ("max-keys", ENTRIES_MAX),
            ("prefix", &whole),
        ];
        let key_from = from.map(|from| self.whole(&from.key));
        query.extend(key_from.as_deref().map(|key| ("key-marker", key)));
        let version_from = from.and_then(|from| from.version.as_deref());
        query.extend(version_from.map(|version| ("version-id-marker", version)));
        let request = Request { doing: LIST_VERSIONS, query: &query, ..Request::get("") };
        let answer = self.bucket.send(&request).await?;
        let listing = parse(LIST_VERSIONS, prefix, &answer)?;
        let page = page_of_versions(&listing, &self.prefix);
        // A server that goes round in circles would be read for ever.
        let page = page.filter(|page| page.next.is_none() || page.next.as_ref() != from);
        let mut page = page.ok_or_else(|| unreadable(LIST_VERSIONS, prefix))?;
        // Some servers begin a page with the entry that ended the one before.
        if page.versions.first().is_some_and(|first| from.is_some_and(|from| from.is_of(first))) {
            page.versions.remove(0);
        }
        Ok(page)
    }

    /// The keys that begin with `prefix` and sort after `after`: one request.
    pub(crate) async fn page(&self, prefix: &str, after: Option<&str>) -> Result<Page, Error> {
        let whole = self.whole(prefix);
        let mut query = vec![
            ("list-type", "2"),
            ("encoding-type", "url"),
            ("max-keys", ENTRIES_MAX),
            ("prefix", &whole),
        ];
        let after = after.map(|after| self.whole(after));
        query.extend(after.as_deref().map(|after| ("start-after", after)));
        let request = Request { doing: LIST, query: &query, ..Request::get("") };
        let listing = parse(LIST, prefix, &self.bucket.send(&request).await?)?;
        page_of_keys(&listing, &self.prefix).ok_or_else(|| unreadable(LIST, prefix))
    }
}

fn page_of_keys(listing: &Element, prefix: &str) -> Option<Page> {
    let texts = Texts::of(listing);
    let entries = listing.children().iter().filter(|entry| entry.name() == "Contents");
    let keys = entries.map(|entry| texts.key(entry, "Key", prefix)).collect::<Option<Vec<_>>>()?;
    let full = listing.text("IsTruncated") == Some("true");
    // A page that is full of nothing would be asked for again and again.
    (listing.name() == "ListBucketResult" && !(full && keys.is_empty()))
        .then(|| Page::of(keys, full))
}

fn page_of_versions(listing: &Element, prefix: &str) -> Option<VersionPage> {
    let texts = Texts::of(listing);
    let entries = listing.children().iter();
    let entries = entries.filter(|entry| matches!(entry.name(), "Version" | "DeleteMarker"));
    let versions = entries.map(|entry| texts.version(entry, prefix)).collect::<Option<_>>()?;
    let next = if listing.text("IsTruncated") == Some("true") {
        let version = listing.text("NextVersionIdMarker").filter(|text| !text.is_empty());
        let key = texts.key(listing, "NextKeyMarker", prefix)?;
        Some(VersionMarker { key, version: version.map(str::to_owned) })
    } else {
        None
    };
    (listing.name() == "ListVersionsResult").then_some(VersionPage { versions, next })
}

/// How a listing spells its keys: percent-encoded, where it says so, since XML has no words for some characters.
#[derive(Clone, Copy)]
struct Texts {
    encoded: bool,
}

impl Texts {
    fn of(listing: &Element) -> Self {
        Self { encoded: listing.text("EncodingType") == Some("url") }
    }

    /// A key, without the store's prefix; `None` where it is not there, or of no such store.
    fn key(self, entry: &Element, name: &str, prefix: &str) -> Option<String> {
        let text = entry.exact(name)?;
        let text = if self.encoded { decoded(text) } else { text.to_owned() };
        text.strip_prefix(prefix).map(str::to_owned)
    }

    fn version(self, entry: &Element, prefix: &str) -> Option<Version> {
        Some(Version {
            key: self.key(entry, "Key", prefix)?,
            version: entry.text("VersionId")?.to_owned(),
            is_latest: entry.text("IsLatest") == Some("true"),
            is_delete_marker: entry.name() == "DeleteMarker",
            bytes: entry.text("Size").and_then(|size| size.parse().ok()).unwrap_or_default(),
            at: entry.text("LastModified").and_then(seconds_of_s3),
            etag: entry.text("ETag").map(str::to_owned),
        })
    }
}

/// Percent-decoded, with `+` for a blank, as S3 encodes.
fn decoded(text: &str) -> String {
    let whole = text.replace('&', "%26");
    form_urlencoded::parse(format!("={whole}").as_bytes())
        .next()
        .map(|(_, decoded)| decoded.into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(document: &str) -> Option<VersionPage> {
        page_of_versions(&Element::parse(document.as_bytes()).unwrap(), "p/")
    }

    #[test]
    fn versions_and_markers_are_read_in_their_order() {
        let page = versions(
            "<ListVersionsResult xmlns='http://s3.amazonaws.com/doc/2006-03-01/'><IsTruncated>true</IsTruncated>
            <NextKeyMarker>p/b%0A</NextKeyMarker><NextVersionIdMarker>2</NextVersionIdMarker><EncodingType>url</EncodingType>
            <DeleteMarker><Key>p/a+%2B%26</Key><VersionId>9</VersionId><IsLatest>true</IsLatest></DeleteMarker>
            <Version><Key>p/a+%2B%26</Key><VersionId>1</VersionId><IsLatest>false</IsLatest><Size>7</Size>
            <LastModified>2026-11-24T11:45:19.123Z</LastModified><ETag>&quot;e&quot;</ETag></Version></ListVersionsResult>",
        )
        .unwrap();
        assert_eq!(page.next, Some(VersionMarker { key: "b\n".into(), version: Some("2".into()) }));
        let marker = Version {
            key: "a +&".into(),
            version: "9".into(),
            is_latest: true,
            is_delete_marker: true,
            bytes: 0,
            at: None,
            etag: None,
        };
        let version = Version {
            version: "1".into(),
            is_latest: false,
            is_delete_marker: false,
            bytes: 7,
            at: "2026-11-24T11:45:19Z".parse().ok(),
            etag: Some("\"e\"".into()),
            ..marker.clone()
        };
        assert_eq!(page.versions, [marker, version]);
    }

    #[test]
    fn a_listing_that_is_none_or_has_no_end_is_refused() {
        for document in [
            "<html/>",
            "<ListVersionsResult><IsTruncated>true</IsTruncated></ListVersionsResult>",
            "<ListVersionsResult><Version><Key>other/a</Key><VersionId>1</VersionId></Version></ListVersionsResult>",
            "<ListVersionsResult><Version><Key>p/a</Key></Version></ListVersionsResult>",
        ] {
            assert_eq!(versions(document), None, "{document}");
        }
        let full = "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>";
        assert_eq!(page_of_keys(&Element::parse(full.as_bytes()).unwrap(), ""), None);
    }

    #[test]
    fn a_key_is_as_it_stands_where_the_server_does_not_encode() {
        let listing = "<ListBucketResult><Contents><Key>p/b%2F</Key></Contents><Contents><Key>p/a </Key></Contents></ListBucketResult>";
        let page = page_of_keys(&Element::parse(listing.as_bytes()).unwrap(), "p/").unwrap();
        assert_eq!(page, Page { keys: vec!["a ".into(), "b%2F".into()], full: false });
    }
}
