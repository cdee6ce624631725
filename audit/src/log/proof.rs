//! Roots and proofs computed from tiles (RFC 6962 §2.1.1 and §2.1.2).

use super::Hash;
use super::hash::lean_root;
use super::source::{HashSource, Unread, subtree};

/// The root of the tree of `size` entries.
///
/// # Errors
/// [`Unread`] if a tile cannot be had, or is cut.
pub fn root_at<S: HashSource>(size: u64, source: &S) -> Result<Hash, Unread<S::Error>> {
    root_within(size, size, source)
}

/// The root that the tree had when it had `size` entries, from the tiles it has with `now` of them.
///
/// # Errors
/// As [`root_at`].
pub(super) fn root_within<S: HashSource>(size: u64, now: u64, source: &S) -> Result<Hash, Unread<S::Error>> {
    range_root(0, size, now, source)
}

/// The audit path of an entry: the hashes beside its way to the root, its own sibling first.
///
/// # Errors
/// [`Unread`]: the entry is not in a tree of this size, or a tile cannot be had.
pub fn inclusion_proof<S: HashSource>(index: u64, size: u64, source: &S) -> Result<Vec<Hash>, Unread<S::Error>> {
    if index >= size {
        return Err(Unread::Outside { asked: index, size });
    }
    // From the root down, and turned round at the end.
    let mut proof = Vec::new();
    let (mut from, mut to) = (0, size);
    while to - from > 1 {
        let middle = from + split_at(to - from);
        if index < middle {
            proof.push(range_root(middle, to, size, source)?);
            to = middle;
        } else {
            proof.push(range_root(from, middle, size, source)?);
            from = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// What shows that the first `old` entries of a tree of `size` were the whole tree once; empty for `old` 0 or `size`.
///
/// # Errors
/// [`Unread`]: `old` is above `size`, or a tile cannot be had.
pub fn consistency_proof<S: HashSource>(old: u64, size: u64, source: &S) -> Result<Vec<Hash>, Unread<S::Error>> {
    if old > size {
        return Err(Unread::Outside { asked: old, size });
    }
    if old == 0 {
        return Ok(Vec::new());
    }
    let mut proof = Vec::new();
    let (mut from, mut to) = (0, size);
    while old < to {
        let middle = from + split_at(to - from);
        if old <= middle {
            proof.push(range_root(middle, to, size, source)?);
            to = middle;
        } else {
            proof.push(range_root(from, middle, size, source)?);
            from = middle;
        }
    }
    // Whoever asks knows the old root; where it is a subtree from the left edge it need not be said.
    if from > 0 {
        proof.push(range_root(from, to, size, source)?);
    }
    proof.reverse();
    Ok(proof)
}

/// The largest power of two below `count`, which is above 1.
fn split_at(count: u64) -> u64 {
    1 << (count - 1).ilog2()
}

/// The root over the entries `from..to`, where `from` is a multiple of every power of two that `to - from` is made of.
fn range_root<S: HashSource>(from: u64, to: u64, now: u64, source: &S) -> Result<Hash, Unread<S::Error>> {
    let mut subtrees = Vec::new();
    let mut at = from;
    while at < to {
        let height = (to - at).ilog2();
        subtrees.push(subtree(source, now, height, at >> height)?);
        at += 1 << height;
    }
    Ok(lean_root(&subtrees))
}
