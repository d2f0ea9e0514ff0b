//! SHELL: what only S3 has: versions, retention and holds, and in files of their own the bucket's settings and listings.
//!
//! Whole objects go through the object store library; what it has no words for is asked for here, signed. Keys are those of
//! the store, under its prefix, and sent as they are: in a bucket that somebody tampered with they can be anything.

mod bucket;
mod request;
mod signer;
mod versions;
mod xml;

use std::fmt;
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, Checksum};
use object_store::path::Path;
use object_store::{GetOptions, ObjectStore as _};
use schemas::Digest;

use crate::content::{self, Content};
use crate::error::Error;
use crate::lock::Lock;
use request::{Answer, Request};
use xml::Element;

pub use bucket::{Bucket, DefaultRetention};
pub use versions::{Version, VersionMarker, VersionPage};

const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";
const CHECKSUM: &str = "x-amz-checksum-sha256";

/// A bucket, and a prefix in it.
#[derive(Clone)]
pub struct S3 {
    pub(crate) objects: Arc<AmazonS3>,
    bucket: request::Bucket,
    /// Empty, or with a slash at its end.
    prefix: String,
}

impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("S3");
        fields.field("bucket", &self.bucket.url).field("prefix", &self.prefix).finish()
    }
}

/// What is said of a version without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its size.
    pub bytes: u64,
    /// Its id.
    pub version: Option<String>,
    /// Its lock; absent also where the reader may not see locks: [`S3::retention`] tells the two apart.
    pub lock: Option<Lock>,
    /// Whether a legal hold is on it; false also where the reader may not see holds.
    pub hold: bool,
}

impl S3 {
    /// # Errors
    /// The settings make no sense.
    pub(crate) fn open(
        builder: AmazonS3Builder,
        name: &str,
        prefix: &Path,
    ) -> object_store::Result<Self> {
        let builder = builder.with_bucket_name(name).with_checksum_algorithm(Checksum::SHA256);
        let credentials = builder.clone().build()?.credentials().clone();
        let signer = signer::Signer::new(&builder, credentials.clone());
        let url = address(&builder, name, signer.region());
        let client = Arc::new(OnceLock::new());
        let connector = signer::Connector { signer: signer.clone(), client: client.clone() };
        let builder = builder.with_credentials(credentials).with_http_connector(connector);
        let objects = Arc::new(builder.build()?);
        let client = client.get().cloned().ok_or_else(|| object_store::Error::Generic {
            store: "S3",
            source: "no HTTP client was made".into(),
        })?;
        let slash = if prefix.as_ref().is_empty() { "" } else { "/" };
        let bucket = request::Bucket { client, signer, url };
        Ok(Self { objects, bucket, prefix: format!("{prefix}{slash}") })
    }

    /// Reads a version, or the current one, of at most `bytes_max`; `None` where there is none.
    ///
    /// # Errors
    /// S3 refused or did not answer, or the object is larger.
    pub async fn get(
        &self,
        key: &str,
        version: Option<&str>,
        bytes_max: u64,
    ) -> Result<Option<Bytes>, Error> {
        match self.found(key, version).await? {
            Some(found) => content::bytes(found, key, bytes_max).await.map(Some),
            None => Ok(None),
        }
    }

    /// Size and SHA-256 of a version, or of the current one, hashed as it comes.
    ///
    /// # Errors
    /// S3 refused or did not answer.
    pub async fn content(
        &self,
        key: &str,
        version: Option<&str>,
    ) -> Result<Option<Content>, Error> {
        match self.found(key, version).await? {
            Some(found) => content::hash(found, key).await.map(Some),
            None => Ok(None),
        }
    }

