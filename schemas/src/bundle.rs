//! The texts of an evidence bundle (`docs/format.md`, section 10): what is claimed, and the rows that show it.
//!
//! It knows how they are spelled and which leaf a shown row is. Whether they prove anything is for a verifier to say.

mod claim;
mod name;
mod rows;

pub use claim::{Claim, Claimed, Monitor};
pub use name::BundleName;
pub use rows::{Rows, Shown, ShownBody, ShownContent, ShownEvent, ShownRow};
