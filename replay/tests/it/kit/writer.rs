//! Writes segments by the letter of `docs/format.md`, sharing nothing with the sealer: a second opinion on the format.

use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, FixedSizeBinaryBuilder, ListBuilder, StructBuilder};
use arrow_array::{
    ArrayRef, BinaryArray, FixedSizeBinaryArray, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, TimestampMillisecondArray,
};
use arrow_schema::{DataType, Field, Fields, Schema, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use schemas::{
    Body, COLUMNS, Carriage, Chain, Column, ColumnType, Content, Counted, Digest, EnrolledRecord,
    Envelope, Epoch, EpochOpening, EventId, FIRST_VIEW, Framing, Gaps, Message, ObjectKey, Offset,
    Partition, Place, Published, Salt, SchemaId, Seconds, SegmentRecord, Timestamp, TimestampType,
    Topic, View, body_digest, encode_value, leaf, raw_digest, read, read_confluent, root,
    row_digest,
};

use super::{Objects, put};

mod epoch;

/// Key, value and time of a message.
pub(crate) type Sent = (Vec<u8>, Option<Vec<u8>>);

/// Rows of one page, so that small segments have many.
const PAGE_ROWS: usize = 3;
const GROUP_ROWS: usize = 8;

/// The only id that the registry of a topic with Confluent framing knows.
pub(crate) const KNOWN: SchemaId = SchemaId(7);

/// The only partition of a topic, written segment by segment.
pub(crate) struct Writer {
    objects: Objects,
    chain: Chain,
    next: u64,
    total: u64,
    prev: Digest,
    fresh: u128,
}

#[derive(Clone)]
pub(crate) enum Cell {
    Null,
    Bytes(Vec<u8>),
    Long(i64),
}

/// A row as it will be written.
pub(crate) struct Row {
    pub(crate) cells: Vec<Cell>,
    pub(crate) bodies: Vec<[Option<Vec<u8>>; 4]>,
    pub(crate) leaf: Digest,
    key: (Digest, u64),
    is_event: bool,
}

impl Writer {
    pub(crate) async fn new(objects: &Objects) -> Self {
        Self::framed(objects, Framing::SingleObject).await
    }

    pub(crate) async fn framed(objects: &Objects, framing: Framing) -> Self {
        let chain = Chain {
            cluster: None,
            topic_id: None,
            topic: Topic::new("events").unwrap(),
            partition: Partition(0),
            partitions: 1,
            framing,
            epoch: Epoch(0),
        };
        let opening = EpochOpening {
            chain: chain.clone(),
            start: Offset(0),
            total: 0,
            reason: "genesis".to_owned(),
            opened_at: Seconds(1_790_000_000),
            prev: None,
            missing: vec![],
            abandoned: vec![],
        };
        let key = ObjectKey::Epoch(chain.topic.clone(), chain.partition, chain.epoch);
        put(objects, &key.to_string(), opening.to_string().into_bytes()).await;
        let prev = opening.leaf_hash();
        Self { objects: objects.clone(), chain, next: 0, total: 0, prev, fresh: 1 }
    }

    pub(crate) fn fresh<const N: usize>(&mut self) -> [u8; N] {
        self.fresh += 1;
        let digest = Digest::of(&self.fresh.to_be_bytes()).0;
        std::array::from_fn(|at| digest[at % 32])
    }

    /// An event's envelope with what nobody wants to write out.
    pub(crate) fn envelope(&mut self, session: &str, kind: &str) -> Envelope<'static> {
        let mut envelope = Envelope::blank();
        envelope.event_id = EventId(self.fresh());
        envelope.nonce = Salt(self.fresh());
        envelope.tenant = "acme".into();
        envelope.session_id = session.to_owned().into();
        envelope.kind = kind.to_owned().into();
        envelope.occurred_at.0 = 1_790_000_000_000_000 + i64::try_from(self.fresh).unwrap();
        envelope.capture_source = "import".into();
        envelope
    }

    /// A content, and the body that carries it.
    pub(crate) fn body<'a>(
        &mut self,
        role: &'a str,
        kind: &'a str,
        data: &'a [u8],
    ) -> (Content<'a>, Body<'a>) {
        let salt = Salt(self.fresh());
        let digest = body_digest(&salt, data);
        let size = u64::try_from(data.len()).unwrap();
        let media_type = if kind == "text" { "text/plain" } else { "application/json" };
        let content = Content {
            role: role.into(),
            kind: kind.into(),
            media_type: media_type.into(),
            size,
            digest,
        };
        (content, Body { digest, salt: Some(salt), data: Some(data), enc: None })
    }

    /// A message of an event, and the event's digest.
    pub(crate) fn message(envelope: &Envelope<'_>, bodies: &[Body<'_>]) -> (Sent, Digest) {
        let schema = &Published::LATEST;
        let bytes = envelope.to_bytes();
        let value = encode_value(schema, &bytes, None, None, bodies);
        let key = format!("{}/{}", envelope.tenant, envelope.session_id).into_bytes();
        let mut message = schemas::Hasher::new("event").bytes(&schema.digest.0);
        message = message.bytes(&bytes);
        ((key, Some(value)), message.finish())
    }

    /// Seals messages as one segment and returns its key.
    pub(crate) async fn seal(&mut self, sent: &[Sent]) -> String {
        self.seal_tampered(sent, |_, _| {}).await
    }

    /// Seals rows and a record that somebody changed first; all else is made to fit.
    pub(crate) async fn seal_tampered(
        &mut self,
        sent: &[Sent],
        tamper: impl FnOnce(&mut Vec<Row>, &mut SegmentRecord),
    ) -> String {
        let start = self.next;
        let mut rows = Vec::new();
        for (key, value) in sent {
            rows.push(self.row(key, value.as_deref()));
            self.next += 1;
        }
        rows.sort_by_key(|row| row.key);
        self.total += u64::try_from(rows.len()).unwrap();
        let leaves: Vec<Digest> = rows.iter().map(|row| row.leaf).collect();
        let millis = |offset: u64| 1_790_000_000_000 + i64::try_from(offset).unwrap();
        let mut record = SegmentRecord {
            chain: self.chain.clone(),
            start: Offset(start),
            next: Offset(self.next),
            rows: u64::try_from(rows.len()).unwrap(),
            gaps: Gaps::default().summary(),
            claims: Counted::default(),
            leader_epochs: None,
            time_min: (!rows.is_empty()).then(|| millis(start)),
            time_max: (!rows.is_empty()).then(|| millis(self.next - 1)),
            retention_class: "standard".to_owned(),
            lock: None,
            retain_until: None,
            root: root(&leaves),
            total: self.total,
            writer: "test/1".to_owned(),
            prev: self.prev,
        };
        tamper(&mut rows, &mut record);
        let bytes = file(&rows, &record);
        let at = (self.chain.topic.clone(), self.chain.partition, self.chain.epoch, Offset(start));
        let key = ObjectKey::Segment(at.0.clone(), at.1, at.2, at.3).to_string();
        let enrolled = EnrolledRecord {
            segment: record,
            key: key.clone(),
            size: u64::try_from(bytes.len()).unwrap(),
            sha256: Digest::of(&bytes),
        };
        self.prev = enrolled.leaf_hash();
        put(&self.objects, &key, bytes).await;
        let beside = ObjectKey::Record(at.0, at.1, at.2, at.3).to_string();
        put(&self.objects, &beside, enrolled.to_string().into_bytes()).await;
        key
    }

    fn row(&mut self, key: &[u8], value: Option<&[u8]>) -> Row {
        let offset = Offset(self.next);
        let millis = 1_790_000_000_000 + i64::try_from(self.next).unwrap();
        let timestamp = Timestamp { kind: TimestampType::CreateTime, millis };
        let message = Message { offset, timestamp, key: Some(key), value };
        let place = Place { partition: Partition(0), partitions: 1 };
        let carriage = Carriage { timestamp, key: Some(key), headers_digest: Digest::ZERO };
        let mut cells = vec![Cell::Null; COLUMNS.len()];
        cells[1] = Cell::Long(i64::try_from(offset.0).unwrap());
        cells[2] = Cell::Long(millis);
        cells[3] = Cell::Long(1);
        cells[4] = Cell::Bytes(key.to_vec());
        let bytes = |bytes: &[u8]| Cell::Bytes(bytes.to_vec());
        let known = |id: SchemaId| (id == KNOWN).then_some(&Published::LATEST);
        let taken = match self.chain.framing {
            Framing::SingleObject => read(&message, place),
            Framing::Confluent => read_confluent(&message, place, known),
        };
        let (session, event, carried, bodies) = match taken {
            Ok(event) => {
                cells[7] = bytes(&event.schema.digest.0);
                cells[8] = bytes(event.frame);
                cells[9] = bytes(event.envelope_bytes);
                cells[10] = event.signature.map_or(Cell::Null, bytes);
                cells[11] = event.admission.map_or(Cell::Null, bytes);
                for (cell, view) in cells[FIRST_VIEW..].iter_mut().zip(event.envelope.views()) {
                    *cell = match view {
                        View::Null => Cell::Null,
                        View::Text(text) => bytes(text.as_bytes()),
                        View::Long(number) => Cell::Long(number),
                        View::Fixed(fixed) => bytes(fixed),
                    };
                }
                let bodies = event.bodies.iter().map(|body| {
                    let digest = (!body.is_inline_clear()).then(|| body.digest.0.to_vec());
                    let salt = body.salt.map(|salt| salt.0.to_vec());
                    let enc = body.enc.as_ref().map(|enc| enc.to_bytes());
                    [digest, salt, body.data.map(<[u8]>::to_vec), enc]
                });
                let bodies = bodies.collect();
                (event.session_key, event.event_digest, carriage.of_event(&event), bodies)
            }
            Err(malformed) => {
                let salt = Salt(self.fresh());
                cells[13] = bytes(malformed.reason.as_str().as_bytes());
                cells[14] = bytes(&salt.0);
                cells[15] = value.map_or(Cell::Null, bytes);
                let digest = raw_digest(&salt, value);
                (malformed.session_key, digest, carriage.of_raw(malformed.reason), vec![])
            }
        };
        cells[0] = bytes(&session.0.0);
        let leaf = leaf(&session, offset, &row_digest(&event, &carried));
        let is_event = matches!(cells[9], Cell::Bytes(_));
        Row { cells, bodies, leaf, key: (session.0, offset.0), is_event }
    }
}

