//! Whether the logs of a recorder are whole, follow each other, and hold what is known of them elsewhere.

mod chain;
mod fault;
#[cfg(test)]
mod tests;

use std::{io, ops::Range};

use audit::log::{self, Checkpoint, Flaw, Options, SignedCheckpoint, Store, VerifyingKey, forgotten};
use jiff::Timestamp;
use process::checkpoints::{Checkpoints, Witnessed};
use serde::Serialize;

pub use fault::{By, Fault, What};

use crate::{
    Shard,
    log::Opened,
    place::{Place, note, opened, opening, own_key, text},
};

/// What is known from elsewhere than where the logs are.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// Keys of logs.
    pub keys: Vec<VerifyingKey>,
    /// The witness's key. With it each log must have a checkpoint that the witness cosigned.
    pub witness: Option<VerifyingKey>,
    /// What the witness keeps: ConfigMap `openteam-audit`.
    pub checkpoints: Option<Checkpoints>,
    /// The present, by which logs may be missing that were kept long enough.
    pub now: Timestamp,
}

impl Expected {
    /// The witness's key; one that was given by itself counts before that of the ConfigMap.
    fn witness(&self) -> Option<&VerifyingKey> {
        self.witness.as_ref().or_else(|| self.checkpoints.as_ref()?.witness.as_ref())
    }

    fn entry(&self, origin: &str) -> Option<&Witnessed> {
        self.checkpoints.as_ref()?.logs.values().find(|log| log.note.checkpoint().origin == origin)
    }

    /// The key of a log, as somebody else than the log says.
    #[must_use]
    pub fn key(&self, origin: &str) -> Option<&VerifyingKey> {
        let given = self.keys.iter().find(|key| key.name() == origin);
        given.or_else(|| self.entry(origin).map(|entry| &entry.key))
    }
}

/// Which part to check.
#[derive(Clone, Debug, Default)]
pub struct Part {
    /// These logs; all if none is named.
    pub shards: Vec<Shard>,
    /// Only these entries of each; all if there is none.
    pub range: Option<Range<u64>>,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The logs, oldest first.
    pub logs: Vec<Log>,
    /// Everything that is wrong.
    pub faults: Vec<Fault>,
    /// How many more flaws there are that are not named.
    pub more: u64,
}

/// One log.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Log {
    /// Its shard.
    #[serde(serialize_with = "crate::verify::text_of")]
    pub shard: Shard,
    /// Its name; none where its checkpoint cannot be read.
    pub origin: Option<String>,
    /// Entries of its checkpoint.
    pub size: Option<u64>,
    /// The root of its checkpoint, base64.
    pub root: Option<String>,
    /// Entries of the newest checkpoint of it that was cosigned.
    pub witnessed: Option<u64>,
    /// What from outside it was checked against.
    pub against: Vec<Against>,
}

/// Something that does not come from where the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Against {
    /// A key that was given.
    Key,
    /// A cosignature by a witness's key that was given.
    Witness,
    /// A checkpoint that was given.
    Checkpoint,
    /// The log that follows, which is itself checked against something.
    Next,
}

/// What a report comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything is whole, and each log checked against something from outside.
    Whole,
    /// Something is wrong.
    Flawed,
    /// Everything is whole in itself, but a log was checked against nothing: whoever wrote there could have written it anew.
    Alone,
}

impl Report {
    /// What it comes to.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match () {
            () if !self.faults.is_empty() || self.more > 0 => Verdict::Flawed,
            () if self.logs.iter().any(|log| log.against.is_empty()) => Verdict::Alone,
            () => Verdict::Whole,
        }
    }
}

/// A log as far as it was checked.
struct Checked {
    log: Log,
    store: Box<dyn Store>,
    key: Option<VerifyingKey>,
    /// Its checkpoint, if the log signed it.
    now: Option<Checkpoint>,
    /// How it begins, by a first entry that is as the tree says.
    opened: Option<Opened>,
    /// Whether it was asked for.
    is_chosen: bool,
}

impl Checked {
    fn name(&self) -> String {
        self.log.origin.clone().unwrap_or_else(|| self.log.shard.to_string())
    }
}

