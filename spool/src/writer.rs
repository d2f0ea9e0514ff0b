//! The one hand that writes: groups of messages to the last file, and new files.
//!
//! It keeps the file as it was after the last group that succeeded, or takes nothing more. It does
//! not know who waits for a group, nor what readers see.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::Error;
use crate::file::{self, HEADER_BYTES};
use crate::index::{Index, Mark};
use crate::log::Segment;
use crate::record::{Message, Salt, encode, wide};

/// The buffer is given back above this size, so that one huge call does not stay in memory.
const BUFFER_BYTES_KEPT_MAX: usize = 8 << 20;

#[derive(Debug)]
pub(crate) struct Writer {
    dir: PathBuf,
    file: File,
    path: PathBuf,
    salt: Salt,
    /// The file's length up to which everything is durable.
    bytes: u64,
    next: u64,
    /// Set for good when it is not known what the disk holds: a second `fsync` after one that
    /// failed says that all is well, and it is not.
    poison: Option<Arc<io::Error>>,
    buffer: Vec<u8>,
}

/// A group that is durable.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) next: u64,
    pub(crate) bytes: u64,
    pub(crate) marks: Vec<Mark>,
}

impl Writer {
    /// Goes on with `next` at the end of `file`, which is the segment's and all durable.
    pub(crate) fn new(dir: PathBuf, file: File, segment: &Segment, next: u64) -> Self {
        let (path, salt, bytes) = (segment.path.clone(), segment.salt, segment.bytes);
        Self { dir, file, path, salt, bytes, next, poison: None, buffer: Vec::new() }
    }

    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Whether a file has to begin before a group of this size.
    pub(crate) fn is_file_full(&self, group_bytes: u64, segment_bytes_max: u64) -> bool {
        self.has_records() && self.bytes + group_bytes > segment_bytes_max
    }

    pub(crate) fn has_records(&self) -> bool {
        self.bytes > HEADER_BYTES
    }

    /// Writes a group and makes it durable: one write, one sync. If it fails with a transient
    /// error, nothing happened.
    pub(crate) fn append<'m>(
        &mut self,
        messages: impl Iterator<Item = &'m Message> + Clone,
    ) -> Result<Written, Error> {
        self.refuse_if_poisoned()?;
        let written = self.gather(messages);
        if let Err(source) = self.file.write_all_at(&self.buffer, self.bytes) {
            return Err(self.roll_back(source));
        }
        // A crash here leaves records that nobody was told of, whole or torn.
        if let Err(source) = self.file.sync_data() {
            return Err(self.poison(source));
        }
        self.bytes += written.bytes;
        self.next = written.next;
        Ok(written)
    }

    /// Begins a new file at `next`.
    pub(crate) fn roll(&mut self) -> Result<Segment, Error> {
        self.refuse_if_poisoned()?;
        assert!(self.has_records(), "two files cannot begin with the same offset");
        let path = file::path(&self.dir, self.next);
        // A crash or an error here leaves the temporary file, which the next `prepare` overwrites.
        let (file, salt) =
            file::prepare(&self.dir, self.next).map_err(Error::io("create", &path))?;
        // A crash here leaves the new file or not: the old one is whole either way.
        if let Err(source) = file::publish(&self.dir, self.next) {
            return Err(self.poison(source));
        }
        let segment = Segment::empty(path, self.next, salt);
        *self = Self::new(std::mem::take(&mut self.dir), file, &segment, self.next);
        Ok(segment)
    }

    /// Puts the frames into the buffer.
    fn gather<'m>(&mut self, messages: impl Iterator<Item = &'m Message> + Clone) -> Written {
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_BYTES_KEPT_MAX);
        let bytes: u64 = messages.clone().map(Message::frame_bytes).sum();
        self.buffer.reserve_exact(usize::try_from(bytes).unwrap_or_default());
        let (mut next, mut marks) = (self.next, Vec::new());
        for message in messages {
            marks.push(Mark { offset: next, position: self.bytes + wide(self.buffer.len()) });
            encode(message, next, self.next, self.salt, &mut self.buffer);
            next += 1;
        }
        Written { next, bytes: wide(self.buffer.len()), marks }
    }

    /// Cuts off what a failed write left, so that the next group begins where this one did.
    fn roll_back(&mut self, source: io::Error) -> Error {
        match self.file.set_len(self.bytes).and_then(|()| self.file.sync_data()) {
            Ok(()) => Error::io("append to", &self.path)(source),
            Err(source) => self.poison(source),
        }
    }

    /// Takes nothing more. The kernel may go on showing bytes that the disk refused, so they are
    /// cut off where that is possible, lest the next open takes them for durable.
    fn poison(&mut self, source: io::Error) -> Error {
        let source = Arc::new(source);
        self.poison = Some(Arc::clone(&source));
        if let Err(error) = self.file.set_len(self.bytes) {
            tracing::warn!(file = %self.path.display(), %error, "unsynced tail not cut");
        }
        Error::Sync { file: self.path.clone(), source }
    }

    fn refuse_if_poisoned(&self) -> Result<(), Error> {
        match &self.poison {
            Some(source) => Err(Error::Poisoned { source: Arc::clone(source) }),
            None => Ok(()),
        }
    }
}

impl Segment {
    /// A file that has only its header.
    pub(crate) fn empty(path: PathBuf, first: u64, salt: Salt) -> Self {
        let index = Index::new(Mark { offset: first, position: HEADER_BYTES });
        Self { first, path, bytes: HEADER_BYTES, salt, index }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use super::*;
    use crate::error::Kind;

    /// A writer to one of the kernel's devices, which fail as disks do.
    fn writer_to(device: &str) -> Writer {
        let file = OpenOptions::new().read(true).write(true).open(device).unwrap();
        let segment = Segment::empty(PathBuf::from(device), 7, Salt(5));
        Writer::new(std::env::temp_dir(), file, &segment, 7)
    }

    fn message() -> Message {
        Message { timestamp_ms: 1, key: None, value: vec![1; 100] }
    }

    #[test]
    fn a_failed_sync_poisons_the_writer() {
        // Writes to this device succeed, but it cannot be synced.
        let mut writer = writer_to("/dev/null");
        let error = writer.append([&message()].into_iter()).unwrap_err();
        assert!(matches!(error, Error::Sync { .. }), "{error:?}");
        assert_eq!(error.kind(), Kind::Unknown);
        let error = writer.append([&message()].into_iter()).unwrap_err();
        assert!(matches!(error, Error::Poisoned { .. }), "{error:?}");
        assert!(matches!(writer.roll().unwrap_err(), Error::Poisoned { .. }));
        assert_eq!(writer.next(), 7);
    }

    #[test]
    fn a_failed_write_that_cannot_be_undone_poisons_the_writer() {
        // This device has no space left, ever, and cannot be cut.
        let mut writer = writer_to("/dev/full");
        let error = writer.append([&message()].into_iter()).unwrap_err();
        assert_eq!(error.kind(), Kind::Unknown);
        let error = writer.append([&message()].into_iter()).unwrap_err();
        assert_eq!(error.kind(), Kind::Conflict);
    }
}
