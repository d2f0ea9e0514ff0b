//! What an agent written in Rust records itself with.
//!
//! ```no_run
//! use recorder::{Agent, Config, LlmAnswer, LlmRequest, Recorder, Target};
//! use serde_json::json;
//!
//! # fn main() -> Result<(), recorder::Error> {
//! let target = Target::Ingest { url: "http://127.0.0.1:4280".into(), key: None };
//! let agent = Agent { name: "support-bot".into(), version: "1.4".into(), ..Agent::default() };
//! let recorder = Recorder::start(Config::new(target, "default", agent))?;
//!
//! let session = recorder.session();
//! session.user_message("Where is my order?");
//! let body = json!({"model": "m", "messages": [{"role": "user", "content": "Where is my order?"}]});
//! let call = session.llm_call(LlmRequest::of_chat("openai", &body));
//! let answer = json!({"choices": [{"message": {"role": "assistant", "content": "On its way."}}]});
//! call.finish(LlmAnswer::of_chat(&answer)); // Dropped instead, it is recorded as cancelled.
//! session.end("ok");
//!
//! recorder.close(std::time::Duration::from_secs(10))?;
//! # Ok(())
//! # }
//! ```
//!
//! Recording never waits and never fails. Events wait in memory, within a bound, until the gateway or the broker says that
//! they are durable, and are sent again for as long as that takes. What is lost all the same is counted, leaves a hole in
//! every count of the record, and is named by an event `producer.gap`. It does not write to disk: what was not
//! acknowledged when the process is killed is lost, and the session has no end.

mod call;
mod chat;
mod config;
mod content;
mod door;
mod encode;
mod error;
mod event;
mod http;
mod kafka;
mod memory;
mod queue;
mod recorder;
mod sender;
mod session;
mod shared;
mod sign;
mod source;
mod stats;

pub use call::{LlmAnswer, LlmCall, LlmRequest, ToolCall, ToolRequest};
pub use config::{Agent, Config, Target};
pub use content::{Content, Name};
pub use error::Error;
pub use event::{Change, Document, Event, Slot};
pub use recorder::{Opening, Recorder};
pub use schemas::{
    Delegate, Envelope, Evaluation, EventId, Invalid, Link, Micros, SpanId, TraceId,
};
pub use session::{Decision, Session};
pub use sign::Signer;
pub use stats::Stats;
