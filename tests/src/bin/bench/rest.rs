//! SHELL: bytes at rest: the sealed folders by column, beside gzip'd JSON lines of the same events in full.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use parquet::file::metadata::ParquetMetaDataReader;

use crate::batches::SEED;
use crate::corpus::Corpus;
use crate::figure::{megabytes, number, percent, wide};
use crate::json::logged;
use crate::sealed::Sealed;
use crate::table;
use crate::topic::Form;
use crate::traffic::Traffic;

/// Columns below this share of the segments are summed up.
const SHARE_MIN: f64 = 0.005;

/// Segments of a store: how many, their size, and the compressed bytes of each column.
#[derive(Debug, Default)]
struct Segments {
    count: u64,
    bytes: u64,
    columns: BTreeMap<String, u64>,
}

pub(crate) fn report(corpus: &Corpus, copies: usize, all: &[Sealed]) -> anyhow::Result<()> {
    let mut stores = Vec::new();
    for sealed in all {
        stores.push((sealed.form, segments(&sealed.store())?));
    }
    table::progress("compressing JSON lines with gzip");
    let (plain, gzipped) = json_lines(corpus, copies)?;
    let columns = ["at rest", "MB", "of gzip'd JSON lines"];
    table::head("At rest", &columns)?;
    let row = |name: String, bytes: u64| {
        let share = percent(number(bytes), number(gzipped));
        table::row(&[name, format!("{:.1}", megabytes(bytes)), share])
    };
    row("JSON lines of the full events".to_owned(), plain)?;
    row("the same, gzip -6".to_owned(), gzipped)?;
    for sealed in all {
        row(format!("topic, {}", sealed.form.name()), sealed.topic_bytes)?;
    }
    for (form, segments) in &stores {
        row(format!("{} segments, {}", segments.count, form.name()), segments.bytes)?;
    }
    once(corpus)?;
    stores.iter().try_for_each(|(form, segments)| columns_of(*form, segments))
}

/// The recorded sessions once: what compression gains from copies of a session is no part of this.
fn once(corpus: &Corpus) -> anyhow::Result<()> {
    let sealed = Sealed::new(corpus, 1, Form::Deduplicated)?;
    let segments = segments(&sealed.store())?;
    let (_, gzipped) = json_lines(corpus, 1)?;
    table::row(&[
        "each recorded session once: segments, deduplicated".to_owned(),
        format!("{:.2}", megabytes(segments.bytes)),
        percent(number(segments.bytes), number(gzipped)),
    ])
}

fn columns_of(form: Form, segments: &Segments) -> anyhow::Result<()> {
    let title = format!("Where the bytes go, {} events", form.name());
    table::head(&title, &["column", "MB", "share"])?;
    let mut columns: Vec<_> = segments.columns.iter().collect();
    columns.sort_by_key(|(_, bytes)| std::cmp::Reverse(**bytes));
    let total = number(segments.bytes);
    let (large, small): (Vec<_>, Vec<_>) =
        columns.iter().partition(|(_, bytes)| number(**bytes) >= SHARE_MIN * total);
    let row = |name: &str, bytes: u64| {
        table::row(&[name, &format!("{:.2}", megabytes(bytes)), &percent(number(bytes), total)])
    };
    for (name, bytes) in large {
        row(name, *bytes)?;
    }
    row(&format!("{} other columns", small.len()), small.iter().map(|(_, bytes)| **bytes).sum())?;
    let in_columns: u64 = segments.columns.values().sum();
    row("footers and indexes", segments.bytes.saturating_sub(in_columns))
}

fn segments(store: &Path) -> anyhow::Result<Segments> {
    let mut found = Segments::default();
    for path in files(&store.join("segments"))? {
        let bytes = bytes::Bytes::from(std::fs::read(path)?);
        found.count += 1;
        found.bytes += wide(bytes.len());
        let metadata = ParquetMetaDataReader::new().parse_and_finish(&bytes)?;
        for column in metadata.row_groups().iter().flat_map(|group| group.columns()) {
            let size = u64::try_from(column.compressed_size())?;
            *found.columns.entry(column.column_path().string()).or_default() += size;
        }
    }
    Ok(found)
}

fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() { &mut folders } else { &mut files }.push(path);
        }
    }
    Ok(files)
}

/// Size of all events as JSON lines in the order of arrival, plain and gzip'd.
fn json_lines(corpus: &Corpus, copies: usize) -> anyhow::Result<(u64, u64)> {
    let mut gzip = GzEncoder::new(Counter::default(), Compression::new(6));
    let (mut line, mut plain) = (String::new(), 0);
    for event in Traffic::new(corpus, copies, SEED) {
        line.clear();
        logged(&event, &mut line);
        plain += wide(line.len());
        gzip.write_all(line.as_bytes())?;
    }
    Ok((plain, gzip.finish()?.0))
}

/// Counts what is written.
#[derive(Debug, Default)]
struct Counter(u64);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += wide(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
