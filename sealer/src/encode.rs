//! CORE: a batch to the bytes of a segment and its record: the same bytes for the same batch, head and seed.

use bytes::Bytes;
use parquet::arrow::arrow_writer::{ArrowWriter, ArrowWriterOptions};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use schemas::{
    Counted, Digest, EnrolledRecord, Event, Framing, Malformed, Place, Published, SegmentRecord,
};

use crate::batch::Batch;
use crate::chain::Head;
use crate::check::{check, enrolled};
use crate::claims::Claims;
use crate::columns::record_batch;

use crate::error::Error;
use crate::layout::{PAGE_BYTES_MAX, SCHEMA, properties};
use crate::message::Message;
use crate::rows::{Row, claims_salt, row, sorted};

/// Rows given to the Parquet writer at a time; with the bytes of a page it bounds the copy in Arrow columns, and how far a
/// page may grow past its limit.
const CHUNK_ROWS: usize = 1024;

/// What the writer of a segment is told besides its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The topic's retention class.
    pub retention_class: String,
    /// Name and version of the writer.
    pub writer: String,
    /// The lock that the object is written under.
    pub lock: Option<store::Lock>,
}

/// A segment ready to be put.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// The object.
    pub bytes: Bytes,
    /// Its record.
    pub record: EnrolledRecord,
}

/// Encodes a batch as the segment after `head`, decodes the result and hashes it again.
///
/// `seed` must be random and used once: the salts of headers and raw values come from it. `claims` is what is known of
/// claim-checked bodies; `None` comes back where the batch names some that nobody has looked for, which are added to it.
///
/// # Errors
/// The Parquet library failed, or what it wrote does not read back as what went in.
pub fn encode(
    batch: &Batch,
    head: &Head,
    terms: &Terms,
    seed: &[u8; 32],
    claims: &mut Claims,
) -> Result<Option<Encoded>, Error> {
    let failed =
        |why: String| Error::Encode { partition: head.chain.partition, start: batch.start(), why };
    let place = Place { partition: head.chain.partition, partitions: head.chain.partitions };
    let framing = head.chain.framing;
    if framing == Framing::Confluent && !batch.unknown().is_empty() {
        return Err(failed("nobody has asked the registry for all of its schemas".to_owned()));
    }
    let read = |message| batch.read(message, place, framing);
    let written = write(batch, read, seed, claims).map_err(|error| failed(error.to_string()))?;
    if !claims.unknown().is_empty() {
        return Ok(None);
    }
    let claims = claims.to_text(claims_salt(seed));
    let record = record(batch, head, terms, &written.leaves, claims.as_deref());
    let bytes = finish(written, footer(batch, &record, claims))
        .map_err(|error| failed(error.to_string()))?;
    let checked = check(&bytes, place).map_err(|why| failed(why.to_string()))?;
    if checked != record {
        return Err(failed("what was written does not read back as what went in".to_owned()));
    }
    let key = head.segment_key().to_string();
    Ok(Some(Encoded { record: enrolled(record, key, &bytes), bytes }))
}

/// A segment that lacks its footer.
struct Written {
    writer: ArrowWriter<Vec<u8>>,
    leaves: Vec<Digest>,
    schemas: Vec<Digest>,
}

/// Takes each message apart once, in the order of rows, and writes it.
fn write<'b>(
    batch: &'b Batch,
    read: impl Fn(&'b Message) -> Result<Event<'b>, Malformed>,
    seed: &[u8; 32],
    claims: &mut Claims,
) -> Result<Written, ParquetError> {
    let options =
        ArrowWriterOptions::new().with_properties(properties()).with_skip_arrow_metadata(true);
    // Sorted rows compress to a quarter or better; growing the output would copy it again and again.
    let output = Vec::with_capacity(batch.bytes() / 4);
    let writer = ArrowWriter::try_new_with_options(output, SCHEMA.clone(), options)?;
    let leaves = Vec::with_capacity(batch.messages().len());
    let mut written = Written { writer, leaves, schemas: Vec::new() };
    let sorted = sorted(batch);
    let mut rest = sorted.as_slice();
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(chunk_rows(rest));
        let rows: Vec<Row<'_>> = chunk.iter().map(|message| row(message, &read, seed)).collect();
        for row in &rows {
            written.leaves.push(row.leaf);
            if let Some(event) = row.event() {
                claims.name(event);
                if !written.schemas.contains(&event.schema.digest) {
                    written.schemas.push(event.schema.digest);
                }
            }
        }
        written.writer.write(&record_batch(&rows)?)?;
        rest = after;
    }
    Ok(written)
}

fn finish(mut written: Written, footer: Vec<KeyValue>) -> Result<Bytes, ParquetError> {
    written.schemas.sort_unstable();
    let texts = written.schemas.iter().filter_map(Published::of_digest);
    let schemas = texts.map(|schema| {
        KeyValue::new(format!("chancery.schema.{}", schema.digest), schema.text.to_owned())
    });
    for pair in footer.into_iter().chain(schemas) {
        written.writer.append_key_value_metadata(pair);
    }
    written.writer.into_inner().map(Bytes::from)
}

fn record(
    batch: &Batch,
    head: &Head,
    terms: &Terms,
    leaves: &[Digest],
    claims: Option<&str>,
) -> SegmentRecord {
    let times = || {
        let timed = batch.messages().iter().map(|message| message.timestamp);
        timed.filter(|time| time.kind != schemas::TimestampType::None).map(|time| time.millis)
    };
    let count = u64::try_from(leaves.len()).unwrap_or(u64::MAX);
    SegmentRecord {
        chain: head.chain.clone(),
        start: batch.start(),
        next: batch.next(),
        rows: count,
        gaps: batch.gaps().summary(),
        claims: Counted::of("claims", claims),
        leader_epochs: leader_epochs(batch),
        time_min: times().min(),
        time_max: times().max(),
        retention_class: terms.retention_class.clone(),
        lock: terms.lock.map(|lock| lock.mode),
        retain_until: terms.lock.map(|lock| lock.until),
        root: schemas::root(leaves),
        total: head.total.saturating_add(count),
        writer: terms.writer.clone(),
        prev: head.prev,
    }
}

/// `offset:epoch` for the first message and for each whose leader is another than that of the message before.
fn leader_epochs(batch: &Batch) -> Option<String> {
    let mut last = None;
    let mut changes = Vec::new();
    for message in batch.messages() {
        if let Some(epoch) = message.leader_epoch.filter(|epoch| last != Some(*epoch)) {
            changes.push(format!("{}:{epoch}", message.offset));
            last = Some(epoch);
        }
    }
    (!changes.is_empty()).then(|| changes.join(","))
}

fn footer(batch: &Batch, record: &SegmentRecord, claims: Option<String>) -> Vec<KeyValue> {
    let pair = |key: &str, text| KeyValue::new(key.to_owned(), text);
    let mut footer = vec![pair("chancery.record", record.to_string())];
    footer.extend(batch.gaps().to_text().map(|text| pair("chancery.gaps", text)));
    footer.extend(claims.map(|text| pair("chancery.claims", text)));
    footer
}

/// How many of `messages` make the next chunk: at least one.
fn chunk_rows(messages: &[&Message]) -> usize {
    let mut bytes = 0_usize;
    let fitting = messages.iter().take(CHUNK_ROWS).take_while(|message| {
        bytes += message.bytes();
        bytes <= PAGE_BYTES_MAX
    });
    fitting.count().clamp(1, messages.len())
}

#[cfg(test)]
mod tests;
