//! The queue itself: appends in groups, reads, truncation.
//!
//! Three locks, always taken in this order: `head` by truncation; `writer` by whoever writes, for
//! as long as that takes; `log` for moments, never across a write or a sync. Appenders put their
//! call into the queue, then wait for `writer`: who gets it writes for all that wait, and the
//! others find their outcome when their turn comes. So one sync serves everybody who came during
//! the one before.

use std::fs::{File, TryLockError};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::call::Call;
use crate::config::Config;
use crate::cursor::{Cursor, Step};
use crate::error::Error;
use crate::file;
use crate::log::{Log, Place};
use crate::record::{Frame, Message, Record, wide};
use crate::recovery::{Recovered, Recovery, recover};
use crate::writer::{Writer, Written};

/// A durable queue on disk. Clones are the same spool; the folder is free again when the last is
/// dropped.
#[derive(Debug, Clone)]
pub struct Spool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    config: Config,
    /// Held locked as long as the spool is open.
    _lock: File,
    /// Held while files are deleted, so that they go in order.
    head: Mutex<()>,
    writer: Mutex<Writer>,
    log: Mutex<Log>,
    /// Told when `log.next` has grown.
    grown: Condvar,
}

impl Spool {
    /// Opens the spool in `dir`, which is made if need be. Reads and checks all that is there, and
    /// cuts a torn tail.
    ///
    /// # Errors
    ///
    /// [`Error::Locked`] if it is open already; [`Error::Corrupt`] or [`Error::Version`] if a file
    /// is not as it was written, or not by this version; [`Error::Io`].
    pub fn open(dir: &Path, config: Config) -> Result<(Self, Recovery), Error> {
        let dir = make_dir(dir)?;
        let lock = lock_dir(&dir)?;
        let Recovered { segments, file, recovery } = recover(&dir)?;
        let log = Log::new(segments, recovery.next);
        let writer = Writer::new(dir.clone(), file, log.last(), recovery.next);
        let shared = Shared {
            dir,
            config,
            _lock: lock,
            head: Mutex::new(()),
            writer: Mutex::new(writer),
            log: Mutex::new(log),
            grown: Condvar::new(),
        };
        Ok((Self { shared: Arc::new(shared) }, recovery))
    }

    /// Appends the messages, with consecutive offsets, in their order; returns the offsets when all
    /// of them are durable. Calls of several threads share one sync.
    ///
    /// All or nothing, if it returns; if the machine stops before, the first few may survive.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`]; [`Error::Full`]; [`Error::Io`], as when the disk is full, with nothing
    /// appended; [`Error::Sync`] when that is not known, and [`Error::Poisoned`] ever after.
    pub fn append(&self, messages: Vec<Message>) -> Result<Range<u64>, Error> {
        let call = Arc::new(Call::new(messages, &self.shared.config)?);
        if call.messages.is_empty() {
            let next = self.next();
            return Ok(next..next);
        }
        lock(&self.shared.log).enqueue(Arc::clone(&call), self.shared.config.bytes_max)?;
        let mut writer = lock(&self.shared.writer);
        // Each round answers the calls at the front of the queue, and ours is in it until answered.
        loop {
            if let Some(outcome) = call.outcome.get() {
                return outcome.clone();
            }
            self.shared.commit(&mut writer);
        }
    }

    /// Reads records from offset `from` on, until their frames reach `bytes_max` or the durable
    /// end; at least one, however large, if there is any. From `next` on there is none yet.
    ///
    /// # Errors
    ///
    /// [`Error::Forgotten`] below `start`, [`Error::Ahead`] above `next`, [`Error::Corrupt`] if the
    /// record at `from` is not as it was written (records before a corrupt one are returned first),
    /// [`Error::Io`].
    pub fn read(&self, from: u64, bytes_max: usize) -> Result<Vec<Record>, Error> {
        let mut batch = Batch { next: from, room: wide(bytes_max), records: Vec::new() };
        while !batch.is_full() {
            let place = lock(&self.shared.log).locate(batch.next);
            let read = place.and_then(|place| place.map(|place| batch.fill(&place)).transpose());
            match read {
                Ok(Some(())) => {}
                Ok(None) => break,
                Err(error) if batch.records.is_empty() => return Err(error),
                // What was read is good; the next call, from there, meets the error itself.
                Err(_) => break,
            }
        }
        Ok(batch.records)
    }

    /// Blocks until the record at `from` is durable, or for `timeout`; says whether it is.
    /// One that was forgotten since counts as durable: the read will say so.
    #[must_use]
    pub fn wait(&self, from: u64, timeout: Duration) -> bool {
        let log = lock(&self.shared.log);
        let outcome = self.shared.grown.wait_timeout_while(log, timeout, |log| log.next <= from);
        outcome.unwrap_or_else(PoisonError::into_inner).0.next > from
    }

    /// Allows everything below `before` to be forgotten. Whole files go, so `start` may stay below
    /// `before`; if nothing is left to keep, nothing is kept. Offsets go on where they were.
    ///
    /// # Errors
    ///
    /// [`Error::Ahead`] if `before` is above `next`; [`Error::Io`], with what could be deleted
    /// deleted; [`Error::Sync`] and [`Error::Poisoned`] as for [`Spool::append`].
    pub fn truncate_head(&self, before: u64) -> Result<(), Error> {
        let _turn = lock(&self.shared.head);
        let next = self.next();
        if before > next {
            return Err(Error::Ahead { offset: before, next });
        }
        if before == next {
            self.shared.roll_at(before)?;
        }
        self.shared.delete_below(before)
    }

