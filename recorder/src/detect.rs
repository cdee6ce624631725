//! What in the record needs a look: [`audit::Detection`]s, found in what is stored as it is stored.
//!
//! Deciding is pure: a [`Detector`] is shown records and told the time. [`Watch`] reads the journal behind its end, so that
//! nobody who waits for the disk waits for this, and the recorder's own events are looked at too.
//!
//! | finding | when | about |
//! |---|---|---|
//! | `BurstOfRefusals` | 100 refusals in 5 minutes, not counting 429 and 5xx | a caller; where it is not known, its network |
//! | `NewSubject` | a first granted call through a connection that has been in use for 7 days | connection and caller |
//! | `NewNetwork` | a first granted call from a network, of a caller known for 7 days | caller and network |
//! | `TokenUsedAfterContainment` | a granted call later than `stalenessLimit` + 20 s after a containment, before its end | what was contained |
//! | `RefreshFailures` | 5 refreshes refused within an hour, none succeeding between | a connection |
//! | `UnusualVolume` | 1,000 calls in an hour and over 5 times the busiest hour of 7 days before | a connection in use for 7 days |
//! | `WriterGap` | a number of a run missing for 5 minutes; where there are several recorders, by the operator | a run of a process |
//! | `SignInAttack` | 50 codes wrong or not given out in 10 minutes; or locked twice in 24 hours | a network; an address |
//!
//! `RecorderSilent` and `LogContradicted` are the operator's to find. What is found is recorded once, and again after an hour if it
//! is so still; of one kind at most 100 times an hour. After a start what was before is learnt from the newest 512 MiB of the
//! record; where that is less than 7 days the findings that compare with 7 days wait.

mod containment;
mod finding;
mod gaps;
mod novelty;
mod recent;
mod refusals;
mod seen;
mod volume;
mod watch;
mod window;

use std::time::Duration;

use audit::wire::writers::Writers;

pub(crate) use finding::{Evidence, Finding};
pub(crate) use seen::Seen;
pub(crate) use watch::{Detections, Watch};

use containment::Containment;
use finding::Told;
use gaps::Gaps;
use novelty::Novelty;
use refusals::Refusals;
use volume::Volume;

/// Milliseconds.
const MINUTE: i64 = 60_000;
/// Milliseconds.
const DAY: i64 = 24 * 60 * MINUTE;

/// Everything that is remembered of the record to find something in it.
#[derive(Debug)]
pub(crate) struct Detector {
    refusals: Refusals,
    novelty: Novelty,
    containment: Containment,
    volume: Volume,
    gaps: Gaps,
    told: Told,
}

impl Detector {
    /// That knows of no record before `now`, in milliseconds since 1970.
    pub(crate) fn new(staleness_limit: Duration, now: i64) -> Self {
        Self {
            refusals: Refusals::default(),
            novelty: Novelty::default(),
            containment: Containment::new(staleness_limit),
            volume: Volume::default(),
            gaps: Gaps::new(now),
            told: Told::default(),
        }
    }

    /// Takes note of a record from before the start, newest first.
    pub(crate) fn learn(&mut self, seen: &Seen<'_>) {
        // They were told then.
        let mut found = Vec::new();
        self.compared(seen, &mut found);
        self.gaps.known_from(seen.time);
    }

    /// Takes note that there is no record before those that were learnt.
    pub(crate) fn learnt_all(&mut self) {
        self.gaps.known_from(i64::MIN);
    }

    /// Looks at the next record.
    pub(crate) fn see(&mut self, seen: &Seen<'_>) -> Vec<Finding> {
        let mut found = Vec::new();
        self.refusals.see(seen, &mut found);
        self.compared(seen, &mut found);
        self.told.fresh(found, seen.time)
    }

    /// What compares with what was before, in whatever order that becomes known.
    fn compared(&mut self, seen: &Seen<'_>, found: &mut Vec<Finding>) {
        self.novelty.see(seen, found);
        self.containment.see(seen, found);
        self.volume.see(seen, found);
        self.gaps.see(seen);
    }

    /// Which numbers of writers there are here, for who knows those of other recorders. `known_until`: of records until then.
    pub(crate) fn writers(&mut self, known_until: i64) -> Writers {
        self.gaps.writers(known_until)
    }

    /// What is found because time has passed. `is_alone`: no other recorder has a part of what processes write.
    pub(crate) fn tick(&mut self, now: i64, is_alone: bool) -> Vec<Finding> {
        let mut found = Vec::new();
        self.gaps.tick(now, is_alone, &mut found);
        self.told.fresh(found, now)
    }
}

#[cfg(test)]
mod tests;
