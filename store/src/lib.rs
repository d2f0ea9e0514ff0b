//! The object store: create-only writes under lock, whole reads, ordered listings, versions, retention and holds.
//!
//! It knows keys and bytes, and nothing of what they mean.

mod error;
mod lock;
mod store;

pub use error::{Error, Kind};
pub use lock::Lock;
pub use store::{Created, Store};
