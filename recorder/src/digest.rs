//! What a review of the record is made of: [`audit::wire::digest`].

mod tally;
mod verified;

use std::{io, path::Path};

use audit::wire::digest::Digest;

use crate::{
    Logs,
    records::{Found, From, forward},
};
use tally::Tally;

/// Everything that was recorded since a time, in milliseconds since 1970, and the state of all logs, as long as somebody wants
/// to know. Blocks on the disk, for minutes.
pub(crate) fn digest(dir: &Path, logs: &Logs, since: i64, is_wanted: &(dyn Fn() -> bool + Sync)) -> io::Result<Digest> {
    let mut tally = Tally::default();
    for found in forward(dir, From { sequence: 0, time: since })? {
        if !is_wanted() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        match found?.1 {
            Found::Record(stamp, payload) if stamp.time >= since => tally.add(&payload),
            Found::Record(..) => {}
            Found::Unreadable { .. } => tally.unreadable(),
        }
    }
    let mut digest = tally.digest();
    for shard in logs.shards()? {
        digest.logs.push(verified::log(shard, &logs.shard(shard), is_wanted));
    }
    Ok(digest)
}

#[cfg(test)]
mod tests;
