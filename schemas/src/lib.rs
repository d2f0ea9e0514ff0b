//! The meaning of Chancery's bytes: events, digests, trees, records and keys, as `docs/format.md` defines them.
//!
//! Pure: values in, values out. No clock, file, network, randomness or logging, and no knowledge of Kafka clients,
//! object stores or Parquet libraries; whoever writes and whoever reads both depend on this crate and not on each other.

mod avro;
mod bundle;
mod column;
mod cut;
mod digest;
mod epoch;
mod event;
mod frame;
mod gaps;
mod id;
mod json;
mod key;
mod leaf;
mod lines;
mod merkle;
mod message;
mod partition;
mod proof;
mod record;
mod schema;
pub mod signature;
mod text;
mod timestamp;
pub mod tlog;
mod value;

pub use bundle::{
    BundleName, Claim, Claimed, Monitor, Rows, Shown, ShownBody, ShownContent, ShownEvent, ShownRow,
};
pub use column::{COLUMNS, Column, ColumnType, FIRST_VIEW, View};
pub use cut::Cut;
pub use digest::{Digest, Hasher, Salt};
pub use epoch::{EpochOpening, TerminalObject};
pub use event::{
    Admission, Body, Content, ContextPrefix, Delegate, Enc, Envelope, Evaluation, Link, Retrieval,
    Signature, StateChange,
};
pub use frame::SchemaId;
pub use gaps::{Counted, GAPS_MAX, Gaps};
pub use id::{
    Epoch, EventId, Invalid, KafkaKey, Micros, Offset, Partition, SessionId, SessionKey, SpanId,
    Tenant, Topic, TraceId,
};
pub use json::JsonError;
pub use key::{ObjectKey, body_key};
pub use leaf::{
    Carriage, headers_bytes, headers_digest, leaf, parse_headers, raw_digest, row_digest,
};
pub use lines::{Framing, LockMode, RecordError, Seconds};
pub use merkle::{
    RangeProof, inclusion_proof, range_proof, root, root_from_inclusion, root_from_range,
};
pub use message::{
    ENVELOPE_BYTES_MAX, Event, Header, LIST_ITEMS_MAX, Malformed, Message, Place, Reason,
    STRING_BYTES_MAX, VALUE_BYTES_MAX, read, read_confluent, read_envelope, read_rebuilt,
    read_rebuilt_confluent, read_value,
};
pub use partition::partition_of;
pub use proof::{Neighbour, SessionProof};
pub use record::{Chain, EnrolledRecord, SegmentRecord, leaf_hash};
pub use schema::{PUBLISHED, Published};
pub use timestamp::{Timestamp, TimestampType};
pub use value::{
    body_digest, body_item_hash, context_digest, encode_framed, encode_value, write_framed,
    write_value,
};
