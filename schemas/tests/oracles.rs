//! Our trees and notes beside those of others: every root and proof of every size, and every note in both directions.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use schemas::signature::SigningKey;
use schemas::tlog::{
    Checkpoint, Edge, KeyName, LogSigner, Node, Note, Tile, VerifierKey, check_consistency,
    consistency_ranges, fold, inclusion_ranges, nodes,
};
use schemas::{Digest, Hasher, inclusion_proof, root, root_from_inclusion};
use sha2::Sha256;
use signed_note::{StandardVerifier, VerifierList};

/// Past the edge of four tiles.
const SIZE_MAX: u64 = 1_100;

type Tiles = std::collections::BTreeMap<Tile, Vec<u8>>;

fn leaf(data: &[u8]) -> Digest {
    Hasher::plain().u8(0).bytes(data).finish()
}

fn hashes(bytes: &[u8]) -> Vec<Digest> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    assert!(rest.is_empty());
    hashes.iter().map(|hash| Digest(*hash)).collect()
}

/// The root of a run of leaves, out of the tiles of a tree.
fn subtree(tiles: &Tiles, size: u64, range: &std::ops::Range<u64>) -> Digest {
    let root_of = |node: &Node| {
        let tile = node.tile(size).unwrap();
        node.root(&tile.hashes(&tiles[&tile]).unwrap()).unwrap()
    };
    fold(&nodes(range).iter().map(root_of).collect::<Vec<_>>()).unwrap()
}

#[test]
fn roots_and_proofs_of_every_size_are_those_of_ct_merkle() {
    let (mut edge, mut tiles) = (Edge::default(), Tiles::new());
    let (mut theirs, mut leaves) = (MemoryBackedTree::<Sha256, Vec<u8>>::new(), Vec::new());
    assert_eq!(edge.root().0[..], theirs.root().as_bytes()[..]);
    for size in 1..=SIZE_MAX {
        let data = size.to_be_bytes().to_vec();
        leaves.push(leaf(&data));
        tiles.extend(edge.append([leaf(&data)]));
        theirs.push(data);
        let our_root = edge.root();
        assert_eq!(our_root.0[..], theirs.root().as_bytes()[..], "{size}");
        assert_eq!(our_root, root(&leaves), "{size}");
        // All indices of some sizes, and some of all.
        for index in (0..size).step_by(if size % 97 == 0 { 1 } else { 131 }) {
            let at = usize::try_from(index).unwrap();
            let proof = hashes(theirs.prove_inclusion(at).as_bytes());
            let from_tiles = inclusion_ranges(index, size);
            let from_tiles: Vec<_> = from_tiles.iter().map(|r| subtree(&tiles, size, r)).collect();
            assert_eq!(from_tiles, proof, "{index} of {size}");
            assert_eq!(inclusion_proof(&leaves, at), proof, "{index} of {size}");
            let found = root_from_inclusion(&leaves[at], at, leaves.len(), &proof);
            assert_eq!(found, Some(our_root), "{index} of {size}");
        }
    }
    for old in 1..SIZE_MAX {
        let added = usize::try_from(SIZE_MAX - old).unwrap();
        let proof = hashes(theirs.prove_consistency(added).as_bytes());
        let from_tiles = consistency_ranges(old, SIZE_MAX);
        let from_tiles: Vec<_> = from_tiles.iter().map(|r| subtree(&tiles, SIZE_MAX, r)).collect();
        assert_eq!(from_tiles, proof, "from {old}");
        let old_root = root(&leaves[..usize::try_from(old).unwrap()]);
        let checked = check_consistency((old, old_root), (SIZE_MAX, edge.root()), &proof);
        assert_eq!(checked, Ok(()), "from {old}");
    }
}

#[test]
fn notes_and_keys_are_those_of_signed_note() {
    let name = KeyName::new("oracle.example/log").unwrap();
    let ours = LogSigner::new(name.clone(), SigningKey::from_bytes(&[5; 32]));
    let checkpoint = Checkpoint { origin: name, size: 7, root: Digest([1; 32]) };
    let note = checkpoint.sign(&[&ours]).to_string();
    let known = |key: &VerifierKey| {
        VerifierList::new(vec![Box::new(StandardVerifier::new(&key.to_string()).unwrap())])
    };
    let read = signed_note::Note::from_bytes(note.as_bytes()).unwrap();
    let (verified, unknown) = read.verify(&known(&ours.verifier())).unwrap();
    assert_eq!((verified.len(), unknown.len()), (1, 0));
    assert_eq!(read.text(), checkpoint.to_string().as_bytes());
    assert_eq!(read.to_bytes(), Note::parse(note.as_bytes()).unwrap().to_string().into_bytes());

    let other = LogSigner::new(ours.verifier().name().clone(), SigningKey::from_bytes(&[6; 32]));
    assert!(read.verify(&known(&other.verifier())).is_err());
    for at in 0..note.len() {
        let mut changed = note.clone().into_bytes();
        changed[at] ^= 1;
        let theirs = signed_note::Note::from_bytes(&changed)
            .is_ok_and(|note| note.verify(&known(&ours.verifier())).is_ok());
        let ours =
            Note::parse(&changed).is_ok_and(|note| note.is_signed_by(&ours.verifier()).is_ok());
        assert_eq!((theirs, ours), (false, false), "byte {at}");
    }
}
