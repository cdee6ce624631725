//! `WriterGap` where there are several recorders: numbers of a writer's run that none of them has. Each tells what it has
//! (`audit::wire::writers`); one alone judges by itself, and tells nothing.

use std::{collections::HashSet, sync::Arc, time::Duration};

use audit::{
    Detection, DetectionKind, DetectionStage, Peer,
    wire::writers::{PATIENCE, Run, Stretch, Writers, began},
};
use jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use url::Url;
use uuid::Uuid;

use crate::witness::Remote;

/// Between questions.
const ASK_EVERY: Duration = Duration::from_secs(60);
/// How long the leader before may have judged nothing: since a recorder was away, or nobody led. What it told since is told once more.
const LOOK_BACK: i64 = 60 * 60_000;

/// What finds gaps.
pub(crate) struct WriterGaps {
    /// Pods and their addresses.
    pub(crate) recorders: Vec<(String, Url)>,
    pub(crate) http: Arc<dyn Fn() -> reqwest::Client + Send + Sync>,
    pub(crate) recorder: audit::Recorder,
    /// Numbers that are missing.
    pub(crate) missing: Counter,
}

/// The counter of what is missing.
pub(crate) fn register(metrics: &process::metrics::Metrics) -> Counter {
    let help = "Numbers of writers' events that no recorder has; where there is one recorder, it counts them";
    metrics.register("writer_gaps", help, Counter::default())
}

/// Asks until `shutdown`.
pub(crate) async fn run(gaps: WriterGaps, shutdown: CancellationToken) {
    let mut ticks = interval(ASK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut judge = Judge::new(Timestamp::now().as_millisecond());
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shutdown.cancelled() => return,
        }
        let Some(told) = gaps.ask().await else { continue };
        for gap in judge.judge(&told) {
            tracing::warn!(writer = %gap.writer.pod, missing = gap.missing, "numbers of a writer's events are in no log");
            gaps.missing.inc_by(gap.missing);
            gaps.recorder.record_later(gap.detection(Uuid::now_v7()));
        }
    }
}

impl WriterGaps {
    /// What all recorders have; `None` where one does not tell, which the witness alarms about.
    async fn ask(&self) -> Option<Vec<Writers>> {
        let mut told = Vec::new();
        for (pod, url) in &self.recorders {
            match Remote::new(url.clone(), self.http.clone()).writers().await {
                Ok(writers) => told.push(writers),
                Err(why) => {
                    tracing::debug!(recorder = pod, why, "gaps in writers' numbers are not judged");
                    return None;
                }
            }
        }
        Some(told)
    }
}

/// Numbers of a run that no recorder has.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Gap {
    writer: Peer,
    missing: u64,
    /// Since when they are missed, in milliseconds since 1970.
    since: i64,
    now: i64,
}

impl Gap {
    fn detection(self, uid: Uuid) -> Detection {
        let time = |millis| Timestamp::from_millisecond(millis).unwrap_or_default();
        Detection {
            uid,
            kind: DetectionKind::WriterGap,
            stage: DetectionStage::Created,
            target: None,
            suspect: None,
            source: None,
            writer: Some(self.writer),
            count: self.missing,
            first: time(self.since),
            last: time(self.now),
        }
    }
}

/// Decides what is missing, and tells it once.
#[derive(Debug)]
struct Judge {
    /// Of a gap that was there before, whoever judged before has told.
    from: i64,
    /// Runs, and the first number after a gap.
    told: HashSet<(Uuid, u64)>,
}

impl Judge {
    fn new(now: i64) -> Self {
        Self { from: now - LOOK_BACK, told: HashSet::new() }
    }

    /// What was missing for too long, in all recorders, at the last time that all of them know of.
    fn judge(&mut self, told: &[Writers]) -> Vec<Gap> {
        let known_from = told.iter().map(|one| one.known_from).max().unwrap_or(i64::MAX);
        let now = told.iter().map(|one| one.known_until).min().unwrap_or(i64::MIN);
        if known_from > now {
            // One does not know yet what it has.
            return Vec::new();
        }
        let mut runs: Vec<&Run> = told.iter().flat_map(|one| &one.runs).collect();
        runs.sort_unstable_by_key(|run| run.run);
        self.told.retain(|(run, _)| runs.binary_search_by_key(run, |known| known.run).is_ok());
        let of_one = runs.chunk_by(|one, other| one.run == other.run);
        of_one.filter_map(|parts| self.one(parts, known_from, now)).collect()
    }

    /// One run, as each recorder has it.
    fn one(&mut self, parts: &[&Run], known_from: i64, now: i64) -> Option<Gap> {
        let run = parts.first()?;
        let mut stretches: Vec<Stretch> = parts.iter().flat_map(|part| part.stretches.iter().copied()).collect();
        stretches.sort_unstable_by_key(|stretch| stretch.first);
        // What is missing was stored, if it was, after what is below it was made; so it would be known.
        let is_known = |below: i64| below >= known_from;
        let is_whole = began(&run.run).is_some_and(is_known);
        let mut is_judged = is_whole;
        let (mut missing, mut since, mut expected) = (0, i64::MAX, 1);
        for stretch in stretches {
            let gap = stretch.first.saturating_sub(expected);
            let is_due = now - stretch.since >= PATIENCE && stretch.since >= self.from;
            if gap > 0 && is_due && is_judged && self.told.insert((run.run, stretch.first)) {
                missing += gap;
                since = since.min(stretch.since);
            }
            if stretch.last >= expected {
                expected = stretch.last + 1;
                // It was made a while before it was stored.
                is_judged = is_whole || is_known(stretch.until - PATIENCE);
            }
        }
        (missing > 0).then(|| Gap { writer: run.writer.clone(), missing, since, now })
    }
}

