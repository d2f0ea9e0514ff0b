//! Tells a torn tail from damage, when the last file ends in something that is no record.
//!
//! A crash may leave any part of the last group unwritten, and of nothing else. So what follows the
//! bad record decides:
//!
//! - nothing valid: a tear;
//! - a valid record of a later group: the bad one had been synced before, so it is damage;
//! - only valid records of the bad one's own group: a tear if blocks of zeros show that part of the
//!   group never reached the disk, else damage. Whether that group had been acknowledged cannot be
//!   known, and a flipped bit must not pass for a tear.
//!
//! It finds and judges; it changes nothing.

use std::fs::File;
use std::io;

use crate::cursor::read_up_to;
use crate::file::HEADER_BYTES;
use crate::record::{HEAD_BYTES, Head, Salt, decode, wide};

/// Bytes looked at in one go; each go overlaps the next by a frame's head.
const CHUNK_BYTES: usize = 1 << 20;
/// What file systems write whole or not at all.
const BLOCK_BYTES: usize = 4096;
/// The bytes that may be read for checksums of what only looks like frames. A hostile payload can
/// be full of such; beyond this the search gives up, and calls it damage.
const CHECKED_BYTES_MAX: u64 = 4 << 30;

/// Whether the last file, which has no header, never had one: it is cut short, or only zeros. A
/// file has its header before it has records.
pub(crate) fn is_unborn(file: &File, end: u64) -> io::Result<bool> {
    let mut at = 0;
    while end >= HEADER_BYTES && at < end {
        if chunk(file, at, end)?.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        at += wide(CHUNK_BYTES);
    }
    Ok(true)
}

/// Whether the bytes of the last file from `position` to `end`, where the record `offset` should
/// be, are what a crash leaves of a write that was never acknowledged.
pub(crate) fn is_tear(
    file: &File,
    salt: Salt,
    (position, end): (u64, u64),
    offset: u64,
) -> io::Result<bool> {
    let resume = position;
    let mut search = Search { file, salt, end, offset, checked: 0, resume, survivor: None };
    let mut at = position;
    while at < end && !search.is_over() {
        let chunk = chunk(file, at, end)?;
        search.look_through(&chunk, at)?;
        at += wide(CHUNK_BYTES);
    }
    match search.survivor {
        None => Ok(search.checked <= CHECKED_BYTES_MAX),
        Some(_) if search.is_over() => Ok(false),
        Some(survivor) => has_unwritten_block(file, position, survivor.position),
    }
}

/// A valid record after the bad one.
#[derive(Clone, Copy)]
struct Survivor {
    position: u64,
    /// Whether it was written after the bad one had been synced.
    is_later: bool,
}

struct Search<'f> {
    file: &'f File,
    salt: Salt,
    end: u64,
    /// The bad record's.
    offset: u64,
    checked: u64,
    /// Where to look from: past the last survivor.
    resume: u64,
    /// The first one; `is_later` if any is.
    survivor: Option<Survivor>,
}

impl Search<'_> {
    fn is_over(&self) -> bool {
        self.survivor.is_some_and(|found| found.is_later) || self.checked > CHECKED_BYTES_MAX
    }

    fn look_through(&mut self, chunk: &[u8], at: u64) -> io::Result<()> {
        for (index, window) in chunk.windows(HEAD_BYTES).enumerate() {
            let position = at + wide(index);
            if position < self.resume || self.is_over() {
                continue;
            }
            if let Some(head) = Head::parse(window).filter(|head| self.may_follow(head, position)) {
                self.check(&head, position)?;
            }
        }
        Ok(())
    }

    /// Whether the head could be of a record after the bad one: offsets grow by one a frame.
    fn may_follow(&self, head: &Head, position: u64) -> bool {
        let offset_max = self.offset + (self.end - position);
        (self.offset..=offset_max).contains(&head.offset)
            && head.is_plausible()
            && head.frame_bytes() <= self.end - position
    }

    fn check(&mut self, head: &Head, position: u64) -> io::Result<()> {
        self.checked += head.frame_bytes();
        let bytes = usize::try_from(head.frame_bytes()).map_err(io::Error::other)?;
        let mut frame = vec![0; bytes];
        let read = read_up_to(self.file, &mut frame, position)?;
        if frame.get(..read).and_then(|bytes| decode(bytes, self.salt)).is_some() {
            let is_later = head.durable > self.offset;
            let first = self.survivor.map_or(position, |found| found.position);
            self.survivor = Some(Survivor { position: first, is_later });
            self.resume = position + head.frame_bytes();
        }
        Ok(())
    }
}

/// Whether a whole block between the two positions is zeros.
fn has_unwritten_block(file: &File, from: u64, to: u64) -> io::Result<bool> {
    let block = wide(BLOCK_BYTES);
    let mut at = from.next_multiple_of(block);
    let mut bytes = [0; BLOCK_BYTES];
    while at + block <= to {
        let read = read_up_to(file, &mut bytes, at)?;
        if read == BLOCK_BYTES && bytes.iter().all(|byte| *byte == 0) {
            return Ok(true);
        }
        at += block;
    }
    Ok(false)
}

fn chunk(file: &File, at: u64, end: u64) -> io::Result<Vec<u8>> {
    let wanted = wide(CHUNK_BYTES + HEAD_BYTES - 1).min(end - at);
    let mut bytes = vec![0; usize::try_from(wanted).map_err(io::Error::other)?];
    let read = read_up_to(file, &mut bytes, at)?;
    bytes.truncate(read);
    Ok(bytes)
}
