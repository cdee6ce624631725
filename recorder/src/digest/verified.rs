//! Verifying a log where it is kept.

use std::io;

use audit::{
    log::{Flaw, Flaws, Options, SignedCheckpoint, Store, VerifyingKey, verify},
    wire::digest::{Log, MOST_FLAWS},
};

use crate::{Reading, Shard};

/// A store that fails once nobody waits for the answer: a runtime that ends waits for what blocks.
struct Wanted<'a> {
    store: &'a Reading,
    is_wanted: &'a (dyn Fn() -> bool + Sync),
}

impl Store for Wanted<'_> {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        if (self.is_wanted)() { self.store.read(path) } else { Err(io::ErrorKind::Interrupted.into()) }
    }
}

/// Checks a log from its entries to its root, and against what the witness cosigned of it last.
pub(super) fn log(shard: Shard, store: &Reading, is_wanted: &(dyn Fn() -> bool + Sync)) -> Log {
    let text = |name: &str| store.read(name).ok().flatten().and_then(|bytes| String::from_utf8(bytes).ok());
    let mut log = Log { shard: shard.to_string(), ..Log::default() };
    if let Some(note) = text("checkpoint").and_then(|note| SignedCheckpoint::parse(&note).ok()) {
        let checkpoint = note.checkpoint();
        log.origin.clone_from(&checkpoint.origin);
        log.size = checkpoint.size;
        // The third line of a checkpoint (C2SP tlog-checkpoint).
        log.root = note.body().lines().nth(2).unwrap_or_default().to_owned();
    }
    let Some(key) = text("vkey").and_then(|key| key.trim_end().parse::<VerifyingKey>().ok()) else {
        log.flaws.push("its key cannot be read".to_owned());
        return log;
    };
    let witnessed = text("witnessed").and_then(|note| SignedCheckpoint::parse(&note).ok());
    let options = Options {
        remembered: witnessed.map(|note| note.checkpoint().clone()).into_iter().collect(),
        // Callers wait for the same disk, and the same processors.
        threads: 1,
        ..Options::default()
    };
    let wanted = Wanted { store, is_wanted };
    match verify(&wanted, &key, &options, &mut |_, _| {}, &mut |_, _| {}) {
        // The live log may have grown since its checkpoint was read above.
        Ok(verified) => {
            log.size = verified.size;
            log.root = verified.checkpoint.body().lines().nth(2).unwrap_or_default().to_owned();
        }
        Err(Flaws { named, more }) => {
            log.more_flaws = more + named.len().saturating_sub(MOST_FLAWS) as u64;
            log.flaws = named.iter().take(MOST_FLAWS).map(Flaw::to_string).collect();
        }
    }
    log
}