/// Checks the logs of a recorder: each from every entry up to its signed root, that each holds what the next one says of it,
/// and what is known elsewhere. `progress` is told how many entries of a log are done, of how many.
///
/// # Errors
/// What the disk says; whatever is wrong with the logs is in the report.
pub fn verify(
    place: &Place,
    expected: &Expected,
    part: &Part,
    progress: &mut dyn FnMut(Shard, u64, u64),
) -> io::Result<Report> {
    let mut faults = Faults::default();
    let shards = place.shards();
    for shard in part.shards.iter().filter(|shard| !shards.contains(shard)) {
        faults.add(shard.to_string(), What::Unknown);
    }
    let mut all = Vec::new();
    for &shard in shards {
        let mut one = look(place, expected, shard)?;
        one.is_chosen = part.shards.is_empty() || part.shards.contains(&shard);
        if one.is_chosen {
            check(&mut one, expected, part, &mut faults, &mut |done, of| progress(shard, done, of))?;
        } else if let Some(now) = &one.now {
            one.opened = opened(&*one.store, now.size)?;
        }
        all.push(one);
    }
    identity(&all, expected, part, &mut faults);
    chain::check(&mut all, expected, &mut faults);
    let logs = all.into_iter().filter(|one| one.is_chosen).map(|one| one.log).collect();
    Ok(Report { logs, faults: faults.named, more: faults.more })
}

#[derive(Default)]
struct Faults {
    named: Vec<Fault>,
    more: u64,
}

impl Faults {
    fn add(&mut self, log: String, what: What) {
        self.named.push(Fault { log, what });
    }
}

/// What a log says of itself.
fn look(place: &Place, expected: &Expected, shard: Shard) -> io::Result<Checked> {
    let store = place.store(shard);
    let newest = note(&*store, "checkpoint")?;
    let own = own_key(&*store)?;
    let origin = newest.as_ref().map(|note| note.checkpoint().origin.clone());
    let given = origin.as_deref().and_then(|origin| expected.key(origin)).cloned();
    let against = if given.is_some() { vec![Against::Key] } else { Vec::new() };
    let key = given.or(own);
    let checkpoint = newest.as_ref().map(SignedCheckpoint::checkpoint);
    let log =
        Log { shard, size: checkpoint.map(|it| it.size), root: checkpoint.map(root), witnessed: None, against, origin };
    let now = newest.filter(|note| key.as_ref().is_some_and(|key| note.verify(key).is_ok()));
    let now = now.map(|note| note.checkpoint().clone());
    Ok(Checked { log, store, key, now, opened: None, is_chosen: false })
}

/// The root in base64, as the checkpoint's text has it.
fn root(checkpoint: &Checkpoint) -> String {
    checkpoint.to_string().lines().nth(2).unwrap_or_default().to_owned()
}

/// Checks one log by itself, and against what is known of it.
fn check(
    one: &mut Checked,
    expected: &Expected,
    part: &Part,
    faults: &mut Faults,
    progress: &mut dyn FnMut(u64, u64),
) -> io::Result<()> {
    let name = one.name();
    let Some(key) = one.key.clone() else {
        faults.add(name, What::NoKey);
        return Ok(());
    };
    let options = Options { range: part.range.clone(), ..Options::default() };
    let mut first = None;
    let mut entry = |index: u64, leaf: &[u8]| {
        if index == 0 {
            first = Some(leaf.to_vec());
        }
    };
    match log::verify(&*one.store, &key, &options, progress, &mut entry) {
        Ok(_) => {}
        Err(flaws) => {
            faults.more += flaws.more;
            flaws.named.into_iter().for_each(|flaw| faults.add(name.clone(), What::Flaw(flaw)));
        }
    }
    match (&first, &one.now) {
        (Some(leaf), _) => match opening(leaf) {
            Some(opened) => one.opened = Some(opened),
            None => faults.add(name.clone(), What::NoOpening),
        },
        // Of entries that do not begin at the first, nobody vouches for that but its bundle.
        (None, Some(now)) if part.range.as_ref().is_some_and(|range| range.start > 0) => {
            one.opened = opened(&*one.store, now.size)?;
        }
        _ => {}
    }
    remembered(one, &key, expected, faults)
}

