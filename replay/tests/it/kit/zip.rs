//! Zip files taken apart by their directory and put together again, as simply as can be: nothing is shared with the product.

use std::collections::BTreeMap;
use std::io::Read as _;

use schemas::Digest;

/// The members of a bundle by name.
pub(crate) type Members = BTreeMap<String, Vec<u8>>;

fn number<const N: usize>(bytes: &[u8], at: usize) -> usize {
    bytes[at..at + N].iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte))
}

/// Takes a file apart that ends with a comment of 64 bytes.
pub(crate) fn unzipped(bytes: &[u8]) -> Members {
    let end = bytes.len() - 64 - 22;
    let (count, mut at) = (number::<2>(bytes, end + 10), number::<4>(bytes, end + 16));
    let mut members = Members::new();
    for _ in 0..count {
        let (method, packed) = (number::<2>(bytes, at + 10), number::<4>(bytes, at + 20));
        let (name, local) = (number::<2>(bytes, at + 28), number::<4>(bytes, at + 42));
        let text = String::from_utf8(bytes[at + 46..at + 46 + name].to_vec()).unwrap();
        let data = &bytes[local + 30 + name..local + 30 + name + packed];
        let mut content = Vec::new();
        match method {
            0 => content.extend(data),
            _ => {
                let mut from = flate2::read::DeflateDecoder::new(data);
                from.read_to_end(&mut content).unwrap();
            }
        }
        assert!(members.insert(text, content).is_none());
        at += 46 + name;
    }
    members
}

/// Puts a file together, members stored, with the comment that belongs to it.
pub(crate) fn zipped(members: &Members) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    let four = |number: usize| u32::try_from(number).unwrap().to_le_bytes();
    let two = |number: usize| u16::try_from(number).unwrap().to_le_bytes();
    for (name, content) in members {
        let mut crc = flate2::Crc::new();
        crc.update(content);
        let size = four(content.len());
        let head =
            [[20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0].as_slice(), &crc.sum().to_le_bytes()].concat();
        let head = [head.as_slice(), &size, &size, &two(name.len())].concat();
        directory
            .extend([b"PK\x01\x02\x14\0".as_slice(), &head, &[0; 12], &four(out.len())].concat());
        directory.extend(name.as_bytes());
        out.extend([b"PK\x03\x04".as_slice(), &head, &[0; 2], name.as_bytes(), content].concat());
    }
    let (at, count) = (four(out.len()), two(members.len()));
    out.extend(&directory);
    let end =
        [b"PK\x05\x06\0\0\0\0".as_slice(), &count, &count, &four(directory.len()), &at, &[64, 0]];
    out.extend(end.concat());
    let hash = Digest::of(&out).to_string();
    out.extend(hash.as_bytes());
    out
}
