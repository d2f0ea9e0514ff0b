//! CORE. Evidence bundles (`docs/format.md`, section 10): read, checked against what a verifier trusts, and written.
//!
//! Knows nothing of stores: whoever has a bundle and a key needs nothing else. Where a bundle's parts come from is `prove.rs`.

mod chain;
mod check;
mod contents;
mod fault;
mod manual;
mod page;
mod read;
mod statement;
pub(crate) mod summary;
mod vouch;
mod write;
mod zip;

use std::collections::{BTreeMap, BTreeSet};

use schemas::tlog::{Entry, Heartbeat, Note, NoteSignature, SignedCheckpoint, TlogProof};
use schemas::{Claim, Content, Digest, Envelope, Rows, ShownContent, ShownEvent, ShownRow};

pub use check::check;
pub use fault::{FAULTS_MAX, Fault};
pub use statement::{Stamp, Statement, Vouched};
pub use summary::Place;
pub use vouch::{Stamped, Stamping, Trust};

/// A bundle, its texts parsed. Nothing of it is checked yet.
#[derive(Clone, Debug)]
pub(crate) struct Bundle {
    pub(crate) claim: Claim,
    pub(crate) checkpoint: SignedCheckpoint,
    pub(crate) cosignatures: Vec<NoteSignature>,
    /// By the name of the authority.
    pub(crate) timestamps: BTreeMap<String, Vec<u8>>,
    /// In the order of the chain.
    pub(crate) links: Vec<Link>,
    /// The log's own word that the last link was the last then.
    pub(crate) heartbeat: Option<(Heartbeat, TlogProof)>,
    /// Salt and content of each disclosed body.
    pub(crate) bodies: BTreeMap<Digest, Vec<u8>>,
    pub(crate) schemas: BTreeMap<Digest, Vec<u8>>,
    pub(crate) manual: Option<Vec<u8>>,
    pub(crate) page: Option<Vec<u8>>,
}

/// A link of the partition's chain.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) entry: Entry,
    pub(crate) proof: TlogProof,
    /// Of a record.
    pub(crate) rows: Option<Rows>,
}

impl Bundle {
    /// The checkpoint with the lines of its witnesses: what every proof carries.
    pub(crate) fn note(&self) -> Note {
        let mut note = self.checkpoint.note.clone();
        note.signatures.extend(self.cosignatures.iter().cloned());
        note
    }

    /// The rows of the session that are shown, and the number of the link that each belongs to.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (usize, &ShownRow)> {
        let rows = self.links.iter().enumerate();
        rows.flat_map(|(link, it)| it.rows.iter().flat_map(Rows::own).map(move |row| (link, row)))
    }

    /// The events that are shown.
    pub(crate) fn events(&self) -> impl Iterator<Item = &ShownEvent> {
        self.rows().filter_map(|(_, row)| match &row.content {
            ShownContent::Event(event) => Some(event),
            ShownContent::Raw(..) => None,
        })
    }

    /// The contents that shown events name.
    pub(crate) fn contents(&self) -> impl Iterator<Item = Content<'_>> {
        let envelopes = self.events().filter_map(|event| Envelope::from_bytes(&event.envelope));
        envelopes.flat_map(|envelope| envelope.contents)
    }

    /// Distinct bodies that shown events name.
    pub(crate) fn named(&self) -> BTreeSet<Digest> {
        self.contents().map(|content| content.digest).collect()
    }
}
