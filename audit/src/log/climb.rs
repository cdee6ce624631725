//! From the tiles of level 0 up to the root: every tile against the roots of those below, each read once.

use super::flaw::{Flaw, Flaws};
use super::hash::{lean_root, perfect_root};
use super::leaves::read_tile;
use super::{Hash, Store, TILE_WIDTH, Tile};

/// Tiles below that one tile above them speaks of.
#[derive(Default)]
struct Pending {
    index: u64,
    /// The index of each in its level, and its root if that could be had.
    below: Vec<(u64, Option<Hash>)>,
}

/// What is known on the way up. Tiles come in the order of their indexes, with gaps if only some entries are checked.
pub(super) struct Climb<'a> {
    store: &'a dyn Store,
    size: u64,
    /// By level, from level 1.
    pending: Vec<Pending>,
    /// The partial tile of each level, once it was read; `Err` if it cannot be had.
    edge: Vec<Option<Result<Vec<Hash>, ()>>>,
}

impl<'a> Climb<'a> {
    pub(super) fn new(store: &'a dyn Store, size: u64) -> Self {
        Self {
            store,
            size,
            pending: (0..8).map(|_| Pending::default()).collect(),
            edge: (0..8).map(|_| None).collect(),
        }
    }

    /// Goes on from a tile of level 0, if its hashes are known.
    pub(super) fn leaves(&mut self, index: u64, hashes: Option<Vec<Hash>>, flaws: &mut Flaws) {
        let Some(tile) = Tile::within(self.size, 0, index) else { return };
        self.done(tile, hashes, flaws);
    }

    /// A tile was read, or cannot be had: what its hashes come to is for the tile above, or for the root.
    fn done(&mut self, tile: Tile, hashes: Option<Vec<Hash>>, flaws: &mut Flaws) {
        let level = usize::from(tile.level);
        if !tile.is_full() {
            if let Some(edge) = self.edge.get_mut(level) {
                *edge = Some(hashes.ok_or(()));
            }
            return;
        }
        let above = tile.index / TILE_WIDTH;
        if self.pending.get(level).is_some_and(|pending| pending.index != above) {
            self.flush(tile.level, flaws);
        }
        let last_below = tile.index % TILE_WIDTH == TILE_WIDTH - 1;
        if let Some(pending) = self.pending.get_mut(level) {
            pending.index = above;
            pending.below.push((tile.index, hashes.map(|hashes| perfect_root(&hashes))));
        }
        if last_below {
            self.flush(tile.level, flaws);
        }
    }

    /// Compares a tile with the roots of those below it, which are of `level`.
    fn flush(&mut self, level: u8, flaws: &mut Flaws) {
        let Some(pending) = self.pending.get_mut(usize::from(level)) else { return };
        let Pending { index, below } = std::mem::take(pending);
        if below.is_empty() {
            return;
        }
        let Some(tile) = Tile::within(self.size, level + 1, index) else { return };
        let hashes = match read_tile(self.store, tile) {
            Ok(hashes) => {
                for (lower, root) in &below {
                    let position = usize::try_from(lower % TILE_WIDTH).unwrap_or_default();
                    if root.is_some() && hashes.get(position) != root.as_ref() {
                        let below = Tile { level, index: *lower, width: 256 }.path();
                        flaws.add(Flaw::Tile { path: tile.path(), position, below });
                    }
                }
                Some(hashes)
            }
            Err(flaw) => {
                flaws.add(flaw);
                let computed: Option<Vec<Hash>> = below.into_iter().map(|(_, root)| root).collect();
                computed.filter(|hashes| hashes.len() == usize::from(tile.width))
            }
        };
        self.done(tile, hashes, flaws);
    }

    /// The root that the tiles come to; none if one that it needs cannot be had, which is a flaw by then.
    pub(super) fn root(mut self, flaws: &mut Flaws) -> Option<Hash> {
        for level in 0..7 {
            self.flush(level, flaws);
        }
        let mut subtrees = Vec::new();
        for level in (0..8).rev() {
            let index = self.size.checked_shr(8 * (u32::from(level) + 1)).unwrap_or(0);
            let Some(tile) = Tile::within(self.size, level, index) else { continue };
            let hashes = match self.edge.get_mut(usize::from(level)).and_then(Option::take) {
                Some(known) => known.ok()?,
                // Not on the way of the entries that were asked for.
                None => read_tile(self.store, tile).map_err(|flaw| flaws.add(flaw)).ok()?,
            };
            let mut rest = &hashes[..];
            for bit in (0..8).rev().filter(|bit| hashes.len() & (1 << bit) > 0) {
                let (subtree, after) = rest.split_at(1 << bit);
                subtrees.push(perfect_root(subtree));
                rest = after;
            }
        }
        Some(lean_root(&subtrees))
    }
}
