//! What sealing cannot be faster than: the hashes that the format asks for and zstd-1 over what is stored, nothing else.
//!
//! It is given the rows sorted and taken apart, and shares no code with the sealer. Views, keys, page levels, statistics
//! and the footer are left out, which makes it faster.

use ring::digest::{Context, SHA256, digest};
use schemas::{Event, Place};
use sealer::Batch;
use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::compress_bound;

use crate::clock::{Of, Spent, timed};
use crate::figure::wide;

/// Bytes that are compressed at a time.
const BLOCK_BYTES: usize = 1 << 20;

type Hash = [u8; 32];

/// A row, taken apart.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    offset: u64,
    timestamp_ms: i64,
    key: &'a [u8],
    event: Event<'a>,
}

/// What one run over a batch took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Roofline {
    /// Every digest of every row, and the tree.
    pub(crate) hash: Spent,
    /// Compression of what is stored.
    pub(crate) compress: Spent,
    /// The digest of the object.
    pub(crate) object: Spent,
    /// Decompression of all of it, which is part of no roofline.
    pub(crate) decompress: Spent,
    pub(crate) root: Hash,
}

/// The rows of a batch in the order of a segment.
pub(crate) fn rows(batch: &Batch, place: Place) -> anyhow::Result<Vec<Row<'_>>> {
    let mut rows = Vec::with_capacity(batch.messages().len());
    for message in batch.messages() {
        rows.push(Row {
            offset: message.offset.0,
            timestamp_ms: message.timestamp.millis,
            key: message.key.as_deref().unwrap_or_default(),
            event: schemas::read(&message.as_read(), place)?,
        });
    }
    rows.sort_unstable_by_key(|row| (row.event.session_key, row.offset));
    Ok(rows)
}

