//! The bytes that a value begins with, which name the schema it was written with (`docs/format.md`, section 3).
//!
//! What a Confluent id stands for only a registry knows; it is asked elsewhere.

use std::fmt;

use crate::message::Reason;
use crate::schema::Published;

/// A schema's id in a Confluent registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SchemaId(pub u32);

impl fmt::Display for SchemaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A value cut in two: the schema, the frame that names it, and what follows; or the rule by which it is raw.
pub(crate) type Framed<'a> =
    Result<(&'static Published, &'a [u8], &'a [u8]), (Reason, &'static str)>;

impl SchemaId {
    /// The id that a value is framed with, where it is framed as Confluent's serialisers frame.
    #[must_use]
    pub fn of(value: &[u8]) -> Option<Self> {
        match value.first_chunk::<5>()? {
            [0, id @ ..] => Some(Self(u32::from_be_bytes(*id))),
            _ => None,
        }
    }

    /// The frame of a value of this schema.
    #[must_use]
    pub fn frame(self) -> [u8; 5] {
        let [a, b, c, d] = self.0.to_be_bytes();
        [0, a, b, c, d]
    }
}

pub(crate) fn single_object(value: &[u8]) -> Framed<'_> {
    let not_ours = (Reason::Frame, "the value does not begin with an Avro single-object frame");
    let (frame, content) = value.split_first_chunk::<10>().ok_or(not_ours)?;
    if !frame.starts_with(&[0xc3, 0x01]) {
        return Err(not_ours);
    }
    let schema = Published::of_frame(*frame)
        .ok_or((Reason::Schema, "the frame's fingerprint is of no published schema"))?;
    Ok((schema, frame, content))
}

pub(crate) fn confluent(
    value: &[u8],
    named: impl FnOnce(SchemaId) -> Option<&'static Published>,
) -> Framed<'_> {
    let not_ours = (Reason::Frame, "the value does not begin with a Confluent frame");
    let (frame, content) = value.split_first_chunk::<5>().ok_or(not_ours)?;
    let id = SchemaId::of(frame).ok_or(not_ours)?;
    let schema = named(id).ok_or((Reason::Schema, "the frame's id is of no published schema"))?;
    Ok((schema, frame, content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_confluent_frame_is_a_zero_and_the_id() {
        let id = SchemaId(0x0102_0304);
        assert_eq!(id.frame(), [0, 1, 2, 3, 4]);
        assert_eq!(SchemaId::of(&[0, 1, 2, 3, 4, 9]), Some(id));
        assert_eq!(SchemaId::of(&[0, 1, 2, 3]), None);
        assert_eq!(SchemaId::of(&[1, 1, 2, 3, 4]), None);
    }
}
