//! Where logs are read from: a recorder's directory, or a copy of its logs.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use audit::log::{Directory, SignedCheckpoint, Store, VerifyingKey, entries, entries_path};

use crate::{
    Logs, Shard,
    log::{DIRECTORY, Opened, Opening, shards, times},
};

/// How often a directory is looked at anew that a recorder changes under our eyes.
const ATTEMPTS: usize = 5;

/// The logs of one recorder.
///
/// In its own directory, whether or not it runs, or in a copy: a directory with one for each log, named by its shard, which
/// has the plain files of c2sp.org/tlog-tiles. Nothing is ever written.
pub struct Place {
    root: PathBuf,
    shards: Vec<Shard>,
    kind: Kind,
}

enum Kind {
    Recorder(Logs),
    Copy,
}

impl Place {
    /// That at `root`. Blocks on the disk.
    ///
    /// # Errors
    /// What the disk says. Logs that make no sense are no error: what is wrong with them is for who verifies them.
    pub fn open(root: &Path) -> io::Result<Self> {
        if !root.join(DIRECTORY).is_dir() {
            return Ok(Self { root: root.to_owned(), shards: copied(root)?, kind: Kind::Copy });
        }
        // Before they are looked at: one that is begun meanwhile would be read without what it has in the journal alone.
        let shards = shards(root)?.into_iter().map(|(shard, _)| shard).collect();
        Ok(Self { root: root.to_owned(), shards, kind: Kind::Recorder(seen(root)?) })
    }

    /// The shards that were there, oldest first.
    #[must_use]
    pub fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// The files of one.
    #[must_use]
    pub fn store(&self, shard: Shard) -> Box<dyn Store> {
        match &self.kind {
            Kind::Recorder(logs) => Box::new(logs.shard(shard)),
            Kind::Copy => Box::new(Directory(self.root.join(shard.to_string()))),
        }
    }

    /// Of each bundle the earliest and the latest time of its records, in milliseconds since 1970, where that is known.
    pub(crate) fn times(&self, shard: Shard) -> io::Result<Vec<(i64, i64)>> {
        match &self.kind {
            Kind::Recorder(_) => times(&self.root.join(DIRECTORY).join(shard.to_string())),
            Kind::Copy => Ok(Vec::new()),
        }
    }
}

fn copied(root: &Path) -> io::Result<Vec<Shard>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let name = entry.file_name();
        found.extend(name.to_str().and_then(|name| name.parse::<Shard>().ok()).filter(|_| entry.path().is_dir()));
    }
    found.sort_unstable();
    Ok(found)
}

/// The logs as they are seen now. Where they cannot be made sense of, just their files.
fn seen(root: &Path) -> io::Result<Logs> {
    for _ in 0..ATTEMPTS {
        match Logs::look(root) {
            Ok(logs) if logs.is_seen()? => return Ok(logs),
            // A segment went into bundles meanwhile, or the files are damaged.
            Ok(_) => {}
            Err(error) if is_damage(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Logs::still(root))
}

/// Whether an error says something of the files, and not of the disk.
pub(crate) fn is_damage(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, NotADirectory, NotFound, Other, UnexpectedEof};
    // serde_json's and flate2's own come as these; what has a number is of the system.
    matches!(error.kind(), InvalidData | InvalidInput | NotADirectory | NotFound | UnexpectedEof)
        || (error.kind() == Other && error.raw_os_error().is_none())
}

/// A signed checkpoint among the files of a log; none where it is absent or is none.
pub(crate) fn note(store: &dyn Store, path: &str) -> io::Result<Option<SignedCheckpoint>> {
    Ok(text(store, path)?.and_then(|text| SignedCheckpoint::parse(&text).ok()))
}

/// The key that is beside a log, on nobody's word but the log's.
pub(crate) fn own_key(store: &dyn Store) -> io::Result<Option<VerifyingKey>> {
    Ok(text(store, "vkey")?.and_then(|text| text.trim().parse().ok()))
}

/// A file's text; none where it is absent or no text.
pub(crate) fn text(store: &dyn Store, path: &str) -> io::Result<Option<String>> {
    match store.read(path) {
        Ok(bytes) => Ok(bytes.and_then(|bytes| String::from_utf8(bytes).ok())),
        Err(error) if is_damage(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// How a log of this size begins, by its first leaf; none where that cannot be read.
pub(crate) fn opened(store: &dyn Store, size: u64) -> io::Result<Option<Opened>> {
    let width = u16::try_from(size.min(256)).unwrap_or(256);
    if width == 0 {
        return Ok(None);
    }
    let bundle = match store.read(&entries_path(0, width)) {
        Ok(bundle) => bundle.unwrap_or_default(),
        Err(error) if is_damage(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(entries(&bundle).ok().and_then(|entries| opening(entries.first()?)))
}

/// How a log begins, if this is what it begins with.
pub(crate) fn opening(leaf: &[u8]) -> Option<Opened> {
    serde_json::from_slice::<Opening>(leaf).ok().map(|opening| opening.log)
}
