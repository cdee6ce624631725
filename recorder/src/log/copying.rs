//! Copies of the logs where `auditUrl` says: what tlog-tiles has of each, uncompressed, up to the checkpoint that the witness
//! cosigned last. Files that never change are put once and overwrite nothing; `checkpoint` follows them, so whoever finds one
//! finds everything that it is about.

use std::io;

use audit::log::{SignedCheckpoint, Store, TILE_WIDTH, bundles_of, entries_path, tiles_of};
use process::storage::{Storage, StorageError};

use super::{
    Logs, Shard,
    files::{COPIED, text, write_durable},
};

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

/// Copies what is new of a log below `<pod>/<shard>/`. `copied` is where it was before; after a restart a note beside the log says
/// it.
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
    let witnessed = match read("witnessed".to_owned()).await {
        Err(CopyError::Missing(_)) => return Ok(copied.unwrap_or_default()),
        other => String::from_utf8(other?).map_err(io::Error::other)?,
    };
    let size = SignedCheckpoint::parse(&witnessed).map_err(io::Error::other)?.checkpoint().size;
    let place = |path: &str| format!("{pod}/{shard}/{path}");
    let copied = match copied {
        Some(copied) => copied,
        None => noted(logs, shard, storage.location(pod)).await?,
    };
    if size <= copied.size {
        return Ok(copied);
    }
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
    storage.put(&place("checkpoint"), witnessed.as_bytes()).await?;
    note(logs, shard, storage.location(pod), size).await?;
    Ok(Copied::of(size))
}

/// How far a log was copied to a place, as this recorder noted it. What the place itself says may be somebody else's word.
async fn noted(logs: &Logs, shard: Shard, place: String) -> io::Result<Copied> {
    let path = logs.dir(shard).join(COPIED);
    let note = super::blocking(move || text(&path)).await?.unwrap_or_default();
    let size = note.strip_prefix(&place).and_then(|rest| rest.trim().parse().ok());
    Ok(size.map_or_else(Copied::default, Copied::of))
}

/// Notes it, for after a restart.
async fn note(logs: &Logs, shard: Shard, place: String, size: u64) -> io::Result<()> {
    let path = logs.dir(shard).join(COPIED);
    super::blocking(move || write_durable(&path, format!("{place}\n{size}\n").as_bytes(), 0o640)).await
}

impl Copied {
    fn of(size: u64) -> Self {
        Self { full: size / TILE_WIDTH * TILE_WIDTH, size }
    }
}
