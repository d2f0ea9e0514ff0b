//! The rows of a segment that a bundle shows (`docs/format.md`, section 10.2).

use std::fmt;

use crate::digest::{Digest, Hasher};
use crate::id::{KafkaKey, Offset, SessionKey};
use crate::leaf::{Carriage, row_digest};
use crate::lines::{Base64, Lines, RecordError, canonical, dash};
use crate::merkle::RangeProof;
use crate::message::{Event, Reason};
use crate::proof::{Neighbour, SessionProof};
use crate::timestamp::{Timestamp, TimestampType};
use crate::value::body_item_hash;

/// A run of adjacent rows and what places them in their segment's tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows {
    /// Rows of the segment.
    pub size: u64,
    /// Index of the first row shown.
    pub start: u64,
    /// The range proof.
    pub range: RangeProof,
    /// The rows, in tree order.
    pub shown: Vec<Shown>,
}

/// A row that is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// A neighbour: a row of another session, enough of it for its leaf.
    Other(Neighbour),
    /// A row of the session.
    Row(Box<ShownRow>),
}

/// A row of the session, all of it but the contents of bodies, headers and raw values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownRow {
    /// Its offset.
    pub offset: Offset,
    /// When its message was written.
    pub timestamp: Timestamp,
    /// The headers digest; zero without headers.
    pub headers: Digest,
    /// What it holds.
    pub content: ShownContent,
}

/// What a shown row holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShownContent {
    /// An event.
    Event(ShownEvent),
    /// A message that is no event: its raw digest, and why.
    Raw(Digest, Reason),
}

/// An event, its bodies by digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownEvent {
    /// Digest of the schema it was written with.
    pub schema: Digest,
    /// The frame's bytes.
    pub frame: Vec<u8>,
    /// The envelope's bytes.
    pub envelope: Vec<u8>,
    /// The signature's Avro bytes, without the union branch.
    pub signature: Option<Vec<u8>>,
    /// The admission's Avro bytes, without the union branch.
    pub admission: Option<Vec<u8>>,
    /// The bodies it carries, in order.
    pub bodies: Vec<ShownBody>,
}

/// A body as the carriage digest covers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShownBody {
    /// Its digest.
    pub digest: Digest,
    /// The item hash; `None` where the body stands in the message in clear.
    pub item: Option<Digest>,
}

impl ShownEvent {
    /// Its event digest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Hasher::new("event").bytes(&self.schema.0).finish_with(&self.envelope)
    }
}

impl From<&Event<'_>> for ShownEvent {
    fn from(event: &Event<'_>) -> Self {
        let bodies = event.bodies.iter().map(|body| ShownBody {
            digest: body.digest,
            item: (!body.is_inline_clear()).then(|| body_item_hash(body)),
        });
        Self {
            schema: event.schema.digest,
            frame: event.frame.to_vec(),
            envelope: event.envelope_bytes.to_vec(),
            signature: event.signature.map(<[u8]>::to_vec),
            admission: event.admission.map(<[u8]>::to_vec),
            bodies: bodies.collect(),
        }
    }
}

impl ShownRow {
    /// What its leaf is made of: a row of this session.
    #[must_use]
    pub fn neighbour(&self, key: &KafkaKey) -> Neighbour {
        let bytes = key.to_bytes();
        let carriage =
            Carriage { timestamp: self.timestamp, key: Some(&bytes), headers_digest: self.headers };
        let (event, carriage) = match &self.content {
            ShownContent::Raw(digest, reason) => (*digest, carriage.of_raw(*reason)),
            ShownContent::Event(event) => (event.digest(), carriage.of_shown(event)),
        };
        let row = row_digest(&event, &carriage);
        Neighbour { session: key.session_key(), offset: self.offset, row }
    }
}

impl Rows {
    const KIND: &'static str = "chancery/rows@v1";

    /// Parses the text of rows.
    ///
    /// # Errors
    /// Anything that is not exactly such a text.
    pub fn parse(text: &str) -> Result<Self, RecordError> {
        let wrong = |why: &str| RecordError { kind: Self::KIND, why: why.to_owned() };
        let mut lines = Lines::new(Self::KIND, text)?;
        let (size, start) = (lines.value("size")?, lines.value("start")?);
        let mut range = RangeProof::default();
        for (name, hashes) in [("left", &mut range.left), ("right", &mut range.right)] {
            while lines.next_is(name) {
                hashes.push(lines.value(name)?);
            }
        }
        let mut shown = Vec::new();
        while lines.lines.clone().next().is_some() {
            shown.push(if lines.next_is("other") {
                let other: String = lines.value("other")?;
                Shown::Other(neighbour(&other).ok_or_else(|| wrong("a neighbour is malformed"))?)
            } else {
                Shown::Row(Box::new(row(&mut lines)?))
            });
        }
        canonical(Self::KIND, Self { size, start, range, shown }, text)
    }

    /// The proof that these rows are where they say, in a segment of this session's partition.
    #[must_use]
    pub fn proof(&self, key: &KafkaKey) -> SessionProof {
        let rows = self.shown.iter().map(|shown| match shown {
            Shown::Other(neighbour) => *neighbour,
            Shown::Row(row) => row.neighbour(key),
        });
        let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        SessionProof {
            size: number(self.size),
            start: number(self.start),
            rows: rows.collect(),
            range: self.range.clone(),
        }
    }

