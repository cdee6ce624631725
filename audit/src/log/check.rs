//! Checks of proofs, as RFC 9162 §2.1.3.2 and §2.1.4.2 describe them: nothing missing, nothing left over.

use thiserror::Error;

use super::Hash;
use super::hash::{EMPTY_ROOT, node_hash};

/// A proof that does not prove what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the proof does not lead to the root")]
pub struct BadProof;

/// Whether the entry with this leaf hash is at `index` in the tree of `size` entries with this root.
///
/// # Errors
/// [`BadProof`] if that is not shown.
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> Result<(), BadProof> {
    if index >= size {
        return Err(BadProof);
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for beside in proof {
        if last == 0 {
            return Err(BadProof);
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(beside, &hash);
            // On the right edge, levels without a sibling have no hash in the proof.
            if node & 1 == 0 {
                let skipped = node.trailing_zeros().min(63);
                (node, last) = (node >> skipped, last >> skipped);
            }
        } else {
            hash = node_hash(&hash, beside);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    if last == 0 && hash == *root { Ok(()) } else { Err(BadProof) }
}

/// Whether the tree of `old` entries with the old root is the beginning of the tree of `size` entries with this root. An
/// empty tree is the beginning of every tree, and a tree of itself; both without a proof.
///
/// # Errors
/// [`BadProof`] if that is not shown, or `old` is above `size`.
pub fn verify_consistency(old: u64, old_root: &Hash, size: u64, root: &Hash, proof: &[Hash]) -> Result<(), BadProof> {
    let shown = |is: bool| if is { Ok(()) } else { Err(BadProof) };
    if old > size {
        return Err(BadProof);
    }
    if old == size {
        return shown(proof.is_empty() && old_root == root && (size > 0 || *root == EMPTY_ROOT));
    }
    if old == 0 {
        return shown(proof.is_empty() && *old_root == EMPTY_ROOT);
    }
    // A whole subtree from the left edge is its own start, and the proof leaves it out.
    let (start, rest) = match proof.split_first() {
        _ if old.is_power_of_two() => (old_root, proof),
        Some((first, rest)) => (first, rest),
        None => return Err(BadProof),
    };
    if rest.is_empty() {
        return Err(BadProof);
    }
    let (mut node, mut last) = (old - 1, size - 1);
    let skipped = node.trailing_ones();
    (node, last) = (node >> skipped, last >> skipped);
    let (mut before, mut after) = (*start, *start);
    for beside in rest {
        if last == 0 {
            return Err(BadProof);
        }
        if node & 1 == 1 || node == last {
            before = node_hash(beside, &before);
            after = node_hash(beside, &after);
            if node & 1 == 0 {
                let skipped = node.trailing_zeros().min(63);
                (node, last) = (node >> skipped, last >> skipped);
            }
        } else {
            after = node_hash(&after, beside);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    shown(last == 0 && before == *old_root && after == *root)
}
