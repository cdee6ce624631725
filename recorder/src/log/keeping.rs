//! How long logs are kept: whole ones are deleted, recorded before, when all of one is older than the retention. None is while an
//! incident is open, nor while what is held cannot be told.

use std::{fs, io, path::Path, time::Duration};

use jiff::Timestamp;

use super::{Shard, files};

/// A log that may go.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Expired {
    pub(crate) shard: Shard,
    pub(crate) origin: String,
    /// The times of its oldest and newest record, in milliseconds since 1970.
    pub(crate) from: i64,
    pub(crate) to: i64,
}

/// The logs below `root`, oldest first, of which everything is older than `retention`. The newest is none of them, whatever is in
/// it, nor is anything after one that stays.
pub(crate) fn expired(root: &Path, retention: Duration, now: Timestamp) -> io::Result<Vec<Expired>> {
    let limit = now.as_millisecond().saturating_sub(i64::try_from(retention.as_millis()).unwrap_or(i64::MAX));
    let mut all = files::shards(root)?;
    all.pop();
    let mut expired = Vec::new();
    for (shard, dir) in all {
        let times = files::times(&dir)?;
        let opened = files::opened(&dir)?;
        let Some(opened) = opened else { break };
        let from = times.iter().map(|(from, _)| *from).min().unwrap_or(opened.time);
        let to = times.iter().map(|(_, to)| *to).max().unwrap_or(opened.time);
        if to >= limit {
            break;
        }
        expired.push(Expired { shard, origin: opened.origin, from, to });
    }
    Ok(expired)
}

/// Deletes a log. Its name goes first, so that what is half deleted is none.
pub(crate) fn delete(root: &Path, shard: Shard) -> io::Result<()> {
    let logs = root.join(files::DIRECTORY);
    let gone = logs.join(format!("deleted-{shard}"));
    fs::rename(logs.join(shard.to_string()), &gone)?;
    files::sync_dir(&logs)?;
    fs::remove_dir_all(gone)
}

/// Goes on with what was half deleted when a recorder was killed.
pub(crate) fn clear(root: &Path) -> io::Result<()> {
    let Ok(listed) = fs::read_dir(root.join(files::DIRECTORY)) else { return Ok(()) };
    for entry in listed {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("deleted-")) {
            fs::remove_dir_all(path)?;
        }
    }
    Ok(())
}
