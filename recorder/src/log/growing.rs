//! Which shard grows: the one that was there, the next quarter's, or another epoch where a log cannot go on.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use audit::{
    Fault, LogChange, NotALog,
    log::{Checkpoint, SignedCheckpoint},
};
use jiff::Timestamp;

use super::{
    Outside, Shard,
    building::{Building, Opening, Snapshot},
    files::{self, CHECKPOINT, CLOSED, OPENING, text},
    follow::Stopped,
};
use crate::journal::segments;

/// The logs of a recorder, of which the newest grows.
pub(super) struct Growing {
    root: PathBuf,
    cluster: String,
    pod: String,
    building: Building,
    /// What is to be recorded of it.
    changes: Vec<LogChange>,
}

/// Why a log cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// There is less of it than was signed or witnessed.
    RolledBack { origin: String, remembered: u64, found: u64 },
    /// Its first leaves are others than were signed or witnessed.
    Rewritten { origin: String, size: u64 },
}

impl Trouble {
    /// As it is recorded.
    pub(super) fn fault(&self) -> Result<Fault, NotALog> {
        Ok(match self {
            Self::RolledBack { origin, remembered, found } => {
                Fault::LogRolledBack { origin: origin.parse()?, remembered: *remembered, found: *found }
            }
            Self::Rewritten { origin, size } => Fault::LogRewritten { origin: origin.parse()?, size: *size },
        })
    }
}

/// What there is of a shard on disk.
enum Found {
    /// It may go on.
    Open(Box<Building>),
    /// It ended as it should, before this record.
    Closed(u64),
    /// It cannot go on, for this reason; what is in it up to this record stays there.
    Broken(Option<Trouble>, Option<u64>),
}

impl Growing {
    /// Opens the logs below `root`, whose journal is durable below `durable`. What was remembered outside and is not here, or
    /// is here otherwise, is told, and another epoch is begun: the log that was signed is never signed otherwise.
    pub(super) fn open(
        root: &Path,
        outside: &Outside,
        pod: &str,
        durable: u64,
        now: Timestamp,
    ) -> io::Result<(Self, Vec<Trouble>)> {
        let remembered: Vec<(Shard, &Checkpoint)> = outside
            .remembered
            .iter()
            .filter_map(|it| Some((Shard::of_origin(&it.origin, &outside.cluster, pod)?, it)))
            .collect();
        let newest = remembered.iter().max_by_key(|(shard, it)| (*shard, it.size)).copied();
        let local = files::shards(root)?.pop();
        let found = match &local {
            Some((shard, dir)) => found(root, *shard, dir, durable, &remembered)?,
            None => Found::Broken(None, None),
        };
        let lost = newest
            .filter(|(shard, _)| local.as_ref().is_none_or(|(local, _)| shard > local))
            .map(|(_, it)| Trouble::RolledBack { origin: it.origin.clone(), remembered: it.size, found: 0 });
        let known = local.as_ref().map(|(shard, _)| *shard).max(newest.map(|(shard, _)| shard));
        let this = |building, changes| Self {
            root: root.to_owned(),
            cluster: outside.cluster.clone(),
            pod: pod.to_owned(),
            building,
            changes,
        };
        let (first, fault) = match found {
            Found::Open(building) if lost.is_none() => return Ok((this(*building, Vec::new()), Vec::new())),
            Found::Open(mut building) => {
                building.abandon()?;
                (Some(building.unbundled()), lost)
            }
            Found::Closed(next) => (Some(next), lost),
            Found::Broken(fault, unbundled) => (unbundled, fault.or(lost)),
        };
        let oldest = segments(root)?.first().map_or(durable, |(first, _)| *first);
        let first = first.map_or(oldest, |first| first.max(oldest));
        let previous = match &local {
            Some((_, dir)) => text(&dir.join(CHECKPOINT))?,
            None => None,
        };
        let shard = next(known, Shard::at(now));
        let origin = shard.origin(&outside.cluster, pod);
        let changes = opened(&origin, previous.as_deref()).into_iter().collect();
        let building = Building::create(root, shard, origin, first, previous, now)?;
        Ok((this(building, changes), fault.into_iter().collect()))
    }

