//! The files of a shard.
//!
//! `<dir>/log/<shard>/` holds what C2SP's tlog-tiles calls for, full tiles alone while the shard grows, and beside it:
//!
//! | file | content |
//! |---|---|
//! | `checkpoint` | the newest that was signed |
//! | `witnessed` | the newest with the witness's cosignature |
//! | `vkey` | the key that signatures are checked with |
//! | `key` | the seed of the key that signs, 32 bytes; gone once the shard is closed |
//! | `opening` | its first leaf, as `docs/formats.md` describes it |
//! | `closed` | once it grows no more: its size, decimal |
//! | `copied` | where `auditUrl` was when it was copied last, and how many leaves, a line each |
//! | `times` | of each full bundle the earliest and the latest time of its records, two big-endian i64 in milliseconds |
//!
//! Bundles of entries are kept compressed, `tile/entries/<N>.gz`. What is synced before it counts is written by
//! [`write_durable`]; tiles and bundles are not, since all that is in them is in the journal until [`sync_files`] was called.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};

use super::{
    Shard,
    building::{Opened, Opening},
};

/// Below a recorder's directory.
pub(crate) const DIRECTORY: &str = "log";
pub(super) const CHECKPOINT: &str = "checkpoint";
pub(super) const WITNESSED: &str = "witnessed";
pub(super) const VERIFYING_KEY: &str = "vkey";
pub(super) const SIGNING_KEY: &str = "key";
pub(super) const OPENING: &str = "opening";
pub(super) const CLOSED: &str = "closed";
pub(super) const TIMES: &str = "times";
pub(super) const COPIED: &str = "copied";

/// Bytes that [`TIMES`] has of a bundle.
pub(super) const TIMES_BYTES: u64 = 16;

/// The shards below a recorder's directory, oldest first.
pub(crate) fn shards(dir: &Path) -> io::Result<Vec<(Shard, PathBuf)>> {
    let listed = match fs::read_dir(dir.join(DIRECTORY)) {
        Ok(listed) => listed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in listed {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Ok(shard) = name.parse::<Shard>() {
            found.push((shard, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Replaces a file by a whole new one that survives a loss of power, or leaves the old one. Read by its owner and group alone.
pub(super) fn write_durable(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let new = path.with_extension("new");
    // One of a crash is in the way of the mode.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
    file.write_all(content)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    sync_dir(path.parent().unwrap_or(path))
}

pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// These files below `dir`, and their names, survive a loss of power from here on.
pub(super) fn sync_files(dir: &Path, files: &[PathBuf]) -> io::Result<()> {
    let mut dirs = BTreeSet::new();
    for file in files {
        File::open(file)?.sync_all()?;
        dirs.extend(file.ancestors().skip(1).take_while(|above| above.starts_with(dir)));
    }
    dirs.into_iter().try_for_each(sync_dir)
}

/// Everything below `dir` survives a loss of power from here on.
pub(crate) fn sync(dir: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(dir)?)?)
}

/// Writes a file whose content never changes, as a whole: whoever finds it may read it.
pub(crate) fn write_once(path: &Path, content: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let written = fs::write(&new, content);
    if matches!(&written, Err(error) if error.kind() == io::ErrorKind::NotFound) {
        fs::create_dir_all(path.parent().unwrap_or(path))?;
        fs::write(&new, content)?;
    } else {
        written?;
    }
    fs::rename(&new, path)
}

/// gzip at the level that costs least for what it saves.
pub(super) fn compressed(content: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(content.len() / 4), Compression::new(2));
    encoder.write_all(content)?;
    encoder.finish()
}

/// A small file's text, `None` where it is absent.
pub(super) fn text(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// How a shard began; `None` where there is none.
pub(crate) fn opened(dir: &Path) -> io::Result<Option<Opened>> {
    let wrong = |_| io::Error::new(io::ErrorKind::InvalidData, "a shard's opening cannot be read");
    let Some(opening) = text(&dir.join(OPENING))? else { return Ok(None) };
    Ok(Some(serde_json::from_str::<Opening>(&opening).map_err(wrong)?.log))
}

/// The number of a shard's first record, and its leaves once it is closed; `None` where there is no shard.
pub(crate) fn begins(dir: &Path) -> io::Result<Option<(u64, Option<u64>)>> {
    let Some(opened) = opened(dir)? else { return Ok(None) };
    Ok(Some((opened.first_sequence, text(&dir.join(CLOSED))?.and_then(|size| size.parse().ok()))))
}

/// Of each bundle the earliest and the latest time of its records, in milliseconds since 1970.
pub(crate) fn times(dir: &Path) -> io::Result<Vec<(i64, i64)>> {
    let bytes = match fs::read(dir.join(TIMES)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let (pairs, _) = bytes.as_chunks::<16>();
    let (read, all) = (|half: &[u8]| half.try_into().map_or(0, i64::from_be_bytes), pairs.iter());
    Ok(all.map(|pair| (read(&pair[..8]), read(&pair[8..]))).collect())
}
