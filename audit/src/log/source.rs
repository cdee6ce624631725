//! Where hashes are read from: whatever can give the tiles of a tree.

use std::io;

use thiserror::Error;

use super::hash::{perfect_root, split};
use super::{Hash, Tile};

/// Gives tiles of one log.
pub trait HashSource {
    /// Why it cannot.
    type Error;

    /// The bytes of a tile: `width` hashes of 32 bytes at least. More are welcome, such as the full tile where a partial one
    /// is asked for: what is in a tile does not change when more is added.
    ///
    /// # Errors
    /// The tile is not there or cannot be read.
    fn tile(&self, tile: Tile) -> Result<Vec<u8>, Self::Error>;
}

impl<S: HashSource + ?Sized> HashSource for &S {
    type Error = S::Error;

    fn tile(&self, tile: Tile) -> Result<Vec<u8>, Self::Error> {
        S::tile(self, tile)
    }
}

/// Why nothing could be computed from tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unread<E> {
    /// The source failed.
    #[error("a tile cannot be read")]
    Source(#[source] E),
    /// The source gave fewer bytes than the tile has.
    #[error("{} is cut", .0.path())]
    Short(Tile),
    /// An index, or an older size, that is not within the tree.
    #[error("{asked} is not within a tree of {size} entries")]
    Outside {
        /// What was asked for.
        asked: u64,
        /// The size of the tree.
        size: u64,
    },
}

/// So that `?` works where the only errors are those of reading.
impl From<Unread<Self>> for io::Error {
    fn from(unread: Unread<Self>) -> Self {
        match unread {
            Unread::Source(error) => error,
            Unread::Short(_) => Self::new(io::ErrorKind::InvalidData, unread.to_string()),
            Unread::Outside { .. } => Self::new(io::ErrorKind::InvalidInput, unread.to_string()),
        }
    }
}

/// The hashes of a tile, exactly as many as it is wide.
pub(super) fn read<S: HashSource>(source: &S, tile: Tile) -> Result<Vec<Hash>, Unread<S::Error>> {
    let mut hashes = split(&source.tile(tile).map_err(Unread::Source)?);
    if hashes.len() < usize::from(tile.width) {
        return Err(Unread::Short(tile));
    }
    hashes.truncate(tile.width.into());
    Ok(hashes)
}

/// The root of the perfect subtree over the `2^height` entries from `index * 2^height`, in a tree of `size` entries, of which
/// one tile is read.
pub(super) fn subtree<S: HashSource>(source: &S, size: u64, height: u32, index: u64) -> Result<Hash, Unread<S::Error>> {
    let outside = Unread::Outside { asked: index.checked_shl(height).unwrap_or(u64::MAX), size };
    let level = (height / 8) as u8;
    let wide = 1_usize << (height % 8);
    let first = index << (height % 8);
    let Some(tile) = Tile::within(size, level, first / 256) else { return Err(outside) };
    let hashes = read(source, tile)?;
    let from = (first % 256) as usize;
    match hashes.get(from..from + wide) {
        Some(row) => Ok(perfect_root(row)),
        None => Err(outside),
    }
}
