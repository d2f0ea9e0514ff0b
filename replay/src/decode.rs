//! CORE. Segment bytes to rows: opens a Parquet file within budgets and lends out the values of its columns.
//!
//! A file whose columns are not those of the format is not opened at all; what else can be wrong is `profile.rs`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
};
use arrow_array::{
    Array, BinaryViewArray, FixedSizeBinaryArray, Int32Array, Int64Array, ListArray, RecordBatch,
    StringViewArray, TimestampMicrosecondArray, TimestampMillisecondArray,
};
use arrow_schema::{DataType, Field, Fields, Schema};
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use schemas::{COLUMNS, ColumnType, SegmentRecord};

use crate::finding::Kind;
use crate::profile;

/// Rows decoded at a time.
const BATCH_ROWS: usize = 1024;

/// Why a segment's rows cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Breach {
    pub(crate) kind: Kind,
    pub(crate) why: String,
}

impl Breach {
    pub(crate) fn profile(why: impl Into<String>) -> Self {
        Self { kind: Kind::Profile, why: why.into() }
    }
}

impl From<parquet::errors::ParquetError> for Breach {
    fn from(error: parquet::errors::ParquetError) -> Self {
        Self { kind: Kind::Unreadable, why: error.to_string() }
    }
}

/// A segment whose footer was read: its columns are those of the format, its pages within the budgets.
#[derive(Debug)]
pub(crate) struct Segment {
    bytes: Bytes,
    metadata: ArrowReaderMetadata,
    /// What the footer says of the segment. `rows` is the file's number of rows.
    pub(crate) record: SegmentRecord,
    pub(crate) footer: profile::Footer,
}

impl Segment {
    /// Opens a segment.
    pub(crate) fn open(bytes: Bytes) -> Result<Self, Breach> {
        if bytes.len() < 12 || !bytes.starts_with(b"PAR1") || !bytes.ends_with(b"PAR1") {
            return Err(Breach::profile("it does not begin and end with PAR1"));
        }
        let options = ArrowReaderOptions::new()
            .with_skip_arrow_metadata(true)
            .with_page_index_policy(PageIndexPolicy::Optional);
        let metadata = caught(|| ArrowReaderMetadata::load(&bytes, options.clone()))??;
        profile::check_schema(metadata.parquet_schema()).map_err(Breach::profile)?;
        profile::check_budget(&bytes, metadata.metadata())?;
        let footer = profile::Footer::read(metadata.metadata().file_metadata())?;
        let record = SegmentRecord::parse(&footer.record)
            .map_err(|error| Breach { kind: Kind::Record, why: error.to_string() })?;
        let rows = metadata.metadata().row_groups().iter().map(|group| group.num_rows());
        let rows = rows.fold(0_i64, i64::saturating_add);
        if u64::try_from(rows) != Ok(record.rows)
            || metadata.metadata().file_metadata().num_rows() != rows
        {
            return Err(Breach::profile("it has not the rows its record says"));
        }
        let schema = viewed(metadata.schema());
        let options = options.with_schema(Arc::new(schema));
        let metadata = ArrowReaderMetadata::try_new(metadata.metadata().clone(), options)?;
        Ok(Self { bytes, metadata, record, footer })
    }

    pub(crate) fn parquet(&self) -> &ParquetMetaData {
        self.metadata.metadata()
    }

    /// Reads one row group; all columns, or those at these indices of [`COLUMNS`].
    pub(crate) fn group(
        &self,
        group: usize,
        columns: Option<&[usize]>,
        selection: Option<RowSelection>,
    ) -> Result<Batches, Breach> {
        let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(
            self.bytes.clone(),
            self.metadata.clone(),
        )
        .with_batch_size(BATCH_ROWS)
        .with_row_groups(vec![group]);
        if let Some(columns) = columns {
            let mask = ProjectionMask::roots(self.metadata.parquet_schema(), columns.to_vec());
            builder = builder.with_projection(mask);
        }
        if let Some(selection) = selection {
            builder = builder.with_row_selection(selection);
        }
        Ok(Batches(Some(caught(|| builder.build())??)))
    }
}

/// Calls into the Parquet library, which panics on some pages that no writer would make (levels that claim more rows than
/// the page has, for one) instead of refusing them. Nothing that was half done is used afterwards.
fn caught<T>(call: impl FnOnce() -> T) -> Result<T, Breach> {
    catch_unwind(AssertUnwindSafe(call))
        .map_err(|_| Breach { kind: Kind::Unreadable, why: "its pages are damaged".to_owned() })
}

