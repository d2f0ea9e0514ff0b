//! CORE. Zip files of one plain kind, written and read: members lie one after another, the directory follows them and says
//! the same, and the comment is the hash of all that is before it.
//!
//! Not the `zip` crate: readers in general take archives in which two of them may see two contents. This one takes none.

use std::collections::BTreeSet;
use std::io::Write as _;

use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc, Decompress, FlushDecompress, Status};
use schemas::Digest;

/// Most members.
pub(crate) const MEMBERS_MAX: usize = 65_534;
/// Most bytes of all members together.
pub(crate) const BYTES_MAX: u64 = 1 << 30;
/// Longest name.
const NAME_BYTES_MAX: usize = 256;

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const COMMENT_BYTES: usize = 64;
const END_BYTES: usize = 22;
const STORED: u16 = 0;
const DEFLATED: u16 = 8;
const VERSION: u16 = 20;
/// 1 January 1980: a bundle of the same contents has the same bytes.
const DATE: u16 = 0x21;

/// An archive being written.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
    directory: Vec<u8>,
    members: usize,
    content: u64,
}

/// What of a member stands in both of its headers: from the version that is needed on, as far as the name's length.
fn fields(method: u16, crc: u32, [packed, size]: [u32; 2], name: u16) -> Vec<u8> {
    let mut fields = Vec::with_capacity(24);
    [VERSION, 0, method, 0, DATE].iter().for_each(|field| fields.extend(field.to_le_bytes()));
    [crc, packed, size].iter().for_each(|field| fields.extend(field.to_le_bytes()));
    fields.extend(name.to_le_bytes());
    fields
}

impl Writer {
    /// Adds a member.
    pub(crate) fn add(&mut self, name: &str, content: &[u8]) -> Result<(), &'static str> {
        let large = "it would be larger than 1 GiB";
        self.members += 1;
        self.content =
            self.content.saturating_add(u64::try_from(content.len()).unwrap_or(u64::MAX));
        if self.members > MEMBERS_MAX {
            return Err("it would have more than 65,534 members");
        }
        if self.content > BYTES_MAX {
            return Err(large);
        }
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).map_err(|_| large);
        let at = length(&self.bytes)?;
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        let deflated = encoder.write_all(content).and_then(|()| encoder.finish());
        let deflated = deflated.map_err(|_| "it cannot be deflated")?;
        let (method, data) = match deflated.len() < content.len() {
            true => (DEFLATED, deflated.as_slice()),
            false => (STORED, content),
        };
        let name_length = u16::try_from(name.len()).map_err(|_| "a name is too long")?;
        let sizes = [length(data)?, length(content)?];
        let fields = fields(method, crc(content), sizes, name_length);
        self.bytes.extend(LOCAL.to_le_bytes());
        self.bytes.extend(&fields);
        self.bytes.extend([0; 2]);
        self.bytes.extend(name.as_bytes());
        self.bytes.extend(data);
        self.directory.extend(CENTRAL.to_le_bytes());
        self.directory.extend(VERSION.to_le_bytes());
        self.directory.extend(&fields);
        self.directory.extend([0; 12]);
        self.directory.extend(at.to_le_bytes());
        self.directory.extend(name.as_bytes());
        Ok(())
    }

    /// The archive.
    pub(crate) fn finish(mut self) -> Result<Vec<u8>, &'static str> {
        let large = |_| "it would be larger than 1 GiB";
        let at = u32::try_from(self.bytes.len()).map_err(large)?;
        let size = u32::try_from(self.directory.len()).map_err(large)?;
        let members = u16::try_from(self.members).map_err(large)?;
        self.bytes.append(&mut self.directory);
        self.bytes.extend(END.to_le_bytes());
        self.bytes.extend([0; 4]);
        self.bytes.extend(members.to_le_bytes());
        self.bytes.extend(members.to_le_bytes());
        self.bytes.extend(size.to_le_bytes());
        self.bytes.extend(at.to_le_bytes());
        self.bytes.extend([64, 0]);
        let hash = Digest::of(&self.bytes).to_string();
        self.bytes.extend(hash.as_bytes());
        Ok(self.bytes)
    }
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// A member as it lies in the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member<'a> {
    pub(crate) name: &'a str,
    method: u16,
    data: &'a [u8],
    size: usize,
    crc: u32,
}

