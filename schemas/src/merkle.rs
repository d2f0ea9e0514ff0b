//! RFC 6962 Merkle trees: roots, inclusion proofs and range proofs (`docs/format.md`, sections 4.2 and 4.3).
//!
//! Trees here are small (a segment's rows) and their leaves at hand; the log's tiles are another module's matter.

use std::ops::Range;

use crate::digest::{Digest, digest_of_parts};

pub(crate) fn node(left: &Digest, right: &Digest) -> Digest {
    digest_of_parts::<65>(&[&[1], &left.0, &right.0])
}

/// Leaves left of the split of a tree of `size` > 1: the largest power of two below it.
fn split(size: usize) -> usize {
    size.saturating_sub(1).checked_ilog2().map_or(0, |power| 1 << power)
}

/// The Merkle tree hash of `leaves`; of none, SHA-256 of nothing.
#[must_use]
pub fn root(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => Digest::of(&[]),
        [leaf] => *leaf,
        leaves => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node(&root(left), &root(right))
        }
    }
}

/// RFC 6962, section 2.1.1: the audit path of leaf `index`, from the leaf upwards. Empty for an index outside the tree.
#[must_use]
pub fn inclusion_proof(leaves: &[Digest], index: usize) -> Vec<Digest> {
    if leaves.len() <= 1 || index >= leaves.len() {
        return Vec::new();
    }
    let middle = split(leaves.len());
    let (left, right) = leaves.split_at(middle);
    let (mut path, sibling) = if index < middle {
        (inclusion_proof(left, index), root(right))
    } else {
        (inclusion_proof(right, index - middle), root(left))
    };
    path.push(sibling);
    path
}

/// The root that `leaf` at `index` of a tree of `size` leads to by `path`; `None` where the path's length is wrong.
#[must_use]
pub fn root_from_inclusion(
    leaf: &Digest,
    index: usize,
    size: usize,
    path: &[Digest],
) -> Option<Digest> {
    if index >= size {
        return None;
    }
    if size == 1 {
        return path.is_empty().then_some(*leaf);
    }
    let (sibling, below) = path.split_last()?;
    let middle = split(size);
    if index < middle {
        let left = root_from_inclusion(leaf, index, middle, below)?;
        return Some(node(&left, sibling));
    }
    let right = root_from_inclusion(leaf, index - middle, size - middle, below)?;
    Some(node(sibling, &right))
}

/// What proves that leaves stand at `[a, b)` of a tree: the roots of the subtrees outside the range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeProof {
    /// Subtrees before the range, in tree order.
    pub left: Vec<Digest>,
    /// Subtrees after the range, in tree order.
    pub right: Vec<Digest>,
}

/// The range proof for `range`, which is cut to the tree.
#[must_use]
pub fn range_proof(leaves: &[Digest], range: Range<usize>) -> RangeProof {
    let mut proof = RangeProof::default();
    collect(leaves, range.start..range.end.min(leaves.len()), &mut proof);
    proof
}

/// `range` is relative to `leaves` and may reach past either end, but does not start past the last leaf unless all is outside.
fn collect(leaves: &[Digest], range: Range<usize>, proof: &mut RangeProof) {
    match placed(leaves.len(), &range) {
        Placed::Nothing | Placed::Inside => {}
        Placed::Left => proof.left.push(root(leaves)),
        Placed::Right => proof.right.push(root(leaves)),
        Placed::Across => {
            let middle = split(leaves.len());
            let (left, right) = leaves.split_at(middle);
            collect(left, range.clone(), proof);
            collect(right, shifted(&range, middle), proof);
        }
    }
}

/// The root that `inside`, standing at `start` of a tree of `size`, leads to; `None` where the proof does not fit.
#[must_use]
pub fn root_from_range(
    inside: &[Digest],
    start: usize,
    size: usize,
    proof: &RangeProof,
) -> Option<Digest> {
    let end = start.checked_add(inside.len()).filter(|end| *end <= size)?;
    if size == 0 {
        return (proof == &RangeProof::default()).then(|| root(&[]));
    }
    let mut left = proof.left.iter();
    let mut right = proof.right.iter();
    let mut leaves = inside.iter();
    let root = rebuild(size, start..end, &mut leaves, &mut left, &mut right)?;
    let spent = left.next().is_none() && right.next().is_none() && leaves.next().is_none();
    spent.then_some(root)
}

type Hashes<'a> = std::slice::Iter<'a, Digest>;

fn rebuild(
    size: usize,
    range: Range<usize>,
    inside: &mut Hashes<'_>,
    left: &mut Hashes<'_>,
    right: &mut Hashes<'_>,
) -> Option<Digest> {
    match placed(size, &range) {
        Placed::Nothing => None,
        Placed::Left => left.next().copied(),
        Placed::Right => right.next().copied(),
        Placed::Inside => {
            let (leaves, rest) = inside.as_slice().split_at_checked(size)?;
            *inside = rest.iter();
            Some(root(leaves))
        }
        Placed::Across => {
            let middle = split(size);
            let first = rebuild(middle, range.clone(), inside, left, right)?;
            let second = rebuild(size - middle, shifted(&range, middle), inside, left, right)?;
            Some(node(&first, &second))
        }
    }
}

enum Placed {
    /// There is no subtree.
    Nothing,
    /// The subtree is wholly before the range.
    Left,
    /// Wholly after.
    Right,
    /// Wholly inside.
    Inside,
    /// None of these.
    Across,
}

/// Where a subtree of `size` lies, `range` being relative to its first leaf. An empty range has its leaves before and
/// after it like any other: the subtree that holds its position is split until the position is an edge.
fn placed(size: usize, range: &Range<usize>) -> Placed {
    if size == 0 {
        Placed::Nothing
    } else if range.start >= size {
        Placed::Left
    } else if range.end == 0 {
        Placed::Right
    } else if range.start == 0 && range.end >= size {
        Placed::Inside
    } else {
        Placed::Across
    }
}

/// `range` relative to the subtree that begins `by` leaves further on.
fn shifted(range: &Range<usize>, by: usize) -> Range<usize> {
    range.start.saturating_sub(by)..range.end.saturating_sub(by)
}
