//! CORE: a batch to the bytes of a segment and its record: the same bytes for the same batch, head and seed.

use bytes::Bytes;
use parquet::arrow::arrow_writer::{ArrowWriter, ArrowWriterOptions};
use parquet::file::metadata::KeyValue;
use schemas::{Counted, Digest, EnrolledRecord, Place, Published, SegmentRecord};

use crate::batch::Batch;
use crate::chain::Head;
use crate::columns::record_batch;
use crate::decode;
use crate::error::Error;
use crate::layout::{PAGE_BYTES_MAX, SCHEMA, properties};
use crate::rows::{Kind, Row, rows};

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
/// `seed` must be random and used once: the salts of headers and raw values come from it.
///
/// # Errors
/// The Parquet library failed, or what it wrote does not read back as what went in.
pub fn encode(
    batch: &Batch,
    head: &Head,
    terms: &Terms,
    seed: &[u8; 32],
) -> Result<Encoded, Error> {
    let failed =
        |why: String| Error::Encode { partition: head.chain.partition, start: batch.start(), why };
    let place = Place { partition: head.chain.partition, partitions: head.chain.partitions };
    let rows = rows(batch, place, seed);
    let record = record(batch, head, terms, &rows);
    let bytes = Bytes::from(
        write(&rows, footer(batch, &rows, &record)).map_err(|e| failed(e.to_string()))?,
    );
    let checked = decode::check(&bytes, place).map_err(|why| failed(why.to_string()))?;
    if checked != record {
        return Err(failed("what was written does not read back as what went in".to_owned()));
    }
    let key = head.segment_key().to_string();
    Ok(Encoded { record: decode::enrolled(record, key, &bytes), bytes })
}

fn record(batch: &Batch, head: &Head, terms: &Terms, rows: &[Row<'_>]) -> SegmentRecord {
    let leaves: Vec<Digest> = rows.iter().map(|row| row.leaf).collect();
    let times = || {
        let timed = rows.iter().map(|row| row.message.timestamp);
        timed.filter(|time| time.kind != schemas::TimestampType::None).map(|time| time.millis)
    };
    let count = u64::try_from(rows.len()).unwrap_or(u64::MAX);
    SegmentRecord {
        chain: head.chain.clone(),
        start: batch.start(),
        next: batch.next(),
        rows: count,
        gaps: batch.gaps().summary(),
        claims: Counted::default(),
        leader_epochs: None,
        time_min: times().min(),
        time_max: times().max(),
        retention_class: terms.retention_class.clone(),
        lock: None,
        retain_until: None,
        root: schemas::root(&leaves),
        total: head.total.saturating_add(count),
        writer: terms.writer.clone(),
        prev: head.prev,
    }
}

fn footer(batch: &Batch, rows: &[Row<'_>], record: &SegmentRecord) -> Vec<KeyValue> {
    let mut footer = vec![KeyValue::new("chancery.record".to_owned(), record.to_string())];
    footer
        .extend(batch.gaps().to_text().map(|text| KeyValue::new("chancery.gaps".to_owned(), text)));
    let mut used: Vec<Digest> = Vec::new();
    for row in rows {
        if let Kind::Event { schema, .. } = row.kind
            && !used.contains(&schema)
        {
            used.push(schema);
        }
    }
    used.sort_unstable();
    let texts = used.iter().filter_map(Published::of_digest);
    footer.extend(texts.map(|schema| {
        KeyValue::new(format!("chancery.schema.{}", schema.digest), schema.text.to_owned())
    }));
    footer
}

fn write(
    rows: &[Row<'_>],
    footer: Vec<KeyValue>,
) -> Result<Vec<u8>, parquet::errors::ParquetError> {
    let options = ArrowWriterOptions::new()
        .with_properties(properties(footer))
        .with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), SCHEMA.clone(), options)?;
    let mut rest = rows;
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(chunk_rows(rest));
        writer.write(&record_batch(chunk)?)?;
        rest = after;
    }
    writer.into_inner()
}

/// How many of `rows` make the next chunk: at least one.
fn chunk_rows(rows: &[Row<'_>]) -> usize {
    let mut bytes = 0_usize;
    let fitting = rows.iter().take(CHUNK_ROWS).take_while(|row| {
        bytes += row.message.bytes();
        bytes <= PAGE_BYTES_MAX
    });
    fitting.count().clamp(1, rows.len())
}
