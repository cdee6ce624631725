//! Copies of the logs where `auditUrl` says: what tlog-tiles has of each, uncompressed, up to the checkpoint that the witness
//! cosigned last. Files that never change are put once and overwrite nothing; `checkpoint` follows them, so whoever finds one
//! finds everything that it is about.

use std::io;

use audit::log::{Checkpoint, SignedCheckpoint, Store, TILE_WIDTH, bundles_of, entries_path, forgotten, tiles_of};
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

/// Copies what is new of a log below `<pod>/<shard>/`. `copied` is where it was before; where that is not known the checkpoint
/// that is there says it.
pub(crate) async fn copy(
    logs: &Logs,
    shard: Shard,
    pod: &str,
    storage: &Storage,
    copied: Option<Copied>,
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
        Err(CopyError::Missing(_)) => return Ok(copied.unwrap_or_default()),
        other => String::from_utf8(other?).map_err(io::Error::other)?,
    };
    let witnessed = SignedCheckpoint::parse(&note).map_err(io::Error::other)?.checkpoint().clone();
    let size = witnessed.size;
    let place = |path: &str| format!("{pod}/{shard}/{path}");
    let copied = match copied {
        Some(copied) => copied,
        None => there(logs, shard, storage, &place("checkpoint"), witnessed).await,
    };
    if size <= copied.size {
        return Ok(copied);
    }
    let full = size / TILE_WIDTH;
    for (index, width) in bundles_of(size).skip_while(|(index, _)| index * TILE_WIDTH < copied.full) {
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

/// How far a log was copied, by a checkpoint that it contains. Where there is none the copy begins anew, which puts nothing over
/// what is there.
async fn there(logs: &Logs, shard: Shard, storage: &Storage, name: &str, witnessed: Checkpoint) -> Copied {
    let Ok(found) = storage.get(name, None).await else { return Copied::default() };
    let found = String::from_utf8(found).ok().and_then(|text| SignedCheckpoint::parse(&text).ok());
    let Some(found) = found else { return Copied::default() };
    let size = found.checkpoint().size;
    let logs = logs.clone();
    let is_contained =
        super::blocking(move || Ok(forgotten(&logs.shard(shard), found.checkpoint(), &witnessed).is_none())).await;
    match is_contained {
        Ok(true) => Copied { full: size / TILE_WIDTH * TILE_WIDTH, size },
        _ => Copied::default(),
    }
}
