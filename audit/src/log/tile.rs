//! Tiles: where a log keeps its hashes and entries, 256 at a time (c2sp.org/tlog-tiles).
//!
//! Level 0 holds the hashes of the entries; a hash of level L is the root of one full tile of level L−1. Index N is written
//! in groups of three digits, `x` before all but the last: 5 is `005`, 1234067 is `x001/x234/067`.

use std::fmt::Write as _;

use thiserror::Error;

use super::text::decimal;

/// Hashes in a full tile and entries in a full bundle.
pub const TILE_WIDTH: u64 = 256;

/// The highest level a path may name.
const MAX_LEVEL: u8 = 63;

/// A path that names no tile or no bundle, or not in the one way there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not the path of a tile or of an entry bundle")]
pub struct NotATile;

/// One tile of hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tile {
    /// 0 for the hashes of entries, up to 63.
    pub level: u8,
    /// Which of its level, from 0.
    pub index: u64,
    /// How many hashes, 1 to 256; fewer than 256 at the right edge of a tree only.
    pub width: u16,
}

impl Tile {
    /// Its path under the log's prefix: `tile/<L>/<N>`, and `.p/<W>` when it is not full.
    #[must_use]
    pub fn path(&self) -> String {
        path(format!("tile/{}", self.level), self.index, self.width)
    }

    /// The tile of a path.
    ///
    /// # Errors
    /// [`NotATile`] for whatever [`Self::path`] would not write.
    pub fn parse(path: &str) -> Result<Self, NotATile> {
        let (level, rest) = path.strip_prefix("tile/").and_then(|rest| rest.split_once('/')).ok_or(NotATile)?;
        let level = decimal(level).and_then(|level| u8::try_from(level).ok()).filter(|level| *level <= MAX_LEVEL);
        let (index, width) = parse_index(rest)?;
        Ok(Self { level: level.ok_or(NotATile)?, index, width })
    }

    /// The tile of this level and index in a tree of `size` entries; none where that tree ends before it.
    #[must_use]
    pub(super) fn within(size: u64, level: u8, index: u64) -> Option<Self> {
        let hashes = size.checked_shr(8 * u32::from(level)).unwrap_or(0);
        let before = index.checked_mul(TILE_WIDTH)?;
        let width = hashes.saturating_sub(before).min(TILE_WIDTH);
        (width > 0).then_some(Self { level, index, width: width as u16 })
    }

    /// Whether nothing can be added to it.
    #[must_use]
    pub(super) fn is_full(&self) -> bool {
        u64::from(self.width) == TILE_WIDTH
    }
}

/// The path of an entry bundle of 1 to 256 entries under the log's prefix: `tile/entries/<N>[.p/<W>]`.
#[must_use]
pub fn entries_path(index: u64, width: u16) -> String {
    path("tile/entries".to_owned(), index, width)
}

/// Index and width of the entry bundle of a path.
///
/// # Errors
/// [`NotATile`] for whatever [`entries_path`] would not write.
pub fn parse_entries_path(path: &str) -> Result<(u64, u16), NotATile> {
    parse_index(path.strip_prefix("tile/entries/").ok_or(NotATile)?)
}

/// All tiles of a tree of this size, level by level from the lowest, each from the left; the partial one last.
pub fn tiles_of(size: u64) -> impl Iterator<Item = Tile> {
    (0..8).flat_map(move |level| (0..).map_while(move |index| Tile::within(size, level, index)))
}

/// Index and width of all entry bundles of a log of this size, from the first; the partial one last.
pub fn bundles_of(size: u64) -> impl Iterator<Item = (u64, u16)> {
    (0..).map_while(move |index| Tile::within(size, 0, index)).map(|tile| (tile.index, tile.width))
}

fn path(mut path: String, index: u64, width: u16) -> String {
    let mut groups = vec![index % 1000];
    let mut rest = index / 1000;
    while rest > 0 {
        groups.push(rest % 1000);
        rest /= 1000;
    }
    for (place, group) in groups.iter().enumerate().rev() {
        // Writing to a String does not fail.
        let _ = write!(path, "/{}{group:03}", if place > 0 { "x" } else { "" });
    }
    if u64::from(width) < TILE_WIDTH {
        let _ = write!(path, ".p/{width}");
    }
    path
}