    pub(crate) async fn found(
        &self,
        key: &str,
        version: Option<&str>,
    ) -> Result<Option<object_store::GetResult>, Error> {
        let whole = self.whole(key);
        let unsendable = |why: String| Error::Address { address: key.to_owned(), why };
        let path = Path::parse(&whole).map_err(|e| unsendable(e.to_string()))?;
        if path.as_ref() != whole {
            return Err(unsendable("it begins or ends with a slash".to_owned()));
        }
        let options = GetOptions { version: version.map(str::to_owned), ..GetOptions::default() };
        match self.objects.get_opts(&path, options).await {
            Ok(found) => Ok(Some(found)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(Error::Object { doing: "read", key: key.to_owned(), source }),
        }
    }

    /// What is said of a version, or of the current one, without reading it; `None` where there is none, or it is a delete
    /// marker.
    ///
    /// # Errors
    /// S3 refused or did not answer.
    pub async fn head(&self, key: &str, version: Option<&str>) -> Result<Option<Head>, Error> {
        let request = Request { doing: "look at", method: "HEAD", ..Request::get("") };
        let answer = match self.about(key, version, None, request).await {
            Ok(answer) => answer,
            Err(Error::S3 { refusal, .. }) if matches!(refusal.status, 404 | 405) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let header = |name| answer.header(name);
        let mode = header("x-amz-object-lock-mode");
        let until = header("x-amz-object-lock-retain-until-date");
        Ok(Some(Head {
            bytes: header("content-length").and_then(|n| n.parse().ok()).unwrap_or_default(),
            version: header("x-amz-version-id").map(str::to_owned),
            lock: mode.zip(until).and_then(|(mode, until)| Lock::of_s3(mode, until)),
            hold: header("x-amz-object-lock-legal-hold") == Some("ON"),
        }))
    }

    /// The lock of a version, or of the current one.
    ///
    /// # Errors
    /// S3 refused (the version is not there, or its lock may not be read) or did not answer.
    pub async fn retention(&self, key: &str, version: Option<&str>) -> Result<Option<Lock>, Error> {
        let doing = "read the lock of";
        let request = Request { doing, ..Request::get("") };
        let retention = match self.about(key, version, Some("retention"), request).await {
            Ok(answer) => parse(doing, key, &answer)?,
            Err(error) if is_unset(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        match (retention.text("Mode"), retention.text("RetainUntilDate")) {
            (None | Some(""), None | Some("")) => Ok(None),
            (mode, until) => {
                let lock = mode.zip(until).and_then(|(mode, until)| Lock::of_s3(mode, until));
                lock.map(Some).ok_or_else(|| unreadable(doing, key))
            }
        }
    }

    /// Locks a version, or the current one, until a later time than now. Shortening is what S3 refuses.
    ///
    /// # Errors
    /// S3 refused or did not answer.
    pub async fn retain(&self, key: &str, version: Option<&str>, lock: Lock) -> Result<(), Error> {
        let body = format!(
            "<Retention xmlns=\"{NAMESPACE}\"><Mode>{}</Mode><RetainUntilDate>{}</RetainUntilDate></Retention>",
            lock.s3_mode(),
            lock.until
        );
        self.put(key, version, "lock", "retention", body).await
    }

    /// Whether a legal hold is on a version, or on the current one.
    ///
    /// # Errors
    /// S3 refused (the version is not there, or its hold may not be read) or did not answer.
    pub async fn hold(&self, key: &str, version: Option<&str>) -> Result<bool, Error> {
        let doing = "read the legal hold of";
        let request = Request { doing, ..Request::get("") };
        match self.about(key, version, Some("legal-hold"), request).await {
            Ok(answer) => Ok(parse(doing, key, &answer)?.text("Status") == Some("ON")),
            Err(error) if is_unset(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Puts a legal hold on a version, or on the current one, or takes it away.
    ///
    /// # Errors
    /// S3 refused or did not answer.
    pub async fn set_hold(
        &self,
        key: &str,
        version: Option<&str>,
        hold: bool,
    ) -> Result<(), Error> {
        let status = if hold { "ON" } else { "OFF" };
        let body =
            format!("<LegalHold xmlns=\"{NAMESPACE}\"><Status>{status}</Status></LegalHold>");
        self.put(key, version, "set the legal hold of", "legal-hold", body).await
    }

    /// Asks for what a locked version must be safe from: its deletion. Only for finding out whether it is.
    ///
    /// # Errors
    /// S3 refused, which is what is hoped for, or did not answer.
    pub async fn try_delete(&self, key: &str, version: &str) -> Result<(), Error> {
        let request = Request { doing: "delete", method: "DELETE", ..Request::get("") };
        self.about(key, Some(version), None, request).await.map(drop)
    }

    /// Asks for what must be refused: a new object whose checksum is that of other bytes. Only for finding out whether it is.
    ///
    /// # Errors
    /// S3 refused, which is what is hoped for, or did not answer.
    pub async fn try_create_damaged(
        &self,
        key: &str,
        sent: Bytes,
        meant: &[u8],
    ) -> Result<(), Error> {
        let headers = [("if-none-match", "*".to_owned()), checksum(meant)];
        let request = Request {
            doing: "create",
            method: "PUT",
            headers: &headers,
            body: sent,
            ..Request::get("")
        };
        self.about(key, None, None, request).await.map(drop)
    }

    async fn put(
        &self,
        key: &str,
        version: Option<&str>,
        doing: &'static str,
        what: &str,
        body: String,
    ) -> Result<(), Error> {
        let headers =
            [checksum(body.as_bytes()), ("x-amz-sdk-checksum-algorithm", "SHA256".to_owned())];
        let request = Request {
            doing,
            method: "PUT",
            headers: &headers,
            body: body.into(),
            ..Request::get("")
        };
        self.about(key, version, Some(what), request).await.map(drop)
    }

    /// A request about a version of an object, or about `what` of it.
    async fn about(
        &self,
        key: &str,
        version: Option<&str>,
        what: Option<&str>,
        request: Request<'_>,
    ) -> Result<Answer, Error> {
        let query: Vec<(&str, &str)> = what
            .map(|what| (what, ""))
            .into_iter()
            .chain(version.map(|version| ("versionId", version)))
            .collect();
        self.bucket.send(&Request { key: &self.whole(key), query: &query, ..request }).await
    }

    fn whole(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }
}

fn address(builder: &AmazonS3Builder, name: &str, region: &str) -> String {
    let set = |key| builder.get_config_value(&key);
    let endpoint = set(AmazonS3ConfigKey::S3Endpoint).or(set(AmazonS3ConfigKey::Endpoint));
    let virtual_hosted = set(AmazonS3ConfigKey::VirtualHostedStyleRequest);
    match (endpoint, virtual_hosted.is_some_and(|set| set == "true")) {
        (Some(endpoint), true) => endpoint.trim_end_matches('/').to_owned(),
        (Some(endpoint), false) => format!("{}/{name}", endpoint.trim_end_matches('/')),
        (None, true) => format!("https://{name}.s3.{region}.amazonaws.com"),
        (None, false) => format!("https://s3.{region}.amazonaws.com/{name}"),
    }
}

fn checksum(of: &[u8]) -> (&'static str, String) {
    (CHECKSUM, BASE64_STANDARD.encode(Digest::of(of).0))
}

/// What servers call a lock or a hold that was never set.
const UNSET: [&str; 3] = [
    "NoSuchObjectLockConfiguration",
    "ObjectLockConfigurationNotFoundError",
    "NoSuchObjectLegalHold",
];

/// Whether S3 says that what was asked about is there, but has no such setting: with 404 on some servers, 400 on others.
fn is_unset(error: &Error) -> bool {
    error.refusal().is_some_and(|said| UNSET.contains(&said.code.as_str()))
}

fn parse(doing: &'static str, key: &str, answer: &Answer) -> Result<Element, Error> {
    Element::parse(&answer.body).ok_or_else(|| unreadable(doing, key))
}

fn unreadable(doing: &'static str, key: &str) -> Error {
    let source = "an answer that is not the XML of S3".into();
    let source = object_store::Error::Generic { store: "S3", source };
    Error::Object { doing, key: key.to_owned(), source }
}
