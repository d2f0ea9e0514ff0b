//! CORE: rows to Arrow columns, in the order of [`schemas::COLUMNS`].

use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, FixedSizeBinaryBuilder, Int32Builder, Int64Builder, StringBuilder,
    TimestampMicrosecondBuilder, TimestampMillisecondBuilder,
};
use arrow_array::{ArrayRef, ListArray, RecordBatch, StructArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::ArrowError;
use schemas::{COLUMNS, Column, ColumnType, FIRST_VIEW, TimestampType, View};

use crate::layout::{BODY_FIELDS, SCHEMA, body_element};
use crate::rows::{Kind, Row};

/// One Arrow batch of rows.
pub(crate) fn record_batch(rows: &[Row<'_>]) -> Result<RecordBatch, ArrowError> {
    let mut columns = carriage(rows)?;
    columns.extend(views(rows)?);
    RecordBatch::try_new(SCHEMA.clone(), columns)
}

/// Columns 1 to 21.
fn carriage(rows: &[Row<'_>]) -> Result<Vec<ArrayRef>, ArrowError> {
    let mut session_key = FixedSizeBinaryBuilder::with_capacity(rows.len(), 32);
    let mut offset = Int64Builder::with_capacity(rows.len());
    let mut timestamp = TimestampMillisecondBuilder::with_capacity(rows.len()).with_timezone("UTC");
    let mut timestamp_type = Int32Builder::with_capacity(rows.len());
    let mut headers_salt = FixedSizeBinaryBuilder::with_capacity(rows.len(), 16);
    let mut schema = FixedSizeBinaryBuilder::with_capacity(rows.len(), 32);
    let mut raw_reason = StringBuilder::new();
    let mut raw_salt = FixedSizeBinaryBuilder::with_capacity(rows.len(), 16);
    for row in rows {
        let at = row.message.timestamp;
        session_key.append_value(row.session_key.0.0)?;
        offset.append_value(row.message.offset.0.cast_signed());
        timestamp.append_option((at.kind != TimestampType::None).then_some(at.millis));
        timestamp_type.append_value(at.kind.code().into());
        fixed(&mut headers_salt, row.headers.as_ref().map(|(_, salt)| &salt.0))?;
        match &row.kind {
            Kind::Event(event) => {
                schema.append_value(event.schema.digest.0)?;
                raw_reason.append_null();
                raw_salt.append_null();
            }
            Kind::Raw { reason, salt } => {
                schema.append_null();
                raw_reason.append_value(reason.as_str());
                raw_salt.append_value(salt.0)?;
            }
        }
    }
    Ok(vec![
        Arc::new(session_key.finish()),
        Arc::new(offset.finish()),
        Arc::new(timestamp.finish()),
        Arc::new(timestamp_type.finish()),
        bytes(rows, |row| row.message.key.as_deref()),
        bytes(rows, |row| row.headers.as_ref().map(|(bytes, _)| bytes.as_slice())),
        Arc::new(headers_salt.finish()),
        Arc::new(schema.finish()),
        bytes(rows, |row| row.event().map(|event| event.frame)),
        bytes(rows, |row| row.event().map(|event| event.envelope_bytes)),
        bytes(rows, |row| row.event().and_then(|event| event.signature)),
        bytes(rows, |row| row.event().and_then(|event| event.admission)),
        bodies(rows)?,
        Arc::new(raw_reason.finish()),
        Arc::new(raw_salt.finish()),
        bytes(rows, |row| match row.kind {
            Kind::Event(_) => None,
            Kind::Raw { .. } => row.message.value.as_deref(),
        }),
    ])
}

fn fixed<const N: usize>(
    builder: &mut FixedSizeBinaryBuilder,
    value: Option<&[u8; N]>,
) -> Result<(), ArrowError> {
    match value {
        Some(value) => builder.append_value(value),
        None => {
            builder.append_null();
            Ok(())
        }
    }
}

/// A binary column, allocated once at its exact size.
fn bytes<'r, 'a>(rows: &'r [Row<'a>], value: impl Fn(&'r Row<'a>) -> Option<&'r [u8]>) -> ArrayRef {
    let length = rows.iter().filter_map(&value).map(<[u8]>::len).sum();
    let mut builder = BinaryBuilder::with_capacity(rows.len(), length);
    rows.iter().for_each(|row| builder.append_option(value(row)));
    Arc::new(builder.finish())
}

fn bodies(rows: &[Row<'_>]) -> Result<ArrayRef, ArrowError> {
    fn of<'r, 'a>(row: &'r Row<'a>) -> &'r [schemas::Body<'a>] {
        row.event().map_or(&[], |event| event.bodies.as_slice())
    }
    let all = || rows.iter().flat_map(of);
    let count = all().count();
    let mut digest = FixedSizeBinaryBuilder::with_capacity(count, 32);
    let mut salt = FixedSizeBinaryBuilder::with_capacity(count, 16);
    let length = all().filter_map(|body| body.data).map(<[u8]>::len).sum();
    let mut data = BinaryBuilder::with_capacity(count, length);
    let mut enc = BinaryBuilder::new();
    for body in all() {
        // The digest of what stands here in clear is derived by whoever reads it.
        fixed(&mut digest, (!body.is_inline_clear()).then_some(&body.digest.0))?;
        fixed(&mut salt, body.salt.as_ref().map(|salt| &salt.0))?;
        data.append_option(body.data);
        enc.append_option(body.enc.as_ref().map(schemas::Enc::to_bytes));
    }
    let members: Vec<ArrayRef> = vec![
        Arc::new(digest.finish()),
        Arc::new(salt.finish()),
        Arc::new(data.finish()),
        Arc::new(enc.finish()),
    ];
    let items = StructArray::try_new(BODY_FIELDS.clone(), members, None)?;
    let offsets = OffsetBuffer::from_lengths(rows.iter().map(|row| of(row).len()));
    Ok(Arc::new(ListArray::try_new(Arc::new(body_element()), offsets, Arc::new(items), None)?))
}

/// A view column under construction. Most views are null in most rows, so nulls are appended in runs.
struct ViewBuilder {
    values: Values,
    nulls: usize,
}

enum Values {
    Text(StringBuilder),
    Long(Int64Builder),
    Micros(TimestampMicrosecondBuilder),
    Fixed(FixedSizeBinaryBuilder),
}

fn views(rows: &[Row<'_>]) -> Result<Vec<ArrayRef>, ArrowError> {
    let columns = COLUMNS.iter().skip(FIRST_VIEW);
    let mut builders: Vec<ViewBuilder> =
        columns.map(|column| ViewBuilder::new(column, rows.len())).collect();
    for row in rows {
        let values = row.event().map(|event| event.envelope.views());
        for (index, builder) in builders.iter_mut().enumerate() {
            let value = values.as_ref().and_then(|values| values.get(index)).copied();
            builder.append(value.unwrap_or(View::Null))?;
        }
    }
    Ok(builders.into_iter().map(ViewBuilder::finish).collect())
}

impl ViewBuilder {
    fn new(column: &Column, rows: usize) -> Self {
        let values = match column.kind {
            ColumnType::Fixed(bytes) => {
                Values::Fixed(FixedSizeBinaryBuilder::with_capacity(rows, bytes))
            }
            ColumnType::Micros => Values::Micros(
                TimestampMicrosecondBuilder::with_capacity(rows).with_timezone("UTC"),
            ),
            ColumnType::Long => Values::Long(Int64Builder::with_capacity(rows)),
            _ => Values::Text(StringBuilder::new()),
        };
        Self { values, nulls: 0 }
    }

    fn append(&mut self, value: View<'_>) -> Result<(), ArrowError> {
        if value == View::Null {
            self.nulls += 1;
            return Ok(());
        }
        self.append_nulls();
        match (&mut self.values, value) {
            (Values::Text(builder), View::Text(text)) => builder.append_value(text),
            (Values::Long(builder), View::Long(number)) => builder.append_value(number),
            (Values::Micros(builder), View::Long(number)) => builder.append_value(number),
            (Values::Fixed(builder), View::Fixed(bytes)) => builder.append_value(bytes)?,
            // The table of columns and the list of views are one file and in one order.
            _ => {
                return Err(ArrowError::SchemaError(
                    "a view is of another type than its column".to_owned(),
                ));
            }
        }
        Ok(())
    }

    fn append_nulls(&mut self) {
        match &mut self.values {
            Values::Text(builder) => builder.append_nulls(self.nulls),
            Values::Long(builder) => builder.append_nulls(self.nulls),
            Values::Micros(builder) => builder.append_nulls(self.nulls),
            Values::Fixed(builder) => builder.append_nulls(self.nulls),
        }
        self.nulls = 0;
    }

    fn finish(mut self) -> ArrayRef {
        self.append_nulls();
        match self.values {
            Values::Text(mut builder) => Arc::new(builder.finish()),
            Values::Long(mut builder) => Arc::new(builder.finish()),
            Values::Micros(mut builder) => Arc::new(builder.finish()),
            Values::Fixed(mut builder) => Arc::new(builder.finish()),
        }
    }
}
