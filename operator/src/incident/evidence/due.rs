//! When a bundle is to be made. Pure.

use crds::{IncidentEvent, IncidentPhase, IncidentStatus, MOST_EVIDENCE};
use evidence::Reason;
use jiff::{SignedDuration, Timestamp};

/// How long nothing more was contained: containing everything at once is then one bundle.
const SETTLED: SignedDuration = SignedDuration::from_secs(5);
/// How long a bundle waits at most while more and more is contained.
const LATEST: SignedDuration = SignedDuration::from_secs(60);
/// The pace of bundles of one incident.
const PAUSE: SignedDuration = SignedDuration::from_secs(30);
/// How often it is looked whether a recorder answers again whose journal is missing.
pub(super) const COMPLETED_EVERY: SignedDuration = SignedDuration::from_mins(5);

/// When the next bundle is to be made as things stand, and why.
pub(super) fn due(status: &IncidentStatus) -> Option<(Timestamp, Reason)> {
    let last = status.evidence.last();
    let room = MOST_EVIDENCE.saturating_sub(status.evidence.len());
    let paced = last.map_or(Timestamp::UNIX_EPOCH, |it| it.created_at.0 + PAUSE);
    let is_closed = status.phase == Some(IncidentPhase::Closed);
    let was_closed = last.is_some_and(|it| it.phase == IncidentPhase::Closed);
    if is_closed && !was_closed && room > 0 && !status.targets.is_empty() {
        return Some((paced, Reason::Closed));
    }
    if room < 2 {
        return None;
    }
    let known = last.map_or(0, |it| usize::try_from(it.timeline).unwrap_or(usize::MAX));
    let news = status.timeline.iter().skip(known).filter(|entry| entry.event == IncidentEvent::Contained);
    let times: Vec<Timestamp> = news.map(|entry| entry.time.0).collect();
    if let (Some(first), Some(newest)) = (times.first(), times.last()) {
        return Some(((*newest + SETTLED).min(*first + LATEST).max(paced), Reason::Contained));
    }
    let is_missing = last.filter(|it| !it.missing.is_empty())?;
    Some((is_missing.created_at.0 + COMPLETED_EVERY, Reason::Completed))
}

#[cfg(test)]
mod tests {
    use crds::{IncidentEvidence, IncidentTarget, IncidentTimelineEntry};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn status(phase: IncidentPhase, timeline: &[(i64, IncidentEvent)]) -> IncidentStatus {
        let entry = |(time, event): &(i64, IncidentEvent)| IncidentTimelineEntry {
            time: Time(at(*time)),
            event: *event,
            about: None,
        };
        let target = IncidentTarget {
            kind: "Team".to_owned(),
            namespace: "acme".to_owned(),
            name: "acme".to_owned(),
            contained_at: Time(at(0)),
            restored_at: None,
            deleted_at: None,
        };
        IncidentStatus {
            phase: Some(phase),
            targets: vec![target],
            timeline: timeline.iter().map(entry).collect(),
            ..IncidentStatus::default()
        }
    }

    fn bundle(created: i64, phase: IncidentPhase, timeline: i64) -> IncidentEvidence {
        IncidentEvidence {
            sequence: 1,
            digest: String::new(),
            name: String::new(),
            locations: Vec::new(),
            position: Vec::new(),
            missing: Vec::new(),
            created_at: Time(at(created)),
            signed_by: String::new(),
            phase,
            timeline,
        }
    }

    #[test]
    fn a_bundle_is_made_once_nothing_more_is_contained_or_after_a_minute() {
        use IncidentEvent::{Contained, NoteAdded, Opened};
        use IncidentPhase::{Contained as Now, Open};
        assert_eq!(due(&status(Open, &[(100, Opened), (101, NoteAdded)])), None);
        let one = status(Now, &[(100, Opened), (100, Contained)]);
        assert_eq!(due(&one), Some((at(105), Reason::Contained)));
        let two = status(Now, &[(100, Contained), (103, Contained)]);
        assert_eq!(due(&two), Some((at(108), Reason::Contained)));
        let many: Vec<_> = (0..90).map(|second| (100 + second, Contained)).collect();
        assert_eq!(due(&status(Now, &many)), Some((at(160), Reason::Contained)));
    }

    #[test]
    fn another_is_made_for_what_the_last_does_not_tell_and_not_sooner_than_the_pace() {
        use IncidentEvent::{Contained, Restored};
        use IncidentPhase::Contained as Now;
        let mut told = status(Now, &[(100, Contained)]);
        told.evidence = vec![bundle(105, Now, 1)];
        assert_eq!(due(&told), None);
        let mut more = status(Now, &[(100, Contained), (106, Restored), (107, Contained)]);
        more.evidence = told.evidence.clone();
        assert_eq!(due(&more), Some((at(135), Reason::Contained)));
        more.evidence[0].timeline = 3;
        assert_eq!(due(&more), None);
    }

    #[test]
    fn the_closed_incident_has_a_last_one_and_one_more_each_time() {
        use IncidentEvent::{Closed, Contained};
        use IncidentPhase::{Closed as Over, Contained as Now};
        let mut closed = status(Over, &[(100, Contained), (200, Closed)]);
        assert_eq!(due(&closed), Some((Timestamp::UNIX_EPOCH, Reason::Closed)));
        closed.evidence = vec![bundle(105, Now, 1)];
        assert_eq!(due(&closed), Some((at(135), Reason::Closed)));
        closed.evidence.push(bundle(210, Over, 2));
        assert_eq!(due(&closed), None);
        closed.evidence.push(bundle(310, Now, 2));
        assert!(due(&closed).is_some(), "closed once more");
        let mut nothing = status(Over, &[]);
        nothing.targets.clear();
        assert_eq!(due(&nothing), None, "it never contained anything");
    }

    #[test]
    fn the_list_has_an_end_and_the_last_place_is_for_the_closed_incident() {
        use IncidentEvent::Contained;
        use IncidentPhase::{Closed as Over, Contained as Now};
        let mut full = status(Now, &[(100, Contained), (900, Contained)]);
        full.evidence = vec![bundle(105, Now, 1); MOST_EVIDENCE - 1];
        assert_eq!(due(&full), None);
        full.phase = Some(Over);
        assert!(due(&full).is_some());
        full.evidence.push(bundle(905, Now, 1));
        assert_eq!(due(&full), None);
    }

    #[test]
    fn a_recorder_that_did_not_answer_is_asked_again() {
        use IncidentPhase::Contained as Now;
        let mut missing = status(Now, &[(100, IncidentEvent::Contained)]);
        missing.evidence = vec![bundle(105, Now, 1)];
        missing.evidence[0].missing = vec!["openteam-recorder-1".to_owned()];
        assert_eq!(due(&missing), Some((at(405), Reason::Completed)));
    }
}