fn field(column: &Column) -> Field {
    let kind = match column.kind {
        ColumnType::Fixed(length) => DataType::FixedSizeBinary(length),
        ColumnType::Bytes => DataType::Binary,
        ColumnType::Text => DataType::Utf8,
        ColumnType::Int => DataType::Int32,
        ColumnType::Long => DataType::Int64,
        ColumnType::Millis => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
        ColumnType::Micros => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        ColumnType::Bodies => {
            let item = Field::new("element", DataType::Struct(body_fields()), false);
            DataType::List(Arc::new(numbered(item, Column::BODIES_ELEMENT)))
        }
    };
    numbered(Field::new(column.name, kind, column.nullable), column.id)
}

fn body_fields() -> Fields {
    Column::BODY.iter().map(field).collect()
}

fn numbered(field: Field, id: i32) -> Field {
    field.with_metadata([("PARQUET:field_id".to_owned(), id.to_string())].into())
}

fn array(column: usize, rows: &[Row]) -> ArrayRef {
    let bytes = |row: &Row| match &row.cells[column] {
        Cell::Bytes(bytes) => Some(bytes.clone()),
        _ => None,
    };
    let long = |row: &Row| match row.cells[column] {
        Cell::Long(number) => Some(number),
        _ => None,
    };
    match COLUMNS[column].kind {
        ColumnType::Fixed(length) => Arc::new(
            FixedSizeBinaryArray::try_from_sparse_iter_with_size(rows.iter().map(bytes), length)
                .unwrap(),
        ),
        ColumnType::Bytes => Arc::new(rows.iter().map(bytes).collect::<BinaryArray>()),
        ColumnType::Text => {
            let text = |row| bytes(row).map(|bytes| String::from_utf8(bytes).unwrap());
            Arc::new(rows.iter().map(text).collect::<StringArray>())
        }
        ColumnType::Int => {
            let int = |row| long(row).map(|number| i32::try_from(number).unwrap());
            Arc::new(rows.iter().map(int).collect::<Int32Array>())
        }
        ColumnType::Long => Arc::new(rows.iter().map(long).collect::<Int64Array>()),
        ColumnType::Millis => Arc::new(
            rows.iter().map(long).collect::<TimestampMillisecondArray>().with_timezone("UTC"),
        ),
        ColumnType::Micros => Arc::new(
            rows.iter().map(long).collect::<TimestampMicrosecondArray>().with_timezone("UTC"),
        ),
        ColumnType::Bodies => bodies(rows),
    }
}

