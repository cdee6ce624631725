//! Where the files of a log are.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::{HashSource, TILE_WIDTH, Tile};

/// The longest file of a log, in bytes: a bundle of 256 of the longest entries.
pub const MAX_FILE_BYTES: u64 = TILE_WIDTH * (2 + 65_535);

/// Reads the files of one log, by their paths under its prefix; from several threads at once.
pub trait Store: Sync {
    /// The bytes of a file, not compressed; none if there is no such file.
    ///
    /// # Errors
    /// It cannot be read.
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>>;
}

/// A log in a directory. A file may be there gzipped under its name and `.gz` instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory(pub PathBuf);

impl Store for Directory {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        let plain = !path.is_empty() && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
        if !plain {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a path within a log"));
        }
        if let Some(file) = open(&self.0.join(path))? {
            return bounded(file).map(Some);
        }
        match open(&self.0.join(format!("{path}.gz")))? {
            Some(file) => bounded(MultiGzDecoder::new(file)).map(Some),
            None => Ok(None),
        }
    }
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        // Not a directory: a file where the path has one of its directories.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

/// All that is there, unless it is more than a log's file can be: a few kilobytes can inflate to gigabytes.
fn bounded(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "longer than any file of a log"));
    }
    Ok(bytes)
}

/// The tiles of a stored log.
#[derive(Clone, Copy)]
pub struct StoredTiles<'a>(pub &'a dyn Store);

impl HashSource for StoredTiles<'_> {
    type Error = io::Error;

    /// A partial tile may be gone once the full one is there (c2sp.org/tlog-tiles), which begins with the same hashes.
    fn tile(&self, tile: Tile) -> io::Result<Vec<u8>> {
        let full = Tile { width: 256, ..tile };
        let found = match self.0.read(&tile.path())? {
            None if tile != full => self.0.read(&full.path())?,
            found => found,
        };
        found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, tile.path()))
    }
}