fn parse_index(text: &str) -> Result<(u64, u16), NotATile> {
    let (groups, width) = match text.split_once(".p/") {
        Some((groups, width)) => (groups, decimal(width).filter(|width| (1..TILE_WIDTH).contains(width))),
        None => (text, Some(TILE_WIDTH)),
    };
    let width = width.and_then(|width| u16::try_from(width).ok()).ok_or(NotATile)?;
    let mut index: u64 = 0;
    let count = groups.split('/').count();
    for (place, group) in groups.split('/').enumerate() {
        let digits = if place + 1 < count { group.strip_prefix('x').ok_or(NotATile)? } else { group };
        let plain = digits.len() == 3 && digits.bytes().all(|b| b.is_ascii_digit());
        // One spelling for one index: no group of zeros in front.
        if !plain || (place == 0 && count > 1 && digits == "000") {
            return Err(NotATile);
        }
        let group: u64 = digits.parse().map_err(|_| NotATile)?;
        index = index.checked_mul(1000).and_then(|index| index.checked_add(group)).ok_or(NotATile)?;
    }
    Ok((index, width))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        let tile = |level, index, width| Tile { level, index, width }.path();
        assert_eq!(tile(0, 5, 256), "tile/0/005");
        assert_eq!(tile(1, 1_234_067, 256), "tile/1/x001/x234/067");
        assert_eq!(tile(0, 273, 112), "tile/0/273.p/112");
        assert_eq!(entries_path(1_000, 1), "tile/entries/x001/000.p/1");
        assert_eq!(entries_path(999, 256), "tile/entries/999");
    }

    #[test]
    fn a_path_has_one_spelling() {
        for path in [
            "",
            "tile/0",
            "tile/0/",
            "tile/00/001",
            "tile/+1/001",
            "tile/64/001",
            "tile/0/1",
            "tile/0/0001",
            "tile/0/x000/001",
            "tile/0/001/001",
            "tile/0/x001",
            "tile/0/x001/x002",
            "tile/0/+01",
            "tile/0/001.p/0",
            "tile/0/001.p/256",
            "tile/0/001.p/01",
            "tile/0/001.p/",
            "tile/0/001.p/1/",
            "tile/0/001/",
            "/tile/0/001",
            "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
        ] {
            assert_eq!(Tile::parse(path), Err(NotATile), "{path}");
        }
        assert_eq!(parse_entries_path("tile/0/001"), Err(NotATile));
        assert_eq!(Tile::parse("tile/entries/001"), Err(NotATile));
    }

    /// The example of the specification.
    #[test]
    fn seventy_thousand_entries_have_the_tiles_of_the_specification() {
        let tiles: Vec<_> = tiles_of(70_000).collect();
        let partial: Vec<_> = tiles.iter().filter(|tile| !tile.is_full()).map(Tile::path).collect();
        assert_eq!(partial, ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"]);
        assert_eq!(tiles.len(), 273 + 1 + 3);
        assert_eq!(tiles_of(0).count() + bundles_of(0).count(), 0);
        assert_eq!((bundles_of(70_000).count(), bundles_of(70_000).last()), (274, Some((273, 112))));
        let of_256: Vec<_> = tiles_of(256).map(|tile| tile.path()).collect();
        assert_eq!(of_256, ["tile/0/000", "tile/1/000.p/1"]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(level in 0..=63_u8, index: u64, width in 1..=256_u16) {
            let tile = Tile { level, index, width };
            prop_assert_eq!(Tile::parse(&tile.path()), Ok(tile));
            prop_assert_eq!(parse_entries_path(&entries_path(index, width)), Ok((index, width)));
        }

        /// Its paths are Go's, with the height of a tile in front and `data` for entries.
        #[test]
        fn a_stranger_writes_the_same_paths(index in 0..1_u64 << 40, width in 1..=256_u16, level in 0..7_u8) {
            let theirs = tlog_tiles::Tile::new(8, level, index, width.into(), false).path();
            let ours = Tile { level, index, width }.path();
            prop_assert_eq!(theirs.replacen("tile/8/", "tile/", 1), ours);
            let theirs = tlog_tiles::Tile::new(8, 0, index, width.into(), true).path();
            prop_assert_eq!(theirs.replacen("tile/8/data/", "tile/entries/", 1), entries_path(index, width));
        }
    }
}
