//! What opening finds on disk: every file is read and checked, and a torn tail is cut.
//!
//! Only the last file may be torn. Anything else that is not as it was written stops the open.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::cursor::{Cursor, Step, read_up_to};
use crate::error::Error;
use crate::file::{self, HEADER_BYTES, Header};
use crate::index::Mark;
use crate::log::Segment;
use crate::tear::{is_tear, is_unborn};

/// What opening a spool found, and cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// The bytes cut from the end of the last file.
    pub torn_bytes: u64,
    /// The file that ended in the middle of a write, if it did.
    pub torn_file: Option<PathBuf>,
    /// The first offset still there.
    pub start: u64,
    /// The offset the next message will get.
    pub next: u64,
}

/// The files of a spool, checked and ready for use.
pub(crate) struct Recovered {
    pub(crate) segments: VecDeque<Segment>,
    /// The last one, open for writing.
    pub(crate) file: File,
    pub(crate) recovery: Recovery,
}

/// What was cut.
struct Tear {
    bytes: u64,
    file: PathBuf,
}

/// A file as far as it is good.
struct Scan {
    segment: Segment,
    next: u64,
    len: u64,
    flaw: Option<&'static str>,
}

/// Reads all files in `dir`, in order; cuts a torn tail; makes what is there durable.
pub(crate) fn recover(dir: &Path) -> Result<Recovered, Error> {
    let mut firsts = list(dir)?;
    let last = firsts.pop().map_or_else(|| create(dir, 0), Ok)?;
    let mut segments = VecDeque::new();
    let mut next = firsts.first().copied().unwrap_or(last);
    for first in firsts {
        let (_, scan) = scan(dir, first, next)?;
        if let Some(flaw) = scan.flaw {
            return Err(corrupt(&scan, flaw));
        }
        next = scan.next;
        segments.push_back(scan.segment);
    }
    let unborn = if last == next { replace_unborn(dir, last)? } else { None };
    let (file, mut scan) = scan(dir, last, next)?;
    let tear = cut_tear(&file, &mut scan)?.or(unborn);
    sync(dir, &file)?;
    next = scan.next;
    segments.push_back(scan.segment);
    let start = segments.front().map_or(next, |segment| segment.first);
    let (torn_bytes, torn_file) = tear.map_or((0, None), |tear| (tear.bytes, Some(tear.file)));
    Ok(Recovered { segments, file, recovery: Recovery { torn_bytes, torn_file, start, next } })
}

/// The first offsets of the files in `dir`, ascending.
fn list(dir: &Path) -> Result<Vec<u64>, Error> {
    let mut firsts = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(Error::io("list", dir))? {
        let name = entry.map_err(Error::io("list", dir))?.file_name();
        let name = name.to_string_lossy();
        if file::is_segment(&name) {
            let why = "the file's name is not an offset";
            firsts.push(file::parse_name(&name).ok_or_else(|| Error::Corrupt {
                file: dir.join(&*name),
                position: 0,
                offset: 0,
                why,
            })?);
        }
    }
    firsts.sort_unstable();
    Ok(firsts)
}

fn create(dir: &Path, first: u64) -> Result<u64, Error> {
    file::prepare(dir, first)
        .and_then(|_| file::publish(dir, first))
        .map_err(Error::io("create", file::path(dir, first)))?;
    Ok(first)
}

/// Makes the last file anew, if it never got its header: its name still says where offsets go on.
fn replace_unborn(dir: &Path, first: u64) -> Result<Option<Tear>, Error> {
    let path = file::path(dir, first);
    let failed = |error| Error::io("read", &path)(error);
    let file = open(&path).map_err(failed)?;
    let len = file.metadata().map_err(failed)?.len();
    if !is_unborn(&file, len).map_err(failed)? {
        return Ok(None);
    }
    tracing::warn!(file = %path.display(), bytes = len, offset_next = first, "torn file replaced");
    create(dir, first)?;
    Ok(Some(Tear { bytes: len, file: path.clone() }))
}

/// Reads the file that begins with `first`, which should be `expected`, up to its first flaw.
fn scan(dir: &Path, first: u64, expected: u64) -> Result<(File, Scan), Error> {
    let path = file::path(dir, first);
    let failed = |error| Error::io("read", &path)(error);
    let bad = |why| Error::Corrupt { file: path.clone(), position: 0, offset: expected, why };
    if first != expected {
        return Err(bad("the file before it is missing, or ends early or late"));
    }
    let file = open(&path).map_err(failed)?;
    let len = file.metadata().map_err(failed)?.len();
    let mut bytes = [0; 28];
    let read = read_up_to(&file, &mut bytes, 0).map_err(failed)?;
    match file::judge_header(bytes.get(..read).unwrap_or_default(), first) {
        Header::Good(salt) => {
            let segment = Segment::empty(path.clone(), first, salt);
            let scan = walk(&file, segment, len).map_err(failed)?;
            Ok((file, scan))
        }
        Header::Unwritten => Err(bad("the file has no header")),
        Header::Version(version) => Err(Error::Version { file: path.clone(), version }),
        Header::Bad(why) => Err(bad(why)),
    }
}

fn walk(file: &File, mut segment: Segment, len: u64) -> io::Result<Scan> {
    let mut next = segment.first;
    let mut cursor = Cursor::new(file, segment.salt, HEADER_BYTES, len);
    let flaw = loop {
        let position = cursor.position();
        match cursor.step(next)? {
            Step::Frame(_) => segment.index.add(Mark { offset: next, position }),
            Step::End => break None,
            Step::Flaw(flaw) => break Some(flaw),
        }
        next += 1;
    };
    segment.bytes = cursor.position();
    Ok(Scan { segment, next, len, flaw })
}

/// Cuts what a crash left of the last file's last write; refuses any other flaw.
fn cut_tear(file: &File, scan: &mut Scan) -> Result<Option<Tear>, Error> {
    let Some(flaw) = scan.flaw.take() else { return Ok(None) };
    let (path, good) = (scan.segment.path.clone(), scan.segment.bytes);
    let failed = |error| Error::io("repair", &path)(error);
    let is_tear = is_tear(file, scan.segment.salt, (good, scan.len), scan.next).map_err(failed)?;
    if !is_tear {
        return Err(corrupt(scan, flaw));
    }
    let bytes = scan.len - good;
    tracing::warn!(file = %path.display(), bytes, offset_next = scan.next, "torn tail cut");
    file.set_len(good).map_err(failed)?;
    Ok(Some(Tear { bytes, file: path.clone() }))
}

/// Makes what was read durable: the process before this one may have died before its own sync.
fn sync(dir: &Path, file: &File) -> Result<(), Error> {
    file.sync_all().and_then(|()| file::sync_dir(dir)).map_err(Error::io("sync", dir))
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

fn corrupt(scan: &Scan, why: &'static str) -> Error {
    let (file, position) = (scan.segment.path.clone(), scan.segment.bytes);
    Error::Corrupt { file, position, offset: scan.next, why }
}
