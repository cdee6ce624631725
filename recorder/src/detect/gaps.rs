//! `WriterGap`: numbers of a run that are in no record.
//!
//! Numbers come in another order than they were given, so a gap is one that has been there for a while. With several recorders
//! each has a part of a run's numbers, and what one misses another may have: then a recorder by itself judges nothing, and tells the
//! operator what it has (`audit::wire::writers`).

use std::collections::BTreeMap;

use audit::{
    DetectionKind, Peer,
    wire::writers::{self, PATIENCE, Writers, began},
};
use uuid::Uuid;

use super::{
    Evidence, Finding,
    recent::Recent,
    seen::{Seen, process},
};

/// Runs that are followed: a process has one, and a hundred are many.
const MOST: usize = 4_096;
/// Stretches of a run's numbers that are told apart; with more the lowest gap is told at once.
const MOST_STRETCHES: usize = 64;
/// The same where the operator judges, which asks once a minute: gaps are left for it.
const MOST_STRETCHES_AMONG_OTHERS: usize = 256;

/// Numbers without a gap, from the one it is kept under.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    last: u64,
    /// When its first came, in milliseconds since 1970: since then there is a gap below it.
    since: i64,
    /// When its last came.
    until: i64,
    /// Whether that gap was told, or is none that can be judged.
    is_told: bool,
}

#[derive(Debug)]
struct Numbers {
    writer: Peer,
    stretches: BTreeMap<u64, Stretch>,
}

impl Numbers {
    fn add(&mut self, number: u64, time: i64) {
        if let Some((_, below)) = self.stretches.range_mut(..=number).next_back() {
            if number <= below.last {
                return;
            }
            if number == below.last + 1 {
                (below.last, below.until) = (number, time);
                return self.join(number);
            }
        }
        self.stretches.insert(number, Stretch { last: number, since: time, until: time, is_told: false });
        self.join(number);
    }

    /// Makes one of the stretch that ends with `number` and the one that begins behind it.
    fn join(&mut self, number: u64) {
        if let Some(next) = self.stretches.remove(&(number + 1))
            && let Some((_, below)) = self.stretches.range_mut(..=number).next_back()
        {
            (below.last, below.until) = (next.last, next.until);
        }
    }
}

/// The numbers of each run.
#[derive(Debug)]
pub(crate) struct Gaps {
    runs: Recent<Uuid, Numbers>,
    /// From when on all records are known, in milliseconds since 1970. Of runs that began before the first numbers are not.
    known_from: i64,
}

impl Gaps {
    pub(crate) fn new(now: i64) -> Self {
        Self { runs: Recent::new(MOST), known_from: now }
    }

    /// Takes note that older records are known as well.
    pub(crate) fn known_from(&mut self, time: i64) {
        self.known_from = self.known_from.min(time);
    }

    /// In any order.
    pub(crate) fn see(&mut self, seen: &Seen<'_>) {
        let (Some(run), Some(number)) = (seen.event.unmapped.run, seen.event.metadata.sequence) else { return };
        let new = || Numbers { writer: seen.writer.clone(), stretches: BTreeMap::new() };
        self.runs.entry(run, new).add(number, seen.time);
    }

    /// What has been missing for too long by now.
    pub(crate) fn tick(&mut self, now: i64, is_alone: bool, found: &mut Vec<Finding>) {
        let known_from = self.known_from;
        for (run, numbers) in self.runs.iter_mut() {
            let most = if is_alone { MOST_STRETCHES } else { MOST_STRETCHES_AMONG_OTHERS };
            let is_crowded = numbers.stretches.len() > most;
            // Of what was missed before, nothing is said: it may be older than what is known.
            let is_whole = began(run).is_some_and(|began| began >= known_from);
            let (mut missing, mut first, mut expected) = (0, i64::MAX, 1);
            for (start, stretch) in &mut numbers.stretches {
                let gap = start.saturating_sub(expected);
                let is_judged = is_alone && (expected > 1 || is_whole);
                if gap > 0 && !stretch.is_told && (now - stretch.since >= PATIENCE || is_crowded) {
                    stretch.is_told = true;
                    if is_judged {
                        missing += gap;
                        first = first.min(stretch.since);
                    }
                }
                expected = stretch.last + 1;
            }
            if is_crowded {
                numbers.forget_told();
            }
            if missing > 0 {
                let evidence = Evidence { writer: Some(numbers.writer.clone()), ..Evidence::default() };
                let counted = super::window::Counted { count: missing, first };
                let key = format!("{} {run}", process(&numbers.writer));
                found.push(Finding::counted(DetectionKind::WriterGap, key, evidence, counted, now));
            }
        }
    }
}

impl Gaps {
    /// What there is of each run, of all records until then.
    pub(crate) fn writers(&mut self, known_until: i64) -> Writers {
        let known_from = self.known_from;
        let stretch = |(first, stretch): (&u64, &Stretch)| {
            let Stretch { last, since, until, .. } = *stretch;
            writers::Stretch { first: *first, last, since, until }
        };
        let run = |(run, numbers): (&Uuid, &mut Numbers)| writers::Run {
            run: *run,
            writer: numbers.writer.clone(),
            stretches: numbers.stretches.iter().map(stretch).collect(),
        };
        Writers { known_from, known_until, runs: self.runs.iter_mut().map(run).collect() }
    }
}

impl Numbers {
    /// Gaps that were told are as good as none.
    fn forget_told(&mut self) {
        let mut joined: BTreeMap<u64, Stretch> = BTreeMap::new();
        for (start, stretch) in std::mem::take(&mut self.stretches) {
            match joined.last_entry() {
                Some(mut below) if stretch.is_told => {
                    let below = below.get_mut();
                    (below.last, below.until) = (stretch.last, stretch.until);
                }
                _ => drop(joined.insert(start, stretch)),
            }
        }
        self.stretches = joined;
    }
}

#[cfg(test)]
impl Gaps {
    /// How many are remembered.
    pub(crate) fn stretches(&mut self) -> usize {
        self.runs.iter_mut().map(|(_, numbers)| numbers.stretches.len()).sum()
    }
}
