//! What the tests of this module share: a tree by its definition, tiles in memory, small logs.

use std::collections::BTreeMap;
use std::io;

use super::*;

pub(super) fn leaf(index: u64) -> Hash {
    leaf_hash(&index.to_be_bytes())
}

/// MTH of RFC 6962 §2.1, word for word.
pub(super) fn reference_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => EMPTY_ROOT,
        [one] => *one,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node_hash(&reference_root(left), &reference_root(right))
        }
    }
}

/// PATH of RFC 6962 §2.1.1.
pub(super) fn reference_inclusion(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() <= 1 {
        return Vec::new();
    }
    let at = split(leaves.len());
    let (left, right) = leaves.split_at(at);
    let (mut path, beside) = if index < at {
        (reference_inclusion(index, left), right)
    } else {
        (reference_inclusion(index - at, right), left)
    };
    path.push(reference_root(beside));
    path
}

/// PROOF of RFC 6962 §2.1.2.
pub(super) fn reference_consistency(old: usize, leaves: &[Hash]) -> Vec<Hash> {
    if old == 0 { Vec::new() } else { subproof(old, leaves, true) }
}

fn subproof(old: usize, leaves: &[Hash], known: bool) -> Vec<Hash> {
    if old == leaves.len() {
        return if known { Vec::new() } else { vec![reference_root(leaves)] };
    }
    let at = split(leaves.len());
    let (left, right) = leaves.split_at(at);
    let (mut proof, beside) =
        if old <= at { (subproof(old, left, known), right) } else { (subproof(old - at, right, false), left) };
    proof.push(reference_root(beside));
    proof
}

fn split(count: usize) -> usize {
    let mut at = 1;
    while at * 2 < count {
        at *= 2;
    }
    at
}

/// Tiles in memory, by level and index.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    pub(super) tiles: BTreeMap<(u8, u64), Vec<u8>>,
    pub(super) fresh: Vec<(Tile, Vec<u8>)>,
}

impl Kept {
    pub(super) fn keep(&mut self) {
        self.tiles.extend(self.fresh.drain(..).map(|(tile, bytes)| ((tile.level, tile.index), bytes)));
    }

    /// A tree of these leaves.
    pub(super) fn tree(leaves: &[Hash]) -> Self {
        let (mut kept, mut edge) = (Self::default(), Edge::new());
        leaves.iter().for_each(|leaf| edge.push(*leaf, &mut kept.fresh));
        kept.fresh.extend(edge.partial_tiles());
        kept.keep();
        kept
    }
}

/// A tile that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gone;

impl HashSource for Kept {
    type Error = Gone;

    fn tile(&self, tile: Tile) -> Result<Vec<u8>, Gone> {
        self.tiles.get(&(tile.level, tile.index)).cloned().ok_or(Gone)
    }
}

/// A log in memory, by path.
#[derive(Clone, Debug, Default)]
pub(super) struct Files(pub(super) BTreeMap<String, Vec<u8>>);

impl Store for Files {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.get(path).cloned())
    }
}

pub(super) fn log_key() -> SigningKey {
    SigningKey::from_seed("example.com/log", &[1; 32]).unwrap()
}

pub(super) fn entry_text(index: u64) -> Vec<u8> {
    format!("entry {index}").into_bytes()
}

/// A log of so many entries, its checkpoint signed by [`log_key`].
pub(super) fn log_of(size: u64) -> Files {
    let mut files = Files::default();
    let (mut edge, mut tiles, mut bundle) = (Edge::new(), Vec::new(), Vec::new());
    for index in 0..size {
        assert!(push_entry(&mut bundle, &entry_text(index)));
        edge.push(leaf_hash(&entry_text(index)), &mut tiles);
        let width = u16::try_from(index % 256 + 1).unwrap();
        if width == 256 || index + 1 == size {
            files.0.insert(entries_path(index / 256, width), std::mem::take(&mut bundle));
        }
    }
    tiles.extend(edge.partial_tiles());
    files.0.extend(tiles.into_iter().map(|(tile, bytes)| (tile.path(), bytes)));
    files.sign(&checkpoint_of(&edge));
    files
}

impl Files {
    pub(super) fn sign(&mut self, checkpoint: &Checkpoint) {
        self.0.insert("checkpoint".to_owned(), log_key().sign(checkpoint).into_bytes());
    }

    pub(super) fn checkpoint(&self) -> SignedCheckpoint {
        SignedCheckpoint::parse(std::str::from_utf8(&self.0["checkpoint"]).unwrap()).unwrap()
    }
}

pub(super) fn checkpoint_of(edge: &Edge) -> Checkpoint {
    Checkpoint { origin: "example.com/log".to_owned(), size: edge.size(), root: edge.root() }
}
