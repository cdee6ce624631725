//! A shard that grows: records of the journal become leaves, tiles and checkpoints.

use std::{
    fs, io,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use audit::log::{
    Checkpoint, Edge, Hash, HashSource, SignedCheckpoint, SigningKey, TILE_WIDTH, Tile, entries, entries_path,
    leaf_hash, push_entry, root_at,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    Shard,
    files::{
        CHECKPOINT, CLOSED, DIRECTORY, OPENING, SIGNING_KEY, TIMES, TIMES_BYTES, VERIFYING_KEY, compressed, sync_dir,
        sync_files, text, write_durable, write_once,
    },
    follow::{Follower, Stopped},
};
use crate::journal::segments;

/// Where a shard is made before it has its name.
const NEW: &str = "new";

/// The first leaf of a shard: `{"log":{…}}`. All others are records.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Opening {
    pub(crate) log: Opened,
}

/// How a shard begins.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Opened {
    /// The name of this log.
    pub(crate) origin: String,
    /// When it was opened, in milliseconds since 1970.
    pub(crate) time: i64,
    /// The number of the record that is the next leaf.
    pub(crate) first_sequence: u64,
    /// The last checkpoint of the shard before, as it was signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) previous: Option<String>,
}

/// See the module.
pub(super) struct Building {
    pub(super) shard: Shard,
    pub(super) dir: PathBuf,
    origin: String,
    /// The number of the record that is leaf 1.
    first: u64,
    /// `None` where nothing can be signed any more.
    key: Option<SigningKey>,
    /// Whether it writes, or only looks.
    writes: bool,
    edge: Edge,
    /// The entries that fill no bundle yet, and the times of their records.
    bundle: Vec<u8>,
    times: Option<(i64, i64)>,
    signed: Option<SignedCheckpoint>,
    follower: Follower,
    /// Bundles and tiles that a loss of power may still take.
    unsynced: Vec<PathBuf>,
}

/// What a shard is read with at the moment it was signed.
#[derive(Clone)]
pub(super) struct Snapshot {
    pub(super) checkpoint: SignedCheckpoint,
    pub(super) edge: Edge,
    pub(super) bundle: Vec<u8>,
}

