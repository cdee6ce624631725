//! The check of a whole log: from every entry up to the signed root, and against what is remembered of it.

use std::num::NonZero;
use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::climb::Climb;
use super::flaw::{Flaw, Flaws};
use super::leaves::{Bundle, read_bundle};
use super::proof::{consistency_proof, root_within};
use super::{
    BadSignature, Checkpoint, Hash, SignedCheckpoint, Store, StoredTiles, TILE_WIDTH, VerifyingKey, verify_consistency,
};

/// Bundles that a thread reads ahead. Of a megabyte each as a rule, and 16 MiB at most.
const READ_AHEAD: usize = 2;

/// What to check besides the log itself.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only these entries, and what leads from them to the root; all if there is none. Other entries of the bundles they are
    /// in are checked with them.
    pub range: Option<Range<u64>>,
    /// Checkpoints that the log once had, on the word of somebody the caller believes: it has to contain them.
    pub remembered: Vec<Checkpoint>,
    /// A witness who has to have cosigned the checkpoint.
    pub witness: Option<VerifyingKey>,
    /// How many threads read and hash; as many as there are processors if it is 0.
    pub threads: usize,
}

/// A log without flaws.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The checkpoint that was checked.
    pub checkpoint: SignedCheckpoint,
    /// Its size.
    pub size: u64,
    /// Its root.
    pub root: Hash,
}

/// Checks the log in a store against its key: every entry hashes to what its tile says, every tile to what the tile above
/// says, and they to the root of the checkpoint, which is the log's own.
///
/// `progress` is told how many entries are done, of how many. `entry` is given index and bytes of each entry that is as its
/// tile says, in order; whether the log is good is known only from the result.
///
/// Memory stays bounded: a few bundles a thread, a tile a level.
///
/// # Errors
/// [`Flaws`]: everything that is wrong with it.
pub fn verify(
    store: &dyn Store,
    key: &VerifyingKey,
    options: &Options,
    progress: &mut dyn FnMut(u64, u64),
    entry: &mut dyn FnMut(u64, &[u8]),
) -> Result<Verified, Flaws> {
    let checkpoint = read_checkpoint(store, key)?;
    let mut flaws = Flaws::default();
    let Checkpoint { size, root, .. } = *checkpoint.checkpoint();
    if let Some(witness) = &options.witness
        && let Err(why) = checkpoint.cosigned(witness)
    {
        flaws.add(Flaw::NotCosigned { witness: witness.to_string(), why });
    }
    let wanted = options.range.clone().unwrap_or(0..size);
    if wanted.start > wanted.end || wanted.end > size {
        flaws.add(Flaw::Range { from: wanted.start, to: wanted.end, size });
        return Err(flaws);
    }
    let bundles = wanted.start / TILE_WIDTH..wanted.end.div_ceil(TILE_WIDTH);
    let bundles = if wanted.is_empty() { 0..0 } else { bundles };

    let mut climb = Climb::new(store, size);
    let of = wanted.end - wanted.start;
    let threads =
        if options.threads > 0 { options.threads } else { thread::available_parallelism().map_or(1, NonZero::get) };
    in_order(bundles, threads, &|index| read_bundle(store, size, index), &mut |bundle: Bundle| {
        for (index, bytes) in bundle.good().filter(|(index, _)| wanted.contains(index)) {
            entry(index, bytes);
        }
        let done = ((bundle.index + 1) * TILE_WIDTH).min(wanted.end) - wanted.start;
        bundle.flaws.into_iter().for_each(|flaw| flaws.add(flaw));
        climb.leaves(bundle.index, bundle.hashes, &mut flaws);
        progress(done, of);
    });
    // Tiles that cannot be had are flaws already; a root is compared only where there is one.
    if climb.root(&mut flaws).is_some_and(|found| found != root) {
        flaws.add(Flaw::Root { size });
    }
    for remembered in &options.remembered {
        if let Some(flaw) = forgotten(store, remembered, checkpoint.checkpoint()) {
            flaws.add(flaw);
        }
    }
    if flaws.is_empty() { Ok(Verified { checkpoint, size, root }) } else { Err(flaws) }
}

