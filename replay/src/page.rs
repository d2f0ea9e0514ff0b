//! CORE. Page headers, read without decompressing anything: how large a segment would become is known before memory is spent on it.
//!
//! The library's own reader trusts some of these numbers; whatever it would choke on is refused here.

use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::page_index::offset_index::PageLocation;

/// Most bytes that the pages of one segment may have when decompressed.
pub const UNCOMPRESSED_BYTES_MAX: u64 = 2 << 30;
/// Most pages of one segment.
pub const PAGES_MAX: usize = 1 << 20;

/// A page header, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageHeader {
    pub(crate) uncompressed: u64,
    pub(crate) compressed: u64,
    /// Values of a data page, nulls included; `None` for another page.
    pub(crate) values: Option<u64>,
    /// Whether a data page has statistics.
    pub(crate) statistics: bool,
    /// Bytes of the header itself.
    pub(crate) bytes: u64,
}

/// Reads Thrift's compact protocol, as much of it as page headers use.
struct Compact<'a> {
    rest: &'a [u8],
}

const STRUCTS_DEEP_MAX: u32 = 4;

impl<'a> Compact<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, bytes: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(usize::try_from(bytes).ok()?)?;
        self.rest = rest;
        Some(taken)
    }

    /// Calls `field` with id and value of each field of a struct: integers as they are, a struct as `None` after it was
    /// given the chance to read it itself. Ids must ascend, as every writer has them.
    fn fields(
        &mut self,
        deep: u32,
        field: &mut dyn FnMut(&mut Self, u8, u8) -> Option<bool>,
    ) -> Option<()> {
        let mut id = 0_u8;
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Some(());
            }
            let (delta, kind) = (head >> 4, head & 15);
            id = id.checked_add(delta).filter(|_| delta > 0)?;
            if !field(self, id, kind)? {
                self.skip(kind, deep)?;
            }
        }
    }

    fn skip(&mut self, kind: u8, deep: u32) -> Option<()> {
        match kind {
            1 | 2 => Some(()),
            3 => self.byte().map(|_| ()),
            4..=6 => self.varint().map(|_| ()),
            7 => self.take(8).map(|_| ()),
            8 => {
                let bytes = self.varint()?;
                self.take(bytes).map(|_| ())
            }
            12 if deep < STRUCTS_DEEP_MAX => self.fields(deep + 1, &mut |_, _, _| Some(false)),
            _ => None,
        }
    }

    /// A count: an `i32` that is not negative.
    fn count(&mut self, kind: u8) -> Option<u64> {
        let value = self.varint().filter(|_| kind == 5)?;
        (value & 1 == 0).then_some(value >> 1).filter(|value| i32::try_from(*value).is_ok())
    }
}

impl PageHeader {
    /// Reads the header at the head of `bytes`.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let mut from = Compact { rest: bytes };
        let (mut uncompressed, mut compressed, mut data) = (None, None, None);
        from.fields(0, &mut |from, id, kind| {
            match (id, kind) {
                (2, _) => uncompressed = Some(from.count(kind)?),
                (3, _) => compressed = Some(from.count(kind)?),
                (5 | 8, 12) => data = Some(data_page(from, id)?),
                _ => return Some(false),
            }
            Some(true)
        })?;
        let (values, statistics) = data.map_or((None, false), |(values, s)| (Some(values), s));
        let header = u64::try_from(bytes.len() - from.rest.len()).ok()?;
        Some(Self {
            uncompressed: uncompressed?,
            compressed: compressed?,
            values,
            statistics,
            bytes: header,
        })
    }
}

/// Values of a data page, and whether it has statistics: field 5 of version 1, 8 of version 2.
fn data_page(from: &mut Compact<'_>, version_field: u8) -> Option<(u64, bool)> {
    let (mut values, mut statistics) = (None, false);
    from.fields(1, &mut |from, id, kind| {
        match (id, kind) {
            (1, _) => values = Some(from.count(kind)?),
            (id, 12) if id == version_field => {
                statistics = true;
                return Some(false);
            }
            _ => return Some(false),
        }
        Some(true)
    })?;
    Some((values?, statistics))
}

/// What the pages of one column chunk come to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pages {
    pub(crate) uncompressed: u64,
    pub(crate) statistics: bool,
}

/// Checks that a chunk's pages lie where its indexes say and hold `rows` rows; `flat` columns have a value for each.
pub(crate) fn check_chunk(
    file: &[u8],
    chunk: &ColumnChunkMetaData,
    pages: &[PageLocation],
    rows: u64,
    flat: bool,
) -> Result<Pages, &'static str> {
    let (start, end) = bounds(file, chunk).ok_or("its bytes are outside the file")?;
    let mut sum = Pages::default();
    let first = pages.first().map(|page| u64::try_from(page.offset).unwrap_or(u64::MAX));
    let first = first.ok_or("it has no pages")?;
    if first > start {
        let header = page_at(file, start, first - start).ok_or("its dictionary is damaged")?;
        sum.uncompressed += header.uncompressed;
    }
    let mut row = 0;
    let nexts = pages.iter().skip(1).map(|page| u64::try_from(page.first_row_index).ok());
    for (page, next) in pages.iter().zip(nexts.chain([Some(rows)])) {
        let next = next.filter(|next| *next > row).ok_or("its pages are not in order")?;
        if u64::try_from(page.first_row_index) != Ok(row) {
            return Err("its pages are not in order");
        }
        let place =
            u64::try_from(page.offset).ok().zip(u64::try_from(page.compressed_page_size).ok());
        let (offset, bytes) = place
            .filter(|(offset, bytes)| *offset >= start && offset.saturating_add(*bytes) <= end)
            .ok_or("a page lies outside it")?;
        let header = page_at(file, offset, bytes).ok_or("a page's header is damaged")?;
        let values = header.values.ok_or("a page holds no data")?;
        if flat && values != next - row {
            return Err("a page has not the rows its index says");
        }
        sum.uncompressed += header.uncompressed;
        sum.statistics |= header.statistics;
        row = next;
    }
    Ok(sum)
}

fn bounds(file: &[u8], chunk: &ColumnChunkMetaData) -> Option<(u64, u64)> {
    let start = chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset());
    let start = u64::try_from(start).ok()?;
    let end = start.checked_add(u64::try_from(chunk.compressed_size()).ok()?)?;
    let file = u64::try_from(file.len()).ok()?;
    (u64::try_from(chunk.data_page_offset()).ok()? >= start && end <= file).then_some((start, end))
}

/// The header of the page that takes these bytes of the file, all of them.
fn page_at(file: &[u8], offset: u64, bytes: u64) -> Option<PageHeader> {
    let end = usize::try_from(offset.checked_add(bytes)?).ok()?;
    let header = PageHeader::read(file.get(usize::try_from(offset).ok()?..end)?)?;
    (header.bytes.checked_add(header.compressed)? == bytes).then_some(header)
}
