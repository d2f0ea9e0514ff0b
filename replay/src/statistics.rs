//! CORE. Statistics and column indexes, recomputed from the rows: a false one would hide rows from a query engine.

use std::collections::HashSet;

use parquet::basic::{BoundaryOrder, Type as Physical};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::page_index::offset_index::PageLocation;
use parquet::file::statistics::Statistics;
use schemas::{COLUMNS, ColumnType};

use crate::decode::{Batch, Values};

/// Least and greatest value of a run of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Extremes {
    Long(Option<(i64, i64)>),
    Bytes(Option<(Vec<u8>, Vec<u8>)>),
}

impl Extremes {
    fn none(kind: ColumnType) -> Self {
        match kind {
            ColumnType::Fixed(_) | ColumnType::Bytes | ColumnType::Text | ColumnType::Bodies => {
                Self::Bytes(None)
            }
            _ => Self::Long(None),
        }
    }

    fn long(&mut self, value: i64) {
        if let Self::Long(at) = self {
            let (min, max) = at.unwrap_or((value, value));
            *at = Some((min.min(value), max.max(value)));
        }
    }

    fn bytes(&mut self, value: &[u8]) {
        match self {
            Self::Bytes(Some((min, max))) => {
                if value < min.as_slice() {
                    value.clone_into(min);
                } else if value > max.as_slice() {
                    value.clone_into(max);
                }
            }
            Self::Bytes(at) => *at = Some((value.to_vec(), value.to_vec())),
            Self::Long(_) => {}
        }
    }

    fn merge(&mut self, other: &Self) {
        match other {
            Self::Long(Some((min, max))) => {
                self.long(*min);
                self.long(*max);
            }
            Self::Bytes(Some((min, max))) => {
                self.bytes(min);
                self.bytes(max);
            }
            Self::Long(None) | Self::Bytes(None) => {}
        }
    }

    /// As Parquet's plain encoding has them.
    fn encoded(&self, physical: Physical) -> Option<(Vec<u8>, Vec<u8>)> {
        let number = |value: i64| match physical {
            Physical::INT32 => i32::try_from(value).unwrap_or(i32::MAX).to_le_bytes().to_vec(),
            _ => value.to_le_bytes().to_vec(),
        };
        match self {
            Self::Long(at) => at.map(|(min, max)| (number(min), number(max))),
            Self::Bytes(at) => at.clone(),
        }
    }
}

/// Recomputes one column chunk.
#[derive(Debug)]
struct Chunk<'m> {
    column: usize,
    statistics: Option<&'m Statistics>,
    index: Option<&'m ColumnIndexMetaData>,
    /// First rows of the pages after the one that `page` is about.
    pages: std::slice::Iter<'m, PageLocation>,
    next_page: u64,
    page_number: usize,
    row: u64,
    page: Extremes,
    page_nulls: u64,
    whole: Extremes,
    whole_nulls: u64,
    /// Values seen, where a number of distinct ones is stated.
    distinct: Option<HashSet<Vec<u8>>>,
    previous: Option<Extremes>,
    ascends: bool,
    descends: bool,
    fault: Option<String>,
}

impl Chunk<'_> {
    fn push(&mut self, values: Values<'_>, rows: usize) {
        for row in 0..rows {
            if self.row == self.next_page {
                self.close_page();
            }
            if let Some(distinct) = &mut self.distinct {
                let number = values.long(row).map(|number| number.to_le_bytes().to_vec());
                distinct.extend(values.bytes(row).map(<[u8]>::to_vec).or(number));
            }
            match values {
                Values::Fixed(_) | Values::Bytes(_) | Values::Text(_) => match values.bytes(row) {
                    Some(value) => self.page.bytes(value),
                    None => self.page_nulls += 1,
                },
                _ => match values.long(row) {
                    Some(value) => self.page.long(value),
                    None => self.page_nulls += 1,
                },
            }
            self.row += 1;
        }
    }

    fn fault(&mut self, why: String) {
        self.fault.get_or_insert(why);
    }

    fn close_page(&mut self) {
        let number = self.page_number;
        if let Some(index) = self.index
            && let Some(why) = page_fault(index, number, &self.page, self.page_nulls)
        {
            self.fault(format!("page {number}: {why}"));
        }
        self.whole.merge(&self.page);
        self.whole_nulls += self.page_nulls;
        self.order();
        self.page_nulls = 0;
        self.page_number += 1;
        self.next_page = self.pages.next().map_or(u64::MAX, first_row);
    }

    /// Sees whether minima and maxima of pages ascend or descend, pages of nulls aside.
    fn order(&mut self) {
        let none = Extremes::none(COLUMNS.get(self.column).map_or(ColumnType::Long, |c| c.kind));
        let page = std::mem::replace(&mut self.page, none);
        let pair = match (&self.previous, &page) {
            (_, Extremes::Long(None) | Extremes::Bytes(None)) => return,
            (Some(Extremes::Long(Some(a))), Extremes::Long(Some(b))) => {
                Some((a.0.cmp(&b.0), a.1.cmp(&b.1)))
            }
            (Some(Extremes::Bytes(Some(a))), Extremes::Bytes(Some(b))) => {
                Some((a.0.cmp(&b.0), a.1.cmp(&b.1)))
            }
            _ => None,
        };
        if let Some((min, max)) = pair {
            self.ascends &= min.is_le() && max.is_le();
            self.descends &= min.is_ge() && max.is_ge();
        }
        self.previous = Some(page);
    }

    fn finish(mut self) -> Option<String> {
        if self.row > 0 {
            self.close_page();
        }
        let order = self.index.and_then(ColumnIndexMetaData::get_boundary_order);
        let pages = u64::try_from(self.page_number).unwrap_or(u64::MAX);
        if self.index.is_some_and(|index| index.num_pages() != pages) {
            self.fault("its column index has not one entry for each page".to_owned());
        }
        if (order == Some(BoundaryOrder::ASCENDING) && !self.ascends)
            || (order == Some(BoundaryOrder::DESCENDING) && !self.descends)
        {
            self.fault("its pages are not in the order its column index says".to_owned());
        }
        if let Some(statistics) = self.statistics
            && let Some(why) = chunk_fault(statistics, &self.whole, self.whole_nulls)
        {
            self.fault(why.to_owned());
        }
        let stated = self.statistics.and_then(Statistics::distinct_count_opt);
        let distinct = self.distinct.as_ref().and_then(|values| u64::try_from(values.len()).ok());
        if stated != distinct {
            self.fault("its number of distinct values is false".to_owned());
        }
        self.fault
    }
}

