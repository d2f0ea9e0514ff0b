//! CORE: rows to Arrow columns, in the order of [`schemas::COLUMNS`].

use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, FixedSizeBinaryBuilder, Int32Builder, Int64Builder, StringBuilder,
    TimestampMicrosecondBuilder, TimestampMillisecondBuilder,
};
use arrow_array::{ArrayRef, ListArray, RecordBatch, StructArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::ArrowError;
use schemas::{COLUMNS, Column, ColumnType, Event, FIRST_VIEW, TimestampType, View};

use crate::layout::{BODY_FIELDS, SCHEMA, body_element};
use crate::rows::{Kind, Row};

/// A row and, where it is one, its event.
type Apart<'r, 'a> = (&'r Row<'a>, Option<Event<'r>>);

/// One Arrow batch of rows.
pub(crate) fn record_batch(rows: &[Row<'_>]) -> Result<RecordBatch, ArrowError> {
    let rows: Vec<Apart<'_, '_>> = rows.iter().map(|row| (row, row.event())).collect();
    let mut columns = carriage(&rows)?;
    columns.extend(views(&rows)?);
    RecordBatch::try_new(SCHEMA.clone(), columns)
}

/// Columns 1 to 21.
fn carriage(rows: &[Apart<'_, '_>]) -> Result<Vec<ArrayRef>, ArrowError> {
    let mut session_key = FixedSizeBinaryBuilder::with_capacity(rows.len(), 32);
    let mut offset = Int64Builder::with_capacity(rows.len());
    let mut timestamp = TimestampMillisecondBuilder::with_capacity(rows.len()).with_timezone("UTC");
    let mut timestamp_type = Int32Builder::with_capacity(rows.len());
    let mut headers_salt = FixedSizeBinaryBuilder::with_capacity(rows.len(), 16);
    let mut schema = FixedSizeBinaryBuilder::with_capacity(rows.len(), 32);
    let mut raw_reason = StringBuilder::new();
    let mut raw_salt = FixedSizeBinaryBuilder::with_capacity(rows.len(), 16);
    for (row, event) in rows {
        let at = row.message.timestamp;
        session_key.append_value(row.session_key.0.0)?;
        offset.append_value(row.message.offset.0.cast_signed());
        timestamp.append_option((at.kind != TimestampType::None).then_some(at.millis));
        timestamp_type.append_value(at.kind.code().into());
        fixed(&mut headers_salt, row.headers.as_ref().map(|(_, salt)| &salt.0))?;
        match &row.kind {
            Kind::Event { .. } => {
                fixed(&mut schema, event.as_ref().map(|event| &event.schema.digest.0))?;
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
        bytes(rows, |(row, _)| row.message.key.as_deref()),
        bytes(rows, |(row, _)| row.headers.as_ref().map(|(bytes, _)| bytes.as_slice())),
        Arc::new(headers_salt.finish()),
        Arc::new(schema.finish()),
        bytes(rows, |(_, event)| event.as_ref().map(|event| event.frame)),
        bytes(rows, |(_, event)| event.as_ref().map(|event| event.envelope_bytes)),
        bytes(rows, |(_, event)| event.as_ref().and_then(|event| event.signature)),
        bytes(rows, |(_, event)| event.as_ref().and_then(|event| event.admission)),
        bodies(rows)?,
        Arc::new(raw_reason.finish()),
        Arc::new(raw_salt.finish()),
        bytes(rows, |(row, _)| match row.kind {
            Kind::Event { .. } => None,
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
fn bytes<'r, 'a>(
    rows: &'r [Apart<'r, 'a>],
    value: impl Fn(&'r Apart<'r, 'a>) -> Option<&'r [u8]>,
) -> ArrayRef {
    let length = rows.iter().filter_map(&value).map(<[u8]>::len).sum();
    let mut builder = BinaryBuilder::with_capacity(rows.len(), length);
    rows.iter().for_each(|row| builder.append_option(value(row)));
    Arc::new(builder.finish())
}

fn bodies(rows: &[Apart<'_, '_>]) -> Result<ArrayRef, ArrowError> {
    fn of<'r>((_, event): &'r Apart<'_, 'r>) -> &'r [schemas::Body<'r>] {
        event.as_ref().map_or(&[], |event| event.bodies.as_slice())
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

/// A view column under construction.
enum ViewBuilder {
    Text(StringBuilder),
    Long(Int64Builder),
    Micros(TimestampMicrosecondBuilder),
    Fixed(FixedSizeBinaryBuilder),
}

fn views(rows: &[Apart<'_, '_>]) -> Result<Vec<ArrayRef>, ArrowError> {
    let columns = COLUMNS.iter().skip(FIRST_VIEW);
    let mut builders: Vec<ViewBuilder> =
        columns.map(|column| ViewBuilder::new(column, rows.len())).collect();
    for (_, event) in rows {
        let values = event.as_ref().map(|event| event.envelope.views());
        for (index, builder) in builders.iter_mut().enumerate() {
            let value = values.as_ref().and_then(|values| values.get(index)).copied();
            builder.append(value.unwrap_or(View::Null))?;
        }
    }
    Ok(builders.into_iter().map(ViewBuilder::finish).collect())
}

impl ViewBuilder {
    fn new(column: &Column, rows: usize) -> Self {
        match column.kind {
            ColumnType::Fixed(bytes) => {
                Self::Fixed(FixedSizeBinaryBuilder::with_capacity(rows, bytes))
            }
            ColumnType::Micros => {
                Self::Micros(TimestampMicrosecondBuilder::with_capacity(rows).with_timezone("UTC"))
            }
            ColumnType::Long => Self::Long(Int64Builder::with_capacity(rows)),
            _ => Self::Text(StringBuilder::new()),
        }
    }

    fn append(&mut self, value: View<'_>) -> Result<(), ArrowError> {
        match (self, value) {
            (Self::Text(builder), View::Text(text)) => builder.append_value(text),
            (Self::Long(builder), View::Long(number)) => builder.append_value(number),
            (Self::Micros(builder), View::Long(number)) => builder.append_value(number),
            (Self::Fixed(builder), View::Fixed(bytes)) => builder.append_value(bytes)?,
            (Self::Text(builder), _) => builder.append_null(),
            (Self::Long(builder), _) => builder.append_null(),
            (Self::Micros(builder), _) => builder.append_null(),
            (Self::Fixed(builder), _) => builder.append_null(),
        }
        Ok(())
    }

    fn finish(self) -> ArrayRef {
        match self {
            Self::Text(mut builder) => Arc::new(builder.finish()),
            Self::Long(mut builder) => Arc::new(builder.finish()),
            Self::Micros(mut builder) => Arc::new(builder.finish()),
            Self::Fixed(mut builder) => Arc::new(builder.finish()),
        }
    }
}
