//! The hashes of RFC 6962 §2.1 over SHA-256: `00` before an entry and `01` before two nodes, so that neither passes for the
//! other.
//!
//! By sha2, which with the processor's SHA instructions is as fast as AWS-LC: 0.5 µs for an entry of 868 bytes and 0.1 µs
//! for a node with either.

use sha2::{Digest as _, Sha256};

/// A SHA-256, of a leaf, a node or a tree.
pub type Hash = [u8; 32];

/// The root of a tree without entries: SHA-256 of nothing.
pub const EMPTY_ROOT: Hash = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41,
    0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// `SHA-256(00 ‖ entry)`.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(entry).finalize().into()
}

/// `SHA-256(01 ‖ left ‖ right)`.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut input = [1; 65];
    input[1..33].copy_from_slice(left);
    input[33..].copy_from_slice(right);
    Sha256::digest(input).into()
}

/// The root of a perfect subtree over 1, 2, 4, … hashes.
pub(super) fn perfect_root(hashes: &[Hash]) -> Hash {
    debug_assert!(hashes.len().is_power_of_two(), "a perfect subtree");
    let mut row = hashes.to_vec();
    while row.len() > 1 {
        row = row.chunks_exact(2).map(|pair| node_hash(&pair[0], &pair[1])).collect();
    }
    row.first().copied().unwrap_or(EMPTY_ROOT)
}

/// The root over perfect subtrees, the widest and leftmost first: RFC 6962 splits at the largest power of two, so the tree
/// leans to the left and is put together from the right.
pub(super) fn lean_root(subtrees: &[Hash]) -> Hash {
    let mut rest = subtrees.iter().rev();
    let Some(last) = rest.next() else { return EMPTY_ROOT };
    rest.fold(*last, |right, left| node_hash(left, &right))
}

/// The hashes that concatenated bytes hold; a rest shorter than a hash is left out.
pub(super) fn split(bytes: &[u8]) -> Vec<Hash> {
    bytes.as_chunks::<32>().0.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(hash: &Hash) -> String {
        data_encoding::HEXLOWER.encode(hash)
    }

    /// The leaves and roots that Certificate Transparency's implementations share as test vectors.
    #[test]
    fn hashes_are_those_of_rfc_6962() {
        assert_eq!(hex(&EMPTY_ROOT), hex(&Sha256::digest([]).into()));
        assert_eq!(hex(&leaf_hash(b"")), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
        assert_eq!(hex(&leaf_hash(b"L123456")), "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56");
        let [left, right] = [*b"N123", *b"N456"];
        let whole: Hash = Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into();
        assert_eq!(hex(&whole), "aa217fe888e47007fa15edab33c2b492a722cb106c64667fc2b044444de66bbb");
        let (one, two) = (leaf_hash(b""), leaf_hash(&[0]));
        assert_eq!(hex(&node_hash(&one, &two)), "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125");
    }

    #[test]
    fn roots_are_those_of_rfc_6962() {
        let entries: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut edge = super::super::Edge::new();
        for (entry, root) in entries.iter().zip(roots) {
            edge.push(leaf_hash(entry), &mut Vec::new());
            assert_eq!(hex(&edge.root()), root);
        }
    }
}