/// The batches of a row group; none after one that could not be read.
pub(crate) struct Batches(Option<ParquetRecordBatchReader>);

impl Iterator for Batches {
    type Item = Result<RecordBatch, Breach>;

    fn next(&mut self) -> Option<Self::Item> {
        let reader = self.0.as_mut()?;
        match caught(|| reader.next()) {
            Ok(Some(Ok(batch))) => Some(Ok(batch)),
            Ok(None) => None,
            Ok(Some(Err(error))) => {
                self.0 = None;
                Some(Err(Breach { kind: Kind::Unreadable, why: error.to_string() }))
            }
            Err(breach) => {
                self.0 = None;
                Some(Err(breach))
            }
        }
    }
}

/// The same columns, variable-length ones read as views: pages are lent, not copied, so that a dictionary that repeats one
/// large value costs its size once.
fn viewed(schema: &Schema) -> Schema {
    Schema::new_with_metadata(fields(schema.fields()), schema.metadata().clone())
}

fn fields(fields: &Fields) -> Fields {
    fields.iter().map(|field| view_of(field)).collect()
}

fn view_of(field: &Field) -> Field {
    let kind = match field.data_type() {
        DataType::Binary => DataType::BinaryView,
        DataType::Utf8 => DataType::Utf8View,
        DataType::List(item) => DataType::List(Arc::new(view_of(item))),
        DataType::Struct(members) => DataType::Struct(fields(members)),
        other => other.clone(),
    };
    field.clone().with_data_type(kind)
}

/// The values of one column in a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Values<'b> {
    Fixed(&'b FixedSizeBinaryArray),
    Bytes(&'b BinaryViewArray),
    Text(&'b StringViewArray),
    Int(&'b Int32Array),
    Long(&'b Int64Array),
    Millis(&'b TimestampMillisecondArray),
    Micros(&'b TimestampMicrosecondArray),
    Bodies(&'b ListArray),
}

impl<'b> Values<'b> {
    fn of(array: &'b dyn Array, kind: ColumnType) -> Option<Self> {
        Some(match kind {
            ColumnType::Fixed(_) => Self::Fixed(array.as_fixed_size_binary_opt()?),
            ColumnType::Bytes => Self::Bytes(array.as_binary_view_opt()?),
            ColumnType::Text => Self::Text(array.as_string_view_opt()?),
            ColumnType::Int => Self::Int(array.as_primitive_opt::<Int32Type>()?),
            ColumnType::Long => Self::Long(array.as_primitive_opt::<Int64Type>()?),
            ColumnType::Millis => {
                Self::Millis(array.as_primitive_opt::<TimestampMillisecondType>()?)
            }
            ColumnType::Micros => {
                Self::Micros(array.as_primitive_opt::<TimestampMicrosecondType>()?)
            }
            ColumnType::Bodies => Self::Bodies(array.as_list_opt()?),
        })
    }

    /// The bytes of a text or binary value; `None` where it is null.
    pub(crate) fn bytes(self, row: usize) -> Option<&'b [u8]> {
        match self {
            Self::Fixed(array) => array.is_valid(row).then(|| array.value(row)),
            Self::Bytes(array) => array.is_valid(row).then(|| array.value(row)),
            Self::Text(array) => array.is_valid(row).then(|| array.value(row).as_bytes()),
            _ => None,
        }
    }

    /// The text of a text value; `None` where it is null.
    pub(crate) fn text(self, row: usize) -> Option<&'b str> {
        match self {
            Self::Text(array) => array.is_valid(row).then(|| array.value(row)),
            _ => None,
        }
    }

    /// The number of an integer or time value; `None` where it is null.
    pub(crate) fn long(self, row: usize) -> Option<i64> {
        match self {
            Self::Int(array) => array.is_valid(row).then(|| i64::from(array.value(row))),
            Self::Long(array) => array.is_valid(row).then(|| array.value(row)),
            Self::Millis(array) => array.is_valid(row).then(|| array.value(row)),
            Self::Micros(array) => array.is_valid(row).then(|| array.value(row)),
            _ => None,
        }
    }
}

/// The columns of a batch by their index in [`COLUMNS`]; those not asked for are absent.
#[derive(Debug)]
pub(crate) struct Batch<'b> {
    columns: [Option<Values<'b>>; COLUMNS.len()],
    pub(crate) rows: usize,
}

impl<'b> Batch<'b> {
    pub(crate) fn new(batch: &'b RecordBatch) -> Self {
        let mut columns = [None; COLUMNS.len()];
        for (slot, column) in columns.iter_mut().zip(&COLUMNS) {
            *slot = batch.column_by_name(column.name).and_then(|a| Values::of(a, column.kind));
        }
        Self { columns, rows: batch.num_rows() }
    }

    pub(crate) fn column(&self, index: usize) -> Option<Values<'b>> {
        self.columns.get(index).copied().flatten()
    }

    pub(crate) fn bytes(&self, index: usize, row: usize) -> Option<&'b [u8]> {
        self.column(index)?.bytes(row)
    }

    pub(crate) fn text(&self, index: usize, row: usize) -> Option<&'b str> {
        self.column(index)?.text(row)
    }

    pub(crate) fn long(&self, index: usize, row: usize) -> Option<i64> {
        self.column(index)?.long(row)
    }

    /// An integer that is not negative.
    pub(crate) fn count(&self, index: usize, row: usize) -> Option<u64> {
        u64::try_from(self.long(index, row)?).ok()
    }

    pub(crate) fn bodies(&self, row: usize) -> Option<Bodies<'b>> {
        let Some(Values::Bodies(list)) = self.column(BODIES) else { return None };
        let elements = list.values().as_struct_opt()?;
        let at = |index: usize| elements.columns().get(index);
        let offset = |index: usize| usize::try_from(*list.value_offsets().get(index)?).ok();
        Some(Bodies {
            rows: offset(row)?..offset(row + 1)?,
            digest: at(0)?.as_fixed_size_binary_opt()?,
            salt: at(1)?.as_fixed_size_binary_opt()?,
            data: at(2)?.as_binary_view_opt()?,
            enc: at(3)?.as_binary_view_opt()?,
        })
    }
}

/// The bodies of one row.
#[derive(Clone, Debug)]
pub(crate) struct Bodies<'b> {
    rows: std::ops::Range<usize>,
    digest: &'b FixedSizeBinaryArray,
    salt: &'b FixedSizeBinaryArray,
    data: &'b BinaryViewArray,
    enc: &'b BinaryViewArray,
}

