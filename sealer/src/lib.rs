//! Topic records in; hashed, chained Parquet segments out.
//!
//! Core: `batch`, `rows`, `columns`, `layout`, `encode`, `decode`, `check`, `claims`, `chain`, `log`, `origin`, `stop`, `watch`. The protocol, whose
//! only effects are calls of a store and a source: `find`, `epoch`, `adopt`, `head`, `draft`, `seal`, `pipeline`, `resume`, and of the log of segments
//! `tail`, `links`, `enrol`. Shell: `source`, `kafka`, `consume`, `group`, `topic`, `ffi`, `compute`, `clock`, `worker`, `partition`, `enroller`,
//! `anchors`, `run`.
//! It decides nothing about what an event means, and never reads more of the store than it needs to go on: auditing is
//! `replay`'s.

mod adopt;
mod anchors;
mod batch;
mod chain;
mod change;
mod check;
mod claims;
mod clock;
mod columns;
mod compute;
mod config;
mod consume;
mod decode;
mod draft;
mod encode;
mod enrol;
mod enroller;
mod epoch;
mod error;
mod ffi;
mod find;
mod group;
mod head;
mod kafka;
mod lane;
mod layout;
mod links;
mod log;
#[cfg(test)]
mod memory;
mod message;
mod metrics;
mod origin;
mod partition;
mod pipeline;
#[cfg(test)]
mod protocol;
mod resume;
mod rows;
mod run;
mod seal;
#[cfg(test)]
mod simulator;
mod source;
mod stop;
mod tail;
mod topic;
mod watch;
mod worker;

pub use batch::{Batch, Cut, Rewound};
pub use chain::Head;
pub use change::change_key;
pub use check::check;
pub use claims::{Claims, Found};
pub use config::{Assignment, Config, LogConfig};
pub use decode::{Footer, NotASegment, Stored, visit};
pub use encode::{Encoded, Terms, encode};
pub use error::{Error, ErrorKind};
pub use kafka::Kafka;
#[cfg(test)]
pub use memory::Log;
pub use message::Message;
pub use metrics::Metrics;
pub use origin::Origin;
pub use resume::{Resumed, Resumption};
pub use run::{Enrolling, run};
pub use source::Source;
pub use stop::Stop;
pub use topic::{TopicState, describe};