    /// The rows of the session.
    pub fn own(&self) -> impl Iterator<Item = &ShownRow> {
        self.shown.iter().filter_map(|shown| match shown {
            Shown::Other(_) => None,
            Shown::Row(row) => Some(&**row),
        })
    }
}

fn neighbour(words: &str) -> Option<Neighbour> {
    let mut words = words.split(' ');
    let neighbour = Neighbour {
        session: SessionKey(words.next()?.parse().ok()?),
        offset: Offset(words.next()?.parse().ok()?),
        row: words.next()?.parse().ok()?,
    };
    words.next().is_none().then_some(neighbour)
}

fn timestamp(words: &str) -> Option<Timestamp> {
    let (code, millis) = words.split_once(' ')?;
    let kind = TimestampType::from_code(code.parse().ok()?)?;
    let millis = millis.parse().ok()?;
    (kind != TimestampType::None || millis == 0).then_some(Timestamp { kind, millis })
}

fn row(lines: &mut Lines<'_>) -> Result<ShownRow, RecordError> {
    let wrong = |why: &str| RecordError { kind: Rows::KIND, why: why.to_owned() };
    let offset = Offset(lines.value("row")?);
    let (schema, digest) = (lines.optional("schema")?, lines.optional("event")?);
    let time: String = lines.value("timestamp")?;
    let timestamp = timestamp(&time).ok_or_else(|| wrong("a timestamp is malformed"))?;
    let headers = lines.value("headers")?;
    let mut bytes = |name| Ok(lines.optional::<Base64>(name)?.map(|base64| base64.0));
    let (frame, envelope) = (bytes("frame")?, bytes("envelope")?);
    let (signature, admission) = (bytes("signature")?, bytes("admission")?);
    let reason: Option<String> = lines.optional("raw")?;
    let content = match (schema, digest, frame, envelope, reason) {
        (Some(schema), None, Some(frame), Some(envelope), None) => {
            let mut bodies = Vec::new();
            while lines.next_is("body") {
                let words: String = lines.value("body")?;
                bodies.push(body(&words).ok_or_else(|| wrong("a body is malformed"))?);
            }
            let event = ShownEvent { schema, frame, envelope, signature, admission, bodies };
            ShownContent::Event(event)
        }
        (None, Some(digest), None, None, Some(reason))
            if signature.is_none() && admission.is_none() =>
        {
            let reason = Reason::parse(&reason).ok_or_else(|| wrong("a reason is unknown"))?;
            ShownContent::Raw(digest, reason)
        }
        _ => return Err(wrong("a row is neither an event's nor a raw one")),
    };
    Ok(ShownRow { offset, timestamp, headers, content })
}

fn body(words: &str) -> Option<ShownBody> {
    let (digest, item) = words.split_once(' ')?;
    let item = if item == "inline" { None } else { Some(item.parse().ok()?) };
    Some(ShownBody { digest: digest.parse().ok()?, item })
}

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\nsize {}\nstart {}", Self::KIND, self.size, self.start)?;
        for (name, hashes) in [("left", &self.range.left), ("right", &self.range.right)] {
            hashes.iter().try_for_each(|hash| writeln!(f, "{name} {hash}"))?;
        }
        self.shown.iter().try_for_each(|shown| match shown {
            Shown::Other(Neighbour { session, offset, row }) => {
                writeln!(f, "other {session} {offset} {row}")
            }
            Shown::Row(row) => write!(f, "{row}"),
        })
    }
}

impl fmt::Display for ShownRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (event, raw) = match &self.content {
            ShownContent::Event(event) => (Some(event), None),
            ShownContent::Raw(digest, reason) => (None, Some((digest, reason.as_str()))),
        };
        let base64 = |bytes: Option<&Vec<u8>>| dash(bytes.map(|b| Base64(b.clone())).as_ref());
        writeln!(f, "row {}", self.offset)?;
        writeln!(f, "schema {}", dash(event.map(|event| event.schema).as_ref()))?;
        writeln!(f, "event {}", dash(raw.map(|(digest, _)| digest)))?;
        writeln!(f, "timestamp {} {}", self.timestamp.kind.code(), self.timestamp.millis)?;
        writeln!(f, "headers {}", self.headers)?;
        writeln!(f, "frame {}", base64(event.map(|event| &event.frame)))?;
        writeln!(f, "envelope {}", base64(event.map(|event| &event.envelope)))?;
        writeln!(f, "signature {}", base64(event.and_then(|event| event.signature.as_ref())))?;
        writeln!(f, "admission {}", base64(event.and_then(|event| event.admission.as_ref())))?;
        writeln!(f, "raw {}", raw.map_or("-", |(_, reason)| reason))?;
        for ShownBody { digest, item } in event.iter().flat_map(|event| &event.bodies) {
            let item = item.map_or_else(|| "inline".to_owned(), |item| item.to_string());
            writeln!(f, "body {digest} {item}")?;
        }
        Ok(())
    }
}
