//! CORE. The strict profile of a segment file (`docs/format.md`, sections 5 and 8), as far as it needs no row: schema, budgets, footer, layout.

use std::collections::{BTreeMap, BTreeSet};

use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::file::metadata::{
    ColumnChunkMetaData, FileMetaData, ParquetMetaData, RowGroupMetaData,
};
use parquet::schema::types::{SchemaDescriptor, Type};
use schemas::{COLUMNS, Column, ColumnType, Counted, Digest, Gaps, Published, SegmentRecord};

use crate::claim::{self, Claim};
use crate::decode::Breach;
use crate::finding::Kind;
use crate::page::{self, PAGES_MAX, UNCOMPRESSED_BYTES_MAX};

/// A row group has fewer uncompressed bytes.
const GROUP_BYTES_MAX: i64 = 1 << 30;

/// Whether the columns are those of section 5.1.
pub(crate) fn check_schema(schema: &SchemaDescriptor) -> Result<(), String> {
    let fields = schema.root_schema().get_fields();
    if fields.len() != COLUMNS.len() {
        return Err(format!("it has {} columns, not {}", fields.len(), COLUMNS.len()));
    }
    let wrong = |(column, field): (&Column, &std::sync::Arc<Type>)| {
        let right = match column.kind {
            ColumnType::Bodies => is_bodies(field, column),
            _ => is_column(field, column),
        };
        (!right).then(|| format!("column {} is not as it must be", column.name))
    };
    COLUMNS.iter().zip(fields).find_map(wrong).map_or(Ok(()), Err)
}

fn is_named(field: &Type, id: i32, name: &str, repetition: Repetition) -> bool {
    let info = field.get_basic_info();
    let repeated = info.has_repetition() && info.repetition() == repetition;
    info.has_id() && info.id() == id && info.name() == name && repeated
}

fn is_column(field: &Type, column: &Column) -> bool {
    let repetition = if column.nullable { Repetition::OPTIONAL } else { Repetition::REQUIRED };
    let Type::PrimitiveType { physical_type, type_length, .. } = field else { return false };
    let (physical, logical) = match column.kind {
        ColumnType::Fixed(length) if length == *type_length => {
            (Physical::FIXED_LEN_BYTE_ARRAY, None)
        }
        ColumnType::Fixed(_) | ColumnType::Bodies => return false,
        ColumnType::Bytes => (Physical::BYTE_ARRAY, None),
        ColumnType::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        ColumnType::Int => (Physical::INT32, None),
        ColumnType::Long => (Physical::INT64, None),
        ColumnType::Millis => {
            (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MILLIS)))
        }
        ColumnType::Micros => {
            (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MICROS)))
        }
    };
    *physical_type == physical
        && field.get_basic_info().logical_type_ref() == logical.as_ref()
        && is_named(field, column.id, column.name, repetition)
}

/// `bodies` is a list of structs in Parquet's standard three levels.
fn is_bodies(field: &Type, column: &Column) -> bool {
    let only = |field: &Type| match field {
        Type::GroupType { fields, .. } if fields.len() == 1 => fields.first().cloned(),
        _ => None,
    };
    let is_list = field.get_basic_info().logical_type_ref() == Some(&LogicalType::List);
    let Some(list) = only(field).filter(|_| is_list) else { return false };
    let repeated = list.get_basic_info().repetition() == Repetition::REPEATED;
    let Some(element) = only(&list).filter(|_| repeated && list.name() == "list") else {
        return false;
    };
    let Type::GroupType { fields, .. } = &*element else { return false };
    is_named(field, column.id, column.name, Repetition::REQUIRED)
        && is_named(&element, Column::BODIES_ELEMENT, "element", Repetition::REQUIRED)
        && fields.len() == Column::BODY.len()
        && Column::BODY.iter().zip(fields).all(|(column, field)| is_column(field, column))
}

/// Whether the file stays within the budgets of a reader, and its pages lie where the indexes say. Nothing is decompressed.
pub(crate) fn check_budget(file: &[u8], metadata: &ParquetMetaData) -> Result<(), Breach> {
    let (mut bytes, mut pages) = (0_u64, 0_usize);
    for (number, group) in metadata.row_groups().iter().enumerate() {
        let rows = u64::try_from(group.num_rows())
            .map_err(|_| Breach::profile("a row group has a negative number of rows"))?;
        let indexes = metadata.offset_index().and_then(|groups| groups.get(number));
        for (leaf, chunk) in group.columns().iter().enumerate() {
            let wrong = |why: &str| {
                let path = chunk.column_path().string();
                Breach::profile(format!("row group {number}, column {path}: {why}"))
            };
            let index = indexes.and_then(|chunks| chunks.get(leaf));
            let index = index.ok_or_else(|| wrong("it has no offset index"))?.page_locations();
            if chunk.file_path().is_some() {
                return Err(wrong("its data lies in another file"));
            }
            if rows == 0 && index.is_empty() {
                continue;
            }
            let flat = !chunk.column_path().string().starts_with("bodies.");
            let sum = page::check_chunk(file, chunk, index, rows, flat).map_err(wrong)?;
            if sum.statistics && !stat_of(chunk) {
                return Err(wrong("its pages have statistics"));
            }
            bytes = bytes.saturating_add(sum.uncompressed);
            pages = pages.saturating_add(index.len());
        }
    }
    if bytes > UNCOMPRESSED_BYTES_MAX || pages > PAGES_MAX {
        return Err(Breach::profile(format!(
            "it would become {bytes} bytes in {pages} pages; the limits are {UNCOMPRESSED_BYTES_MAX} and {PAGES_MAX}"
        )));
    }
    Ok(())
}

