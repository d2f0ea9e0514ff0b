//! Agent events in, durable topic records out.
//!
//! `POST /v1/events` takes events as JSON, of which it writes envelope and bodies, or as Avro, which stay as they came; adds
//! the admission, and answers when the sink (Kafka, or the spool on disk) says that they are durable. `docs/events.md` is the page for its clients.
//!
//! CORE (values, time and random bytes in; values out): `json`, `content`, `draft`, `session`, `memory`, `class`, `claim`,
//! `door`, `given`, `avro_door`, `happening`, `traces`, `redact`, `admit`, `course`, `refusal`, `inflate`. SHELL (effects, no rules): `random`, `file`, `keys`, `sources`, `frames`, `form`, `load`, `redaction`, `auth`, `produce`, `group`, `kafka`,
//! `batch`, `relay`, `away`, `sinks`, `claims`, `budget`, `gateway`, `http`, `serve`, `stall`, `taking`, `metrics`. Of what it wrote it reads only the
//! spool, and it never calls another program.

mod admit;
mod auth;
mod avro_door;
mod away;
mod batch;
mod budget;
mod bursts;
mod claim;
mod claims;
mod class;
mod config;
mod content;
mod course;
mod door;
mod draft;
mod error;
mod file;
mod form;
mod frames;
mod gateway;
mod given;
mod group;
mod happening;
mod http;
mod inflate;
mod json;
mod kafka;
pub mod keys;
mod llm;
mod load;
mod mcp;
mod memory;
mod metrics;
mod otlp;
mod produce;
mod random;
mod redact;
pub mod redaction;
mod refusal;
mod relay;
mod serve;
mod session;
mod sinks;
pub mod sources;
mod stall;
mod submitted;
mod taking;
mod traces;

pub use auth::Auth;
pub use claims::Claims;
pub use config::Config;
pub use error::{Error, Kind};
pub use frames::Frames;
pub use gateway::Gateway;
pub use kafka::KafkaConfig;
pub use llm::{OnFailure, Upstream};
pub use produce::Sink;
pub use serve::serve;
pub use sinks::Sinks;
