//! SHELL. Sessions as lines of JSON: events as they are, or chats as `import` takes them.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use schemas::{KafkaKey, SessionId, Tenant};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::chat::Chat;
use crate::emit::json::{admission, is_json, verbatim};
use crate::error::Error;
use crate::fetch::Store;
use crate::load::{self, Gathered};
use crate::select::Wanted;
use crate::session::{Body, Content, Entry, Repeat, Session, SessionEvent, What};

/// What the lines are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExportForm {
    /// One event a line.
    #[default]
    Events,
    /// One session a line, as an OpenAI chat.
    OpenAiChat,
}

/// What is exported and how.
#[derive(Clone, Debug, Default)]
pub struct ExportOptions {
    /// These sessions; none means all.
    pub sessions: Vec<String>,
    /// Their tenant; needed where several have a session of such an id.
    pub tenant: Option<Tenant>,
    /// The form of the lines.
    pub form: ExportForm,
}

/// What was exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Sessions.
    pub sessions: u64,
    /// Lines.
    pub lines: u64,
}

/// Writes sessions, one partition after the other, each as soon as its last row was read.
///
/// # Errors
/// A store that cannot be read, a segment that cannot be decoded, a session that is not there, or output that cannot be written.
pub async fn export(
    store: &Store,
    options: ExportOptions,
    out: &mut impl Write,
) -> Result<Exported, Error> {
    let mut lines = 0;
    let sessions = each(store, &options, |session| {
        lines += write(session, options.form, out)?;
        Ok(())
    });
    let sessions = sessions.await?;
    Ok(Exported { sessions, lines })
}

/// Hands over the sessions that are asked for, each as soon as its last row was read; says how many.
pub(crate) async fn each(
    store: &Store,
    options: &ExportOptions,
    mut take: impl FnMut(&Session) -> Result<(), Error>,
) -> Result<u64, Error> {
    let wanted = wanted(options)?;
    let (mut sessions, mut found) = (0, BTreeSet::new());
    for (topic, partition) in store.catalogue().await?.partitions {
        let shelf = load::shelf(store, topic, partition).await?;
        let index = load::index(store, &shelf, &wanted).await?;
        found.extend(index.sessions.values().map(|(key, _)| key.clone()));
        check_tenants(options, &found)?;
        load::gather(store, &shelf, &index, async |part: Gathered| {
            let Some(session) = load::assemble(store, vec![part]).await? else { return Ok(()) };
            if options.tenant.as_ref().is_some_and(|tenant| session.key.tenant != *tenant) {
                return Ok(());
            }
            sessions += 1;
            take(&session)
        })
        .await?;
    }
    let is_found = |id: &&String| !found.iter().any(|key| key.session.as_str() == **id);
    match options.sessions.iter().find(is_found) {
        Some(missing) => Err(Error::NoSession { session: missing.clone() }),
        None => Ok(sessions),
    }
}

fn wanted(options: &ExportOptions) -> Result<Wanted, Error> {
    let key = |id: &String| {
        let session = SessionId::new(id).map_err(|_| Error::NoSession { session: id.clone() })?;
        Ok(options.tenant.clone().map(|tenant| KafkaKey { tenant, session }.session_key()))
    };
    let keys: Result<Vec<_>, Error> = options.sessions.iter().map(key).collect();
    let keys: Vec<_> = keys?.into_iter().flatten().collect();
    Ok(match (options.sessions.is_empty(), keys.is_empty()) {
        (true, _) => Wanted::All,
        (false, true) => Wanted::Ids(options.sessions.clone()),
        (false, false) => Wanted::Keys(keys),
    })
}

/// A session that is asked for by its id alone has one owner.
fn check_tenants(options: &ExportOptions, found: &BTreeSet<KafkaKey>) -> Result<(), Error> {
    for session in options.sessions.iter().filter(|_| options.tenant.is_none()) {
        let owners = found.iter().filter(|key| key.session.as_str() == session);
        let tenants: Vec<String> = owners.map(|key| key.tenant.to_string()).collect();
        if tenants.len() > 1 {
            return Err(Error::Ambiguous { session: session.clone(), tenants });
        }
    }
    Ok(())
}