/// Whether a column chunk is to have statistics and a column index.
fn stat_of(chunk: &ColumnChunkMetaData) -> bool {
    let name = chunk.column_path().string();
    COLUMNS.iter().any(|column| column.stat && column.name == name)
}

/// The key-value metadata of a segment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Footer {
    pub(crate) record: String,
    pub(crate) gaps: Option<String>,
    pub(crate) claims: Option<String>,
    pub(crate) schemas: BTreeMap<Digest, String>,
}

impl Footer {
    pub(crate) fn read(file: &FileMetaData) -> Result<Self, Breach> {
        let (mut footer, mut seen) = (Self::default(), BTreeSet::new());
        for pair in file.key_value_metadata().map_or(&[][..], Vec::as_slice) {
            let wrong = |why: &str| Breach::profile(format!("metadata {:?}: {why}", pair.key));
            if !seen.insert(pair.key.as_str()) {
                return Err(wrong("it stands twice"));
            }
            let value = pair.value.clone().ok_or_else(|| wrong("it has no value"))?;
            match pair.key.as_str() {
                "chancery.record" => footer.record = value,
                "chancery.gaps" => footer.gaps = Some(value),
                "chancery.claims" => footer.claims = Some(value),
                key => {
                    let digest = key.strip_prefix("chancery.schema.").and_then(|d| d.parse().ok());
                    footer.schemas.insert(digest.ok_or_else(|| wrong("it is unknown"))?, value);
                }
            }
        }
        if seen.contains("chancery.record") {
            return Ok(footer);
        }
        Err(Breach::profile("its metadata has no chancery.record"))
    }

    /// The gaps, checked against the record.
    pub(crate) fn gaps(&self, record: &SegmentRecord) -> Result<Gaps, &'static str> {
        let gaps = self.gaps.as_deref().map_or(Some(Gaps::default()), Gaps::parse);
        let gaps = gaps.ok_or("chancery.gaps is not a list of ranges")?;
        if gaps.summary() != record.gaps {
            return Err("chancery.gaps is not what the record says");
        }
        let inside = |range: &std::ops::Range<u64>| {
            range.start >= record.start.0 && range.end <= record.next.0
        };
        gaps.ranges().iter().all(inside).then_some(gaps).ok_or("a gap is outside the segment")
    }

    /// The claims, checked against the record.
    pub(crate) fn claims(&self, record: &SegmentRecord) -> Result<Vec<Claim>, &'static str> {
        if Counted::of("claims", self.claims.as_deref()) != record.claims {
            return Err("chancery.claims is not what the record says");
        }
        let claims = self.claims.as_deref().map_or(Some(Vec::new()), claim::parse);
        claims.ok_or("chancery.claims is not a list of claims")
    }

    /// Whether the schemas are the published ones that rows name, no more and no fewer.
    pub(crate) fn check_schemas(&self, used: &BTreeSet<Digest>) -> Result<(), String> {
        for (digest, text) in &self.schemas {
            if Published::of_digest(digest).is_none_or(|schema| schema.text != text) {
                return Err(format!("the text of schema {digest} is not the published one"));
            }
            if !used.contains(digest) {
                return Err(format!("no row was written with schema {digest}"));
            }
        }
        let missing = used.iter().find(|digest| !self.schemas.contains_key(digest));
        missing.map_or(Ok(()), |digest| Err(format!("the text of schema {digest} is missing")))
    }
}

/// Everything else that section 5.2 requires of row groups and column chunks.
pub(crate) fn check_layout(metadata: &ParquetMetaData) -> Vec<(Kind, String)> {
    let mut found = Vec::new();
    for (number, group) in metadata.row_groups().iter().enumerate() {
        if !is_sorted(group) {
            let why = format!("row group {number} does not name its order");
            found.push((Kind::Profile, why));
        }
        let bytes = group.columns().iter().map(ColumnChunkMetaData::uncompressed_size);
        let bytes = bytes.fold(0_i64, i64::saturating_add);
        if bytes >= GROUP_BYTES_MAX || group.total_byte_size() >= GROUP_BYTES_MAX {
            found.push((Kind::Profile, format!("row group {number} has {bytes} bytes")));
        }
        for chunk in group.columns() {
            let path = chunk.column_path().string();
            let at = |why: &str| format!("row group {number}, column {path}: {why}");
            found.extend(chunk_faults(chunk).map(|(kind, why)| (kind, at(why))));
        }
    }
    found
}

fn is_sorted(group: &RowGroupMetaData) -> bool {
    let Some([key, offset]) = group.sorting_columns().map(Vec::as_slice) else { return false };
    key.column_idx == 0 && offset.column_idx == 1 && !key.descending && !offset.descending
}

fn chunk_faults(chunk: &ColumnChunkMetaData) -> impl Iterator<Item = (Kind, &'static str)> {
    let known = matches!(chunk.compression(), Compression::UNCOMPRESSED | Compression::ZSTD(_));
    let bloom = chunk.bloom_filter_offset().is_some() || chunk.bloom_filter_length().is_some();
    let (stat, chunk_stat) = (stat_of(chunk), chunk.statistics().is_some());
    let index = chunk.column_index_offset().is_some() || chunk.column_index_length().is_some();
    [
        (!known).then_some((Kind::Profile, "its compression is neither none nor zstd")),
        bloom.then_some((Kind::Profile, "it has a bloom filter")),
        (chunk_stat && !stat).then_some((Kind::Statistics, "it has statistics")),
        (!chunk_stat && stat).then_some((Kind::Statistics, "it has no statistics")),
        (index && !stat).then_some((Kind::Statistics, "it has a column index")),
        (!index && stat).then_some((Kind::Statistics, "it has no column index")),
    ]
    .into_iter()
    .flatten()
}
