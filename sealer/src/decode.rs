//! CORE: a segment's bytes back to messages, one row at a time. What they must be is `check.rs`.

use std::collections::HashMap;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMillisecondType};
use arrow_array::{
    Array, BinaryArray, FixedSizeBinaryArray, Int32Array, Int64Array, ListArray, RecordBatch,
    StringArray, StructArray, TimestampMillisecondArray,
};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use schemas::{
    Body, Digest, Enc, Framing, Gaps, Message, Offset, Published, Reason, Salt, SegmentRecord,
    SessionKey, Timestamp, TimestampType, write_framed,
};

/// Bytes that a segment may decode to: many times what a sealer cuts at, and an end to files made to expand.
const DECODED_BYTES_MAX: i64 = 2 << 30;
/// Rows decoded at a time.
const BATCH_ROWS: usize = 1024;

/// Why bytes are not a well-formed segment.
#[derive(Debug, thiserror::Error)]
pub enum NotASegment {
    /// The Parquet library refused it.
    #[error("parquet: {0}")]
    Parquet(#[from] parquet::errors::ParquetError),
    /// Decoding a page failed.
    #[error("arrow: {0}")]
    Arrow(#[from] arrow_schema::ArrowError),
    /// Its record does not parse.
    #[error(transparent)]
    Record(#[from] schemas::RecordError),
    /// It breaks a rule of the format.
    #[error("{0}")]
    Rule(&'static str),
}

use NotASegment::Rule;

/// A stored row, put together again.
#[derive(Debug)]
pub struct Stored<'a> {
    /// The message.
    pub message: Message<'a>,
    /// Its headers as stored.
    pub headers: Option<&'a [u8]>,
    pub(crate) headers_salt: Option<Salt>,
    pub(crate) raw: Option<(Reason, Salt)>,
    /// The schema of an event.
    pub(crate) schema: Option<&'static Published>,
    /// How the topic's values are framed.
    pub(crate) framing: Framing,
    pub(crate) session_key: SessionKey,
}

/// What a segment says of itself besides its rows.
#[derive(Debug)]
pub struct Footer {
    /// Its record.
    pub record: SegmentRecord,
    /// Offsets without a row.
    pub gaps: Gaps,
    /// Its text of claims.
    pub claims: Option<String>,
}

/// Calls `row` with each stored row, in order.
///
/// # Errors
/// What is not as the format wants it, or what `row` says.
pub fn visit(
    bytes: &Bytes,
    mut row: impl FnMut(&Stored<'_>) -> Result<(), NotASegment>,
) -> Result<Footer, NotASegment> {
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes.clone(), options)?;
    let metadata = builder.metadata().file_metadata().key_value_metadata();
    let footer: HashMap<&str, &str> = metadata
        .into_iter()
        .flatten()
        .filter_map(|pair| Some((pair.key.as_str(), pair.value.as_deref()?)))
        .collect();
    let record =
        SegmentRecord::parse(footer.get("chancery.record").ok_or(Rule("it has no record"))?)?;
    let gaps = match footer.get("chancery.gaps") {
        None => Gaps::default(),
        Some(text) => Gaps::parse(text).ok_or(Rule("its gaps do not parse"))?,
    };
    let claims = footer.get("chancery.claims").map(|text| (*text).to_owned());
    let groups = builder.metadata().row_groups();
    let decoded = groups.iter().map(|group| group.total_byte_size()).try_fold(0, i64::checked_add);
    if decoded.is_none_or(|bytes| !(0..=DECODED_BYTES_MAX).contains(&bytes)) {
        return Err(Rule("it would decode to more than 2 GiB"));
    }
    if u64::try_from(builder.metadata().file_metadata().num_rows()) != Ok(record.rows) {
        return Err(Rule("its rows are not as many as its record says"));
    }
    let mut value = Vec::new();
    for batch in builder.with_batch_size(BATCH_ROWS).build()? {
        let batch = batch?;
        let columns = Columns::of(&batch).ok_or(Rule("its columns are not a segment's"))?;
        for index in 0..batch.num_rows() {
            row(&columns.stored(index, record.chain.framing, &mut value)?)?;
        }
    }
    Ok(Footer { record, gaps, claims })
}

/// The columns that a message is put together from.
struct Columns<'a> {
    session_key: &'a FixedSizeBinaryArray,
    offset: &'a Int64Array,
    timestamp: &'a TimestampMillisecondArray,
    timestamp_type: &'a Int32Array,
    key: &'a BinaryArray,
    headers: &'a BinaryArray,
    headers_salt: &'a FixedSizeBinaryArray,
    schema: &'a FixedSizeBinaryArray,
    frame: &'a BinaryArray,
    envelope: &'a BinaryArray,
    signature: &'a BinaryArray,
    admission: &'a BinaryArray,
    bodies: &'a ListArray,
    raw_reason: &'a StringArray,
    raw_salt: &'a FixedSizeBinaryArray,
    raw: &'a BinaryArray,
}

impl<'a> Columns<'a> {
    fn of(batch: &'a RecordBatch) -> Option<Self> {
        let binary = |name| batch.column_by_name(name)?.as_binary_opt();
        let fixed = |name| batch.column_by_name(name)?.as_fixed_size_binary_opt();
        Some(Self {
            session_key: fixed("session_key")?,
            offset: batch.column_by_name("offset")?.as_primitive_opt::<Int64Type>()?,
            timestamp: batch
                .column_by_name("timestamp")?
                .as_primitive_opt::<TimestampMillisecondType>()?,
            timestamp_type: batch
                .column_by_name("timestamp_type")?
                .as_primitive_opt::<Int32Type>()?,
            key: binary("key")?,
            headers: binary("headers")?,
            headers_salt: fixed("headers_salt")?,
            schema: fixed("schema")?,
            frame: binary("frame")?,
            envelope: binary("envelope")?,
            signature: binary("signature")?,
            admission: binary("admission")?,
            bodies: batch.column_by_name("bodies")?.as_list_opt()?,
            raw_reason: batch.column_by_name("raw_reason")?.as_string_opt()?,
            raw_salt: fixed("raw_salt")?,
            raw: binary("raw")?,
        })
    }

    /// Row `index`; an event's value is put together in `value`.
    fn stored<'v>(
        &self,
        index: usize,
        framing: Framing,
        value: &'v mut Vec<u8>,
    ) -> Result<Stored<'v>, NotASegment>
    where
        'a: 'v,
    {
        let raw = self.raw_row(index)?;
        let mut schema = None;
        if raw.is_none() {
            value.clear();
            schema = Some(self.rebuild(index, framing, value)?);
        }
        let kind = TimestampType::from_code(self.timestamp_type.value(index));
        let kind = kind.ok_or(Rule("a timestamp type is unknown"))?;
        let millis = self.timestamp.is_valid(index).then(|| self.timestamp.value(index));
        let session_key =
            fixed(self.session_key, index).ok_or(Rule("a session key is not 32 bytes"))?;
        let message = Message {
            offset: Offset(self.offset.value(index).cast_unsigned()),
            timestamp: Timestamp { kind, millis: millis.unwrap_or_default() },
            key: bytes_at(self.key, index),
            value: if raw.is_some() { bytes_at(self.raw, index) } else { Some(value) },
        };
        Ok(Stored {
            message,
            headers: bytes_at(self.headers, index),
            headers_salt: fixed(self.headers_salt, index).map(Salt),
            raw,
            schema,
            framing,
            session_key: SessionKey(Digest(session_key)),
        })
    }

    fn raw_row(&self, index: usize) -> Result<Option<(Reason, Salt)>, NotASegment> {
        if self.raw_reason.is_null(index) {
            return Ok(None);
        }
        let reason =
            Reason::parse(self.raw_reason.value(index)).ok_or(Rule("a raw reason is unknown"))?;
        let salt = fixed(self.raw_salt, index).map(Salt).ok_or(Rule("a raw row has no salt"))?;
        Ok(Some((reason, salt)))
    }

    /// Puts an event's value together, and gives its schema.
    fn rebuild(
        &self,
        index: usize,
        framing: Framing,
        value: &mut Vec<u8>,
    ) -> Result<&'static Published, NotASegment> {
        let schema = fixed(self.schema, index).map(Digest);
        let schema =
            schema.as_ref().and_then(Published::of_digest).ok_or(Rule("a schema is unknown"))?;
        let frame = bytes_at(self.frame, index).ok_or(Rule("an event has no frame"))?;
        let fits = match framing {
            Framing::SingleObject => frame == schema.frame(),
            Framing::Confluent => frame.len() == 5 && frame.starts_with(&[0]),
        };
        if !fits {
            return Err(Rule("a frame is not one of its topic and schema"));
        }
        let envelope = bytes_at(self.envelope, index).ok_or(Rule("an event has no envelope"))?;
        let items = self.bodies.value(index);
        let bodies = bodies(items.as_struct()).ok_or(Rule("a body is not well formed"))?;
        let (signature, admission) =
            (bytes_at(self.signature, index), bytes_at(self.admission, index));
        write_framed(value, frame, envelope, signature, admission, &bodies);
        Ok(schema)
    }
}