/// Checks a log against what was witnessed of it.
fn remembered(one: &mut Checked, key: &VerifyingKey, expected: &Expected, faults: &mut Faults) -> io::Result<()> {
    let name = one.name();
    // Without a checkpoint of its own there is nothing to compare with, and that is a fault already.
    let Some(now) = one.now.clone() else { return Ok(()) };
    let beside = match text(&*one.store, "witnessed")? {
        // Where `auditUrl` leads there is one checkpoint, and that cosigned.
        None => {
            let newest = note(&*one.store, "checkpoint")?;
            newest.filter(|note| expected.witness().is_some_and(|witness| note.cosigned(witness).is_ok()))
        }
        Some(text) => match SignedCheckpoint::parse(&text) {
            Ok(note) => Some(note),
            Err(why) => {
                faults.add(name.clone(), What::Flaw(Flaw::Checkpoint(why)));
                None
            }
        },
    };
    let entry = expected.entry(&now.origin).map(|entry| entry.note.clone());
    let known = entry.map(|note| (By::Witness, note)).into_iter().chain(beside.map(|note| (By::Beside, note)));
    let mut is_cosigned = false;
    for (by, note) in known {
        if let Err(why) = note.verify(key) {
            faults.add(name.clone(), What::NotSigned { by, why });
            continue;
        }
        if let Some(witness) = expected.witness() {
            if let Err(why) = note.cosigned(witness) {
                faults.add(name.clone(), What::NotCosigned { by, witness: witness.name().to_owned(), why });
                continue;
            }
            is_cosigned = true;
            one.log.against.push(if by == By::Witness { Against::Checkpoint } else { Against::Witness });
        } else if by == By::Witness {
            one.log.against.push(Against::Checkpoint);
        }
        let checkpoint = note.checkpoint();
        one.log.witnessed = one.log.witnessed.max(Some(checkpoint.size));
        compare(&*one.store, checkpoint, &now, by, &name, faults);
    }
    if let Some(witness) = expected.witness.as_ref().filter(|_| !is_cosigned) {
        faults.add(name, What::NotWitnessed { witness: witness.name().to_owned() });
    }
    Ok(())
}

/// Whether a log contains a checkpoint that it signed; says what is wrong otherwise.
fn compare(store: &dyn Store, had: &Checkpoint, now: &Checkpoint, by: By, name: &str, faults: &mut Faults) -> bool {
    let what = match forgotten(store, had, now) {
        None => return true,
        Some(Flaw::Rewritten { size }) if size == now.size => {
            What::TwoRoots { size, root: root(now), other: root(had), by }
        }
        Some(flaw) => What::Forgotten { flaw, by },
    };
    faults.add(name.to_owned(), what);
    false
}

/// Whether each log is in its place and all are one recorder's, and whether all are here of which the witness knows.
fn identity(all: &[Checked], expected: &Expected, part: &Part, faults: &mut Faults) {
    let origins = |one: &Checked| one.log.origin.as_deref().and_then(Shard::parted).map(|(of, _)| of.to_owned());
    let recorder = all.iter().find_map(origins);
    for one in all.iter().filter(|one| one.is_chosen) {
        let Some(origin) = &one.log.origin else { continue };
        let parted = Shard::parted(origin);
        if parted.is_none_or(|(_, shard)| shard != one.log.shard) {
            faults.add(origin.clone(), What::Swapped { place: one.log.shard, found: origin.clone() });
        } else if let (Some((of, _)), Some(recorder)) = (parted, &recorder)
            && of != recorder
        {
            faults.add(origin.clone(), What::OtherRecorder { expected: recorder.clone() });
        }
        if let Some(known) = &expected.checkpoints
            && !origin.starts_with(&format!("audit.{}/", known.cluster))
        {
            faults.add(origin.clone(), What::OtherCluster { cluster: known.cluster.clone() });
        }
        if let Some(opened) = one.opened.as_ref().filter(|opened| opened.origin != *origin) {
            faults.add(origin.clone(), What::OtherOpening { found: opened.origin.clone() });
        }
    }
    for entry in expected.checkpoints.iter().flat_map(|known| known.logs.values()) {
        let Checkpoint { origin, size, .. } = entry.note.checkpoint();
        let Some((of, shard)) = Shard::parted(origin) else { continue };
        let is_asked_for = part.shards.is_empty() || part.shards.contains(&shard);
        let is_ours = recorder.as_ref().is_some_and(|recorder| of == recorder);
        let is_here = all.iter().any(|one| one.log.shard == shard);
        if is_asked_for && is_ours && !is_here && !chain::was_kept_long_enough(shard, all, expected.now) {
            faults.add(origin.clone(), What::Absent { size: *size, by: By::Witness });
        }
    }
}

fn text_of<S: serde::Serializer>(shard: &Shard, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(shard)
}
