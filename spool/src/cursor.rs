//! Walks the frames of a file forward through a bounded buffer.
//!
//! It says what is wrong at its position; whether that is a tear or damage is not its to judge.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::record::{Frame, HEAD_BYTES, Head, Salt, decode, wide};

/// The bytes that one read from the file asks for, unless a frame is larger.
const CHUNK_BYTES: u64 = 1 << 20;

pub(crate) struct Cursor<'f> {
    file: &'f File,
    salt: Salt,
    /// Where the next frame begins.
    position: u64,
    /// Where the bytes that may be looked at end; `position <= end`.
    end: u64,
    chunk_bytes: u64,
    /// The file's bytes from `position - used` on; `used <= buffer.len()`.
    buffer: Vec<u8>,
    used: usize,
}

/// What is at the cursor.
pub(crate) enum Step<'b> {
    Frame(Frame<'b>),
    End,
    Flaw(&'static str),
}

impl<'f> Cursor<'f> {
    pub(crate) fn new(file: &'f File, salt: Salt, position: u64, end: u64) -> Self {
        let buffer = Vec::new();
        Self { file, salt, position, end, chunk_bytes: CHUNK_BYTES, buffer, used: 0 }
    }

    /// For a reader that wants about `bytes` only.
    pub(crate) fn with_chunk(mut self, bytes: u64) -> Self {
        self.chunk_bytes = bytes.clamp(64 << 10, CHUNK_BYTES);
        self
    }

    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// The frame at the cursor, which must have the offset `expected`. Moves on only past a frame.
    pub(crate) fn step(&mut self, expected: u64) -> io::Result<Step<'_>> {
        if self.position == self.end {
            return Ok(Step::End);
        }
        let Some(head) = self.head()? else { return Ok(Step::Flaw("the record is incomplete")) };
        if !head.is_plausible() {
            return Ok(Step::Flaw("the record's head is implausible"));
        }
        if head.offset != expected {
            return Ok(Step::Flaw("the record has another offset than its place"));
        }
        let bytes = usize::try_from(head.frame_bytes()).map_err(io::Error::other)?;
        if !self.fill(bytes)? {
            return Ok(Step::Flaw("the record is incomplete"));
        }
        let frame = self.buffer.get(self.used..).and_then(|rest| rest.get(..bytes));
        let Some(frame) = frame.and_then(|bytes| decode(bytes, self.salt)) else {
            return Ok(Step::Flaw("the record does not match its checksum"));
        };
        self.used += bytes;
        self.position += wide(bytes);
        Ok(Step::Frame(frame))
    }

    fn head(&mut self) -> io::Result<Option<Head>> {
        let is_there = self.fill(HEAD_BYTES)?;
        Ok(self.buffer.get(self.used..).filter(|_| is_there).and_then(Head::parse))
    }

    /// Has at least `bytes` from `position` on in the buffer, or says that the file has not.
    fn fill(&mut self, bytes: usize) -> io::Result<bool> {
        if self.buffer.len() - self.used >= bytes {
            return Ok(true);
        }
        let left = self.end - self.position;
        if left < wide(bytes) {
            return Ok(false);
        }
        self.buffer.drain(..self.used);
        self.used = 0;
        let had = self.buffer.len();
        let wanted = wide(bytes).max(self.chunk_bytes).min(left);
        self.buffer.resize(usize::try_from(wanted).map_err(io::Error::other)?, 0);
        let added = self.buffer.get_mut(had..).unwrap_or_default();
        let read = read_up_to(self.file, added, self.position + wide(had))?;
        if had + read < self.buffer.len() {
            // The file is shorter than it ought to be.
            self.buffer.truncate(had + read);
            self.end = self.position + wide(had + read);
        }
        Ok(self.buffer.len() >= bytes)
    }
}

/// Fills `buffer` from the file, as far as it reaches; says how far.
pub(crate) fn read_up_to(file: &File, mut buffer: &mut [u8], position: u64) -> io::Result<usize> {
    let mut read = 0;
    while !buffer.is_empty() {
        match file.read_at(buffer, position + wide(read)) {
            Ok(0) => break,
            Ok(bytes) => {
                read += bytes;
                buffer = buffer.get_mut(bytes..).unwrap_or_default();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}