/// Reads an archive: its hash before anything else, then the directory and every header that it names. No member is
/// unpacked yet.
pub(crate) fn open(bytes: &[u8]) -> Result<Vec<Member<'_>>, &'static str> {
    let short = "it is too short to be a bundle";
    let rest = bytes.len().checked_sub(COMMENT_BYTES).ok_or(short)?;
    let (rest, comment) = bytes.split_at_checked(rest).ok_or(short)?;
    if Digest::of(rest).to_string().as_bytes() != comment {
        return Err("its comment is not the hash of what is before it");
    }
    let end = rest.len().checked_sub(END_BYTES).ok_or(short)?;
    let (rest, end) = rest.split_at_checked(end).ok_or(short)?;
    let mut end = Fields(end);
    let no_end = "it does not end as a zip file with a comment of 64 bytes";
    let head = (end.u32()?, end.u32()?);
    let (members, total) = (end.u16()?, end.u16()?);
    let (size, at) = (end.length()?, end.length()?);
    if head != (END, 0) || members != total || end.u16()? != 64 {
        return Err(no_end);
    }
    if usize::from(members) > MEMBERS_MAX {
        return Err("it has more than 65,534 members");
    }
    let (contents, directory) = rest.split_at_checked(at).ok_or("its directory lies outside it")?;
    if directory.len() != size {
        return Err("something lies between its directory and its end");
    }
    let (mut directory, mut contents) = (Fields(directory), Fields(contents));
    let (mut found, mut names, mut sum) = (Vec::new(), BTreeSet::new(), 0_u64);
    for _ in 0..members {
        let place = rest.len() - size - contents.0.len();
        let member = member(&mut directory, &mut contents, place)?;
        if !names.insert(member.name) {
            return Err("a name is there twice");
        }
        sum = sum.saturating_add(u64::try_from(member.size).unwrap_or(u64::MAX));
        if sum > BYTES_MAX {
            return Err("it holds more than 1 GiB");
        }
        found.push(member);
    }
    if !directory.0.is_empty() || !contents.0.is_empty() {
        return Err("it has bytes that belong to no member");
    }
    Ok(found)
}

/// Reads a directory entry, and the header and data of the member at `place`, which must be the next.
fn member<'a>(
    directory: &mut Fields<'a>,
    contents: &mut Fields<'a>,
    place: usize,
) -> Result<Member<'a>, &'static str> {
    let differs = "a member's header is not what the directory says";
    if directory.u32()? != CENTRAL || contents.u32()? != LOCAL {
        return Err("a header is none of a zip file");
    }
    let _made_by = directory.u16()?;
    let (listed, own) = (Header::read(directory)?, Header::read(contents)?);
    if listed != own {
        return Err(differs);
    }
    // No extra fields, no comment, the first disk; the attributes are free.
    let (extra, comment, disk) = (directory.u16()?, directory.u16()?, directory.u16()?);
    let _attributes = directory.take(6)?;
    if (extra, comment, disk, contents.u16()?) != (0, 0, 0, 0) {
        return Err("a member has extra fields or a comment");
    }
    if directory.length()? != place {
        return Err("a member does not lie right after the one before");
    }
    let name = directory.take(own.name)?;
    if contents.take(own.name)? != name {
        return Err(differs);
    }
    let name = std::str::from_utf8(name).ok().filter(|name| name.is_ascii());
    let name = name.filter(|name| name.len() <= NAME_BYTES_MAX).ok_or("a name is no bundle's")?;
    if own.flags != 0 || !matches!(own.method, STORED | DEFLATED) {
        return Err("a member is encrypted, or neither stored nor deflated");
    }
    let data = contents.take(own.packed)?;
    Ok(Member { name, method: own.method, data, size: own.size, crc: own.crc })
}

/// What both headers of a member have to say alike.
#[derive(PartialEq, Eq)]
struct Header {
    flags: u16,
    method: u16,
    crc: u32,
    packed: usize,
    size: usize,
    name: usize,
}

