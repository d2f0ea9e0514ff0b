//! Agent events in, durable topic records out.
//!
//! `POST /v1/events` takes events as JSON, writes each one's envelope, bodies and admission, and answers when the
//! sink (Kafka, or the spool on disk) says that they are durable. `docs/events.md` is the page for its clients.
//!
//! CORE (values, time and random bytes in; values out): `json`, `content`, `draft`, `session`, `memory`, `admit`,
//! `refusal`, `gunzip`. SHELL (effects, no rules): `random`, `keys`, `auth`, `produce`, `kafka`, `gateway`, `http`,
//! `serve`, `metrics`. It does not read what it wrote, and never calls another program.

mod admit;
mod auth;
mod config;
mod content;
mod draft;
mod error;
mod gateway;
mod gunzip;
mod http;
mod json;
mod kafka;
pub mod keys;
mod memory;
mod metrics;
mod produce;
mod random;
mod refusal;
mod serve;
mod session;

pub use auth::Auth;
pub use config::Config;
pub use error::{Error, Kind};
pub use gateway::Gateway;
pub use kafka::KafkaConfig;
pub use produce::Sink;
pub use serve::serve;
