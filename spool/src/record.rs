//! Messages, records, and the frame that carries one in a file.
//!
//! A frame, integers big-endian:
//!
//! | at | bytes | field                                                                   |
//! |----|-------|-------------------------------------------------------------------------|
//! | 0  | 4     | `length` of everything after `crc`; 28 to 2^28 + 28                     |
//! | 4  | 4     | `crc`: CRC-32 (as in zlib) of salt ‖ `length` ‖ everything after `crc`  |
//! | 8  | 8     | `offset`                                                                |
//! | 16 | 8     | `durable`: the spool's `next` when the frame's group was written        |
//! | 24 | 8     | `timestamp_ms`, signed                                                  |
//! | 32 | 4     | `key_length`; `ffffffff` means that there is no key                     |
//! | 36 |       | key, then value up to the end of the frame                              |
//!
//! `durable` ≤ `offset`, and everything below `durable` was synced before this frame was written:
//! after a crash it tells damage from a write that never finished. The salt is the file's (see
//! `file.rs`): no payload can hold what passes for a frame of the file it lies in. The codec is
//! pure; it does not know about files.

/// What is appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// When it was made, in milliseconds since 1970, by the caller's clock.
    pub timestamp_ms: i64,
    /// What it is partitioned by; an empty key is not the same as none.
    pub key: Option<Vec<u8>>,
    /// The payload.
    pub value: Vec<u8>,
}

/// What is read: a message and its offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its number in the spool, for ever. A bare integer: the spool sits below the crates that give
    /// offsets a type.
    pub offset: u64,
    /// When it was made, in milliseconds since 1970, by the appender's clock.
    pub timestamp_ms: i64,
    /// What it is partitioned by; an empty key is not the same as none.
    pub key: Option<Vec<u8>>,
    /// The payload.
    pub value: Vec<u8>,
}

/// What a file adds to its checksums: drawn at random when it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Salt(pub(crate) u32);

/// `length` and `crc`.
const PREFIX_BYTES: usize = 8;
/// The fields between `crc` and key.
const FIELDS_BYTES: usize = 28;
/// Everything before the key.
pub(crate) const HEAD_BYTES: usize = PREFIX_BYTES + FIELDS_BYTES;
/// The most that key and value may have in this format, whatever the configuration says.
pub(crate) const PAYLOAD_BYTES_MAX: u64 = 1 << 28;
const KEY_NONE: u32 = u32::MAX;

impl Message {
    /// Key and value together.
    pub(crate) fn payload_bytes(&self) -> u64 {
        wide(self.key.as_ref().map_or(0, Vec::len)) + wide(self.value.len())
    }

    /// The size of its frame.
    pub(crate) fn frame_bytes(&self) -> u64 {
        wide(HEAD_BYTES) + self.payload_bytes()
    }
}

/// A frame's fixed fields, as they stand in the file: not to be trusted before [`decode`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    length: u32,
    crc: u32,
    pub(crate) offset: u64,
    pub(crate) durable: u64,
    timestamp_ms: i64,
    key_length: u32,
}

/// A frame whose checksum holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'b> {
    pub(crate) head: Head,
    key: Option<&'b [u8]>,
    value: &'b [u8],
}

/// Appends the frame of `message` to `out`.
pub(crate) fn encode(message: &Message, offset: u64, durable: u64, salt: Salt, out: &mut Vec<u8>) {
    assert!(message.payload_bytes() <= PAYLOAD_BYTES_MAX, "the caller admits only what fits");
    let begin = out.len();
    let key = message.key.as_deref();
    out.extend_from_slice(&[0; PREFIX_BYTES]);
    out.extend_from_slice(&offset.to_be_bytes());
    out.extend_from_slice(&durable.to_be_bytes());
    out.extend_from_slice(&message.timestamp_ms.to_be_bytes());
    out.extend_from_slice(&key.map_or(KEY_NONE, |key| narrow(key.len())).to_be_bytes());
    out.extend_from_slice(key.unwrap_or_default());
    out.extend_from_slice(&message.value);
    let (_, frame) = out.split_at_mut(begin);
    if let Some((prefix, body)) = frame.split_first_chunk_mut::<PREFIX_BYTES>() {
        let length = narrow(body.len());
        *prefix = (u64::from(length) << 32 | u64::from(checksum(salt, length, body))).to_be_bytes();
    }
}

