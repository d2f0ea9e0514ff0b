//! The log of segments, by the C2SP specifications: signed notes, checkpoints, tiles, cosignatures, proofs and policies
//! (`docs/format.md`, section 10), and Chancery's own entries in it.
//!
//! It knows bytes and hashes; where they lie and in which order they are written is for others to say.

mod checkpoint;
mod commit;
mod consistency;
mod edge;
mod entry;
mod heartbeat;
mod key;
mod key_change;
mod note;
mod policy;
mod proof;
mod tile;

pub use checkpoint::{Checkpoint, SignedCheckpoint};
pub use commit::{COMMIT_BYTES_MAX, COMMIT_ENTRIES_MAX, Commit};
pub use consistency::check_consistency;
pub use edge::{Edge, Tiles};
pub use entry::{Entry, LogKey};
pub use heartbeat::{Beat, HEARTBEAT_PARTITIONS_MAX, Heartbeat};
pub use key::{KeyName, LogSigner, VerifierKey, VerifierKind};
pub use key_change::KeyChange;
pub use note::{BadNote, NOTE_BYTES_MAX, Note, NoteSignature};
pub use policy::{BadPolicy, Policy, Witness};
pub use proof::{BadProof, TlogProof};
pub use tile::{
    BUNDLE_BYTES_MAX, BadBundle, ENTRY_BYTES_MAX, Node, TILE_WIDTH, Tile, bundle, bundle_key,
    consistency_ranges, fold, inclusion_ranges, nodes, split_bundle,
};
