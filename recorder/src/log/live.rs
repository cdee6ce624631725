//! Logs as they are read: by their paths in C2SP's tlog-tiles, whatever of them is on disk and whatever only in memory.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwapOption;
use audit::{
    log::{
        Directory, HashSource, SignedCheckpoint, Store, TILE_WIDTH, Tile, VerifyingKey, entries, entries_path,
        parse_entries_path, push_entry,
    },
    wire::logs::Log,
};

use super::{
    Shard,
    building::{Building, Grown, Snapshot},
    files::{self, CHECKPOINT, CLOSED, SIGNING_KEY, VERIFYING_KEY, WITNESSED},
};

/// All logs of a recorder.
#[derive(Clone)]
pub struct Logs {
    root: PathBuf,
    live: Arc<ArcSwapOption<Live>>,
}

impl Logs {
    pub(super) fn new(root: PathBuf, live: Arc<ArcSwapOption<Live>>) -> Self {
        Self { root, live }
    }

    /// Those in a directory, whether or not a recorder writes there: as they were when they were signed last. Blocks on the disk,
    /// and writes nothing.
    ///
    /// # Errors
    /// What the disk says.
    pub fn look(root: &Path) -> io::Result<Self> {
        let live = ArcSwapOption::empty();
        if let Some((shard, dir)) = files::shards(root)?.pop()
            && !dir.join(CLOSED).exists()
            && let Some(snapshot) = Building::look(root, shard, dir.clone())?
        {
            live.store(Some(Arc::new(Live::new(shard, dir, snapshot))));
        }
        Ok(Self::new(root.to_owned(), Arc::new(live)))
    }

    /// Those in a directory, of which nothing is looked at but the files: where [`Self::look`] cannot make sense of them.
    pub(crate) fn still(root: &Path) -> Self {
        Self::new(root.to_owned(), Arc::default())
    }

    /// Whether the log that grows is seen as it was signed last, if there is one.
    pub(crate) fn is_seen(&self) -> io::Result<bool> {
        let newest = files::shards(&self.root)?.pop();
        let grows = newest.is_some_and(|(_, dir)| !dir.join(CLOSED).exists() && dir.join(CHECKPOINT).exists());
        Ok(!grows || self.live.load().is_some())
    }

    /// Their shards, oldest first.
    ///
    /// # Errors
    /// What the disk says.
    pub fn shards(&self) -> io::Result<Vec<Shard>> {
        Ok(files::shards(&self.root)?.into_iter().map(|(shard, _)| shard).collect())
    }

    /// One of them, to be read as it is now.
    pub fn shard(&self, shard: Shard) -> Reading {
        match self.live.load_full() {
            Some(live) if live.shard == shard => Reading::Live(live),
            _ => Reading::Still(Directory(self.dir(shard))),
        }
    }

    pub(super) fn dir(&self, shard: Shard) -> PathBuf {
        self.root.join(files::DIRECTORY).join(shard.to_string())
    }

    /// What there is of each.
    pub(crate) fn list(&self) -> io::Result<Vec<Log>> {
        let size = |shard: Shard, name: &str| -> io::Result<u64> {
            let note = self.shard(shard).read(name)?.and_then(|bytes| String::from_utf8(bytes).ok());
            Ok(note.and_then(|note| SignedCheckpoint::parse(&note).ok()).map_or(0, |note| note.checkpoint().size))
        };
        let mut logs = Vec::new();
        for (shard, dir) in files::shards(&self.root)? {
            logs.push(Log {
                shard: shard.to_string(),
                is_closed: !dir.join(SIGNING_KEY).exists(),
                size: size(shard, CHECKPOINT)?,
                witnessed: size(shard, WITNESSED)?,
            });
        }
        Ok(logs)
    }

    /// Keeps a checkpoint that the witness cosigned, if this log signed it, and it is the newest. Whether it is one of its own.
    pub(crate) fn keep_witnessed(&self, shard: Shard, note: &SignedCheckpoint) -> io::Result<bool> {
        let dir = self.dir(shard);
        let Some(key) = files::text(&dir.join(VERIFYING_KEY))? else { return Ok(false) };
        if !key.parse::<VerifyingKey>().is_ok_and(|key| note.verify(&key).is_ok()) {
            return Ok(false);
        }
        let before = files::text(&dir.join(WITNESSED))?.and_then(|note| SignedCheckpoint::parse(&note).ok());
        if before.is_none_or(|before| before.checkpoint().size < note.checkpoint().size) {
            files::write_durable(&dir.join(WITNESSED), note.text().as_bytes(), 0o640)?;
        }
        Ok(true)
    }
}

/// A log that is read: what of it is for others to see.
pub enum Reading {
    /// The one that grows, as it was when it was signed last.
    Live(Arc<Live>),
    /// One that grows no more.
    Still(Directory),
}

impl Store for Reading {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        // Beside them is the key that signs.
        let is_tile = Tile::parse(path).is_ok() || parse_entries_path(path).is_ok();
        if !is_tile && ![CHECKPOINT, WITNESSED, VERIFYING_KEY].contains(&path) {
            return Ok(None);
        }
        match self {
            Self::Live(live) => live.read(path),
            Self::Still(directory) => directory.read(path),
        }
    }
}

/// The shard that grows, as it was when it was signed last.
pub struct Live {
    shard: Shard,
    dir: PathBuf,
    snapshot: Snapshot,
}

impl Live {
    pub(super) fn new(shard: Shard, dir: PathBuf, snapshot: Snapshot) -> Self {
        Self { shard, dir, snapshot }
    }

    /// The hashes that are asked for: from a full tile, or from those that fill none.
    fn tile(&self, tile: Tile) -> io::Result<Option<Vec<u8>>> {
        let wanted = usize::from(tile.width) * 32;
        match (Grown { dir: &self.dir, edge: &self.snapshot.edge }).tile(tile) {
            Ok(mut hashes) if hashes.len() >= wanted => {
                hashes.truncate(wanted);
                Ok(Some(hashes))
            }
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn bundle(&self, index: u64, width: u16) -> io::Result<Option<Vec<u8>>> {
        let size = self.snapshot.checkpoint.checkpoint().size;
        if index > size / TILE_WIDTH {
            return Ok(None);
        }
        let whole = if index < size / TILE_WIDTH {
            Directory(self.dir.clone()).read(&entries_path(index, TILE_WIDTH as u16))?
        } else {
            Some(self.snapshot.bundle.clone())
        };
        let Some(whole) = whole else { return Ok(None) };
        if u64::from(width) == TILE_WIDTH && index < size / TILE_WIDTH {
            return Ok(Some(whole));
        }
        let all = entries(&whole).map_err(io::Error::other)?;
        let Some(wanted) = all.get(..usize::from(width)) else { return Ok(None) };
        let mut bundle = Vec::new();
        let fits = wanted.iter().all(|entry| push_entry(&mut bundle, entry));
        Ok(fits.then_some(bundle))
    }
}

impl Store for Live {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        if path == CHECKPOINT {
            return Ok(Some(self.snapshot.checkpoint.text().as_bytes().to_vec()));
        }
        if let Ok((index, width)) = parse_entries_path(path) {
            return self.bundle(index, width);
        }
        match Tile::parse(path) {
            Ok(tile) => self.tile(tile),
            Err(_) => Directory(self.dir.clone()).read(path),
        }
    }
}
