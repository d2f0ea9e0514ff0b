//! CORE: one JSON event, checked and taken apart: an envelope that lacks only digests, and the bodies to be.
//!
//! All that can be wrong with an event by itself is found here, before anything is remembered or written.

use std::borrow::Cow;

use capture::Slot;
use schemas::{Digest, Envelope, EventId, KafkaKey, Micros, Salt, SessionId, Tenant};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::class::Class;
use crate::config::Config;
use crate::content::Part;
use crate::given::Given;
use crate::json;
use crate::refusal::{Code, Refusal};

/// JSON text of one metadata field. Above, its tree of values could cost a multiple in memory.
const METADATA_BYTES_MAX: (&str, usize) = ("metadata_bytes", 256 << 10);
/// Fields of a record in a list; the largest has six.
const RECORD_FIELDS: (&str, usize) = ("record_fields", 16);

/// Gives random bytes.
pub(crate) type Draw<'d> = &'d mut dyn FnMut() -> Result<[u8; 16], Refusal>;

/// What every event of a request is read with.
#[derive(Debug)]
pub(crate) struct Intake<'a> {
    pub(crate) config: &'a Config,
    pub(crate) tenant: &'a Tenant,
    pub(crate) now: Micros,
    /// The session of events that name none.
    pub(crate) session: &'a SessionId,
}

/// An event that is valid by itself.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    /// Without contents and context.
    pub(crate) envelope: Envelope<'a>,
    pub(crate) parts: Vec<Part<'a>>,
    /// Digests in the envelope that are those of parts.
    pub(crate) slots: Vec<(Slot, usize)>,
    pub(crate) key: Vec<u8>,
    /// SHA-256 of what the source said, where its id is the source's own: tells a repeat from a conflict.
    pub(crate) fingerprint: Option<Digest>,
    /// What its id was derived from, where the gateway derived it: then a conflict is another event, with an id of its own.
    pub(crate) identity: Option<Digest>,
    /// Whether the gateway made the session id.
    pub(crate) session_made: bool,
    /// The retention class that it names.
    pub(crate) class: Option<Class>,
    /// What stays as it came, of an event that came as Avro: then there are no parts.
    pub(crate) given: Option<Given<'a>>,
}

/// Reads all events of a request.
pub(crate) fn drafts<'a>(
    body: &'a [u8],
    intake: &Intake<'_>,
    draw: Draw<'_>,
) -> Result<Vec<Draft<'a>>, Refusal> {
    let events = json::events(body, intake.config)?;
    let read = |(index, raw)| Draft::read(raw, intake, draw).map_err(|refusal| refusal.at(index));
    events.into_iter().enumerate().map(read).collect()
}

impl<'a> Draft<'a> {
    fn read(raw: &'a RawValue, intake: &Intake<'_>, draw: Draw<'_>) -> Result<Self, Refusal> {
        let mut reading = Reading {
            intake,
            draw,
            envelope: Envelope::blank(),
            contents: Vec::new(),
            inline: Vec::new(),
            attributes: String::new(),
            has_id: false,
            has_time: false,
            has_class: false,
        };
        let config = intake.config;
        for (key, value) in json::object(raw, "", ("fields_max", config.fields_max))? {
            reading.set(&key, value)?;
        }
        reading.finish(raw)
    }
}

/// A draft in the making.
struct Reading<'a, 'i, 'd> {
    intake: &'i Intake<'i>,
    draw: Draw<'d>,
    envelope: Envelope<'a>,
    contents: Vec<Part<'a>>,
    /// Parts given where a digest is expected.
    inline: Vec<(Slot, Part<'a>)>,
    /// The fields that are not ours, as the inside of a JSON object.
    attributes: String,
    has_id: bool,
    has_time: bool,
    has_class: bool,
}

