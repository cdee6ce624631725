//! Copies of the logs where `auditUrl` says: what tlog-tiles has of each, uncompressed, up to the checkpoint that the witness
//! cosigned last. Files that never change are put once and overwrite nothing; `checkpoint` follows them, so whoever finds one
//! finds everything that it is about.

use std::io;

use audit::log::{SignedCheckpoint, Store, TILE_WIDTH, entries_path, tiles_of};
use process::storage::{Storage, StorageError};

use super::{Logs, Shard};

/// How far a log was copied.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Copied {
    /// Leaves in full bundles.
    full: u64,
    /// Of the newest checkpoint.
    size: u64,
}

/// Why a copy is behind.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CopyError {
    #[error("log cannot be read")]
    Disk(#[from] io::Error),
    #[error("log cannot be copied")]
    Storage(#[from] StorageError),
    #[error("{0} of the log is missing")]
    Missing(String),
}

/// Copies what is new of a log below `<pod>/<shard>/`. `copied` is where it was before.
pub(crate) async fn copy(
    logs: &Logs,
    shard: Shard,
    pod: &str,
    storage: &Storage,
    copied: Copied,
) -> Result<Copied, CopyError> {
    let read = async |path: String| {
        let logs = logs.clone();
        let found = super::blocking(move || logs.shard(shard).read(&path).map(|found| (path, found))).await?;
        match found {
            (_, Some(content)) => Ok(content),
            (path, None) => Err(CopyError::Missing(path)),
        }
    };
    let note = match read("witnessed".to_owned()).await {
        Err(CopyError::Missing(_)) => return Ok(copied),
        other => String::from_utf8(other?).map_err(io::Error::other)?,
    };
    let size = SignedCheckpoint::parse(&note).map_err(io::Error::other)?.checkpoint().size;
    if size <= copied.size {
        return Ok(copied);
    }
    let place = |path: &str| format!("{pod}/{shard}/{path}");
    let full = size / TILE_WIDTH;
    for index in copied.full / TILE_WIDTH..size.div_ceil(TILE_WIDTH) {
        let width = if index < full { TILE_WIDTH } else { size % TILE_WIDTH } as u16;
        let path = entries_path(index, width);
        storage.put_new(&place(&path), &read(path.clone()).await?).await?;
    }
    // Of a level's full tiles those before were copied with the leaves before.
    for tile in tiles_of(size) {
        let covered = (tile.index + 1) << (8 * (u32::from(tile.level) + 1));
        if u64::from(tile.width) == TILE_WIDTH && covered <= copied.full {
            continue;
        }
        let path = tile.path();
        storage.put_new(&place(&path), &read(path.clone()).await?).await?;
    }
    let key = read("vkey".to_owned()).await?;
    storage.put_new(&place("vkey"), &key).await?;
    storage.put(&place("checkpoint"), note.as_bytes()).await?;
    Ok(Copied { full: full * TILE_WIDTH, size })
}