#[cfg(test)]
mod tests {
    use audit::{Name, Role};

    use super::*;
    use crate::testing::now;

    const SECOND: i64 = 1000;

    fn start() -> i64 {
        now().as_millisecond()
    }

    fn run(began: i64) -> Uuid {
        let since = Duration::from_millis(began.unsigned_abs());
        Uuid::new_v7(uuid::Timestamp::from_unix_time(since.as_secs(), since.subsec_nanos(), 0, 0))
    }

    fn stretch(first: u64, last: u64, since: i64, until: i64) -> Stretch {
        Stretch { first, last, since, until }
    }

    fn recorder(known_from: i64, run: Uuid, stretches: &[Stretch]) -> Writers {
        let writer = Peer { role: Role::Gateway, pod: Name::parse("openteam-gateway-0").unwrap() };
        Writers { known_from, known_until: 0, runs: vec![Run { run, writer, stretches: stretches.to_vec() }] }
    }

    /// At a time that all know of.
    fn judged(judge: &mut Judge, told: &[Writers], now: i64) -> Vec<Gap> {
        let told: Vec<_> = told.iter().cloned().map(|one| Writers { known_until: now, ..one }).collect();
        judge.judge(&told)
    }

    #[test]
    fn what_one_recorder_lacks_another_may_have() {
        let (at, id) = (start(), run(start()));
        let first = recorder(at - SECOND, id, &[stretch(1, 10, at, at), stretch(21, 30, at, at)]);
        let late = at + 2 * PATIENCE;
        let whole = [first.clone(), recorder(at - SECOND, id, &[stretch(11, 20, at, at), stretch(25, 40, at, at)])];
        assert_eq!(judged(&mut Judge::new(at), &whole, late), []);
        // Two are in neither.
        let lacking = [first, recorder(at - SECOND, id, &[stretch(11, 18, at, at)])];
        let mut judge = Judge::new(at);
        assert_eq!(judged(&mut judge, &lacking, at + PATIENCE - 1), [], "they may be under way");
        let found = judged(&mut judge, &lacking, at + PATIENCE);
        assert_eq!((found.len(), found[0].missing, found[0].since), (1, 2, at));
        assert_eq!(found[0].writer.pod.as_str(), "openteam-gateway-0");
        assert_eq!(judged(&mut judge, &lacking, late), [], "it is told once");
        let detection = found[0].clone().detection(Uuid::now_v7());
        assert_eq!((detection.kind, detection.count), (DetectionKind::WriterGap, 2));
        // Also where a recorder does not know for a while what it has.
        assert_eq!(judge.judge(&[lacking[0].clone(), Writers::default()]), []);
        assert_eq!(judged(&mut judge, &lacking, late), []);
    }

    #[test]
    fn what_a_recorder_has_not_looked_at_yet_is_not_missed() {
        let (at, id) = (start(), run(start()));
        let ahead = Writers {
            known_until: at + 9 * PATIENCE,
            ..recorder(at - SECOND, id, &[stretch(1, 10, at, at), stretch(21, 30, at, at)])
        };
        let behind = Writers { known_until: at + PATIENCE - 1, ..recorder(at - SECOND, id, &[]) };
        assert_eq!(Judge::new(at).judge(&[ahead.clone(), behind.clone()]), []);
        let caught_up = Writers { known_until: at + PATIENCE, ..behind };
        assert_eq!(Judge::new(at).judge(&[ahead, caught_up])[0].missing, 10);
    }

    #[test]
    fn numbers_from_before_what_all_recorders_know_are_not_missed() {
        let (at, late) = (start(), start() + 2 * PATIENCE);
        // One recorder's memory begins after the run.
        let young = recorder(at + SECOND, Uuid::now_v7(), &[]);
        let old = run(at);
        let lacking = recorder(at - SECOND, old, &[stretch(5, 9, at, at + SECOND), stretch(12, 13, at, at)]);
        assert_eq!(judged(&mut Judge::new(at), &[lacking.clone(), young.clone()], late), []);
        let found = judged(&mut Judge::new(at), std::slice::from_ref(&lacking), late);
        assert_eq!(found[0].missing, 6, "without that recorder all of the run is known");
        // Of what came well after that memory begins, all is known.
        let after = at + SECOND + PATIENCE;
        let later = recorder(at, old, &[stretch(5, 9, at, after), stretch(12, 13, after, after)]);
        let found = judged(&mut Judge::new(at), &[later, young], after + PATIENCE);
        assert_eq!((found[0].missing, found[0].since), (2, after));
    }

    #[test]
    fn a_new_leader_looks_back_as_far_as_the_one_before_may_have_judged_nothing() {
        let (at, id) = (start(), run(start()));
        let lacking = [recorder(at - SECOND, id, &[stretch(2, 3, at, at)])];
        assert_eq!(judged(&mut Judge::new(at + LOOK_BACK), &lacking, at + LOOK_BACK).len(), 1);
        assert_eq!(judged(&mut Judge::new(at + LOOK_BACK + 1), &lacking, at + LOOK_BACK + 1), []);
    }

    #[test]
    fn recorders_that_tell_nothing_are_judged_by_themselves() {
        assert_eq!(Judge::new(start()).judge(&[Writers::default()]), []);
        assert_eq!(Judge::new(start()).judge(&[]), []);
    }
}