impl<'a> Reading<'a, '_, '_> {
    fn set(&mut self, key: &str, raw: &'a RawValue) -> Result<(), Refusal> {
        if !Envelope::FIELDS.contains(&key) {
            self.keep(key, raw);
            return Ok(());
        }
        if raw.get() == "null" {
            return Ok(());
        }
        match key {
            "nonce" | "context_prefix" | "context_digest" => {
                Err(Refusal::field(key, "is set by the gateway"))
            }
            "contents" => self.set_contents(raw),
            "retrievals" => self.set_records(key, raw, |index, field| match field {
                "digest" => Some((Slot::Document(index), "document")),
                _ => None,
            }),
            "state_changes" => self.set_records(key, raw, |index, field| match field {
                "before" => Some((Slot::Before(index), "state_value")),
                "after" => Some((Slot::After(index), "state_value")),
                _ => None,
            }),
            "session_id" | "tenant" if raw.get() == "\"\"" => {
                Err(Refusal::field(key, "must not be empty; leave it out to have it filled in"))
            }
            _ => {
                self.has_id |= key == "event_id";
                self.has_time |= key == "occurred_at";
                self.has_class |= key == "retention_class";
                let value = metadata(raw, key, self.intake.config)?;
                self.set_value(key, value)
            }
        }
    }

    fn set_value(&mut self, key: &str, value: Value) -> Result<(), Refusal> {
        let set = self.envelope.set_json(key, value);
        set.map(drop).map_err(|error| Refusal::field(error.field, error.why))
    }

    /// Keeps a field that is not ours.
    fn keep(&mut self, key: &str, raw: &RawValue) {
        self.attributes.push(if self.attributes.is_empty() { '{' } else { ',' });
        self.attributes.push_str(&Value::from(key).to_string());
        self.attributes.push(':');
        self.attributes.push_str(raw.get());
    }

    fn set_contents(&mut self, raw: &'a RawValue) -> Result<(), Refusal> {
        let config = self.intake.config;
        let items = json::list(raw, "contents", ("contents_max", config.contents_max))?;
        self.contents.reserve(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let salt = Salt((self.draw)()?);
            self.contents.push(Part::item(item, &format!("contents[{index}]"), config, salt)?);
        }
        Ok(())
    }

    /// Sets a list of records in which `slot` says which fields take data in place of a digest.
    fn set_records(
        &mut self,
        key: &str,
        raw: &'a RawValue,
        slot: fn(usize, &str) -> Option<(Slot, &'static str)>,
    ) -> Result<(), Refusal> {
        let config = self.intake.config;
        let mut records = Vec::new();
        let items = json::list(raw, key, ("list_items_max", config.list_items_max))?;
        for (index, item) in items.into_iter().enumerate() {
            let path = format!("{key}[{index}]");
            let mut record = Map::new();
            for (field, raw) in json::object(item, &path, RECORD_FIELDS)? {
                let path = format!("{path}.{field}");
                match slot(index, &field).filter(|_| raw.get().starts_with('{')) {
                    Some((slot, kind)) => {
                        let salt = Salt((self.draw)()?);
                        self.inline.push((slot, Part::inline(raw, &path, kind, config, salt)?));
                    }
                    None => {
                        record.insert(field.into_owned(), metadata(raw, &path, config)?);
                    }
                }
            }
            records.push(Value::Object(record));
        }
        self.set_value(key, Value::Array(records))
    }

    fn finish(mut self, raw: &RawValue) -> Result<Draft<'a>, Refusal> {
        let session_made = self.envelope.session_id.is_empty();
        let key = self.identify()?;
        check(&self.envelope)?;
        let class = self.has_class.then_some(&self.envelope.retention_class);
        let class = class.map(|name| Class::read(name, self.intake.config)).transpose()?;
        let mut parts = self.contents;
        let mut slots = Vec::with_capacity(self.inline.len());
        for (slot, part) in self.inline {
            slots.push((slot, parts.len()));
            parts.push(part);
        }
        if !self.attributes.is_empty() {
            self.attributes.push('}');
            let data = Cow::Owned(self.attributes.into_bytes());
            let [role, kind, media] = ["", "attributes", "application/json"].map(Cow::Borrowed);
            parts.push(Part::new(role, kind, media, data, Salt((self.draw)()?)));
        }
        let max = self.intake.config.contents_max;
        if parts.len() > max {
            return Err(Refusal::field_limit("contents", "has items", "contents_max", max));
        }
        let fingerprint = self.has_id.then(|| Digest::of(raw.get().as_bytes()));
        let (envelope, identity, given) = (self.envelope, None, None);
        Ok(Draft { envelope, parts, slots, key, fingerprint, identity, session_made, class, given })
    }

