//! One bundle of entries and the tile of their hashes.

use std::ops::Range;

use super::flaw::Flaw;
use super::hash::split;
use super::{Hash, NotABundle, Store, TILE_WIDTH, Tile, entries_path, leaf_hash};

/// A bundle as it was found.
pub(super) struct Bundle {
    /// Which, from 0.
    pub(super) index: u64,
    bytes: Vec<u8>,
    /// Where in the bytes the entries are that are as the tile says, by place in the bundle.
    good: Vec<(u64, Range<usize>)>,
    /// The hashes to go on with: those of the tile, or where it is not there, of the entries. None if neither is there.
    pub(super) hashes: Option<Vec<Hash>>,
    /// What is wrong with it.
    pub(super) flaws: Vec<Flaw>,
}

impl Bundle {
    /// Index in the log and bytes of every entry that is as the tile says.
    pub(super) fn good(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let index = self.index;
        self.good
            .iter()
            .filter_map(move |(place, range)| Some((index * TILE_WIDTH + place, self.bytes.get(range.clone())?)))
    }
}

/// A file of the log in the width it has in a tree, or whole: a partial one may be gone once the full one is there.
fn read(store: &dyn Store, path: &str, full: &str) -> Result<Vec<u8>, Flaw> {
    let found = match store.read(path) {
        Ok(None) if path != full => store.read(full),
        found => found,
    };
    match found {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(Flaw::Missing { path: path.to_owned() }),
        Err(error) => Err(Flaw::Unreadable { path: path.to_owned(), kind: error.kind() }),
    }
}

/// The hashes of a tile, as many as it is wide.
///
/// # Errors
/// It is not there, or not of its length; the full tile may stand in for a partial one.
pub(super) fn read_tile(store: &dyn Store, tile: Tile) -> Result<Vec<Hash>, Flaw> {
    let path = tile.path();
    let bytes = read(store, &path, &Tile { width: 256, ..tile }.path())?;
    let expected = usize::from(tile.width) * 32;
    if bytes.len() != expected && bytes.len() != 8_192 {
        return Err(Flaw::Length { path, expected, found: bytes.len() });
    }
    let mut hashes = split(&bytes);
    hashes.truncate(tile.width.into());
    Ok(hashes)
}

/// Reads a bundle of a log with `size` entries, which has it, hashes its entries and compares them with the tile.
pub(super) fn read_bundle(store: &dyn Store, size: u64, index: u64) -> Bundle {
    let mut bundle = Bundle { index, bytes: Vec::new(), good: Vec::new(), hashes: None, flaws: Vec::new() };
    let Some(tile) = Tile::within(size, 0, index) else { return bundle };
    let path = entries_path(index, tile.width);
    let hashed = match read(store, &path, &entries_path(index, 256)) {
        Ok(bytes) => {
            bundle.bytes = bytes;
            hash_entries(&mut bundle, path, tile.width.into())
        }
        Err(flaw) => {
            bundle.flaws.push(flaw);
            Vec::new()
        }
    };
    match read_tile(store, tile) {
        Ok(hashes) => {
            let tile = tile.path();
            for (place, ((hash, range), expected)) in (0..).zip(hashed.into_iter().zip(&hashes)) {
                if hash == *expected {
                    bundle.good.push((place, range));
                } else {
                    bundle.flaws.push(Flaw::Entry { index: index * TILE_WIDTH + place, tile: tile.clone() });
                }
            }
            bundle.hashes = Some(hashes);
        }
        Err(flaw) => {
            bundle.flaws.push(flaw);
            let whole = hashed.len() == usize::from(tile.width);
            bundle.hashes = whole.then(|| hashed.into_iter().map(|(hash, _)| hash).collect());
        }
    }
    bundle
}

/// The hash of every entry and where it is, up to the width of the bundle; notes it if there are not as many.
fn hash_entries(bundle: &mut Bundle, path: String, expected: usize) -> Vec<(Hash, Range<usize>)> {
    let (mut hashed, mut found, mut at, mut cut) = (Vec::with_capacity(expected), 0, 0, false);
    while at < bundle.bytes.len() {
        match next_entry(&bundle.bytes, at) {
            Ok(range) => {
                at = range.end;
                found += 1;
                if found <= expected {
                    hashed.push((leaf_hash(bundle.bytes.get(range.clone()).unwrap_or_default()), range));
                }
            }
            Err(NotABundle) => {
                cut = true;
                break;
            }
        }
    }
    // A full bundle in the place of a partial one has its 256.
    if cut || (found != expected && found != 256) {
        bundle.flaws.push(Flaw::Bundle { path, expected, found, cut });
    }
    hashed
}

/// Where the entry is whose length is at `at`.
fn next_entry(bytes: &[u8], at: usize) -> Result<Range<usize>, NotABundle> {
    let (length, rest) = bytes.get(at..).and_then(|rest| rest.split_first_chunk::<2>()).ok_or(NotABundle)?;
    let length = usize::from(u16::from_be_bytes(*length));
    if rest.len() < length { Err(NotABundle) } else { Ok(at + 2..at + 2 + length) }
}
