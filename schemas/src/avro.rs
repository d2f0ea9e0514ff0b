//! Strict Avro binary encoding (`docs/format.md`, section 3.1): one encoding for each value, read without copying.
//!
//! Not a general Avro library: it knows the types the published schemas use, in the order a Rust type lists them.
//! Independent libraries check it in the golden tests.

use std::borrow::Cow;

use crate::digest::{Digest, Salt};
use crate::id::{EventId, Micros, SpanId, TraceId};
use crate::message::{LIST_ITEMS_MAX, STRING_BYTES_MAX};

/// Why the bytes are not the one strict encoding of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault(pub(crate) &'static str);

/// A cursor over Avro bytes.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    /// What is left to read.
    rest: &'a [u8],
    /// The first limit of section 3.2 that was broken, if any. Reading goes on, since a later breach of the
    /// encoding would come first in the table of section 4.
    pub(crate) field: Option<&'static str>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, field: None }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn breach(&mut self, rule: &'static str) {
        self.field.get_or_insert(rule);
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Fault("it ends too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Fault("it ends too early"))?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn long(&mut self) -> Result<i64, Fault> {
        if let Some((&byte, rest)) = self.rest.split_first().filter(|(byte, _)| **byte < 0x80) {
            self.rest = rest;
            return Ok(unzigzag(u64::from(byte)));
        }
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(Fault("a varint does not fit in 64 bits"));
            }
            value |= bits << shift;
            if byte < 0x80 {
                if byte == 0 && shift > 0 {
                    return Err(Fault("a varint is not minimal"));
                }
                return Ok(unzigzag(value));
            }
        }
        Err(Fault("a varint is longer than 10 bytes"))
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Fault> {
        let length = self.long()?;
        let length = usize::try_from(length).map_err(|_| Fault("a length is negative"))?;
        self.take(length)
    }

    /// Whether the value of a `["null", T]` union is there.
    pub(crate) fn branch(&mut self) -> Result<bool, Fault> {
        match self.array()? {
            [0] => Ok(false),
            [2] => Ok(true),
            _ => Err(Fault("a union branch is neither 0 nor 1")),
        }
    }
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

/// Appends a long.
pub(crate) fn write_long(out: &mut Vec<u8>, value: i64) {
    let mut bits = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while bits >= 0x80 {
        out.extend((bits & 0x7f | 0x80).to_le_bytes().first());
        bits >>= 7;
    }
    out.extend(bits.to_le_bytes().first());
}

/// Appends a length or count; a `usize` always fits, the format's limits being far below.
pub(crate) fn write_len(out: &mut Vec<u8>, length: usize) {
    write_long(out, i64::try_from(length).unwrap_or(i64::MAX));
}

/// Appends `bytes`, length first.
pub(crate) fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    write_len(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// A type with one strict encoding.
pub(crate) trait Avro<'a>: Sized {
    fn read(from: &mut Reader<'a>) -> Result<Self, Fault>;
    fn write(&self, out: &mut Vec<u8>);
}

impl<'a> Avro<'a> for i64 {
    fn read(from: &mut Reader<'a>) -> Result<Self, Fault> {
        from.long()
    }

    fn write(&self, out: &mut Vec<u8>) {
        write_long(out, *self);
    }
}

/// Counts and sizes: longs that section 3.2 wants not to be negative.
impl<'a> Avro<'a> for u64 {
    fn read(from: &mut Reader<'a>) -> Result<Self, Fault> {
        let value = Self::try_from(from.long()?);
        Ok(value.unwrap_or_else(|_| {
            from.breach("a count, size or duration is negative");
            0
        }))
    }

    fn write(&self, out: &mut Vec<u8>) {
        write_long(out, i64::try_from(*self).unwrap_or(i64::MAX));
    }
}

impl<'a> Avro<'a> for Micros {
    fn read(from: &mut Reader<'a>) -> Result<Self, Fault> {
        from.long().map(Self)
    }

    fn write(&self, out: &mut Vec<u8>) {
        write_long(out, self.0);
    }
}

impl<'a> Avro<'a> for f64 {
    fn read(from: &mut Reader<'a>) -> Result<Self, Fault> {
        let value = Self::from_le_bytes(from.array()?);
        if value.is_finite() { Ok(value) } else { Err(Fault("a double is not finite")) }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }
}

impl<'a> Avro<'a> for &'a [u8] {
    fn read(from: &mut Reader<'a>) -> Result<Self, Fault> {
        from.bytes()
    }

    fn write(&self, out: &mut Vec<u8>) {
        write_bytes(out, self);
    }
}

impl<'a> Avro<'a> for Cow<'a, str> {
    fn read(from: &mut Reader<'a>) -> Result<Self, Fault> {
        let bytes = from.bytes()?;
        if bytes.len() > STRING_BYTES_MAX {
            from.breach("a string is over 4,096 bytes");
        }
        let text = std::str::from_utf8(bytes);
        text.map(Cow::Borrowed).map_err(|_| Fault("a string is not UTF-8"))
    }

    fn write(&self, out: &mut Vec<u8>) {
        write_bytes(out, self.as_bytes());
    }
}

macro_rules! fixed {
    ($($name:ident),*) => {$(
        impl<'a> Avro<'a> for $name {
            fn read(from: &mut Reader<'a>) -> Result<Self, Fault> {
                from.array().map(Self)
            }

            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.0);
            }
        }
    )*};
}
fixed!(Digest, Salt, EventId, TraceId, SpanId);

impl<'a, T: Avro<'a>> Avro<'a> for Option<T> {
    fn read(from: &mut Reader<'a>) -> Result<Self, Fault> {
        if from.branch()? { T::read(from).map(Some) } else { Ok(None) }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            None => out.push(0),
            Some(value) => {
                out.push(2);
                value.write(out);
            }
        }
    }
}

impl<'a, T: Avro<'a>> Avro<'a> for Vec<T> {
    fn read(from: &mut Reader<'a>) -> Result<Self, Fault> {
        let count = from.long()?;
        if count == 0 {
            return Ok(Self::new());
        }
        let count =
            usize::try_from(count).map_err(|_| Fault("an array block has a negative count"))?;
        // Every item takes a byte at least, so a count that cannot be true is found before memory is taken for it.
        if count > from.rest().len() {
            return Err(Fault("it ends too early"));
        }
        if count > LIST_ITEMS_MAX {
            from.breach("a list has over 65,535 items");
        }
        let mut items = Self::with_capacity(count.min(LIST_ITEMS_MAX));
        for _ in 0..count {
            let item = T::read(from)?;
            if items.len() < LIST_ITEMS_MAX {
                items.push(item);
            }
        }
        if from.long()? != 0 {
            return Err(Fault("an array has more than one block"));
        }
        Ok(items)
    }

    fn write(&self, out: &mut Vec<u8>) {
        if !self.is_empty() {
            write_len(out, self.len());
            self.iter().for_each(|item| item.write(out));
        }
        out.push(0);
    }
}
