//! SHELL: one POST to a place that is not ours, and an answer of bounded length.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, Response, StatusCode, Url};

use crate::error::Error;

/// How much of a stranger's own words an error repeats.
const MESSAGE_CHARS_MAX: usize = 300;

/// Somebody who can be asked for one thing.
pub(crate) struct Door {
    client: Client,
    url: Url,
    /// What is asked for there.
    what: &'static str,
}

impl fmt::Debug for Door {
    /// Without the URL, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("host", &self.host()).finish_non_exhaustive()
    }
}

impl Door {
    /// Nothing is asked yet.
    pub(crate) fn new(
        url: &str,
        ca: Option<&Path>,
        timeout_ms: u64,
        what: &'static str,
    ) -> Result<Self, Error> {
        let wrong = |field, why: &str| Error::Config { field, why: why.to_owned() };
        let url = Url::parse(url).map_err(|_| wrong("url", "is not a URL"))?;
        if !matches!(url.scheme(), "http" | "https") || url.cannot_be_a_base() {
            return Err(wrong("url", "must begin with http:// or https://"));
        }
        // A redirect would take a password to wherever it points.
        let mut client = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .timeout(Duration::from_millis(timeout_ms.max(1)));
        if let Some(path) = ca {
            let certificates = Certificate::from_pem_bundle(&read_file(path)?);
            let certificates = certificates.map_err(|_| wrong("ca", "holds no certificates"))?;
            client = certificates.into_iter().fold(client, ClientBuilder::add_root_certificate);
        }
        let client = client.build().map_err(|error| wrong("ca", &error.to_string()))?;
        Ok(Self { client, url, what })
    }

    /// Sends `body`, of this media type, and takes an answer of at most `bytes_max`.
    pub(crate) async fn post(
        &self,
        media_type: &str,
        body: Vec<u8>,
        bytes_max: usize,
    ) -> Result<Reply, Error> {
        let request = self.client.post(self.url.clone()).header(CONTENT_TYPE, media_type);
        let mut response = request.body(body).send().await.map_err(|error| self.silent(error))?;
        let status = response.status();
        let media_type = response.headers().get(CONTENT_TYPE);
        let media_type = media_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim().to_owned();
        match read(&mut response, bytes_max).await {
            Ok(Some(body)) => Ok(Reply { status, media_type, body }),
            Ok(None) => Err(self.answer(status, "it is too long")),
            Err(error) => Err(self.silent(error)),
        }
    }

    /// Who is asked.
    pub(crate) fn host(&self) -> String {
        self.url.host_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn answer(&self, status: StatusCode, message: &str) -> Error {
        let words = message.chars().filter(|char| !char.is_control()).take(MESSAGE_CHARS_MAX);
        let (host, message) = (self.host(), words.collect());
        Error::Answer { host, what: self.what, status: status.as_u16(), message }
    }

    fn silent(&self, source: reqwest::Error) -> Error {
        Error::Silent { host: self.host(), what: self.what, source: source.without_url() }
    }
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    /// Without its parameters; empty where there is none.
    pub(crate) media_type: String,
    pub(crate) body: Vec<u8>,
}

/// A file that a setting names.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::Certificates { path: path.to_owned(), source })
}

/// The body, if it is not too long.
async fn read(
    response: &mut Response,
    bytes_max: usize,
) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if bytes.len() + chunk.len() > bytes_max {
            return Ok(None);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Some(bytes))
}