fn bodies(rows: &[Row]) -> ArrayRef {
    let item = StructBuilder::new(
        body_fields(),
        vec![
            Box::new(FixedSizeBinaryBuilder::new(32)),
            Box::new(FixedSizeBinaryBuilder::new(16)),
            Box::new(BinaryBuilder::new()),
            Box::new(BinaryBuilder::new()),
        ],
    );
    let DataType::List(element) = field(&COLUMNS[12]).data_type().clone() else { unreachable!() };
    let mut list = ListBuilder::new(item).with_field(element);
    for row in rows {
        for body in &row.bodies {
            let item = list.values();
            for (at, value) in body.iter().enumerate() {
                if at < 2 {
                    let builder = item.field_builder::<FixedSizeBinaryBuilder>(at).unwrap();
                    match value {
                        Some(value) => builder.append_value(value).unwrap(),
                        None => builder.append_null(),
                    }
                } else {
                    let builder = item.field_builder::<BinaryBuilder>(at).unwrap();
                    builder.append_option(value.as_deref());
                }
            }
            item.append(true);
        }
        list.append(true);
    }
    Arc::new(list.finish())
}

fn file(rows: &[Row], record: &SegmentRecord) -> Vec<u8> {
    let schema = Arc::new(Schema::new(COLUMNS.iter().map(field).collect::<Fields>()));
    let mut metadata = vec![KeyValue::new("chancery.record".to_owned(), record.to_string())];
    if rows.iter().any(|row| row.is_event) {
        let published = Published::LATEST;
        let key = format!("chancery.schema.{}", published.digest);
        metadata.push(KeyValue::new(key, published.text.to_owned()));
    }
    let sorted = |column_idx| SortingColumn { column_idx, descending: false, nulls_first: false };
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(EnabledStatistics::None)
        .set_statistics_truncate_length(None)
        .set_column_index_truncate_length(None)
        .set_sorting_columns(Some(vec![sorted(0), sorted(1)]))
        .set_key_value_metadata(Some(metadata))
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_write_batch_size(1);
    for column in COLUMNS.iter().filter(|column| column.stat) {
        let path = ColumnPath::from(column.name);
        properties = properties.set_column_statistics_enabled(path, EnabledStatistics::Page);
    }
    let options = ArrowWriterOptions::new()
        .with_properties(properties.build())
        .with_skip_arrow_metadata(true);
    let mut out = Vec::new();
    let mut writer = ArrowWriter::try_new_with_options(&mut out, schema.clone(), options).unwrap();
    if !rows.is_empty() {
        let arrays = (0..COLUMNS.len()).map(|column| array(column, rows)).collect();
        writer.write(&RecordBatch::try_new(schema, arrays).unwrap()).unwrap();
    }
    writer.close().unwrap();
    out
}
