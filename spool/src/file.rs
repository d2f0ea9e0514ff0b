//! One segment file: its name, its header, its birth.
//!
//! A segment file is named by its first offset in 20 decimal digits, `00000000000000000042.log`,
//! and holds a header and then frames (see `record.rs`) with consecutive offsets, nothing between
//! them. The header, integers big-endian, 28 bytes, of the same form in every version to come:
//!
//! | at | bytes | field                                            |
//! |----|-------|--------------------------------------------------|
//! | 0  | 8     | magic, `CHSPOOL` and a zero                      |
//! | 8  | 4     | version, 1                                       |
//! | 12 | 8     | first offset, as in the name                     |
//! | 20 | 4     | salt of the frames' checksums, random            |
//! | 24 | 4     | CRC-32 (IEEE, as in zlib) of the 24 bytes before |
//!
//! The files of a spool have no gap: each begins where the one before it ends. The first file's
//! name is the spool's start; the end of the last is its next offset. It does not read or write
//! frames.

use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::record::{Salt, crc32, take};

pub(crate) const HEADER_BYTES: u64 = 28;
const MAGIC: [u8; 8] = *b"CHSPOOL\0";
const VERSION: u32 = 1;
const SUFFIX: &str = ".log";
/// Offsets also have to fit the signed ones of Kafka; adding to one never overflows.
const OFFSET_MAX: u64 = i64::MAX.unsigned_abs();

/// What the beginning of a file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Header {
    Good(Salt),
    /// Too short, or only zeros.
    Unwritten,
    Version(u32),
    Bad(&'static str),
}

/// Judges the first bytes of the file whose first offset is `first`.
pub(crate) fn judge_header(bytes: &[u8], first: u64) -> Header {
    let Some(header) = bytes.first_chunk::<28>() else { return Header::Unwritten };
    if header.iter().all(|byte| *byte == 0) {
        return Header::Unwritten;
    }
    let Some((version, offset, salt)) = parse_header(header) else {
        return Header::Bad("the file's header does not match its checksum");
    };
    match version {
        VERSION if offset == first => Header::Good(salt),
        VERSION => Header::Bad("the file's header has another first offset than its name"),
        version => Header::Version(version),
    }
}

/// Version, first offset and salt of a header that is whole.
fn parse_header(header: &[u8; 28]) -> Option<(u32, u64, Salt)> {
    let (fields, crc) = header.split_last_chunk::<4>()?;
    let mut rest = fields;
    let is_ours = take::<8>(&mut rest)? == MAGIC && crc32(&[fields]) == u32::from_be_bytes(*crc);
    let version = u32::from_be_bytes(take(&mut rest)?);
    let offset = u64::from_be_bytes(take(&mut rest)?);
    let salt = Salt(u32::from_be_bytes(take(&mut rest)?));
    is_ours.then_some((version, offset, salt))
}

fn header(first: u64, salt: Salt) -> Vec<u8> {
    let mut bytes = Vec::from(MAGIC);
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.extend_from_slice(&first.to_be_bytes());
    bytes.extend_from_slice(&salt.0.to_be_bytes());
    let crc = crc32(&[&bytes]);
    bytes.extend_from_slice(&crc.to_be_bytes());
    bytes
}

/// Where the file that begins with `first` lies.
pub(crate) fn path(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("{first:020}{SUFFIX}"))
}

/// Where a file lies before it has its header.
pub(crate) fn path_unborn(dir: &Path) -> PathBuf {
    dir.join("new.tmp")
}

/// Whether a file of this name is, or claims to be, a segment file.
pub(crate) fn is_segment(name: &str) -> bool {
    name.ends_with(SUFFIX)
}

/// The first offset in a segment file's name.
pub(crate) fn parse_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    let is_number = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|first| is_number && *first <= OFFSET_MAX)
}

/// Makes a file with its header, durable, under the temporary name. If it fails, nothing happened.
pub(crate) fn prepare(dir: &Path, first: u64) -> io::Result<(File, Salt)> {
    let path = path_unborn(dir);
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
    let salt = draw_salt();
    file.write_all_at(&header(first, salt), 0)?;
    file.sync_all()?;
    Ok((file, salt))
}

/// Random enough to be beyond guessing: the standard library seeds its hashers so.
fn draw_salt() -> Salt {
    let hash = RandomState::new().hash_one(MAGIC).to_be_bytes();
    let salt = hash.first_chunk().copied().unwrap_or_default();
    Salt(u32::from_be_bytes(salt))
}

/// Gives the prepared file its name, durably. If it fails, it may have the name or not.
pub(crate) fn publish(dir: &Path, first: u64) -> io::Result<()> {
    std::fs::rename(path_unborn(dir), path(dir, first))?;
    sync_dir(dir)
}

/// Makes names created and removed in `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_gives_back_its_offset_and_nothing_else_does() {
        let name = path(Path::new(""), 42);
        assert_eq!(parse_name(name.to_str().unwrap()), Some(42));
        for bad in ["42.log", "0000000000000000004x.log", "18446744073709551615.log", "lock"] {
            assert_eq!(parse_name(bad), None);
        }
    }

    #[test]
    fn a_header_with_one_bit_flipped_is_bad() {
        let good = header(42, Salt(5));
        assert_eq!(judge_header(&good, 42), Header::Good(Salt(5)));
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(judge_header(&bad, 42), Header::Bad(_)), "bit {bit}");
        }
    }

    #[test]
    fn a_header_of_another_version_or_offset_is_told_apart() {
        let mut later = header(42, Salt(5));
        later[11] = 2;
        let crc = crc32(&[&later[..24]]);
        later[24..].copy_from_slice(&crc.to_be_bytes());
        assert_eq!(judge_header(&later, 42), Header::Version(2));
        assert!(matches!(judge_header(&header(41, Salt(5)), 42), Header::Bad(_)));
        assert_eq!(judge_header(&header(42, Salt(5))[..27], 42), Header::Unwritten);
        assert_eq!(judge_header(&[0; 30], 42), Header::Unwritten);
    }
}
