//! Tiles and entry bundles (C2SP tlog-tiles): where a tree's hashes and entries lie, and which of them a proof is made of.

use std::fmt;
use std::ops::Range;

use crate::digest::Digest;
use crate::merkle;

/// Hashes of a full tile, and entries of a full bundle.
pub const TILE_WIDTH: u64 = 256;
/// Largest entry.
pub const ENTRY_BYTES_MAX: usize = 65_535;
/// Largest entry bundle.
pub const BUNDLE_BYTES_MAX: u64 = TILE_WIDTH * (2 + 65_535);

/// A tile of hashes: `width` of them from `index * 256` on, each the root of a full subtree of 256^`level` leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    /// 0 is the level of leaf hashes.
    pub level: u32,
    /// The tile's place in its level.
    pub index: u64,
    /// 1 to 256.
    pub width: u64,
}

impl Tile {
    /// The tile as it is in a tree of `size`; `None` where that tree has nothing of it.
    #[must_use]
    pub fn in_tree(level: u32, index: u64, size: u64) -> Option<Self> {
        let hashes = size.checked_shr(8 * level).unwrap_or(0);
        let width = hashes.saturating_sub(index.saturating_mul(TILE_WIDTH)).min(TILE_WIDTH);
        (width > 0).then_some(Self { level, index, width })
    }

    /// Its hashes, out of its bytes.
    #[must_use]
    pub fn hashes(&self, bytes: &[u8]) -> Option<Vec<Digest>> {
        let (hashes, rest) = bytes.as_chunks::<32>();
        let right = rest.is_empty() && u64::try_from(hashes.len()) == Ok(self.width);
        right.then(|| hashes.iter().map(|hash| Digest(*hash)).collect())
    }
}

impl fmt::Display for Tile {
    /// Its key in the log's folder.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tile/{}/{}", self.level, path(self.index, self.width))
    }
}

/// The key of an entry bundle in the log's folder.
#[must_use]
pub fn bundle_key(index: u64, width: u64) -> String {
    format!("tile/entries/{}", path(index, width))
}

/// `x001/x234/067`, and `.p/<width>` where it is partial.
fn path(index: u64, width: u64) -> String {
    let mut path = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1000);
        rest /= 1000;
    }
    if width < TILE_WIDTH { format!("{path}.p/{width}") } else { path }
}

/// The bytes of an entry bundle: `u16(length) ‖ entry`, again and again. Entries are at most [`ENTRY_BYTES_MAX`] long.
#[must_use]
pub fn bundle<'a>(entries: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        let length = u16::try_from(entry.len());
        assert!(length.is_ok(), "an entry has at most 65,535 bytes");
        bytes.extend(length.unwrap_or_default().to_be_bytes());
        bytes.extend(entry.as_bytes());
    }
    bytes
}

/// Bytes that are no bundle of so many entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadBundle(pub &'static str);

/// Takes a bundle apart. Entries here are UTF-8.
///
/// # Errors
/// It ends within an entry, holds another number of them, or one is not UTF-8.
pub fn split_bundle(mut bytes: &[u8], width: u64) -> Result<Vec<&str>, BadBundle> {
    let mut entries = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<2>() {
        let (entry, rest) = rest
            .split_at_checked(usize::from(u16::from_be_bytes(*length)))
            .ok_or(BadBundle("it ends within an entry"))?;
        entries.push(std::str::from_utf8(entry).map_err(|_| BadBundle("an entry is not UTF-8"))?);
        bytes = rest;
    }
    if !bytes.is_empty() {
        return Err(BadBundle("it ends within a length"));
    }
    let right = u64::try_from(entries.len()) == Ok(width);
    right.then_some(entries).ok_or(BadBundle("it holds another number of entries"))
}

/// A full subtree: 2^`level` leaves from `index * 2^level` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// 0 is a leaf.
    pub level: u32,
    /// Its place in its level.
    pub index: u64,
}

impl Node {
    /// The tile that its root follows from, in a tree of `size`; `None` where that tree has not all of it.
    #[must_use]
    pub fn tile(&self, size: u64) -> Option<Tile> {
        let (level, below) = (self.level / 8, self.level % 8);
        let tile = Tile::in_tree(level, (self.index << below) / TILE_WIDTH, size)?;
        (((self.index + 1) << below) - tile.index * TILE_WIDTH <= tile.width).then_some(tile)
    }

