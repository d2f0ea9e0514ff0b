//! What agent runtimes emit anyway, read as events: spans and logs of OTLP, exchanges with model APIs, messages of MCP.
//!
//! CORE, all of it: values in, values out. It listens nowhere and writes nothing; the doors that do are `ingest`'s. Whatever
//! came stays, verbatim, in the contents of a happening: what has no field of its own is a body of kind `attributes`.

mod convention;
mod happening;
pub mod llm;
pub mod mcp;
pub mod otlp;
pub mod redact;

pub use happening::{Content, Happening, NAME_BYTES_MAX, Slot, is_name};
