//! The object store: create-only writes under lock, whole reads, ordered listings, versions, retention and holds.
//!
//! Core: `lock`, `retention`, `page`, `s3::xml`. Shell: `store`, `moving`, `folder`, `content`, `s3`, `probe`. It knows keys and bytes, and
//! nothing of what they mean.

mod content;
mod error;
mod folder;
mod listing;
mod lock;
mod moving;
mod page;
mod probe;
mod retention;
mod s3;
mod store;

pub use content::Content;
pub use error::{Error, Kind, Refusal};
pub use listing::Children;
pub use lock::Lock;
pub use moving::{Replaced, Seen};
pub use page::Page;
pub use probe::probe;
pub use retention::{BadRetention, Retention};
pub use s3::{Bucket, DefaultRetention, Head, S3, Version, VersionMarker, VersionPage};
pub use store::{Created, Store};
