//! The right edge of a tree: all that it takes to go on, whatever lies behind.

use crate::digest::Digest;
use crate::merkle;
use crate::tlog::tile::{TILE_WIDTH, Tile, fold};

/// The partial tiles of a tree, by level.
///
/// Invariant: level l holds `(size >> 8 l) mod 256` hashes, and there is no level above the highest that has had one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    levels: Vec<Vec<Digest>>,
}

/// A tile and its bytes.
pub type Tiles = Vec<(Tile, Vec<u8>)>;

impl Edge {
    /// The partial tiles that the edge of a tree of `size` is made of, by level; `None` where a level has none.
    #[must_use]
    pub fn tiles(size: u64) -> Vec<Option<Tile>> {
        let levels = (0..8).take_while(|level| size >> (8 * level) > 0);
        let last = |level| {
            let hashes = size >> (8 * level);
            Tile::in_tree(level, hashes / TILE_WIDTH, size)
        };
        levels.map(last).collect()
    }

    /// The edge of a tree of `size`, whose partial tiles hold these hashes; `None` where they do not fit.
    #[must_use]
    pub fn new(size: u64, levels: Vec<Vec<Digest>>) -> Option<Self> {
        let tiles = Self::tiles(size);
        let fits = tiles.len() == levels.len()
            && tiles.iter().zip(&levels).all(|(tile, hashes)| {
                u64::try_from(hashes.len()) == Ok(tile.map_or(0, |tile| tile.width))
            });
        fits.then_some(Self { size, levels })
    }

    /// Leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root of the tree; of an empty one, SHA-256 of nothing.
    #[must_use]
    pub fn root(&self) -> Digest {
        let mut roots = Vec::new();
        for mut hashes in self.levels.iter().rev().map(Vec::as_slice) {
            while let Some(power) = hashes.len().checked_ilog2() {
                let (full, rest) = hashes.split_at(1 << power);
                roots.push(merkle::root(full));
                hashes = rest;
            }
        }
        fold(&roots).unwrap_or_else(|| merkle::root(&[]))
    }

    /// Appends leaves, and gives every tile that they change: each that is full now, and the partial ones of the new edge.
    #[must_use]
    pub fn append(&mut self, leaves: impl IntoIterator<Item = Digest>) -> Tiles {
        let (before, mut tiles) = (self.size, Tiles::new());
        for leaf in leaves {
            self.push(leaf, &mut tiles);
        }
        for (level, tile) in (0..).zip(Self::tiles(self.size)) {
            let grown = self.size >> (8 * level) > before >> (8 * level);
            if let (Some(tile), true) = (tile, grown)
                && let Some(hashes) = usize::try_from(level).ok().and_then(|l| self.levels.get(l))
            {
                tiles.push((tile, bytes(hashes)));
            }
        }
        tiles
    }

    fn push(&mut self, leaf: Digest, full: &mut Tiles) {
        let (mut hash, mut level) = (leaf, 0);
        loop {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let Some(hashes) = self.levels.get_mut(level) else { break };
            hashes.push(hash);
            if hashes.len() < 256 {
                break;
            }
            hash = merkle::root(hashes);
            let hashes = std::mem::take(hashes);
            let tile_level = u32::try_from(level).unwrap_or_default();
            let index = self.size >> (8 * (tile_level + 1));
            full.push((Tile { level: tile_level, index, width: TILE_WIDTH }, bytes(&hashes)));
            level += 1;
        }
        self.size += 1;
    }
}

fn bytes(hashes: &[Digest]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::tlog::check_consistency;
    use crate::tlog::tile::{Node, consistency_ranges, inclusion_ranges, nodes};

    fn leaf(n: u64) -> Digest {
        Digest::of(&n.to_be_bytes())
    }

    /// Every tile that appending to a tree, so many at a time, has given.
    fn grown(sizes: &[u64]) -> (Edge, BTreeMap<Tile, Vec<u8>>) {
        let (mut edge, mut tiles) = (Edge::default(), BTreeMap::new());
        for size in sizes {
            tiles.extend(edge.append((edge.size()..*size).map(leaf)));
        }
        (edge, tiles)
    }

    #[test]
    fn the_root_is_that_of_all_leaves_and_the_tiles_hold_every_subtree() {
        let sizes = [1, 2, 5, 255, 256, 257, 511, 512, 700, 65_535, 65_536, 65_537, 66_000];
        let leaves: Vec<Digest> = (0..66_000).map(leaf).collect();
        for at in 0..sizes.len() {
            let (edge, tiles) = grown(&sizes[..=at]);
            let size = sizes[at];
            assert_eq!(edge.root(), merkle::root(&leaves[..usize::try_from(size).unwrap()]));
            let levels = Edge::tiles(size)
                .into_iter()
                .map(|tile| tile.map_or_else(Vec::new, |tile| tile.hashes(&tiles[&tile]).unwrap()));
            assert_eq!(Edge::new(size, levels.collect()), Some(edge));
        }
    }

    #[test]
    fn proofs_out_of_tiles_are_those_of_rfc_6962() {
        let size = 1_100;
        let (_, tiles) = grown(&[300, size]);
        let leaves: Vec<Digest> = (0..size).map(leaf).collect();
        let root_of = |node: &Node| {
            let tile = node.tile(size).unwrap();
            node.root(&tile.hashes(&tiles[&tile]).unwrap()).unwrap()
        };
        let hash = |range: &std::ops::Range<u64>| {
            fold(&nodes(range).iter().map(root_of).collect::<Vec<_>>()).unwrap()
        };
        for index in [0, 1, 255, 256, 512, 1_023, 1_024, 1_099] {
            let proof: Vec<Digest> = inclusion_ranges(index, size).iter().map(hash).collect();
            let index = usize::try_from(index).unwrap();
            assert_eq!(proof, merkle::inclusion_proof(&leaves, index));
        }
        let root = merkle::root(&leaves);
        for old in 1..size {
            let proof: Vec<Digest> = consistency_ranges(old, size).iter().map(hash).collect();
            let old_root = merkle::root(&leaves[..usize::try_from(old).unwrap()]);
            assert_eq!(check_consistency((old, old_root), (size, root), &proof), Ok(()), "{old}");
            assert!(check_consistency((old, Digest::ZERO), (size, root), &proof).is_err());
            assert!(check_consistency((old, old_root), (size, Digest::ZERO), &proof).is_err());
        }
    }
}
