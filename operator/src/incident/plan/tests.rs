use crds::{
    Incident, IncidentClosure, IncidentEvent, IncidentNote, IncidentPhase, IncidentReach, LONGEST_TIMELINE,
    MOST_TARGETS,
    condition::{CLOSED, find},
};
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{Observed, Plan, plan};
use crate::{dependents::Name, stores::Kind, testing::now};

/// An Incident and the cluster around it, followed step by step.
struct Case {
    incident: Incident,
    contained: Vec<Name>,
    gone: Vec<Name>,
    /// Connections whose old refresh token Amazon has not refused.
    unproven: Vec<Name>,
    minute: i64,
}

fn connection(name: &str) -> Name {
    Name::new(Kind::AmazonConnection, Some("acme"), name)
}

fn closure() -> Option<IncidentClosure> {
    Some(IncidentClosure {
        root_cause: "a token in a log".to_owned(),
        remedy: "the log redacts".to_owned(),
        waiver: None,
    })
}

fn note(minute: i64, author: &str) -> IncidentNote {
    let time = Time(now() + SignedDuration::from_mins(minute));
    IncidentNote { time, author: author.to_owned(), text: "seen".to_owned() }
}

impl Case {
    fn new() -> Self {
        Self {
            incident: Incident::new("inc-7", Default::default()),
            contained: vec![],
            gone: vec![],
            unproven: vec![],
            minute: 0,
        }
    }

    fn plan(&self) -> Plan {
        plan(&Observed {
            incident: &self.incident,
            contained: &self.contained,
            is_there: &|name| !self.gone.contains(name),
            reach: IncidentReach { connections: self.minute, grants: 0, tokens: 0 },
            unproven: &|_| self.unproven.clone(),
            // What is written has whole seconds, and the clock has not.
            now: now() + SignedDuration::from_mins(self.minute) + SignedDuration::from_millis(500),
        })
    }

    /// What happens in a pass a minute later, written as the apiserver keeps it.
    fn pass(&mut self) -> Vec<(IncidentEvent, String)> {
        self.minute += 1;
        let Plan { status, happened } = self.plan();
        let kept = serde_json::from_value(serde_json::to_value(&status).unwrap()).unwrap();
        assert_eq!(status, kept, "nothing is lost on the way");
        self.incident.status = Some(kept);
        let minute = std::mem::replace(&mut self.minute, 1_000_000);
        if self.phase() == IncidentPhase::Closed {
            let again = self.plan();
            assert_eq!((again.status, again.happened), (status, vec![]), "closed, it is at rest");
        }
        self.minute = minute;
        let again = self.plan();
        assert_eq!(
            (Some(again.status), again.happened),
            (self.incident.status.clone(), vec![]),
            "a second pass is at rest"
        );
        happened.into_iter().map(|it| (it.event, it.about.unwrap_or_default())).collect()
    }

    fn phase(&self) -> IncidentPhase {
        self.status().phase.unwrap()
    }

    fn status(&self) -> &crds::IncidentStatus {
        self.incident.status.as_ref().unwrap()
    }

    fn closed_because(&self) -> (&str, &str) {
        let closed = find(&self.status().conditions, CLOSED).unwrap();
        (&closed.reason, &closed.message)
    }
}

fn news(event: IncidentEvent, about: &str) -> (IncidentEvent, String) {
    (event, about.to_owned())
}

