//! The Parquet shape of a segment, built from [`schemas::COLUMNS`]: Arrow schema and writer properties.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use schemas::{COLUMNS, Column, ColumnType};

/// Bytes after which a page is closed. Pages are the unit of compression and of reading.
pub(crate) const PAGE_BYTES_MAX: usize = 1 << 20;
/// Values written between two looks at a page's size. What keeps pages of large bodies small is that rows are written in
/// chunks of a page's size at most.
const WRITE_BATCH: usize = 1024;

/// The Arrow schema of every segment.
pub(crate) static SCHEMA: LazyLock<SchemaRef> =
    LazyLock::new(|| Arc::new(Schema::new(COLUMNS.iter().map(field).collect::<Vec<_>>())));

/// Members of the `bodies` struct.
pub(crate) static BODY_FIELDS: LazyLock<Fields> =
    LazyLock::new(|| Column::BODY.iter().map(field).collect());

/// The list element of `bodies`.
pub(crate) fn body_element() -> Field {
    let element = Field::new("element", DataType::Struct(BODY_FIELDS.clone()), false);
    element.with_metadata(field_id(Column::BODIES_ELEMENT))
}

fn field(column: &Column) -> Field {
    let utc = || Some("UTC".into());
    let kind = match column.kind {
        ColumnType::Fixed(bytes) => DataType::FixedSizeBinary(bytes),
        ColumnType::Bytes => DataType::Binary,
        ColumnType::Text => DataType::Utf8,
        ColumnType::Int => DataType::Int32,
        ColumnType::Long => DataType::Int64,
        ColumnType::Millis => DataType::Timestamp(TimeUnit::Millisecond, utc()),
        ColumnType::Micros => DataType::Timestamp(TimeUnit::Microsecond, utc()),
        ColumnType::Bodies => DataType::List(Arc::new(body_element())),
    };
    Field::new(column.name, kind, column.nullable).with_metadata(field_id(column.id))
}

fn field_id(id: i32) -> HashMap<String, String> {
    HashMap::from([(PARQUET_FIELD_ID_META_KEY.to_owned(), id.to_string())])
}

/// How a segment is written.
pub(crate) fn properties() -> WriterProperties {
    let zstd = Compression::ZSTD(ZstdLevel::default());
    // Unit tests write segments of two rows, by the million: setting up compressors would be most of their work.
    let codec = if cfg!(test) { Compression::UNCOMPRESSED } else { zstd };
    let ascending =
        |column_idx| SortingColumn { column_idx, descending: false, nulls_first: false };
    let mut properties = WriterProperties::builder()
        .set_compression(codec)
        .set_dictionary_enabled(false)
        .set_data_page_size_limit(PAGE_BYTES_MAX)
        .set_write_batch_size(WRITE_BATCH)
        .set_max_row_group_row_count(None)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_statistics_truncate_length(None)
        .set_column_index_truncate_length(None)
        .set_sorting_columns(Some(vec![ascending(0), ascending(1)]));
    for column in &COLUMNS {
        let path = ColumnPath::from(column.name);
        if column.stat {
            properties =
                properties.set_column_statistics_enabled(path.clone(), EnabledStatistics::Page);
        }
        properties = match (column.name, column.kind) {
            // Random bytes: neither repeated nor compressible.
            ("event_id" | "headers_salt" | "raw_salt", _) => {
                properties.set_column_compression(path, Compression::UNCOMPRESSED)
            }
            ("envelope" | "raw" | "headers" | "signature" | "admission" | "tool_call_id", _) => {
                properties
            }
            (_, ColumnType::Long | ColumnType::Millis | ColumnType::Micros) => {
                properties.set_column_encoding(path, Encoding::DELTA_BINARY_PACKED)
            }
            (_, ColumnType::Bodies) => properties,
            _ => properties.set_column_dictionary_enabled(path, true),
        };
    }
    for salted in ["digest", "salt"] {
        let path =
            vec!["bodies".to_owned(), "list".to_owned(), "element".to_owned(), salted.to_owned()];
        properties = properties.set_column_compression(path.into(), Compression::UNCOMPRESSED);
    }
    properties.build()
}
