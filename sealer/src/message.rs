//! A message as the sealer holds it: owned, copied once from where it was consumed.

use schemas::{Header, Offset, Timestamp};

/// One message of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Position in the partition.
    pub offset: Offset,
    /// When it was written.
    pub timestamp: Timestamp,
    /// The Kafka key.
    pub key: Option<Vec<u8>>,
    /// Headers, in order; a null value is not an empty one.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// The value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Epoch of the partition's leader when it was fetched, where there is one. Not part of what is hashed.
    pub leader_epoch: Option<u32>,
}

impl Message {
    /// Bytes it counts for when a segment is cut.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let headers: usize =
            self.headers.iter().map(|(key, value)| key.len() + length(value)).sum();
        length(&self.key) + length(&self.value) + headers
    }

    /// The message as [`schemas::read`] takes it.
    #[must_use]
    pub fn as_read(&self) -> schemas::Message<'_> {
        schemas::Message {
            offset: self.offset,
            timestamp: self.timestamp,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
        }
    }

    /// Its headers as a segment stores them.
    #[must_use]
    pub fn headers_bytes(&self) -> Option<Vec<u8>> {
        let headers: Vec<Header<'_>> = self
            .headers
            .iter()
            .map(|(key, value)| Header { key, value: value.as_deref() })
            .collect();
        schemas::headers_bytes(&headers)
    }
}