#[test]
fn an_incident_goes_from_its_containment_to_its_end_and_back() {
    use IncidentEvent::{Closed, Contained, NoteAdded, Opened, Reopened, Restored};
    let mut case = Case::new();
    case.contained = vec![connection("eu"), connection("na")];
    let both = "AmazonConnection acme/eu, AmazonConnection acme/na";
    assert_eq!(case.pass(), [news(Opened, ""), news(Contained, both)]);
    assert_eq!((case.phase(), case.status().contained), (IncidentPhase::Contained, 2));
    assert_eq!(case.closed_because().0, "NotClosed");
    assert_eq!(case.status().notify_amazon_by, Some(Time(now() + SignedDuration::from_mins(24 * 60 + 1))));

    case.incident.spec.notes = vec![note(2, "a@example.com"), note(2, "b@example.com")];
    let told = case.pass();
    assert_eq!(told.iter().map(|it| it.0).collect::<Vec<_>>(), [NoteAdded, NoteAdded]);
    assert!(told[0].1.starts_with("a@example.com, "), "{told:?}");

    case.contained = vec![connection("na")];
    assert_eq!(case.pass(), [news(Restored, "AmazonConnection acme/eu")]);
    let eu = &case.status().targets[0];
    assert_eq!((eu.name.as_str(), eu.is_contained()), ("eu", false));

    // Closed too early: it says what stands.
    case.incident.spec.closed = closure();
    let before = case.incident.status.clone();
    assert!(case.plan().kept_open_by(before.as_ref()).is_some());
    assert_eq!(case.pass(), []);
    assert_eq!(case.phase(), IncidentPhase::Contained);
    assert!(case.closed_because().1.ends_with(": AmazonConnection acme/na"), "{:?}", case.closed_because());
    assert!(case.plan().kept_open_by(case.incident.status.as_ref()).is_none(), "told once");

    case.contained.clear();
    assert_eq!(case.pass(), [news(Restored, "AmazonConnection acme/na"), news(Closed, "")]);
    assert_eq!((case.phase(), case.status().contained), (IncidentPhase::Closed, 0));
    let reach = case.status().reach;
    case.minute += 50;
    assert_eq!(case.pass(), []);
    assert_eq!(case.status().reach, reach, "what comes after its end is not its concern");

    // The annotation is back.
    case.contained = vec![connection("na")];
    assert_eq!(case.pass(), [news(Reopened, ""), news(Contained, "AmazonConnection acme/na")]);
    assert_eq!(case.closed_because().0, "StillContains");
    let na = &case.status().targets[1];
    assert!(na.is_contained() && na.contained_at.0 == now() + SignedDuration::from_mins(1), "first: {na:?}");
    case.contained.clear();
    assert_eq!(case.pass(), [news(Restored, "AmazonConnection acme/na"), news(Closed, "")]);
    case.incident.spec.closed = None;
    assert_eq!(case.pass(), [news(Reopened, "")]);
    assert_eq!((case.phase(), case.closed_because().0), (IncidentPhase::Open, "NotClosed"));
    let times: Vec<_> = case.status().timeline.iter().map(|entry| &entry.time).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(times.len(), 12);
}

#[test]
fn what_happens_soon_after_the_last_entry_waits_for_more() {
    let mut case = Case::new();
    case.contained = vec![connection("eu")];
    assert_eq!(case.plan().waits(None, now()), None, "the first is told at once");
    case.pass();
    let before = case.incident.status.clone();
    let last = case.status().timeline.last().unwrap().time.0;
    let after = |plan: &Plan, millis| plan.waits(before.as_ref(), last + SignedDuration::from_millis(millis));
    assert_eq!(after(&case.plan(), 500), None, "nothing happened");
    case.contained.push(connection("na"));
    let plan = case.plan();
    for (millis, waits) in [(0, Some(2000)), (500, Some(1500)), (1999, Some(1)), (2000, None), (-3000, None)] {
        assert_eq!(after(&plan, millis).map(|it| it.as_millis()), waits, "{millis}");
    }
}

#[test]
fn what_is_gone_was_not_restored_and_can_come_back() {
    let mut case = Case::new();
    case.contained = vec![connection("na")];
    case.pass();
    case.contained.clear();
    case.gone = vec![connection("na")];
    assert_eq!(case.pass(), [news(IncidentEvent::Deleted, "AmazonConnection acme/na")]);
    let target = &case.status().targets[0];
    assert!(target.deleted_at.is_some() && target.restored_at.is_none());
    assert_eq!(case.phase(), IncidentPhase::Open);
    case.gone.clear();
    assert_eq!(case.pass(), [], "made anew, it is free");
    case.contained = vec![connection("na")];
    assert_eq!(case.pass(), [news(IncidentEvent::Contained, "AmazonConnection acme/na")]);
    assert!(case.status().targets[0].is_contained());
}