fn first_row(page: &PageLocation) -> u64 {
    u64::try_from(page.first_row_index).unwrap_or(u64::MAX)
}

fn chunk_fault(statistics: &Statistics, whole: &Extremes, nulls: u64) -> Option<&'static str> {
    let stated = statistics.min_bytes_opt().zip(statistics.max_bytes_opt());
    let real = whole.encoded(statistics.physical_type());
    if stated != real.as_ref().map(|(min, max)| (min.as_slice(), max.as_slice())) {
        return Some("its least or greatest value is false");
    }
    (statistics.null_count_opt() != Some(nulls)).then_some("its number of nulls is false")
}

fn page_fault(
    index: &ColumnIndexMetaData,
    page: usize,
    real: &Extremes,
    nulls: u64,
) -> Option<&'static str> {
    use ColumnIndexMetaData as Index;
    if u64::try_from(page).is_ok_and(|page| page >= index.num_pages()) {
        return Some("it is not in the column index");
    }
    let number = |min: Option<i64>, max: Option<i64>| Extremes::Long(min.zip(max));
    let bytes = |min: Option<&[u8]>, max: Option<&[u8]>| {
        Extremes::Bytes(min.map(<[u8]>::to_vec).zip(max.map(<[u8]>::to_vec)))
    };
    let is_null = index.is_null_page(page);
    let stated = match index {
        Index::INT32(index) => number(
            index.min_value(page).copied().map(i64::from),
            index.max_value(page).copied().map(i64::from),
        ),
        Index::INT64(index) => {
            number(index.min_value(page).copied(), index.max_value(page).copied())
        }
        Index::BYTE_ARRAY(index) | Index::FIXED_LEN_BYTE_ARRAY(index) => {
            bytes(index.min_value(page), index.max_value(page))
        }
        _ => return Some("it has no index of its type"),
    };
    let empty = matches!(real, Extremes::Long(None) | Extremes::Bytes(None));
    if is_null != empty || (!empty && stated != *real) {
        return Some("its least or greatest value is false");
    }
    (index.null_count(page) != i64::try_from(nulls).ok()).then_some("its number of nulls is false")
}

/// Recomputes the statistics of one row group, batch by batch.
#[derive(Debug)]
pub(crate) struct Recomputed<'m> {
    chunks: Vec<(String, Chunk<'m>)>,
}

impl<'m> Recomputed<'m> {
    pub(crate) fn new(metadata: &'m ParquetMetaData, group: usize) -> Self {
        let indexes = metadata.column_index().and_then(|groups| groups.get(group));
        let pages = metadata.offset_index().and_then(|groups| groups.get(group));
        let leaves = metadata.row_groups().get(group).map_or(&[][..], |group| group.columns());
        let chunk = |(leaf, chunk): (usize, &'m parquet::file::metadata::ColumnChunkMetaData)| {
            let name = chunk.column_path().string();
            let column = COLUMNS.iter().position(|column| column.stat && column.name == name)?;
            let kind = COLUMNS.get(column)?.kind;
            let mut pages = pages?.get(leaf)?.page_locations().iter();
            pages.next();
            let next_page = pages.next().map_or(u64::MAX, first_row);
            let index = indexes.and_then(|indexes| indexes.get(leaf));
            let stated = chunk.statistics().and_then(Statistics::distinct_count_opt);
            let chunk = Chunk {
                column,
                statistics: chunk.statistics(),
                index: index.filter(|index| !matches!(index, ColumnIndexMetaData::NONE)),
                pages,
                next_page,
                page_number: 0,
                row: 0,
                page: Extremes::none(kind),
                page_nulls: 0,
                whole: Extremes::none(kind),
                whole_nulls: 0,
                distinct: stated.map(|_| HashSet::new()),
                previous: None,
                ascends: true,
                descends: true,
                fault: None,
            };
            Some((format!("row group {group}, column {name}"), chunk))
        };
        Self { chunks: leaves.iter().enumerate().filter_map(chunk).collect() }
    }

    pub(crate) fn push(&mut self, batch: &Batch<'_>) {
        for (_, chunk) in &mut self.chunks {
            if let Some(values) = batch.column(chunk.column) {
                chunk.push(values, batch.rows);
            }
        }
    }

    /// What is false, one line for each column chunk.
    pub(crate) fn finish(self) -> Vec<String> {
        let fault =
            |(name, chunk): (String, Chunk<'_>)| chunk.finish().map(|why| format!("{name}: {why}"));
        self.chunks.into_iter().filter_map(fault).collect()
    }
}