impl Building {
    /// Makes a shard whose first record is `first`. Nothing of it is there before everything of it is.
    pub(super) fn create(
        root: &Path,
        shard: Shard,
        origin: String,
        first: u64,
        previous: Option<String>,
        now: Timestamp,
    ) -> io::Result<Self> {
        let logs = root.join(DIRECTORY);
        let (new, dir) = (logs.join(NEW), logs.join(shard.to_string()));
        if new.exists() {
            fs::remove_dir_all(&new)?;
        }
        fs::create_dir_all(&new)?;
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed).map_err(io::Error::other)?;
        let key = SigningKey::from_seed(&origin, &seed).map_err(io::Error::other)?;
        let opened = Opened { origin, time: now.as_millisecond(), first_sequence: first, previous };
        write_durable(&new.join(OPENING), &serde_json::to_vec(&Opening { log: opened })?, 0o640)?;
        write_durable(&new.join(VERIFYING_KEY), key.verifying_key().to_string().as_bytes(), 0o640)?;
        write_durable(&new.join(SIGNING_KEY), &*seed, 0o600)?;
        fs::rename(&new, &dir)?;
        sync_dir(&logs)?;
        Self::resume(root, shard, dir)
    }

    /// Takes up a shard of `root` where its full tiles and the journal leave it; reads no record yet.
    pub(super) fn resume(root: &Path, shard: Shard, dir: PathBuf) -> io::Result<Self> {
        Self::take_up(root, shard, dir, true)
    }

    /// A shard as it was when it was signed last, while a recorder writes to it or after one did. Writes nothing.
    pub(super) fn look(root: &Path, shard: Shard, dir: PathBuf) -> io::Result<Option<Snapshot>> {
        let mut building = Self::take_up(root, shard, dir, false)?;
        let Some(size) = building.signed.as_ref().map(|signed| signed.checkpoint().size) else { return Ok(None) };
        building.follow(building.first + size.saturating_sub(1))?;
        Ok(building.snapshot())
    }

    fn take_up(root: &Path, shard: Shard, dir: PathBuf, writes: bool) -> io::Result<Self> {
        let Some(opening) = text(&dir.join(OPENING))? else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "shard has no opening"));
        };
        let opened = serde_json::from_str::<Opening>(&opening)?.log;
        let key = match fs::read(dir.join(SIGNING_KEY)).map(Zeroizing::new) {
            Ok(_) if !writes => None,
            Ok(seed) => match <&[u8; 32]>::try_from(&seed[..]) {
                Ok(seed) => Some(SigningKey::from_seed(&opened.origin, seed).map_err(io::Error::other)?),
                Err(_) => None,
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let signed = text(&dir.join(CHECKPOINT))?.map(|note| SignedCheckpoint::parse(&note)).transpose();
        let signed = signed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        // What the journal does not have any more is in full bundles; everything else is made anew, in case that a loss of
        // power took tiles.
        let oldest = segments(root)?.first().map_or(opened.first_sequence, |(first, _)| *first);
        let size = match oldest.saturating_sub(opened.first_sequence) {
            0 => 0,
            before => (before + 1).next_multiple_of(TILE_WIDTH),
        };
        let edge = Edge::load(size, &Full(&dir))?;
        if writes {
            truncate_times(&dir, size / TILE_WIDTH)?;
        }
        let first = opened.first_sequence;
        let next = if size == 0 { first } else { first + size - 1 };
        let follower = Follower::new(root, next);
        let mut building = Self {
            shard,
            dir,
            origin: opened.origin,
            first,
            key,
            writes,
            edge,
            bundle: Vec::new(),
            times: None,
            signed,
            follower,
            unsynced: Vec::new(),
        };
        if size == 0 {
            building.append(opening.as_bytes(), opened.time)?;
        }
        Ok(building)
    }

    /// Takes in the records with numbers below `durable` that are of its quarter. After an error it must be resumed anew.
    pub(super) fn follow(&mut self, durable: u64) -> io::Result<Stopped> {
        let mut follower = std::mem::replace(&mut self.follower, Follower::new(Path::new(""), 0));
        let stopped = follower.catch_up(durable, &mut |stamp, payload| {
            // A clock that went back opens no shard of the past.
            if let Ok(time) = Timestamp::from_millisecond(stamp.time)
                && Shard::at(time) > self.shard.quarter()
            {
                return Ok(ControlFlow::Break(time));
            }
            self.append(payload, stamp.time)?;
            Ok(ControlFlow::Continue(()))
        });
        self.follower = follower;
        stopped
    }

    fn append(&mut self, entry: &[u8], time: i64) -> io::Result<()> {
        if !push_entry(&mut self.bundle, entry) {
            return Err(io::Error::other("record is too long for a leaf"));
        }
        self.times = Some(self.times.map_or((time, time), |(from, to)| (from.min(time), to.max(time))));
        let mut full = Vec::new();
        self.edge.push(leaf_hash(entry), &mut full);
        if self.edge.size().is_multiple_of(TILE_WIDTH) {
            if self.writes {
                self.write_bundle(self.edge.size() / TILE_WIDTH - 1, TILE_WIDTH as u16)?;
            }
            self.bundle.clear();
            self.times = None;
        }
        if !self.writes {
            return Ok(());
        }
        full.iter().try_for_each(|(tile, hashes)| self.write(&tile.path(), hashes))
    }

    /// Writes a file that never changes.
    fn write(&mut self, path: &str, content: &[u8]) -> io::Result<()> {
        let path = self.dir.join(path);
        write_once(&path, content)?;
        self.unsynced.push(path);
        Ok(())
    }

    /// Every bundle and tile that was written survives a loss of power from here on. Not the whole file system: what others write
    /// there would be waited for too, and by the journal.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if !self.unsynced.is_empty() {
            self.unsynced.push(self.dir.join(TIMES));
        }
        sync_files(&self.dir, &self.unsynced)?;
        self.unsynced.clear();
        Ok(())
    }

    /// The times last: who counts them finds the bundle.
    fn write_bundle(&mut self, index: u64, width: u16) -> io::Result<()> {
        let bundle = compressed(&self.bundle)?;
        self.write(&format!("{}.gz", entries_path(index, width)), &bundle)?;
        let (from, to) = self.times.unwrap_or_default();
        let mut times = fs::OpenOptions::new().create(true).append(true).open(self.dir.join(TIMES))?;
        io::Write::write_all(&mut times, &[from.to_be_bytes(), to.to_be_bytes()].concat())
    }

    /// Whether there is something that no checkpoint has, and a key to sign one.
    pub(super) fn is_dirty(&self) -> bool {
        self.key.is_some() && self.signed.as_ref().is_none_or(|signed| signed.checkpoint().size < self.edge.size())
    }

    /// Signs everything that was taken in, which is in the journal past `fdatasync`. The checkpoint is on disk before anybody
    /// sees it, so that there are never two of one size.
    pub(super) fn sign(&mut self) -> io::Result<()> {
        let Some(key) = self.key.as_ref().filter(|_| self.is_dirty()) else { return Ok(()) };
        let checkpoint = Checkpoint { origin: self.origin.clone(), size: self.edge.size(), root: self.edge.root() };
        let note = key.sign(&checkpoint);
        let signed = SignedCheckpoint::parse(&note).map_err(io::Error::other)?;
        write_durable(&self.dir.join(CHECKPOINT), note.as_bytes(), 0o640)?;
        self.signed = Some(signed);
        Ok(())
    }

    /// The newest checkpoint.
    pub(super) fn signed(&self) -> Option<&SignedCheckpoint> {
        self.signed.as_ref()
    }

    /// As it is now, if that is signed.
    pub(super) fn snapshot(&self) -> Option<Snapshot> {
        let checkpoint = self.signed.clone().filter(|signed| signed.checkpoint().size == self.edge.size())?;
        Some(Snapshot { checkpoint, edge: self.edge.clone(), bundle: self.bundle.clone() })
    }

    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    pub(super) fn has_key(&self) -> bool {
        self.key.is_some()
    }

    pub(super) fn size(&self) -> u64 {
        self.edge.size()
    }

    /// The number of the record that it would take in next.
    pub(super) fn next(&self) -> u64 {
        self.follower.next()
    }

    /// The number of the first record that is in no full bundle.
    pub(super) fn unbundled(&self) -> u64 {
        let bundled = self.edge.size() / TILE_WIDTH * TILE_WIDTH;
        if bundled == 0 { self.first } else { self.first + bundled - 1 }
    }

    /// The root that it had at a size, up to what it has now.
    pub(super) fn root_at(&self, size: u64) -> io::Result<Hash> {
        Ok(root_at(size, &Grown { dir: &self.dir, edge: &self.edge })?)
    }

    /// Ends it: signed as a whole, with the tiles of its right edge, and nothing that could sign once more.
    pub(super) fn close(&mut self) -> io::Result<()> {
        self.sign()?;
        let (size, width) = (self.edge.size(), self.edge.size() % TILE_WIDTH);
        truncate_times(&self.dir, size / TILE_WIDTH)?;
        if width > 0 {
            self.write_bundle(size / TILE_WIDTH, width as u16)?;
        }
        for (tile, hashes) in self.edge.partial_tiles() {
            self.write(&tile.path(), &hashes)?;
        }
        self.sync()?;
        write_durable(&self.dir.join(CLOSED), size.to_string().as_bytes(), 0o640)?;
        self.forget_key()
    }

    /// Gives it up: it cannot go on. What was signed stays to be checked, where that is what there is, with the tiles of its
    /// right edge; what follows it in the last bundle is for the next log.
    pub(super) fn abandon(&mut self) -> io::Result<()> {
        if let Some(signed) = self.signed.as_ref().map(|signed| signed.checkpoint().clone())
            && signed.size <= self.size()
            && self.root_at(signed.size)? == signed.root
        {
            let (full, width) = (signed.size / TILE_WIDTH, signed.size % TILE_WIDTH);
            let edge = Edge::load(signed.size, &Grown { dir: &self.dir, edge: &self.edge })?;
            for (tile, hashes) in edge.partial_tiles() {
                self.write(&tile.path(), &hashes)?;
            }
            // Otherwise the full bundle is there.
            if width > 0 && full == self.size() / TILE_WIDTH {
                let mut bundle = Vec::new();
                for entry in entries(&self.bundle).map_err(io::Error::other)?.into_iter().take(width as usize) {
                    if !push_entry(&mut bundle, entry) {
                        return Err(io::Error::other("record is too long for a leaf"));
                    }
                }
                // Without its times, which are counted for full bundles.
                self.write(&format!("{}.gz", entries_path(full, width as u16)), &compressed(&bundle)?)?;
            }
        }
        // Also where nothing fits: what is in full bundles leaves the journal next.
        self.sync()?;
        self.forget_key()
    }

    /// Nothing is signed any more.
    fn forget_key(&mut self) -> io::Result<()> {
        self.key = None;
        match fs::remove_file(self.dir.join(SIGNING_KEY)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => sync_dir(&self.dir),
        }
    }
}

/// [`TIMES`] with those of the first bundles only.
fn truncate_times(dir: &Path, bundles: u64) -> io::Result<()> {
    let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(dir.join(TIMES))?;
    if file.metadata()?.len() < bundles * TIMES_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "times of bundles are missing"));
    }
    file.set_len(bundles * TIMES_BYTES)
}

/// The full tiles of a shard.
pub(super) struct Full<'a>(pub(super) &'a Path);

impl HashSource for Full<'_> {
    type Error = io::Error;

    fn tile(&self, tile: Tile) -> io::Result<Vec<u8>> {
        fs::read(self.0.join(Tile { width: TILE_WIDTH as u16, ..tile }.path()))
    }
}

/// Its full tiles, and the hashes that fill none.
pub(super) struct Grown<'a> {
    pub(super) dir: &'a Path,
    pub(super) edge: &'a Edge,
}

impl HashSource for Grown<'_> {
    type Error = io::Error;

    fn tile(&self, tile: Tile) -> io::Result<Vec<u8>> {
        let full = self.edge.size() >> (8 * u32::from(tile.level)) >> 8;
        if tile.index < full { Full(self.dir).tile(tile) } else { Ok(self.edge.tile(tile.level).concat()) }
    }
}
