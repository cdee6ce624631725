//! Going through the record for a query, oldest first, several bundles at once.

use std::{io, num::NonZero, path::Path, thread};

use audit::log::entries;

use super::filter::{Filter, Hit};
use crate::records::{Bundled, Found, From, forward};

/// Bundles that a thread reads before anything of them is given out. Of a megabyte each as a rule.
const EACH: usize = 8;

/// What was found, in order.
pub(crate) enum Seen {
    /// A record that is wanted.
    Hit(Hit),
    /// A place that cannot be read: what should be there is unknown.
    Unreadable(String),
}

/// Gives what is wanted of the records below `before` to `take`, until that fails. Blocks on the disk.
pub(crate) fn scan<E: std::convert::From<io::Error>>(
    dir: &Path,
    filter: &Filter<'_>,
    before: u64,
    take: &mut dyn FnMut(Seen) -> Result<(), E>,
) -> Result<(), E> {
    let shards = Bundled::all(dir)?;
    let covered = shards.iter().map(Bundled::end).max().unwrap_or(0);
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let jobs = jobs(&shards, filter, before);
    for few in jobs.chunks(threads * EACH) {
        for one in at_once(few, threads, &|job: &Job<'_>| job.seen(filter)) {
            for seen in one? {
                match seen {
                    Seen::Hit(hit) if hit.stamp.sequence >= before => return Ok(()),
                    seen => take(seen)?,
                }
            }
        }
    }
    for found in forward(dir, From { sequence: covered, time: filter.times.start })? {
        match found?.1 {
            Found::Record(stamp, _) if stamp.sequence >= before => break,
            Found::Record(_, payload) => {
                if let Some(hit) = filter.hit(&payload) {
                    take(Seen::Hit(hit))?;
                }
            }
            Found::Unreadable { file, offset, bytes } => {
                take(Seen::Unreadable(format!("{} bytes at {offset} of {}", bytes, file.display())))?;
            }
        }
    }
    Ok(())
}

/// A bundle to be read.
struct Job<'a> {
    shard: &'a Bundled,
    bundle: u64,
    /// Records with lower numbers are in a log before.
    from: u64,
}

fn jobs<'a>(shards: &'a [Bundled], filter: &Filter<'_>, before: u64) -> Vec<Job<'a>> {
    let (mut jobs, mut from) = (Vec::new(), 0);
    for shard in shards {
        let wanted = (0..shard.count()).filter(|bundle| {
            let last = shard.first + (bundle + 1) * 256 - 2;
            last >= from && shard.is_within(*bundle, &filter.times)
        });
        if shard.first < before {
            jobs.extend(wanted.map(|bundle| Job { shard, bundle, from }));
        }
        from = from.max(shard.end());
    }
    jobs
}

impl Job<'_> {
    fn seen(&self, filter: &Filter<'_>) -> io::Result<Vec<Seen>> {
        let (file, content) = match self.shard.content(self.bundle) {
            Ok(read) => read,
            // It was kept for long enough, and deleted meanwhile.
            Err(_) if !self.shard.dir.exists() => return Ok(Vec::new()),
            Err(error) if crate::place::is_damage(&error) => return Ok(vec![Seen::Unreadable(error.to_string())]),
            Err(error) => return Err(error),
        };
        let Ok(entries) = entries(&content) else {
            return Ok(vec![Seen::Unreadable(file.display().to_string())]);
        };
        let hits = entries.into_iter().filter_map(|entry| filter.hit(entry));
        Ok(hits.filter(|hit| hit.stamp.sequence >= self.from).map(Seen::Hit).collect())
    }
}

/// Does `work` for each, and gives the results in order.
fn at_once<J: Sync, T: Send>(jobs: &[J], threads: usize, work: &(dyn Fn(&J) -> T + Sync)) -> Vec<T> {
    let each = jobs.len().div_ceil(threads).max(1);
    thread::scope(|scope| {
        let running: Vec<_> =
            jobs.chunks(each).map(|some| scope.spawn(move || some.iter().map(work).collect::<Vec<_>>())).collect();
        // A thread that panicked passes that on here.
        let joined = running.into_iter().map(|one| one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        joined.flatten().collect()
    })
}
