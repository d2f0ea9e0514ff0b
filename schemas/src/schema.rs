//! The closed table of published schemas. A schema, once here, stays: its digest is part of every event digest.

use crate::digest::Digest;

/// A published version of the `AgentEvent` schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// The `.avsc` file, byte for byte.
    pub text: &'static str,
    /// SHA-256 of `text`.
    pub digest: Digest,
    /// CRC-64-AVRO of its parsing canonical form. Pinned: libraries disagree on it for schemas with logical types.
    pub fingerprint: u64,
}

/// All of them, oldest first.
pub const PUBLISHED: &[Published] = &[Published {
    text: include_str!("../avro/agent_event.avsc"),
    digest: Digest([
        0x99, 0xeb, 0x4c, 0x6e, 0x4e, 0x9d, 0x86, 0x16, 0x0b, 0xce, 0x89, 0x4b, 0x65, 0xdf, 0xd4,
        0xab, 0xd9, 0x04, 0xbe, 0x9b, 0xa5, 0x26, 0x13, 0xf7, 0x24, 0x31, 0x70, 0x6b, 0xfc, 0xd4,
        0x9a, 0xd2,
    ]),
    fingerprint: 0x2929_397c_b953_7d3c,
}];

impl Published {
    /// The schema new events are written with.
    pub const LATEST: Self = match PUBLISHED.last() {
        Some(schema) => *schema,
        None => panic!("the table of published schemas is empty"),
    };

    /// The frame of Avro single-object encoding.
    #[must_use]
    pub fn frame(&self) -> [u8; 10] {
        let [a, b, c, d, e, f, g, h] = self.fingerprint.to_le_bytes();
        [0xc3, 0x01, a, b, c, d, e, f, g, h]
    }

    /// The schema with this digest.
    #[must_use]
    pub fn of_digest(digest: &Digest) -> Option<&'static Self> {
        PUBLISHED.iter().find(|schema| schema.digest == *digest)
    }

    /// The schema that `text` is, whatever its spacing and the order of attributes: equal as parsed JSON. A Rabin fingerprint
    /// would not do, since it leaves out what Avro's canonical form leaves out, such as defaults.
    #[must_use]
    pub fn of_text(text: &str) -> Option<&'static Self> {
        let given: serde_json::Value = serde_json::from_str(text).ok()?;
        PUBLISHED
            .iter()
            .find(|schema| serde_json::from_str(schema.text).ok().as_ref() == Some(&given))
    }

    pub(crate) fn of_frame(frame: [u8; 10]) -> Option<&'static Self> {
        PUBLISHED.iter().find(|schema| schema.frame() == frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pinned_digests_are_those_of_the_files() {
        for schema in PUBLISHED {
            assert_eq!(schema.digest, Digest::of(schema.text.as_bytes()));
        }
    }

    #[test]
    fn a_text_is_a_published_schema_when_it_says_the_same() {
        let mut value: serde_json::Value = serde_json::from_str(Published::LATEST.text).unwrap();
        let object = value.as_object_mut().unwrap();
        let first = object.keys().next().unwrap().clone();
        let moved = object.shift_remove(&first).unwrap();
        object.insert(first, moved);
        assert_eq!(Published::of_text(&value.to_string()), PUBLISHED.last());
        value["doc"] = "another".into();
        assert_eq!(Published::of_text(&value.to_string()), None);
        assert_eq!(Published::of_text("\"bytes\""), None);
        assert_eq!(Published::of_text("{"), None);
    }

    #[test]
    fn an_independent_library_computes_the_pinned_fingerprints() {
        for schema in PUBLISHED {
            let parsed = apache_avro::Schema::parse_str(schema.text).unwrap();
            let rabin = parsed.fingerprint::<apache_avro::rabin::Rabin>();
            assert_eq!(rabin.bytes, schema.fingerprint.to_le_bytes());
        }
    }
}