    /// Gives the event the ids and times it lacks; returns its Kafka key.
    fn identify(&mut self) -> Result<Vec<u8>, Refusal> {
        let (intake, envelope) = (self.intake, &mut self.envelope);
        let tenant = intake.tenant;
        if envelope.tenant.is_empty() {
            envelope.tenant = Cow::Owned(tenant.to_string());
        } else if envelope.tenant != tenant.as_str() {
            let why = "is not the tenant of the key that was presented";
            return Err(Refusal { code: Code::Forbidden, ..Refusal::field("tenant", why) });
        }
        if envelope.session_id.is_empty() {
            envelope.session_id = Cow::Owned(intake.session.to_string());
        }
        let session = SessionId::new(&envelope.session_id)
            .map_err(|_| Refusal::field("session_id", "must be 1 to 512 bytes long"))?;
        if !self.has_id {
            envelope.event_id = EventId(uuid_v7(intake.now, (self.draw)()?));
        }
        if !self.has_time {
            envelope.occurred_at = intake.now;
        }
        if envelope.capture_source.is_empty() {
            envelope.capture_source = Cow::Borrowed("http");
        }
        envelope.nonce = Salt((self.draw)()?);
        Ok(KafkaKey { tenant: tenant.clone(), session }.to_bytes())
    }
}

/// The field rules of `docs/format.md` that no type keeps.
pub(crate) fn check(envelope: &Envelope<'_>) -> Result<(), Refusal> {
    if envelope.kind.is_empty() {
        return Err(Refusal::field("kind", "is missing"));
    }
    if envelope.kind.len() > 64 {
        return Err(Refusal::field("kind", "must be 1 to 64 bytes long"));
    }
    if !matches!(&*envelope.phase, "start" | "end" | "complete") {
        return Err(Refusal::field("phase", "must be start, end or complete"));
    }
    Ok(())
}

/// A metadata field's value; its strings are names, short and without control characters.
fn metadata(raw: &RawValue, path: &str, config: &Config) -> Result<Value, Refusal> {
    let (limit, max) = METADATA_BYTES_MAX;
    if raw.get().len() > max {
        return Err(Refusal::field_limit(path, "has bytes", limit, max));
    }
    let value = json::value(raw, path)?;
    check_texts(&value, path, config)?;
    Ok(value)
}

/// A metadata field that is a string.
pub(crate) fn metadata_text<'a>(
    raw: &'a RawValue,
    path: &str,
    config: &Config,
) -> Result<Cow<'a, str>, Refusal> {
    let text = json::string(raw, path)?;
    check_text(&text, path, config)?;
    Ok(text)
}

fn check_texts(value: &Value, path: &str, config: &Config) -> Result<(), Refusal> {
    match value {
        Value::String(text) => check_text(text, path, config),
        Value::Array(items) if items.len() > config.list_items_max => {
            let max = config.list_items_max;
            Err(Refusal::field_limit(path, "has items", "list_items_max", max))
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(index, item)| check_texts(item, &format!("{path}[{index}]"), config)),
        Value::Object(fields) => fields
            .iter()
            .try_for_each(|(field, value)| check_texts(value, &format!("{path}.{field}"), config)),
        _ => Ok(()),
    }
}

fn check_text(text: &str, path: &str, config: &Config) -> Result<(), Refusal> {
    let max = config.string_bytes_max;
    if text.len() > max {
        return Err(Refusal::field_limit(path, "has bytes", "string_bytes_max", max));
    }
    if text.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
        return Err(Refusal::field(path, "must not contain control characters"));
    }
    Ok(())
}

/// A UUIDv7 of this time and these random bytes.
pub(crate) fn uuid_v7(now: Micros, random: [u8; 16]) -> [u8; 16] {
    let millis = u64::try_from(now.0 / 1000).unwrap_or_default();
    let [_, _, _, _, _, _, rest @ ..] = random;
    uuid::Builder::from_unix_timestamp_millis(millis, &rest).into_uuid().into_bytes()
}
