//! The right edge of a growing tree: all that is needed to add to it and to know its root.

use super::hash::{lean_root, perfect_root};
use super::source::{self, HashSource, Unread};
use super::{Hash, TILE_WIDTH, Tile};

/// The incomplete tile of every level, 8 kB a level at most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    /// By level; each holds 0 to 255 hashes.
    levels: Vec<Vec<Hash>>,
}

impl Edge {
    /// That of an empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// That of a tree of `size` entries. Reads the full tiles below every incomplete one, at most 255 a level, and the
    /// incomplete tile of level 0 if there is one. Incomplete tiles of higher levels are not read but computed: a tree can
    /// have grown past a size without their ever having been written.
    ///
    /// Nothing vouches for what is read until [`Self::root`] is compared with a root that is signed.
    ///
    /// # Errors
    /// [`Unread`] if a tile cannot be had, or is cut.
    pub fn load<S: HashSource>(size: u64, source: &S) -> Result<Self, Unread<S::Error>> {
        let mut levels = Vec::new();
        for level in 0..8_u8 {
            let hashes = size >> (8 * u32::from(level));
            if hashes == 0 {
                break;
            }
            let (full, width) = (hashes / TILE_WIDTH, hashes % TILE_WIDTH);
            levels.push(match level.checked_sub(1) {
                _ if width == 0 => Vec::new(),
                None => source::read(source, Tile { level, index: full, width: narrow(width) })?,
                Some(below) => (full * TILE_WIDTH..hashes)
                    .map(|index| Ok(perfect_root(&source::read(source, Tile { level: below, index, width: 256 })?)))
                    .collect::<Result<_, _>>()?,
            });
        }
        Ok(Self { size, levels })
    }

    /// Adds a leaf, and to `full` the tiles that this completes with their 8,192 bytes, the lower level first.
    pub fn push(&mut self, leaf: Hash, full: &mut Vec<(Tile, Vec<u8>)>) {
        self.size += 1;
        let mut hash = leaf;
        for level in 0..8_u8 {
            let place = usize::from(level);
            if self.levels.len() == place {
                self.levels.push(Vec::new());
            }
            let row = &mut self.levels[place];
            row.push(hash);
            if row.len() < 256 {
                return;
            }
            let index = self.size.checked_shr(8 * (u32::from(level) + 1)).unwrap_or(1) - 1;
            full.push((Tile { level, index, width: 256 }, row.concat()));
            hash = perfect_root(row);
            row.clear();
        }
    }

    /// How many entries the tree has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root of the tree. Some microseconds a level: it hashes the incomplete tiles anew.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut subtrees = Vec::new();
        for row in self.levels.iter().rev() {
            let mut rest = &row[..];
            for bit in (0..8).rev() {
                if row.len() & (1 << bit) > 0 {
                    let (subtree, after) = rest.split_at(1 << bit);
                    subtrees.push(perfect_root(subtree));
                    rest = after;
                }
            }
        }
        lean_root(&subtrees)
    }

    /// The incomplete tiles of all levels that have one, with their bytes, the lowest level first.
    #[must_use]
    pub fn partial_tiles(&self) -> Vec<(Tile, Vec<u8>)> {
        let partial = |(level, row): (u8, &Vec<Hash>)| {
            let index = self.size >> (8 * (u32::from(level))) >> 8;
            let width = u16::try_from(row.len()).ok().filter(|width| *width > 0)?;
            Some((Tile { level, index, width }, row.concat()))
        };
        (0..).zip(&self.levels).filter_map(partial).collect()
    }

    /// The hashes in the incomplete tile of a level, 0 to 255.
    #[must_use]
    pub fn tile(&self, level: u8) -> &[Hash] {
        self.levels.get(usize::from(level)).map_or(&[], |row| row)
    }
}

fn narrow(width: u64) -> u16 {
    u16::try_from(width).unwrap_or(256)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Kept, leaf, reference_root};
    use super::*;

    #[test]
    fn the_root_is_that_of_the_definition_at_every_size() {
        let mut edge = Edge::new();
        let leaves: Vec<_> = (0..1_100).map(leaf).collect();
        assert_eq!(edge.root(), reference_root(&[]));
        for size in 1..=leaves.len() {
            edge.push(leaves[size - 1], &mut Vec::new());
            assert_eq!(edge.size(), size as u64);
            if size < 70 || size % 13 == 0 || (250..260).contains(&(size % 256)) {
                assert_eq!(edge.root(), reference_root(&leaves[..size]), "{size}");
            }
        }
    }

    #[test]
    fn tiles_come_out_when_they_are_complete_and_hold_what_the_level_below_says() {
        let mut edge = Edge::new();
        let mut full = Vec::new();
        for index in 0..65_536 {
            edge.push(leaf(index), &mut full);
        }
        let named: Vec<_> = full.iter().map(|(tile, _)| tile.path()).collect();
        assert_eq!(named.len(), 257);
        assert_eq!(named[254..], ["tile/0/254", "tile/0/255", "tile/1/000"]);
        assert!(full.iter().all(|(_, bytes)| bytes.len() == 8_192));
        assert_eq!(full[0].1[..32], leaf(0));
        let roots: Vec<_> = full[..256].iter().flat_map(|(_, bytes)| perfect_root(bytes.as_chunks().0)).collect();
        assert_eq!(full[256].1, roots);
        let partial = edge.partial_tiles();
        assert_eq!(partial.len(), 1);
        assert_eq!(partial[0].0.path(), "tile/2/000.p/1");
        assert_eq!((edge.tile(0), edge.tile(1), edge.tile(2).len(), edge.tile(3)), (&[][..], &[][..], 1, &[][..]));
    }

    #[test]
    fn an_edge_is_loaded_from_full_tiles_and_the_partial_one_of_level_0() {
        let mut edge = Edge::new();
        let mut kept = Kept::default();
        for index in 0..132_000 {
            edge.push(leaf(index), &mut kept.fresh);
            kept.keep();
            let size = edge.size();
            let chosen = [1, 2, 255, 256, 257, 512, 65_280, 65_536, 65_792, 131_072, 131_328, 131_999];
            if chosen.contains(&size) || size.is_multiple_of(9_999) {
                let mut all = kept.clone();
                all.fresh = edge.partial_tiles().into_iter().filter(|(tile, _)| tile.level == 0).collect();
                all.keep();
                assert_eq!(Edge::load(size, &all).as_ref(), Ok(&edge), "{size}");
            }
        }
        assert_eq!(Edge::load(0, &kept), Ok(Edge::new()));
        assert!(matches!(Edge::load(132_001, &kept), Err(Unread::Source(_))));
    }

    #[test]
    fn a_cut_tile_is_noticed() {
        let mut kept = Kept::default();
        let mut edge = Edge::new();
        (0..256).for_each(|index| edge.push(leaf(index), &mut kept.fresh));
        kept.keep();
        let tile = Tile { level: 0, index: 0, width: 256 };
        kept.tiles.get_mut(&(0, 0)).unwrap().pop();
        assert_eq!(Edge::load(256, &kept), Err(Unread::Short(tile)));
    }
}