fn bytes_at(array: &BinaryArray, index: usize) -> Option<&[u8]> {
    array.is_valid(index).then(|| array.value(index))
}

fn fixed<const N: usize>(array: &FixedSizeBinaryArray, index: usize) -> Option<[u8; N]> {
    array.is_valid(index).then(|| array.value(index).try_into().ok()).flatten()
}

fn bodies(items: &StructArray) -> Option<Vec<Body<'_>>> {
    let digest = items.column_by_name("digest")?.as_fixed_size_binary_opt()?;
    let salt = items.column_by_name("salt")?.as_fixed_size_binary_opt()?;
    let data: &BinaryArray = items.column_by_name("data")?.as_binary_opt()?;
    let enc: &BinaryArray = items.column_by_name("enc")?.as_binary_opt()?;
    (0..items.len())
        .map(|index| {
            let mut body = Body {
                digest: Digest::ZERO,
                salt: fixed(salt, index).map(Salt),
                data: data.is_valid(index).then(|| data.value(index)),
                enc: if enc.is_valid(index) {
                    Some(Enc::from_bytes(enc.value(index))?)
                } else {
                    None
                },
            };
            body.digest = match (digest.is_valid(index), body.salt, body.data) {
                (true, _, _) => Digest(digest.value(index).try_into().ok()?),
                (false, Some(salt), Some(data)) => schemas::body_digest(&salt, data),
                _ => return None,
            };
            Some(body)
        })
        .collect()
}