pub(crate) fn run(rows: &[Row<'_>]) -> anyhow::Result<Roofline> {
    let (root, hash) = timed(Of::Thread, || root(rows))?;
    let (blocks, compress) = timed(Of::Thread, || compress(rows))?;
    let blocks = blocks?;
    let (_digest, object) = timed(Of::Thread, || {
        let mut context = Context::new(&SHA256);
        blocks.iter().for_each(|block| context.update(&block.bytes));
        context.finish()
    })?;
    let (decompressed, decompress) = timed(Of::Thread, || decompress(&blocks))?;
    decompressed?;
    Ok(Roofline { hash, compress, object, decompress, root })
}

/// Hashes all rows and the tree over them.
fn root(rows: &[Row<'_>]) -> Hash {
    let mut scratch = Vec::with_capacity(4096);
    let mut session: (&[u8], Hash) = (&[], Hash::default());
    let mut level = Vec::with_capacity(rows.len());
    for row in rows {
        // Rows of a session stand together.
        if session.0 != row.key {
            session = (row.key, session_key(row, &mut scratch));
        }
        level.push(leaf(row, &session.1, &mut scratch));
    }
    while level.len() > 1 {
        let node = |pair: &[Hash]| match pair {
            [left, right] => of(&[&[1], left, right], &mut scratch),
            _ => pair.first().copied().unwrap_or_default(),
        };
        level = level.chunks(2).map(node).collect();
    }
    level.first().copied().unwrap_or_default()
}

fn lp(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes()
}

fn session_key(row: &Row<'_>, scratch: &mut Vec<u8>) -> Hash {
    let envelope = &row.event.envelope;
    let [tenant, session] = [&envelope.tenant, &envelope.session_id].map(|text| text.as_bytes());
    of(&[b"chancery.session.v1\0", &lp(tenant), tenant, &lp(session), session], scratch)
}

fn leaf(row: &Row<'_>, session: &Hash, scratch: &mut Vec<u8>) -> Hash {
    let event = &row.event;
    let schema = &event.schema.digest.0;
    let event_digest = of(&[b"chancery.event.v1\0", schema, event.envelope_bytes], scratch);
    let bodies: Vec<Hash> = event.bodies.iter().map(body).collect();

    let timestamp = row.timestamp_ms.to_be_bytes();
    let admission = event.admission.unwrap_or_default();
    scratch.clear();
    for bytes in [
        b"chancery.carriage.v1\0",
        schema.as_slice(),
        &[1],
        &timestamp,
        &[1],
        &lp(row.key),
        row.key,
        &[0; 32],
        &lp(event.frame),
        event.frame,
        &[0, 1],
        &lp(admission),
        admission,
        &u32::try_from(bodies.len()).unwrap_or(u32::MAX).to_be_bytes(),
    ] {
        scratch.extend_from_slice(bytes);
    }
    for body in &bodies {
        scratch.extend_from_slice(body);
        scratch.push(0);
    }
    scratch.extend_from_slice(&[0; 4]);
    let carriage = hash(&digest(&SHA256, scratch));
    let row_digest = of(&[b"chancery.row.v1\0", &event_digest, &carriage], scratch);
    of(&[&[0], session, &row.offset.to_be_bytes(), &row_digest], scratch)
}

fn body(body: &schemas::Body<'_>) -> Hash {
    let mut context = Context::new(&SHA256);
    context.update(b"chancery.body.v1\0");
    context.update(&body.salt.unwrap_or_default().0);
    context.update(body.data.unwrap_or_default());
    hash(&context.finish())
}

/// The hash of a few short parts, joined first.
fn of(parts: &[&[u8]], scratch: &mut Vec<u8>) -> Hash {
    scratch.clear();
    parts.iter().for_each(|part| scratch.extend_from_slice(part));
    hash(&digest(&SHA256, scratch))
}

fn hash(digest: &ring::digest::Digest) -> Hash {
    digest.as_ref().try_into().unwrap_or_default()
}

/// Bytes of the object; `plain` is their size before compression.
struct Block {
    bytes: Vec<u8>,
    plain: Option<usize>,
}

/// Envelopes, admissions and bodies, each a column in blocks; salts as they are.
fn compress(rows: &[Row<'_>]) -> anyhow::Result<Vec<Block>> {
    let bodies = || rows.iter().flat_map(|row| &row.event.bodies);
    let (open, packed) = (Vec::with_capacity(2 * BLOCK_BYTES), Vec::new());
    let mut column = Column { blocks: Vec::new(), open, packed, zstd: Compressor::new(1)? };
    column.fill(rows.iter().map(|row| row.event.envelope_bytes))?;
    column.fill(rows.iter().filter_map(|row| row.event.admission))?;
    column.fill(bodies().filter_map(|body| body.data))?;
    let salts = bodies().filter_map(|body| body.salt).flat_map(|salt| salt.0).collect();
    column.blocks.push(Block { bytes: salts, plain: None });
    Ok(column.blocks)
}

struct Column {
    blocks: Vec<Block>,
    open: Vec<u8>,
    packed: Vec<u8>,
    zstd: Compressor<'static>,
}

impl Column {
    fn fill<'a>(&mut self, values: impl Iterator<Item = &'a [u8]>) -> anyhow::Result<()> {
        for value in values {
            self.open.extend_from_slice(value);
            if self.open.len() >= BLOCK_BYTES {
                self.close()?;
            }
        }
        self.close()
    }

    fn close(&mut self) -> anyhow::Result<()> {
        self.packed.clear();
        self.packed.reserve(compress_bound(self.open.len()));
        self.zstd.compress_to_buffer(&self.open, &mut self.packed)?;
        self.blocks.push(Block { bytes: self.packed.clone(), plain: Some(self.open.len()) });
        self.open.clear();
        Ok(())
    }
}

fn decompress(blocks: &[Block]) -> anyhow::Result<u64> {
    let mut zstd = Decompressor::new()?;
    let (mut bytes, mut unpacked) = (0, Vec::new());
    for block in blocks {
        if let Some(plain) = block.plain {
            unpacked.clear();
            unpacked.reserve(plain);
            bytes += wide(zstd.decompress_to_buffer(&block.bytes, &mut unpacked)?);
        }
    }
    Ok(bytes)
}
