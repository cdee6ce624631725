//! Roots and proofs against the definitions of RFC 6962.

use proptest::prelude::*;

use super::super::testing::*;
use super::super::*;

fn leaves(size: usize) -> Vec<Hash> {
    (0..size as u64).map(leaf).collect()
}

/// What a proof must not be: every hash of it changed, left out, said twice, and something before or after it.
fn tampered(proof: &[Hash]) -> Vec<Vec<Hash>> {
    let mut all = vec![[proof, &[[0; 32]]].concat(), [&[[0; 32]], proof].concat()];
    for place in 0..proof.len() {
        let mut changed = proof.to_vec();
        changed[place][place % 32] ^= 1;
        let (mut fewer, mut more) = (proof.to_vec(), proof.to_vec());
        fewer.remove(place);
        more.insert(place, proof[place]);
        all.extend([changed, fewer, more]);
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn roots_are_those_of_the_definition(size in 0..2_000_usize, old in 0..2_000_usize) {
        let leaves = leaves(size);
        let tree = Kept::tree(&leaves);
        prop_assert_eq!(root_at(size as u64, &tree), Ok(reference_root(&leaves)));
        let old = old.min(size);
        prop_assert_eq!(proof::root_within(old as u64, size as u64, &tree), Ok(reference_root(&leaves[..old])));
    }

    #[test]
    fn inclusion_is_proved_as_defined_and_nothing_else_is(size in 1..2_000_usize, index: usize, other: usize) {
        let (leaves, index) = (leaves(size), index % size);
        let (place, count) = (index as u64, size as u64);
        let root = reference_root(&leaves);
        let proof = inclusion_proof(place, count, &Kept::tree(&leaves)).unwrap();
        prop_assert_eq!(&proof, &reference_inclusion(index, &leaves));
        let check = |leaf: &Hash, index, size, proof: &[Hash], root: &Hash| verify_inclusion(leaf, index, size, proof, root);
        prop_assert_eq!(check(&leaves[index], place, count, &proof, &root), Ok(()));
        for bad in tampered(&proof) {
            prop_assert_eq!(check(&leaves[index], place, count, &bad, &root), Err(BadProof));
        }
        let other = (other % (2 * size)) as u64;
        prop_assert_eq!(check(&leaves[index], other, count, &proof, &root).is_ok(), other == place);
        prop_assert_eq!(check(&leaf(2_001), place, count, &proof, &root), Err(BadProof));
        prop_assert_eq!(check(&leaves[index], place, count, &proof, &[1; 32]), Err(BadProof));
    }

    #[test]
    fn consistency_is_proved_as_defined_and_nothing_else_is(size in 1..2_000_usize, old: usize) {
        let (leaves, old) = (leaves(size), old % (size + 1));
        let (before, count) = (old as u64, size as u64);
        let (old_root, root) = (reference_root(&leaves[..old]), reference_root(&leaves));
        let proof = consistency_proof(before, count, &Kept::tree(&leaves)).unwrap();
        prop_assert_eq!(&proof, &reference_consistency(old, &leaves));
        prop_assert_eq!(verify_consistency(before, &old_root, count, &root, &proof), Ok(()));
        for bad in tampered(&proof) {
            prop_assert_eq!(verify_consistency(before, &old_root, count, &root, &bad), Err(BadProof));
        }
        prop_assert_eq!(verify_consistency(before, &[1; 32], count, &root, &proof), Err(BadProof));
        if old > 0 {
            prop_assert_eq!(verify_consistency(before, &old_root, count, &[1; 32], &proof), Err(BadProof));
            let claimed = verify_consistency(before - 1, &old_root, count, &root, &proof);
            prop_assert_eq!(claimed, Err(BadProof));
        }
    }
}

#[test]
fn small_trees_agree_everywhere() {
    let all = leaves(70);
    for size in 0..=70_usize {
        let (tree, root) = (Kept::tree(&all[..size]), reference_root(&all[..size]));
        let count = size as u64;
        for index in 0..size {
            let proof = inclusion_proof(index as u64, count, &tree).unwrap();
            assert_eq!(proof, reference_inclusion(index, &all[..size]));
            assert_eq!(verify_inclusion(&all[index], index as u64, count, &proof, &root), Ok(()));
        }
        for old in 0..=size {
            let proof = consistency_proof(old as u64, count, &tree).unwrap();
            assert_eq!(proof, reference_consistency(old, &all[..size]));
            assert_eq!(verify_consistency(old as u64, &reference_root(&all[..old]), count, &root, &proof), Ok(()));
        }
    }
}

#[test]
fn the_ends_are_strict() {
    let root = leaf(1);
    assert_eq!(verify_inclusion(&root, 0, 1, &[], &root), Ok(()));
    assert_eq!(verify_inclusion(&root, 0, 0, &[], &root), Err(BadProof));
    assert_eq!(verify_inclusion(&root, 1, 1, &[], &root), Err(BadProof));
    assert_eq!(verify_inclusion(&root, u64::MAX, u64::MAX, &[[0; 32]; 64], &root), Err(BadProof));
    assert_eq!(verify_consistency(0, &EMPTY_ROOT, 0, &EMPTY_ROOT, &[]), Ok(()));
    assert_eq!(verify_consistency(0, &root, 0, &root, &[]), Err(BadProof));
    assert_eq!(verify_consistency(0, &EMPTY_ROOT, 1, &root, &[]), Ok(()));
    assert_eq!(verify_consistency(0, &root, 1, &root, &[]), Err(BadProof));
    assert_eq!(verify_consistency(0, &EMPTY_ROOT, 1, &root, &[root]), Err(BadProof));
    assert_eq!(verify_consistency(1, &root, 1, &root, &[]), Ok(()));
    assert_eq!(verify_consistency(1, &root, 1, &leaf(2), &[]), Err(BadProof));
    assert_eq!(verify_consistency(1, &root, 1, &root, &[root]), Err(BadProof));
    assert_eq!(verify_consistency(2, &root, 1, &root, &[]), Err(BadProof));
    assert_eq!(verify_consistency(1, &root, 2, &root, &[]), Err(BadProof));
    assert_eq!(verify_consistency(3, &root, 4, &root, &[root]), Err(BadProof));
    let tree = Kept::tree(&[root]);
    assert_eq!(inclusion_proof(1, 1, &tree), Err(Unread::Outside { asked: 1, size: 1 }));
    assert_eq!(consistency_proof(2, 1, &tree), Err(Unread::Outside { asked: 2, size: 1 }));
    assert_eq!(root_at(2, &tree), Err(Unread::Short(Tile { level: 0, index: 0, width: 2 })));
    assert_eq!(root_at(0, &tree), Ok(EMPTY_ROOT));
}
