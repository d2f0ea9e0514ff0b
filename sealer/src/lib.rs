//! Topic records in; hashed, chained Parquet segments out.
//!
//! Core: `batch`, `rows`, `columns`, `layout`, `encode`, `decode`, `check`, `claims`, `chain`. Shell: `source`, `kafka`, `ffi`, `store`, `head`, `seal`, `run`.
//! It decides nothing about what an event means, and never reads more of the store than it needs to go on: auditing is
//! `replay`'s.

mod batch;
mod chain;
mod check;
mod claims;
mod clock;
mod columns;
mod config;
mod decode;
mod encode;
mod error;
mod ffi;
mod head;
mod kafka;
mod layout;
mod message;
mod metrics;
mod rows;
mod run;
mod seal;
mod source;

pub use batch::{Batch, Cut, Rewound};
pub use chain::Head;
pub use check::check;
pub use claims::{Claims, Found};
pub use config::Config;
pub use decode::{Footer, NotASegment, Stored, visit};
pub use encode::{Encoded, Terms, encode};
pub use error::{Error, ErrorKind};
pub use head::{Origin, find};
pub use kafka::Kafka;
pub use message::Message;
pub use metrics::Metrics;
pub use run::run;
pub use source::Source;