#[test]
fn amazons_day_begins_with_the_detection_or_else_with_the_first_containment() {
    let day_after = |minute: i64| Some(Time(now() + SignedDuration::from_mins(minute + 24 * 60)));
    let mut case = Case::new();
    case.pass();
    assert_eq!((case.phase(), &case.status().notify_amazon_by), (IncidentPhase::Open, &None));
    case.contained = vec![connection("na")];
    case.pass();
    assert_eq!(case.status().notify_amazon_by, day_after(2));
    case.contained.push(connection("us"));
    case.pass();
    assert_eq!(case.status().notify_amazon_by, day_after(2), "the first counts");
    let detected = now() - SignedDuration::from_mins(60) + SignedDuration::from_millis(700);
    case.incident.spec.detected_at = Some(Time(detected));
    case.pass();
    assert_eq!(case.status().notify_amazon_by, day_after(-60));
    case.incident.spec.detected_at = None;
    case.pass();
    assert_eq!(case.status().notify_amazon_by, day_after(2));
}

#[test]
fn the_targets_have_an_end_and_what_is_contained_is_counted() {
    let mut case = Case::new();
    case.contained = (0..MOST_TARGETS + 7).map(|number| connection(&format!("n{number:04}"))).collect();
    let told = case.pass();
    assert!(told[1].1.ends_with("and 995 more"), "{told:?}");
    assert_eq!((case.status().targets.len(), case.status().contained), (MOST_TARGETS, 1007));
    // What is not listed holds it open too.
    case.contained.drain(..MOST_TARGETS);
    case.incident.spec.closed = closure();
    case.pass();
    assert_eq!((case.phase(), case.status().contained), (IncidentPhase::Contained, 7));
    case.contained.clear();
    case.pass();
    assert_eq!(case.phase(), IncidentPhase::Closed);
}

#[test]
fn the_timeline_has_an_end_and_the_rest_of_the_status_goes_on() {
    let mut case = Case::new();
    case.incident.spec.closed = closure();
    case.pass();
    while case.status().timeline.len() < LONGEST_TIMELINE {
        case.contained = vec![connection("na")];
        case.pass();
        case.contained.clear();
        case.pass();
    }
    let last = case.status().timeline.last().unwrap();
    assert_eq!(last.event, IncidentEvent::Full);
    case.incident.spec.notes = vec![note(0, "a@example.com")];
    case.contained = vec![connection("na")];
    case.pass();
    assert_eq!((case.phase(), case.status().timeline.len()), (IncidentPhase::Contained, LONGEST_TIMELINE));
}

#[test]
fn what_a_later_version_contained_is_left_as_it_is() {
    let mut case = Case::new();
    case.contained = vec![connection("na")];
    case.pass();
    let targets = &mut case.incident.status.as_mut().unwrap().targets;
    targets[0].kind = "PortalUser".to_owned();
    case.contained.clear();
    assert_eq!(case.pass(), []);
    assert!(case.status().targets[0].is_contained());
}

#[test]
fn it_is_not_closed_before_amazon_refuses_what_may_have_leaked_or_somebody_says_why_it_need_not() {
    for waived in [false, true] {
        let mut case = Case::new();
        case.contained = vec![connection("na")];
        case.unproven = vec![connection("na")];
        case.pass();
        case.incident.spec.closed = closure();
        case.pass();
        assert_eq!(case.closed_because().0, "StillContains");
        case.contained.clear();
        case.pass();
        assert_eq!((case.phase(), case.closed_because().0), (IncidentPhase::Open, "OldTokensNotRefused"));
        assert!(case.closed_because().1.contains("AmazonConnection acme/na"), "{:?}", case.closed_because());
        match waived {
            true => case.incident.spec.closed.as_mut().unwrap().waiver = Some("Ann: it never left the cluster".into()),
            false => case.unproven.clear(),
        }
        assert_eq!(case.pass(), [news(IncidentEvent::Closed, "")]);
        // What becomes of the connection afterwards is not its concern.
        case.unproven = vec![connection("na")];
        if !waived {
            assert_eq!(case.pass(), []);
            assert_eq!(case.phase(), IncidentPhase::Closed);
        }
    }
}