    /// Takes in what is durable. After an error everything must be opened anew.
    pub(super) fn follow(&mut self, durable: u64, now: Timestamp) -> io::Result<()> {
        loop {
            let (at, first) = match self.building.follow(durable)? {
                Stopped::Caught => return Ok(()),
                Stopped::Wanted(time) => (Shard::at(time), self.building.next()),
                // The journal told of it; what is there goes into another log, since leaves have no gaps.
                Stopped::Gap(to) => (self.building.shard.quarter(), to),
            };
            self.building.close()?;
            self.changes.extend(self.building.origin().parse().ok().map(|origin| LogChange::Closed { origin }));
            let previous = self.building.signed().map(|signed| signed.text().to_owned());
            let shard = next(Some(self.building.shard), at);
            let origin = shard.origin(&self.cluster, &self.pod);
            self.changes.extend(opened(&origin, previous.as_deref()));
            self.building = Building::create(&self.root, shard, origin, first, previous, now)?;
        }
    }

    /// Signs what was taken in; what is readable then, if something was.
    pub(super) fn sign(&mut self) -> io::Result<Option<Snapshot>> {
        if !self.building.is_dirty() {
            return Ok(None);
        }
        self.building.sign()?;
        Ok(self.building.snapshot())
    }

    /// What is readable of a log that was just opened and has nothing new.
    pub(super) fn snapshot(&self) -> Option<Snapshot> {
        self.building.snapshot()
    }

    /// What happened since this was asked last.
    pub(super) fn take_changes(&mut self) -> Vec<LogChange> {
        std::mem::take(&mut self.changes)
    }

    pub(super) fn shard(&self) -> (Shard, &Path) {
        (self.building.shard, &self.building.dir)
    }

    /// The number of the next record that it will take in.
    pub(super) fn next(&self) -> u64 {
        self.building.next()
    }

    /// Deletes the segments of the journal that are in full bundles as a whole, once these survive a loss of power.
    pub(super) fn trim(&mut self) -> io::Result<()> {
        let segments = segments(&self.root)?;
        let covered = self.building.unbundled();
        let spent: Vec<&PathBuf> =
            segments.windows(2).filter(|pair| pair[1].0 <= covered).map(|pair| &pair[0].1).collect();
        if spent.is_empty() {
            return Ok(());
        }
        self.building.sync()?;
        spent.into_iter().try_for_each(fs::remove_file)
    }
}

/// As it is recorded; a name that no event takes is told in the logs only.
fn opened(origin: &str, previous: Option<&str>) -> Option<LogChange> {
    let previous = previous.and_then(|note| note.parse().ok());
    Some(LogChange::Opened { origin: origin.parse().ok()?, previous })
}

/// The shard that follows, in the quarter of `at` or, where that is no later one, in another epoch.
fn next(known: Option<Shard>, at: Shard) -> Shard {
    match known {
        Some(known) if at <= known.quarter() => known.next_epoch(),
        _ => at.quarter(),
    }
}

fn found(
    root: &Path,
    shard: Shard,
    dir: &Path,
    durable: u64,
    remembered: &[(Shard, &Checkpoint)],
) -> io::Result<Found> {
    let opening = text(&dir.join(OPENING))?.and_then(|it| serde_json::from_str::<Opening>(&it).ok());
    if let (Some(opening), Some(size)) = (&opening, text(&dir.join(CLOSED))?.and_then(|it| it.parse::<u64>().ok())) {
        return Ok(Found::Closed(opening.log.first_sequence + size.saturating_sub(1)));
    }
    let mut building = match Building::resume(root, shard, dir.to_owned()) {
        Ok(building) => building,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => {
            tracing::error!(%error, %shard, "the log cannot be taken up");
            let origin = opening.map_or_else(|| shard.to_string(), |opening| opening.log.origin);
            return Ok(Found::Broken(Some(Trouble::Rewritten { origin, size: 0 }), None));
        }
        Err(error) => return Err(error),
    };
    let signed = building.signed().map(SignedCheckpoint::checkpoint).cloned();
    // Nothing is signed, and nothing after a gap or of another quarter is taken in, before this is known to be right.
    building.follow(durable)?;
    let own = remembered.iter().filter(|(of, _)| *of == shard).map(|(_, it)| *it);
    for known in signed.iter().chain(own) {
        let fault = if known.size > building.size() {
            Trouble::RolledBack { origin: known.origin.clone(), remembered: known.size, found: building.size() }
        } else if building.root_at(known.size)? != known.root {
            Trouble::Rewritten { origin: known.origin.clone(), size: known.size }
        } else {
            continue;
        };
        building.abandon()?;
        return Ok(Found::Broken(Some(fault), Some(building.unbundled())));
    }
    if !building.has_key() {
        // Somebody took it away, to have another.
        building.abandon()?;
        return Ok(Found::Broken(None, Some(building.unbundled())));
    }
    Ok(Found::Open(Box::new(building)))
}
