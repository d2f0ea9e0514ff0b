//! Messages of the Model Context Protocol, read as events: what is asked and what is answered, put together by id.
//!
//! It knows nothing of transports: a line of standard output and the data of a server-sent event are both a message. It
//! takes revisions with sessions and the one without, and does not judge whether anybody keeps to them.

mod conversation;
mod exchange;
pub mod http;
mod json;
mod message;
mod pending;
mod tools;

pub use conversation::{Conversation, Heard, Side};
pub use tools::Tools;