fn write(session: &Session, form: ExportForm, out: &mut impl Write) -> Result<u64, Error> {
    if form == ExportForm::OpenAiChat {
        // Rows that only bear its key, in a partition that is not its own even, make no chat; as events they are exported.
        if !session.entries.iter().any(|entry| matches!(entry.what, What::Event(_))) {
            return Ok(0);
        }
        writeln!(out, "{}", Chat::of(session).line(session.key.session.as_str()))?;
        return Ok(1);
    }
    for entry in &session.entries {
        serde_json::to_writer(&mut *out, &Line::of(session, entry))
            .map_err(std::io::Error::from)?;
        out.write_all(b"\n")?;
    }
    Ok(u64::try_from(session.entries.len()).unwrap_or(u64::MAX))
}

/// A row of a session.
#[derive(Debug, Default, Serialize)]
struct Line<'a> {
    tenant: &'a str,
    session_id: &'a str,
    partition: &'a str,
    epoch: u32,
    offset: u64,
    timestamp_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_digest: Option<String>,
    /// Whether an earlier row has its event id: `same` or `differs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    repeat: Option<&'static str>,
    /// Why the row is no event.
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<&'static str>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    envelope: Map<String, Value>,
    #[serde(skip_serializing_if = "Value::is_null")]
    admission: Value,
    contents: Vec<ContentLine<'a>>,
}

/// A content and its body, in the first form that fits.
#[derive(Debug, Serialize)]
struct ContentLine<'a> {
    role: &'a str,
    kind: &'a str,
    media_type: &'a str,
    size: u64,
    digest: String,
    #[serde(flatten)]
    body: BodyLine<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum BodyLine<'a> {
    Json(Box<RawValue>),
    Text(&'a str),
    DataBase64(String),
    EncryptedWith(&'a str),
    Absent(&'static str),
}

impl<'a> Line<'a> {
    fn of(session: &'a Session, entry: &'a Entry) -> Self {
        let mut line = Self {
            tenant: session.key.tenant.as_str(),
            session_id: session.key.session.as_str(),
            partition: session.partitions.get(entry.partition).map_or("", String::as_str),
            epoch: entry.at.epoch,
            offset: entry.at.offset,
            timestamp_ms: entry.timestamp_ms,
            ..Self::default()
        };
        match &entry.what {
            What::Event(event) => line.event(event),
            What::Raw { reason, .. } => line.raw = Some(reason),
            What::Damaged { why } => line.raw = Some(why),
        }
        line
    }

    fn event(&mut self, event: &'a Arc<SessionEvent>) {
        self.event_digest = Some(event.digest.to_string());
        self.repeat = match event.repeat {
            Repeat::First => None,
            Repeat::Same => Some("same"),
            Repeat::Differs => Some("differs"),
        };
        self.envelope = event.envelope().to_json_object();
        self.envelope.remove("contents");
        self.admission = admission(event);
        self.contents = event.contents.iter().map(|content| ContentLine::of(content)).collect();
    }
}

impl<'a> ContentLine<'a> {
    fn of(content: &'a Content) -> Self {
        let body = match &content.body {
            Body::Encrypted(key) => BodyLine::EncryptedWith(key),
            Body::Absent(why) => BodyLine::Absent(why),
            Body::Clear(bytes) => {
                let json = is_json(content).then(|| verbatim(bytes)).flatten();
                match (json, std::str::from_utf8(bytes)) {
                    (Some(json), _) => BodyLine::Json(json),
                    (None, Ok(text)) => BodyLine::Text(text),
                    (None, Err(_)) => BodyLine::DataBase64(BASE64_STANDARD.encode(bytes)),
                }
            }
        };
        Self {
            role: &content.role,
            kind: &content.kind,
            media_type: &content.media_type,
            size: content.size,
            digest: content.digest.to_string(),
            body,
        }
    }
}