    /// The first offset still there.
    #[must_use]
    pub fn start(&self) -> u64 {
        lock(&self.shared.log).start()
    }

    /// The offset the next message will get; everything below is durable.
    #[must_use]
    pub fn next(&self) -> u64 {
        lock(&self.shared.log).next
    }

    /// The size of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        lock(&self.shared.log).bytes
    }
}

impl Shared {
    /// Writes the calls at the front of the queue as one group, and answers them.
    fn commit(&self, writer: &mut Writer) {
        let group = lock(&self.log).take_group();
        let outcome = self.write(writer, &group);
        let mut log = lock(&self.log);
        log.release(&group);
        let mut first = log.next;
        if let Ok(written) = &outcome {
            log.extend(written.next, written.bytes, &written.marks);
            self.grown.notify_all();
        }
        drop(log);
        for call in &group {
            let range = first..first + wide(call.messages.len());
            first = range.end;
            let outcome = outcome.as_ref().map(|_| range).map_err(Error::clone);
            assert!(call.outcome.set(outcome).is_ok(), "a call is in one group only");
        }
    }

    fn write(&self, writer: &mut Writer, group: &[Arc<Call>]) -> Result<Written, Error> {
        let bytes = group.iter().map(|call| call.bytes).sum();
        if writer.is_file_full(bytes, self.config.segment_bytes_max) {
            self.roll(writer)?;
        }
        writer.append(group.iter().flat_map(|call| &call.messages))
    }

    fn roll(&self, writer: &mut Writer) -> Result<(), Error> {
        let segment = writer.roll()?;
        tracing::debug!(file = %segment.path.display(), offset_first = segment.first, "file begun");
        lock(&self.log).push(segment);
        Ok(())
    }

    /// Begins a file, so that the one before can be deleted; unless appends have gone on since.
    fn roll_at(&self, next: u64) -> Result<(), Error> {
        let mut writer = lock(&self.writer);
        if writer.next() == next && writer.has_records() { self.roll(&mut writer) } else { Ok(()) }
    }

    /// Deletes the files that are wholly below `before`. The folder is synced after each, so that
    /// after a crash at any point no gap is left.
    fn delete_below(&self, before: u64) -> Result<(), Error> {
        loop {
            // Out of sight first: a reader either has the file open by now or finds it forgotten.
            let Some(segment) = lock(&self.log).pop_below(before) else { return Ok(()) };
            if let Err(error) = std::fs::remove_file(&segment.path) {
                let error = Error::io("delete", &segment.path)(error);
                lock(&self.log).unpop(segment);
                return Err(error);
            }
            file::sync_dir(&self.dir).map_err(Error::io("sync", &self.dir))?;
        }
    }
}

/// Records on their way to a reader.
struct Batch {
    /// The offset to read next.
    next: u64,
    /// The bytes of frames that may still be added.
    room: u64,
    records: Vec<Record>,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.room == 0 && !self.records.is_empty()
    }

    /// Reads on from `place`, up to the end of its file.
    fn fill(&mut self, place: &Place) -> Result<(), Error> {
        let mut cursor = Cursor::new(&place.file, place.salt, place.mark.position, place.end)
            .with_chunk(self.room);
        let mut offset = place.mark.offset;
        while offset < place.next && !self.is_full() {
            let position = cursor.position();
            let step = cursor.step(offset).map_err(Error::io("read", &place.path))?;
            let why = match step {
                Step::Frame(frame) => {
                    if offset == self.next {
                        self.add(&frame);
                    }
                    offset += 1;
                    continue;
                }
                Step::End => "the file ends too early",
                Step::Flaw(why) => why,
            };
            return Err(Error::Corrupt { file: place.path.clone(), position, offset, why });
        }
        Ok(())
    }

    /// Adds the record, or closes the batch if there is no room for it.
    fn add(&mut self, frame: &Frame<'_>) {
        let bytes = frame.head.frame_bytes();
        if bytes <= self.room || self.records.is_empty() {
            self.records.push(frame.to_record());
            self.next += 1;
            self.room = self.room.saturating_sub(bytes);
        } else {
            self.room = 0;
        }
    }
}

/// Makes the folder, durably; returns its path from the root.
fn make_dir(dir: &Path) -> Result<PathBuf, Error> {
    let make = || {
        std::fs::create_dir_all(dir)?;
        let dir = dir.canonicalize()?;
        dir.parent().map_or(Ok(()), file::sync_dir)?;
        Ok(dir)
    };
    make().map_err(Error::io("make", dir))
}

/// The kernel lets go of the lock when the process ends, in whatever way.
fn lock_dir(dir: &Path) -> Result<File, Error> {
    let path = dir.join("lock");
    let file = File::create(&path).map_err(Error::io("create", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Locked { dir: dir.to_path_buf() }),
        Err(TryLockError::Error(error)) => Err(Error::io("lock", path)(error)),
    }
}

/// What a lock guards is changed in whole steps, so it is good even if a thread panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