impl Head {
    /// Reads the fields; `None` if `bytes` are too few.
    pub(crate) fn parse(mut bytes: &[u8]) -> Option<Self> {
        Some(Self {
            length: u32::from_be_bytes(take(&mut bytes)?),
            crc: u32::from_be_bytes(take(&mut bytes)?),
            offset: u64::from_be_bytes(take(&mut bytes)?),
            durable: u64::from_be_bytes(take(&mut bytes)?),
            timestamp_ms: i64::from_be_bytes(take(&mut bytes)?),
            key_length: u32::from_be_bytes(take(&mut bytes)?),
        })
    }

    /// Whether the fields agree with each other: enough to know how much to read.
    pub(crate) fn is_plausible(&self) -> bool {
        let length = u64::from(self.length);
        let fields = wide(FIELDS_BYTES);
        (fields..=fields + PAYLOAD_BYTES_MAX).contains(&length)
            && self.durable <= self.offset
            && (self.key_length == KEY_NONE || fields + u64::from(self.key_length) <= length)
    }

    /// The size of the whole frame.
    pub(crate) fn frame_bytes(&self) -> u64 {
        wide(PREFIX_BYTES) + u64::from(self.length)
    }
}

/// Checks and splits `bytes`, which must be one whole frame. `None` means that it is not.
pub(crate) fn decode(bytes: &[u8], salt: Salt) -> Option<Frame<'_>> {
    let head = Head::parse(bytes)?;
    let body = bytes.get(PREFIX_BYTES..)?;
    let is_whole = head.is_plausible() && wide(bytes.len()) == head.frame_bytes();
    if !is_whole || checksum(salt, head.length, body) != head.crc {
        return None;
    }
    let payload = bytes.get(HEAD_BYTES..)?;
    if head.key_length == KEY_NONE {
        return Some(Frame { head, key: None, value: payload });
    }
    let (key, value) = payload.split_at_checked(usize::try_from(head.key_length).ok()?)?;
    Some(Frame { head, key: Some(key), value })
}

impl Frame<'_> {
    /// Copies the payload out of the buffer.
    pub(crate) fn to_record(self) -> Record {
        Record {
            offset: self.head.offset,
            timestamp_ms: self.head.timestamp_ms,
            key: self.key.map(<[u8]>::to_vec),
            value: self.value.to_vec(),
        }
    }
}

/// CRC-32 as zlib has it, which is a dependency of the workspace and uses the processor's help.
pub(crate) fn crc32(parts: &[&[u8]]) -> u32 {
    let mut crc = flate2::Crc::new();
    for part in parts {
        crc.update(part);
    }
    crc.sum()
}

fn checksum(salt: Salt, length: u32, body: &[u8]) -> u32 {
    crc32(&[&salt.0.to_be_bytes(), &length.to_be_bytes(), body])
}

/// The first `N` bytes, taken off the front.
pub(crate) fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (chunk, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*chunk)
}

/// Lengths in memory as lengths in files.
pub(crate) fn wide(length: usize) -> u64 {
    // A `usize` has at most 64 bits wherever this runs.
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn narrow(length: usize) -> u32 {
    let Ok(length) = u32::try_from(length) else { unreachable!("payloads have a limit") };
    length
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SALT: Salt = Salt(5);

    proptest! {
        #[test]
        fn a_frame_decodes_to_its_message(
            timestamp_ms: i64,
            key: Option<Vec<u8>>,
            value: Vec<u8>,
            durable in 0u64..1 << 40,
            ahead in 0u64..1000,
        ) {
            let message = Message { timestamp_ms, key, value };
            let mut bytes = vec![7];
            encode(&message, durable + ahead, durable, SALT, &mut bytes);
            prop_assert_eq!(wide(bytes.len()), 1 + message.frame_bytes());
            let frame = decode(&bytes[1..], SALT).unwrap();
            prop_assert_eq!(frame.head.durable, durable);
            let Message { timestamp_ms, key, value } = message;
            prop_assert_eq!(
                frame.to_record(),
                Record { offset: durable + ahead, timestamp_ms, key, value }
            );
        }

        #[test]
        fn arbitrary_bytes_are_no_frame(bytes: Vec<u8>) {
            prop_assert!(decode(&bytes, SALT).is_none());
        }

        #[test]
        fn a_frame_with_one_bit_flipped_is_no_frame(
            value: Vec<u8>,
            at: prop::sample::Index,
            bit in 0u8..8,
        ) {
            let message = Message { timestamp_ms: 1, key: Some(vec![1, 2]), value };
            let mut bytes = Vec::new();
            encode(&message, 9, 8, SALT, &mut bytes);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(decode(&bytes, SALT).is_none());
        }
    }
}