fn read_checkpoint(store: &dyn Store, key: &VerifyingKey) -> Result<SignedCheckpoint, Flaw> {
    let path = || "checkpoint".to_owned();
    let bytes = match store.read("checkpoint") {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Err(Flaw::Missing { path: path() }),
        Err(error) => return Err(Flaw::Unreadable { path: path(), kind: error.kind() }),
    };
    let text = String::from_utf8(bytes).map_err(|_| Flaw::Checkpoint(super::NotACheckpoint::Note))?;
    let checkpoint = SignedCheckpoint::parse(&text).map_err(Flaw::Checkpoint)?;
    checkpoint.verify(key).map_err(|why| match why {
        BadSignature::Origin => {
            Flaw::Origin { found: checkpoint.checkpoint().origin.clone(), expected: key.name().to_owned() }
        }
        BadSignature::Absent | BadSignature::Wrong => Flaw::Signature { key: key.to_string(), why },
    })?;
    Ok(checkpoint)
}

/// What is wrong about a checkpoint that the log in a store should contain, which is now as `now` says; none if it does contain
/// it. The root it had is computed from tiles that only a proof towards the signed root vouches for: a broken tile must not
/// pass for a rewritten log.
pub fn forgotten(store: &dyn Store, remembered: &Checkpoint, now: &Checkpoint) -> Option<Flaw> {
    let Checkpoint { origin, size, root } = remembered;
    if *origin != now.origin {
        return Some(Flaw::Remembered { found: origin.clone(), expected: now.origin.clone() });
    }
    if *size > now.size {
        return Some(Flaw::RolledBack { remembered: *size, size: now.size });
    }
    if *size == now.size {
        return (*root != now.root).then_some(Flaw::Rewritten { size: *size });
    }
    let tiles = StoredTiles(store);
    let had = root_within(*size, now.size, &tiles).ok().filter(|had| {
        let proof = consistency_proof(*size, now.size, &tiles);
        proof.is_ok_and(|proof| verify_consistency(*size, had, now.size, &now.root, &proof).is_ok())
    });
    match had {
        None => Some(Flaw::Unproven { size: *size }),
        Some(had) => (had != *root).then_some(Flaw::Rewritten { size: *size }),
    }
}

/// Does `work` for every number, several at once, and gives `take` the results in order. Each thread has every n-th number
/// and waits when it is [`READ_AHEAD`] of them in front.
fn in_order<T: Send>(numbers: Range<u64>, threads: usize, work: &(dyn Fn(u64) -> T + Sync), take: &mut dyn FnMut(T)) {
    let threads = threads.min(usize::try_from(numbers.end - numbers.start).unwrap_or(usize::MAX));
    if threads <= 1 {
        return numbers.map(work).for_each(take);
    }
    thread::scope(|scope| {
        let start = |first: usize| {
            let (sender, receiver): (SyncSender<T>, Receiver<T>) = sync_channel(READ_AHEAD);
            let mut own = numbers.clone().skip(first).step_by(threads);
            // Nobody receives any more once the caller's `take` has panicked.
            scope.spawn(move || own.try_for_each(|number| sender.send(work(number))));
            receiver
        };
        let receivers: Vec<_> = (0..threads).map(start).collect();
        // A thread that ended early panicked, and the scope passes that on.
        numbers.clone().zip(receivers.iter().cycle()).map_while(|(_, from)| from.recv().ok()).for_each(take);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_whatever_the_number_of_threads() {
        for threads in [1, 2, 3, 8] {
            for count in [0, 1, 2, 7, 100] {
                let mut taken = Vec::new();
                in_order(5..5 + count, threads, &|number| number * 2, &mut |result| taken.push(result));
                assert_eq!(taken, (5..5 + count).map(|number| number * 2).collect::<Vec<_>>(), "{threads} {count}");
            }
        }
    }
}
