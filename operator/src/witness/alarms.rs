//! What the witness finds that needs a look: a recorder that is silent, a log that contradicts what was seen of it.

use std::collections::BTreeMap;

use audit::{Detection, DetectionKind, DetectionStage, Name, Peer, Role, wire::logs::Log};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

/// How long a recorder's logs may not be witnessed: longer than its pod takes to be moved to another node.
const SILENCE: SignedDuration = SignedDuration::from_mins(10);
/// Before the same contradiction is told again.
const QUIET: SignedDuration = SignedDuration::from_hours(1);

/// What is known of each recorder, and told.
#[derive(Debug)]
pub(super) struct Alarms {
    since: Timestamp,
    /// By pod: when its logs were last seen, and the alarm that they were not.
    recorders: BTreeMap<String, (Timestamp, Option<Uuid>)>,
    /// By log: when it was told last, which is once for each that there is.
    contradicted: BTreeMap<String, Timestamp>,
}

impl Alarms {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { since: now, recorders: BTreeMap::new(), contradicted: BTreeMap::new() }
    }

    /// Its logs were looked at and none was refused: what that ends.
    pub(super) fn seen(&mut self, pod: &str, now: Timestamp) -> Option<Detection> {
        let (last, alarm) = self.recorders.entry(pod.to_owned()).or_insert((now, None));
        let first = std::mem::replace(last, now);
        let uid = alarm.take()?;
        detection(DetectionKind::RecorderSilent, DetectionStage::Closed, uid, pod, first, now)
    }

    /// Its logs could not be looked at. `uid` is that of the alarm, if this is one.
    pub(super) fn unseen(&mut self, pod: &str, uid: Uuid, now: Timestamp) -> Option<Detection> {
        let (last, alarm) = self.recorders.entry(pod.to_owned()).or_insert((self.since, None));
        if alarm.is_some() || now.duration_since(*last) < SILENCE {
            return None;
        }
        *alarm = Some(uid);
        detection(DetectionKind::RecorderSilent, DetectionStage::Created, uid, pod, *last, now)
    }

    /// A log is not what it was. One that grows no more is told once: it never will be again.
    pub(super) fn contradicted(&mut self, pod: &str, log: &Log, uid: Uuid, now: Timestamp) -> Option<Detection> {
        let name = format!("{pod}.{}", log.shard);
        if self.contradicted.get(&name).is_some_and(|told| log.is_closed || now.duration_since(*told) < QUIET) {
            return None;
        }
        self.contradicted.insert(name, now);
        detection(DetectionKind::LogContradicted, DetectionStage::Created, uid, pod, now, now)
    }
}

/// `None` for a pod whose name is none, which the settings do not let through.
fn detection(
    kind: DetectionKind,
    stage: DetectionStage,
    uid: Uuid,
    pod: &str,
    first: Timestamp,
    last: Timestamp,
) -> Option<Detection> {
    let writer = Some(Peer { role: Role::Recorder, pod: Name::parse(pod).ok()? });
    Some(Detection { uid, kind, stage, target: None, suspect: None, source: None, writer, count: 1, first, last })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::now;

    const POD: &str = "openteam-recorder-0";

    fn uid() -> Uuid {
        Uuid::now_v7()
    }

    #[test]
    fn a_recorder_that_is_silent_for_long_is_told_once_and_so_is_its_return() {
        let mut alarms = Alarms::new(now());
        assert!(alarms.seen(POD, now()).is_none());
        let late = now() + SILENCE;
        assert!(alarms.unseen(POD, uid(), late - SignedDuration::from_secs(1)).is_none());
        let told = alarms.unseen(POD, uid(), late).unwrap();
        assert_eq!((told.kind, told.stage), (DetectionKind::RecorderSilent, DetectionStage::Created));
        assert!(alarms.unseen(POD, uid(), late + SILENCE).is_none());
        let back = alarms.seen(POD, late + SILENCE).unwrap();
        assert_eq!((back.uid, back.stage, back.first), (told.uid, DetectionStage::Closed, now()));
        assert!(alarms.seen(POD, late + SILENCE).is_none());
    }

    #[test]
    fn a_recorder_that_comes_back_in_time_is_not_silent() {
        let mut alarms = Alarms::new(now());
        for minutes in (0..120).step_by(9) {
            let at = now() + SignedDuration::from_mins(minutes);
            assert!(alarms.unseen(POD, uid(), at).is_none());
            assert!(alarms.seen(POD, at).is_none());
        }
        let mut never = Alarms::new(now());
        assert!(never.unseen(POD, uid(), now() + SILENCE).is_some(), "not seen since this operator leads");
    }

    #[test]
    fn a_contradiction_is_told_once_an_hour_for_each_log_that_grows_and_once_for_one_that_ended() {
        let log = |shard: &str, is_closed| Log { shard: shard.to_owned(), is_closed, size: 1, witnessed: 2 };
        let mut alarms = Alarms::new(now());
        let told = alarms.contradicted(POD, &log("2026q4", false), uid(), now()).unwrap();
        assert_eq!(told.kind, DetectionKind::LogContradicted);
        let soon = now() + QUIET - SignedDuration::from_secs(1);
        assert!(alarms.contradicted(POD, &log("2026q4", false), uid(), soon).is_none());
        assert!(alarms.contradicted(POD, &log("2026q4-e2", true), uid(), now()).is_some());
        assert!(alarms.contradicted(POD, &log("2026q4", false), uid(), now() + QUIET).is_some());
        assert!(alarms.contradicted(POD, &log("2026q4-e2", true), uid(), now() + QUIET).is_none());
    }
}
