//! That one tree is the beginning of another (RFC 6962, section 2.1.2; checked as RFC 9162, section 2.1.4.2).

use crate::digest::Digest;
use crate::merkle::node;
use crate::tlog::note::BadNote;

/// Checks that a tree of size and root `old` is the beginning of the tree `new`.
///
/// # Errors
/// What the proof fails to show.
pub fn check_consistency(
    old: (u64, Digest),
    new: (u64, Digest),
    proof: &[Digest],
) -> Result<(), BadNote> {
    let empty = BadNote("the proof is not empty, and the trees leave nothing to prove");
    match (old.0, new.0) {
        (before, after) if before > after => {
            return Err(BadNote("the log is smaller than it was"));
        }
        (before, after) if before == after => {
            if old.1 != new.1 {
                return Err(BadNote("two roots for one size: the log has forked"));
            }
            return if proof.is_empty() { Ok(()) } else { Err(empty) };
        }
        (0, _) => return if proof.is_empty() { Ok(()) } else { Err(empty) },
        _ => {}
    }
    let wrong = BadNote("the consistency proof has a wrong length");
    let mut path = proof.iter();
    let (mut first, mut second) = (old.0 - 1, new.0 - 1);
    while first & 1 == 1 {
        (first, second) = (first >> 1, second >> 1);
    }
    let start = if old.0.is_power_of_two() { old.1 } else { *path.next().ok_or(wrong)? };
    let (mut old_root, mut new_root) = (start, start);
    for hash in path {
        if second == 0 {
            return Err(wrong);
        }
        if first & 1 == 1 || first == second {
            old_root = node(hash, &old_root);
            new_root = node(hash, &new_root);
            while first & 1 == 0 && first != 0 {
                (first, second) = (first >> 1, second >> 1);
            }
        } else {
            new_root = node(&new_root, hash);
        }
        (first, second) = (first >> 1, second >> 1);
    }
    if second != 0 {
        return Err(wrong);
    }
    if (old_root, new_root) == (old.1, new.1) {
        return Ok(());
    }
    Err(BadNote("the consistency proof does not lead to both roots: the log was rewritten"))
}
