//! That a session has just these rows in a segment, or none: one range proof (`docs/format.md`, section 4.3).

use crate::digest::Digest;
use crate::id::{Offset, SessionKey};
use crate::leaf::leaf;
use crate::merkle::{RangeProof, range_proof, root_from_range};

/// What is shown of one row: enough for its leaf, nothing of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// The row's session.
    pub session: SessionKey,
    /// The row's offset.
    pub offset: Offset,
    /// The row's digest.
    pub row: Digest,
}

impl Neighbour {
    fn leaf(&self) -> Digest {
        leaf(&self.session, self.offset, &self.row)
    }
}

/// A run of adjacent rows: those of one session, or none, and the neighbour on each side where there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionProof {
    /// Rows of the segment.
    pub size: usize,
    /// Index of the first row shown.
    pub start: usize,
    /// The rows shown, neighbours included.
    pub rows: Vec<Neighbour>,
    /// Places them in the tree.
    pub range: RangeProof,
}

impl SessionProof {
    /// Proves what a segment holds of `session`; `rows` are all its rows, in order.
    #[must_use]
    pub fn new(rows: &[Neighbour], session: SessionKey) -> Self {
        let first = rows.partition_point(|row| row.session < session);
        let end = rows.partition_point(|row| row.session <= session);
        let shown = first.saturating_sub(1)..(end + 1).min(rows.len());
        let leaves: Vec<Digest> = rows.iter().map(Neighbour::leaf).collect();
        Self {
            size: rows.len(),
            start: shown.start,
            rows: rows.get(shown.clone()).unwrap_or_default().to_vec(),
            range: range_proof(&leaves, shown),
        }
    }

    /// The rows that are all of `session`'s in the segment with this root and so many rows, both from its record; none is a
    /// proof of absence. (A root alone does not say how large its tree is.)
    ///
    /// # Errors
    /// What the proof fails to show.
    pub fn check(
        &self,
        session: SessionKey,
        root: Digest,
        rows: u64,
    ) -> Result<&[Neighbour], &'static str> {
        if u64::try_from(self.size) != Ok(rows) {
            return Err("the proof is of a tree of another size");
        }
        let leaves: Vec<Digest> = self.rows.iter().map(Neighbour::leaf).collect();
        if root_from_range(&leaves, self.start, self.size, &self.range) != Some(root) {
            return Err("the range proof does not lead to the root");
        }
        let ordered = |a: &Neighbour, b: &Neighbour| (a.session, a.offset) < (b.session, b.offset);
        if !self.rows.is_sorted_by(ordered) {
            return Err("the rows are not in order");
        }
        let first = self.rows.partition_point(|row| row.session < session);
        let end = self.rows.partition_point(|row| row.session <= session);
        if first == 0 && self.start != 0 {
            return Err(
                "no row of an earlier session is shown and it is not the first of the tree",
            );
        }
        if end == self.rows.len() && self.start + end != self.size {
            return Err("no row of a later session is shown and it is not the last of the tree");
        }
        self.rows.get(first..end).ok_or("the rows are not in order")
    }
}