/// A body as it is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoredBody<'b> {
    pub(crate) digest: Option<&'b [u8]>,
    pub(crate) salt: Option<&'b [u8]>,
    pub(crate) data: Option<&'b [u8]>,
    pub(crate) enc: Option<&'b [u8]>,
}

impl<'b> Bodies<'b> {
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = StoredBody<'b>> + use<'b> {
        let Self { rows, digest, salt, data, enc } = self.clone();
        rows.map(move |row| StoredBody {
            digest: Values::Fixed(digest).bytes(row),
            salt: Values::Fixed(salt).bytes(row),
            data: Values::Bytes(data).bytes(row),
            enc: Values::Bytes(enc).bytes(row),
        })
    }
}

macro_rules! column_indices {
    ($($name:ident = $index:literal $text:literal,)*) => {
        $(pub(crate) const $name: usize = $index;)*

        #[cfg(test)]
        const NAMED: &[(usize, &str)] = &[$(($index, $text)),*];
    };
}
column_indices! {
    SESSION_KEY = 0 "session_key",
    OFFSET = 1 "offset",
    TIMESTAMP = 2 "timestamp",
    TIMESTAMP_TYPE = 3 "timestamp_type",
    KEY = 4 "key",
    HEADERS = 5 "headers",
    HEADERS_SALT = 6 "headers_salt",
    SCHEMA = 7 "schema",
    FRAME = 8 "frame",
    ENVELOPE = 9 "envelope",
    SIGNATURE = 10 "signature",
    ADMISSION = 11 "admission",
    BODIES = 12 "bodies",
    RAW_REASON = 13 "raw_reason",
    RAW_SALT = 14 "raw_salt",
    RAW = 15 "raw",
    EVENT_ID = 16 "event_id",
    KIND = 19 "kind",
    OCCURRED_AT = 20 "occurred_at",
    CAPTURE_SOURCE = 21 "capture_source",
    PHASE = 22 "phase",
    STATUS = 24 "status",
    SESSION_SEQ = 26 "session_seq",
    TRACE_ID = 27 "trace_id",
    AGENT_ID = 28 "agent_id",
    AGENT_NAME = 29 "agent_name",
    INPUT_TOKENS = 36 "usage_input_tokens",
    OUTPUT_TOKENS = 37 "usage_output_tokens",
    COST = 41 "cost_nanos",
    TOOL_NAME = 42 "tool_name",

}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_indices_are_those_of_the_columns() {
        for (index, name) in NAMED {
            assert_eq!(COLUMNS[*index].name, *name);
        }
    }
}