    /// Its root, out of the hashes of its tile.
    #[must_use]
    pub fn root(&self, hashes: &[Digest]) -> Option<Digest> {
        let below = self.level % 8;
        let first = usize::try_from((self.index << below) % TILE_WIDTH).ok()?;
        Some(merkle::root(hashes.get(first..first + (1 << below))?))
    }
}

/// The full subtrees that cover `range`, from left to right, where its start is a multiple of its length rounded up to a
/// power of two: true of every subtree of a tree.
#[must_use]
pub fn nodes(range: &Range<u64>) -> Vec<Node> {
    let (mut at, mut nodes) = (range.start, Vec::new());
    while at < range.end {
        let level = (range.end - at).ilog2();
        nodes.push(Node { level, index: at >> level });
        at += 1 << level;
    }
    nodes
}

/// The root over what [`nodes`] lists, of their roots in order; `None` of none.
#[must_use]
pub fn fold(roots: &[Digest]) -> Option<Digest> {
    let (last, before) = roots.split_last()?;
    Some(before.iter().rev().fold(*last, |right, left| merkle::node(left, &right)))
}

/// The subtrees whose roots are the inclusion proof of `index` in a tree of `size`, in the proof's order.
#[must_use]
pub fn inclusion_ranges(index: u64, size: u64) -> Vec<Range<u64>> {
    let (mut range, mut path) = (0..size, Vec::new());
    while range.end - range.start > 1 && index < size {
        let middle = range.start + split(range.end - range.start);
        let (inside, outside) = if index < middle {
            (range.start..middle, middle..range.end)
        } else {
            (middle..range.end, range.start..middle)
        };
        path.push(outside);
        range = inside;
    }
    path.reverse();
    path
}

/// The subtrees whose roots are the consistency proof from a tree of `old` to one of `new`, in the proof's order (RFC 6962,
/// section 2.1.2); none where one of them is empty or they are equal.
#[must_use]
pub fn consistency_ranges(old: u64, new: u64) -> Vec<Range<u64>> {
    if old == 0 || old >= new {
        return Vec::new();
    }
    let (mut range, mut path) = (0..new, Vec::new());
    while range.end != old {
        let middle = range.start + split(range.end - range.start);
        if old <= middle {
            path.push(middle..range.end);
            range = range.start..middle;
        } else {
            path.push(range.start..middle);
            range = middle..range.end;
        }
    }
    // The whole old tree is known to whoever asks.
    if range.start != 0 {
        path.push(range);
    }
    path.reverse();
    path
}

/// The largest power of two below `size`, which is at least 2.
fn split(size: u64) -> u64 {
    size.saturating_sub(1).checked_ilog2().map_or(0, |power| 1 << power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_the_specification() {
        let key = |level, index, width| Tile { level, index, width }.to_string();
        assert_eq!(key(0, 1_234_067, 256), "tile/0/x001/x234/067");
        assert_eq!(key(1, 0, 8), "tile/1/000.p/8");
        assert_eq!(bundle_key(1_000, 256), "tile/entries/x001/000");
        assert_eq!(Tile::in_tree(0, 273, 70_000).unwrap().to_string(), "tile/0/273.p/112");
        assert_eq!(Tile::in_tree(1, 1, 70_000).unwrap().to_string(), "tile/1/001.p/17");
        assert_eq!(Tile::in_tree(2, 0, 70_000).unwrap().to_string(), "tile/2/000.p/1");
        assert_eq!(Tile::in_tree(3, 0, 70_000), None);
        assert_eq!(Tile::in_tree(0, 1, 256), None);
    }

    #[test]
    fn a_bundle_is_taken_apart_as_it_was_put_together() {
        let bytes = bundle(["a", "", "ccc"]);
        assert_eq!(bytes, b"\0\x01a\0\0\0\x03ccc");
        assert_eq!(split_bundle(&bytes, 3), Ok(vec!["a", "", "ccc"]));
        assert!(split_bundle(&bytes, 2).is_err());
        assert!((1..bytes.len()).all(|cut| split_bundle(&bytes[..cut], 3).is_err()));
    }
}