impl Header {
    /// Version and time are free.
    fn read(from: &mut Fields<'_>) -> Result<Self, &'static str> {
        let _version = from.u16()?;
        let (flags, method) = (from.u16()?, from.u16()?);
        let _time = from.u32()?;
        let (crc, packed, size) = (from.u32()?, from.length()?, from.length()?);
        Ok(Self { flags, method, crc, packed, size, name: usize::from(from.u16()?) })
    }
}

impl Member<'_> {
    /// Its content: of the size that was said, and not a byte more.
    pub(crate) fn content(&self) -> Result<Vec<u8>, &'static str> {
        let damaged = "it does not unpack to the size and checksum that are said";
        let content = match self.method {
            STORED => self.data.to_vec(),
            _ => {
                // A byte of room, so that more than was said would show.
                let mut content = Vec::with_capacity(self.size.saturating_add(1));
                let mut inflater = Decompress::new(false);
                let status =
                    inflater.decompress_vec(self.data, &mut content, FlushDecompress::Finish);
                let spent = u64::try_from(self.data.len()) == Ok(inflater.total_in());
                if !matches!(status, Ok(Status::StreamEnd)) || !spent {
                    return Err(damaged);
                }
                content
            }
        };
        let right = content.len() == self.size && crc(&content) == self.crc;
        right.then_some(content).ok_or(damaged)
    }
}

/// Little-endian numbers, taken one after another.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, bytes: usize) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = self.0.split_at_checked(bytes).ok_or("a header or member is cut")?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        self.take(N)?.try_into().map_err(|_| "a header is cut")
    }

    fn u16(&mut self) -> Result<u16, &'static str> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, &'static str> {
        self.array().map(u32::from_le_bytes)
    }

    fn length(&mut self) -> Result<usize, &'static str> {
        usize::try_from(self.u32()?).map_err(|_| "a length is too large")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(members: &[(String, Vec<u8>)]) -> Vec<u8> {
        let mut writer = Writer::default();
        for (name, content) in members {
            writer.add(name, content).unwrap();
        }
        writer.finish().unwrap()
    }

    /// With a comment that fits again.
    fn rehashed(mut bytes: Vec<u8>) -> Vec<u8> {
        bytes.truncate(bytes.len() - COMMENT_BYTES);
        let hash = Digest::of(&bytes).to_string();
        bytes.extend(hash.as_bytes());
        bytes
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(members in prop::collection::btree_map("[a-z]{1,9}", prop::collection::vec(0_u8..4, 0..300), 0..9)) {
            let members: Vec<_> = members.into_iter().collect();
            let bytes = written(&members);
            let read = open(&bytes).unwrap();
            let read: Vec<_> = read.iter().map(|m| (m.name.to_owned(), m.content().unwrap())).collect();
            prop_assert_eq!(read, members);
        }
    }

    #[test]
    fn a_second_content_has_nowhere_to_hide() {
        let members = [("a".to_owned(), vec![7; 50]), ("b".to_owned(), b"x".to_vec())];
        let bytes = written(&members);
        assert_eq!(open(&bytes[1..]), Err("its comment is not the hash of what is before it"));
        assert_eq!(open(&bytes[..50]), Err("it is too short to be a bundle"));
        assert!(open(&rehashed([b"junk".as_slice(), &bytes].concat())).is_err());
        let twice = written(&[members[0].clone(), members[0].clone()]);
        assert_eq!(open(&twice), Err("a name is there twice"));
        let mut header = bytes.clone();
        header[14] ^= 1;
        let differs = "a member's header is not what the directory says";
        assert_eq!(open(&rehashed(header)), Err(differs));
    }

    #[test]
    fn no_byte_of_a_member_can_be_another_though_the_hash_is_right() {
        let members = [("a".to_owned(), vec![7; 50]), ("b".to_owned(), b"x".to_vec())];
        let bytes = written(&members);
        for at in 0..bytes.len() - COMMENT_BYTES {
            for flip in [1, 0x80] {
                let mut other = bytes.clone();
                other[at] ^= flip;
                let other = rehashed(other);
                let Ok(read) = open(&other) else { continue };
                let same = read.iter().zip(&members).all(|(member, (name, content))| {
                    member.content().is_err()
                        || (member.name == name && member.content().as_ref() == Ok(content))
                });
                assert!(same, "byte {at} ^ {flip}");
            }
        }
    }

    #[test]
    fn more_than_was_said_is_not_unpacked() {
        let bytes = written(&[("a".to_owned(), vec![0; 100_000])]);
        let mut member = open(&bytes).unwrap().remove(0);
        member.size = 10;
        assert!(member.content().is_err());
    }
}
