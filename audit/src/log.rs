//! Tiled transparency logs (c2sp.org/tlog-tiles): an append-only list of entries under one Merkle root (RFC 6962) that its
//! writer signs, in files that anybody can check.
//!
//! [`Edge`] grows a tree and [`SigningKey`] signs a [`Checkpoint`] of it. From the files, a [`Receipt`] proves one entry to
//! whoever has the log's [`VerifyingKey`], [`consistency_proof`] lets a witness see that nothing was taken back before it
//! cosigns ([`add_checkpoint`]), and [`verify()`] checks all there is and names what is wrong.
//!
//! No clock, no network, no randomness; files are read by [`Directory`] alone.

mod bundle;
mod check;
mod checkpoint;
mod climb;
mod edge;
mod flaw;
mod hash;
mod key;
mod leaves;
mod proof;
mod receipt;
mod source;
mod store;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod text;
mod tile;
mod verify;
mod witness;

pub use bundle::{NotABundle, entries, push_entry};
pub use check::{BadProof, verify_consistency, verify_inclusion};
pub use checkpoint::{BadSignature, Checkpoint, NotACheckpoint, SignedCheckpoint};
pub use edge::Edge;
pub use flaw::{Flaw, Flaws};
pub use hash::{EMPTY_ROOT, Hash, leaf_hash, node_hash};
pub use key::{NotAKey, SigningKey, VerifyingKey};
pub use proof::{consistency_proof, inclusion_proof, root_at};
pub use receipt::{BadReceipt, NotAReceipt, Receipt};
pub use source::{HashSource, Unread};
pub use store::{Directory, MAX_FILE_BYTES, Store, StoredTiles};
pub use tile::{NotATile, TILE_WIDTH, Tile, bundles_of, entries_path, parse_entries_path, tiles_of};
pub use verify::{Options, Verified, forgotten, verify};
pub use witness::{AddCheckpoint, AddRefused, add_checkpoint};
