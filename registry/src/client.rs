//! Questions to the registry, and what it has answered before.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Method, Response, StatusCode, Url};
use schemas::{Published, SchemaId};
use serde_json::{Value, json};

use crate::config::Config;
use crate::error::Error;

const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";
/// Longest answer that is read: dozens of times the longest published schema.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// How much of a registry's own words an error repeats.
const MESSAGE_CHARS_MAX: usize = 300;
/// Ids remembered. What is beyond is asked for each time.
const IDS_MAX: usize = 1 << 16;
/// The API's own code for an id that it does not know: a 404 without it may come from anything on the way.
const UNKNOWN_ID: i64 = 40_403;

/// A schema registry. Clones share what was learnt.
#[derive(Clone)]
pub struct Registry {
    client: Client,
    base: Url,
    credentials: Option<(String, String)>,
    /// What each id stands for; `None` is a schema that is not one of ours.
    known: Arc<Mutex<HashMap<SchemaId, Option<&'static Published>>>>,
}

impl fmt::Debug for Registry {
    /// Without anything that may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("host", &self.base.host_str()).finish_non_exhaustive()
    }
}

impl Registry {
    /// A client of the registry at `config.url`. `credentials`, `user:password`, go over those in the URL. Nothing is asked
    /// yet.
    ///
    /// # Errors
    /// [`Error::Config`], [`Error::Certificates`].
    pub fn new(config: &Config, credentials: Option<&str>) -> Result<Self, Error> {
        let wrong = |field, why: &str| Error::Config { field, why: why.to_owned() };
        let base = Url::parse(&config.url).map_err(|_| wrong("url", "is not a URL"))?;
        if !matches!(base.scheme(), "http" | "https") || base.cannot_be_a_base() {
            return Err(wrong("url", "must begin with http:// or https://"));
        }
        let split = |text: &str| {
            text.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
        };
        let credentials = credentials
            .map(|text| split(text).ok_or(wrong("credentials", "are not user:password")))
            .transpose()?;
        // A redirect would take the password to wherever it points.
        let mut client = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .timeout(Duration::from_millis(config.timeout_ms.max(1)));
        if let Some(path) = &config.ca {
            let unread = |source| Error::Certificates { path: path.clone(), source };
            let pem = std::fs::read(path).map_err(unread)?;
            let certificates = Certificate::from_pem_bundle(&pem);
            let certificates = certificates.map_err(|_| wrong("ca", "holds no certificates"))?;
            client =
                certificates.into_iter().fold(client, reqwest::ClientBuilder::add_root_certificate);
        }
        let client = client.build().map_err(|error| wrong("ca", &error.to_string()))?;
        Ok(Self { client, base, credentials, known: Arc::default() })
    }

    /// Registers `schema` for the values of `topic`, under `<topic>-value`, and returns its id. To do so again changes
    /// nothing. The subject is set to `FULL_TRANSITIVE` first, so that the registry holds every later version to what
    /// readers of old segments rely on.
    ///
    /// # Errors
    /// [`Error::Silent`], [`Error::Answer`]; [`Error::Status`], above all 409 where the schema is not compatible with what
    /// is registered for the topic.
    pub async fn register(
        &self,
        topic: &str,
        schema: &'static Published,
    ) -> Result<SchemaId, Error> {
        let subject = format!("{topic}-value");
        let doing = format!("set the compatibility of subject {subject}");
        let level = json!({ "compatibility": "FULL_TRANSITIVE" });
        self.ask(Method::PUT, &["config", &subject], Some(level), doing).await?.good()?;
        let doing = format!("register the event's schema for subject {subject}");
        let text = json!({ "schema": schema.text, "schemaType": "AVRO" });
        let path = ["subjects", &subject, "versions"];
        let answer = self.ask(Method::POST, &path, Some(text), doing).await?.good()?;
        let id =
            answer.json.get("id").and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
        let id = SchemaId(id.ok_or_else(|| answer.wrong("it gives no id"))?);
        self.learn(id, Some(schema));
        Ok(id)
    }

    /// The published schema that `id` stands for; `None` where the registry says that it stands for another, or for none.
    ///
    /// # Errors
    /// [`Error::Silent`], [`Error::Status`], [`Error::Answer`]: nothing is known about the id.
    pub async fn published(&self, id: SchemaId) -> Result<Option<&'static Published>, Error> {
        if let Some(known) = self.known().get(&id) {
            return Ok(*known);
        }
        // The API's ids are positive 32-bit integers, signed ones: it has no answer to others.
        if i32::try_from(id.0).is_err() {
            return Ok(None);
        }
        let doing = format!("tell schema {id}");
        let path = ["schemas", "ids", &id.to_string()];
        let answer = self.ask(Method::GET, &path, None, doing).await?;
        let code = answer.json.get("error_code").and_then(Value::as_i64);
        if answer.status == StatusCode::NOT_FOUND {
            // Not remembered: it may be registered later.
            return if code == Some(UNKNOWN_ID) {
                Ok(None)
            } else {
                Err(answer.wrong("a plain 404"))
            };
        }
        let answer = answer.good()?;
        let text = answer.json.get("schema").and_then(Value::as_str);
        let published = Published::of_text(text.ok_or_else(|| answer.wrong("it gives no schema"))?);
        self.learn(id, published);
        Ok(published)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<SchemaId, Option<&'static Published>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn learn(&self, id: SchemaId, schema: Option<&'static Published>) {
        let mut known = self.known();
        if known.len() < IDS_MAX {
            known.insert(id, schema);
        }
    }

    async fn ask(
        &self,
        method: Method,
        path: &[&str],
        body: Option<Value>,
        doing: String,
    ) -> Result<Answer, Error> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        let mut request = self.client.request(method, url).header(ACCEPT, MEDIA_TYPE);
        if let Some((user, password)) = &self.credentials {
            request = request.basic_auth(user, Some(password));
        }
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, MEDIA_TYPE).body(body.to_string());
        }
        let silent = |error: reqwest::Error| error.without_url();
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Err(Error::Silent { doing, source: silent(error) }),
        };
        let status = response.status();
        match read(&mut response).await {
            Ok(Some(bytes)) => {
                // What is not JSON has none of the fields that are looked for.
                let json = serde_json::from_slice(&bytes).unwrap_or_default();
                Ok(Answer { status, json, doing })
            }
            Ok(None) => Err(Error::Answer { doing, why: "it is over 1 MiB" }),
            Err(error) => Err(Error::Silent { doing, source: silent(error) }),
        }
    }
}

/// The body, if it is not too long.
async fn read(response: &mut Response) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Ok(None);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Some(bytes))
}

/// What was answered.
struct Answer {
    status: StatusCode,
    json: Value,
    doing: String,
}

impl Answer {
    /// The answer, if it is no refusal.
    fn good(self) -> Result<Self, Error> {
        let refused = self.status.is_client_error() || self.status.is_server_error();
        match self.json.get("message").and_then(Value::as_str) {
            _ if self.status.is_success() => Ok(self),
            None if !refused || self.status == StatusCode::NOT_FOUND => {
                Err(self.wrong("it answers neither yes nor no"))
            }
            message => {
                let words = message.unwrap_or("it does not say why").chars();
                let words = words.filter(|char| !char.is_control()).take(MESSAGE_CHARS_MAX);
                let (status, message) = (self.status.as_u16(), words.collect());
                Err(Error::Status { doing: self.doing, status, message })
            }
        }
    }

    fn wrong(&self, why: &'static str) -> Error {
        Error::Answer { doing: self.doing.clone(), why }
    }
}

#[cfg(test)]
mod tests;
