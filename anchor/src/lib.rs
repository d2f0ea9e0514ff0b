//! What vouches for a checkpoint from outside the operator's hands: RFC 3161 time-stamps, which say since when it has
//! existed, and the cosignatures of C2SP witnesses, which say that the log only grew.
//!
//! `timestamp` is the core: bytes and roots in, what was shown out. `stamp` and `witness` are shells that ask one
//! authority and one witness, and give back only what was checked. When to ask, whom, how many must answer and where the
//! answers are kept is for others to say.

mod config;
mod error;
mod http;
mod stamp;
pub mod timestamp;
mod witness;

pub use config::AuthorityConfig;
pub use error::{Error, Kind};
pub use stamp::{Answer, Authority};
pub use witness::{Cosignature, Witness};
