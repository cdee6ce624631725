use std::collections::BTreeMap;

use crds::{IncidentNote, IncidentTarget, condition::find};
use process::mail::{MailError, Sent};

use super::{
    super::super::share::{Share, Shares},
    *,
};
use crate::{stores, testing::now};

/// An incident with its mails, followed second by second.
struct Case {
    spec: IncidentSpec,
    status: IncidentStatus,
    shares: Shares,
    silent: Vec<String>,
    is_configured: bool,
    incident_contact: bool,
    outcomes: Vec<Outcome>,
    seconds: i64,
}

fn team(name: &str) -> NamespacedReference {
    NamespacedReference { namespace: name.to_owned(), name: name.to_owned() }
}

fn connection(team: &str, name: &str) -> Name {
    Name::new(stores::Kind::AmazonConnection, Some(team), name)
}

impl Case {
    fn new() -> Self {
        Self {
            spec: IncidentSpec::default(),
            status: IncidentStatus { phase: Some(IncidentPhase::Open), ..IncidentStatus::default() },
            shares: Shares::new(),
            silent: Vec::new(),
            is_configured: true,
            incident_contact: true,
            outcomes: Vec::new(),
            seconds: 0,
        }
    }

    fn now(&self) -> Timestamp {
        now() + SignedDuration::from_secs(self.seconds)
    }

    /// Contains a connection of a Team.
    fn contain(&mut self, of: &str, name: &str) {
        let at = Time(self.now());
        self.status.notify_amazon_by.get_or_insert(Time(at.0 + SignedDuration::from_hours(24)));
        match self.status.targets.iter_mut().find(|target| target.namespace == of && target.name == name) {
            Some(target) => target.restored_at = None,
            None => self.status.targets.push(IncidentTarget {
                kind: "AmazonConnection".to_owned(),
                namespace: of.to_owned(),
                name: name.to_owned(),
                contained_at: at,
                restored_at: None,
                deleted_at: None,
            }),
        }
        let share: &mut Share = self.shares.entry(team(of)).or_default();
        share.contained.push(connection(of, name));
        self.count();
    }

    fn restore(&mut self, of: &str, name: &str) {
        let at = Time(self.now());
        for target in &mut self.status.targets {
            if target.namespace == of && target.name == name {
                target.restored_at = Some(at.clone());
            }
        }
        if let Some(share) = self.shares.get_mut(&team(of)) {
            share.contained.retain(|it| *it != connection(of, name));
            if share.contained.is_empty() {
                self.shares.remove(&team(of));
            }
        }
        self.count();
    }

    fn count(&mut self) {
        self.status.contained = self.status.targets.iter().filter(|target| target.is_contained()).count() as i64;
        let phase = if self.status.contained > 0 { IncidentPhase::Contained } else { IncidentPhase::Open };
        self.status.phase = Some(phase);
    }

    /// One pass; what was decided on anew, as `id`.
    fn pass(&mut self) -> Vec<String> {
        let before = self.status.notifications.len();
        let mut status = self.status.clone();
        let notices = self.plan(&mut status);
        self.status = serde_json::from_value(serde_json::to_value(&status).unwrap()).unwrap();
        assert_eq!(self.status, status, "nothing is lost on the way");
        self.outcomes.clear();
        let mut again = status.clone();
        let rest = self.plan(&mut again);
        assert_eq!((again, rest.ended), (status, vec![]), "a second pass is at rest");
        assert_eq!(rest.again_at, notices.again_at);
        self.status.notifications[before..].iter().map(|one| one.id.clone()).collect()
    }

    fn plan(&self, status: &mut IncidentStatus) -> Notices {
        plan(
            &Seen {
                spec: &self.spec,
                generation: Some(1),
                shares: &self.shares,
                has_contacts: &|team| !self.silent.contains(&team.name),
                is_configured: self.is_configured,
                incident_contact: self.incident_contact,
                outcomes: &self.outcomes,
                // What is written has whole seconds, and the clock has not.
                now: self.now() + SignedDuration::from_millis(700),
            },
            status,
        )
    }

    /// What is due, by id.
    fn due(&self) -> Vec<String> {
        let due = self.status.notifications.iter().filter(|one| is_due(one, self.now()));
        due.map(|one| one.id.clone()).collect()
    }

    fn ends(&mut self, id: &str, result: Result<Sent, MailError>) {
        let targets = self.status.targets.len() as i64;
        self.outcomes.push(Outcome { id: id.to_owned(), began: self.now(), targets, result, jitter: 1.0 });
    }

    /// Sends all that is due, and passes until nothing is.
    fn sends(&mut self) -> Vec<String> {
        let due = self.due();
        for id in &due {
            self.ends(id, Ok(Sent { left_out: 0 }));
        }
        assert_eq!(self.pass(), Vec::<String>::new());
        due
    }

    fn one(&self, id: &str) -> &IncidentNotification {
        self.status.notifications.iter().find(|one| one.id == id).unwrap()
    }

    fn notified(&self) -> (&str, &str) {
        let condition = find(&self.status.conditions, NOTIFIED).unwrap();
        (&condition.reason, &condition.message)
    }
}

const ALL_SENT: Result<Sent, MailError> = Ok(Sent { left_out: 0 });

#[test]
fn each_is_told_what_begins_and_ends_for_them_and_of_what_comes_within_seconds_once() {
    let mut case = Case::new();
    assert_eq!(case.pass(), Vec::<String>::new());
    assert!(find(&case.status.conditions, NOTIFIED).is_none(), "there is nothing to tell yet");
    case.contain("acme", "na");
    assert_eq!(case.pass(), ["incidentContact.Contained.1", "acme/acme.Contained.1"]);
    assert_eq!(case.notified().0, "MailPending");
    assert_eq!(case.due(), Vec::<String>::new(), "not at once");
    case.seconds = 4;
    case.contain("acme", "eu");
    case.contain("other", "fe");
    assert_eq!(case.pass(), ["other/other.Contained.1"], "the others' mails are not sent yet, and tell it too");
    case.seconds = 10;
    assert_eq!(case.sends(), ["incidentContact.Contained.1", "acme/acme.Contained.1"]);
    case.seconds = 14;
    assert_eq!(case.sends(), ["other/other.Contained.1"]);
    assert_eq!(case.notified(), ("Notified", ""));

    // Some of it, and what comes back of what was told, is no news.
    case.restore("acme", "eu");
    assert_eq!(case.pass(), Vec::<String>::new());
    case.contain("acme", "eu");
    assert_eq!(case.pass(), Vec::<String>::new());

    // More is, five minutes after the last mail at the earliest, and only for whom it concerns.
    case.seconds = 60;
    case.contain("acme", "jp");
    assert_eq!(case.pass(), ["incidentContact.Contained.2", "acme/acme.Contained.2"]);
    case.seconds = 309;
    assert_eq!(case.due(), Vec::<String>::new());
    case.seconds = 310;
    assert_eq!(case.sends().len(), 2);
    case.seconds = 1000;
    case.contain("acme", "uk");
    assert_eq!(case.pass().len(), 2);
    case.seconds = 1010;
    assert_eq!(case.sends().len(), 2, "ten seconds are enough when nothing was told for long");

    for name in ["na", "eu", "jp", "uk"] {
        case.restore("acme", name);
    }
    assert_eq!(case.pass(), ["acme/acme.Restored.1"], "the incident goes on for others");
    case.restore("other", "fe");
    assert_eq!(case.pass(), ["incidentContact.Restored.1", "other/other.Restored.1"]);
    case.seconds = 1100;
    assert_eq!(case.sends().len(), 3);

    // Closed; and later contained again.
    case.spec.closed = Some(crds::IncidentClosure {
        root_cause: "a log".to_owned(),
        remedy: "the log redacts".to_owned(),
        waiver: None,
    });
    case.status.phase = Some(IncidentPhase::Closed);
    assert_eq!(case.pass(), ["incidentContact.Closed.1"], "nothing of it is a Team's");
    case.seconds = 1200;
    assert_eq!(case.sends().len(), 1);
    case.contain("acme", "na");
    assert_eq!(case.pass(), ["incidentContact.Contained.4", "acme/acme.Contained.4"]);
}

#[test]
fn closing_says_what_restoring_would_have_said() {
    let mut case = Case::new();
    case.contain("acme", "na");
    case.pass();
    case.seconds = 10;
    case.sends();
    case.restore("acme", "na");
    case.status.phase = Some(IncidentPhase::Closed);
    assert_eq!(case.pass(), ["incidentContact.Closed.1", "acme/acme.Restored.1"]);
}

#[test]
fn an_incident_that_nobody_was_told_of_is_not_told_when_it_is_over() {
    let mut case = Case::new();
    case.is_configured = false;
    case.contain("acme", "na");
    assert_eq!(case.pass(), Vec::<String>::new());
    let (reason, message) = case.notified();
    assert_eq!(reason, "MailNotConfigured");
    assert!(["smtpUrl", "smtpFrom", "incidentContact", "install.md"].iter().all(|word| message.contains(word)));
    let mut over = Case { ..case };
    over.restore("acme", "na");
    over.status.phase = Some(IncidentPhase::Closed);
    over.is_configured = true;
    assert_eq!(over.pass(), Vec::<String>::new());

    // But what is contained still when mail is set up is.
    let mut case = Case::new();
    case.is_configured = false;
    case.contain("acme", "na");
    case.pass();
    case.seconds = 3600;
    case.is_configured = true;
    assert_eq!(case.pass(), ["incidentContact.Contained.1", "acme/acme.Contained.1"]);
    // And what waits when it is taken away waits on.
    case.is_configured = false;
    case.seconds = 3700;
    assert_eq!(case.pass(), Vec::<String>::new());
    assert_eq!(case.plan(&mut case.status.clone()).again_at, None);
    assert!(case.status.notifications.iter().all(|one| one.state == Progress::Pending));
}

#[test]
fn who_has_no_address_is_named_and_told_once_there_is_one() {
    let mut case = Case::new();
    case.silent = vec!["acme".to_owned()];
    case.incident_contact = false;
    case.contain("acme", "na");
    assert_eq!(case.pass(), Vec::<String>::new());
    assert_eq!(case.notified().0, "NoIncidentContact");
    case.incident_contact = true;
    assert_eq!(case.pass(), ["incidentContact.Contained.1"]);
    case.seconds = 10;
    case.sends();
    assert_eq!(case.notified().0, "NoContacts");
    assert!(case.notified().1.contains("acme/acme"), "{:?}", case.notified());
    case.silent.clear();
    assert_eq!(case.pass(), ["acme/acme.Contained.1"]);
}

#[test]
fn what_is_refused_for_now_is_tried_again_ever_more_slowly_and_for_good_given_up() {
    let mut case = Case::new();
    case.contain("acme", "na");
    case.pass();
    let id = "acme/acme.Contained.1";
    let mut waits = Vec::new();
    for _ in 0..12 {
        case.seconds = (case.one(id).next_attempt_at.as_ref().unwrap().0.as_second()) - now().as_second();
        assert!(case.due().contains(&id.to_owned()));
        case.ends(id, Err(MailError::Unreachable));
        assert_eq!(case.plan(&mut case.status.clone()).ended, []);
        case.pass();
        let next = case.one(id).next_attempt_at.as_ref().unwrap().0;
        waits.push(next.as_second() - case.now().as_second());
    }
    assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 640, 900, 900, 900, 900]);
    let one = case.one(id);
    assert_eq!((one.state, one.attempts, one.last_reason.as_deref()), (Progress::Pending, 12, Some("SmtpUnreachable")));
    assert_eq!(case.notified().0, "MailDelayed");
    assert!(case.notified().1.contains("SmtpUnreachable"), "{:?}", case.notified());

    case.ends(id, Ok(Sent { left_out: 2 }));
    let ended = case.plan(&mut case.status.clone()).ended;
    assert_eq!((ended.len(), ended[0].state, ended[0].reason), (1, Progress::Sent, Some("SomeAddressesRefused")));
    case.pass();
    assert_eq!((case.one(id).state, case.one(id).next_attempt_at.clone()), (Progress::Sent, None));

    let id = "incidentContact.Contained.1";
    case.ends(id, Err(MailError::Refused(550)));
    let ended = case.plan(&mut case.status.clone()).ended;
    assert_eq!((ended[0].state, ended[0].reason), (Progress::Failed, Some("SmtpRefused")));
    case.pass();
    assert_eq!(case.notified().0, "NotNotified");
    assert!(case.notified().1.contains("incidentContact (SmtpRefused)"), "{:?}", case.notified());
    case.seconds += 4000;
    assert_eq!(case.pass(), Vec::<String>::new(), "given up");
    assert_eq!(case.due(), Vec::<String>::new());
}

#[test]
fn it_is_not_tried_for_ever() {
    let mut case = Case::new();
    case.contain("acme", "na");
    case.pass();
    let id = "acme/acme.Contained.1";
    for attempt in 1..=MOST_ATTEMPTS {
        case.ends(id, Err(MailError::TimedOut));
        case.pass();
        let failed = case.one(id).state == Progress::Failed;
        assert_eq!(failed, attempt == MOST_ATTEMPTS, "{attempt}");
    }
}

#[test]
fn an_outcome_counts_once_and_only_for_what_is_pending() {
    let mut case = Case::new();
    case.contain("acme", "na");
    case.pass();
    let id = "acme/acme.Contained.1";
    case.ends(id, ALL_SENT);
    case.pass();
    // Written, and not forgotten yet.
    case.ends(id, ALL_SENT);
    case.ends("nobody.Contained.1", ALL_SENT);
    let mut status = case.status.clone();
    assert_eq!(case.plan(&mut status).ended, []);
    assert_eq!(status, case.status);
}

#[test]
fn amazon_is_reminded_of_twice_until_a_note_says_that_it_was_told() {
    let hours = |hours: i64| hours * 3600;
    let mut case = Case::new();
    case.contain("acme", "na");
    case.pass();
    case.seconds = 10;
    case.sends();
    let again = case.plan(&mut case.status.clone()).again_at.unwrap();
    assert_eq!(again, now() + SignedDuration::from_hours(12));
    case.seconds = hours(12) - 1;
    assert_eq!(case.pass(), Vec::<String>::new());
    case.seconds = hours(12);
    assert_eq!(case.pass(), ["incidentContact.Reminder.12h"]);
    assert_eq!(case.sends().len(), 1, "at once");
    assert_eq!(case.plan(&mut case.status.clone()).again_at.unwrap(), now() + SignedDuration::from_hours(22));
    // Restored or not, Amazon must know.
    case.restore("acme", "na");
    case.pass();
    case.seconds = hours(22);
    assert_eq!(case.pass(), ["incidentContact.Reminder.2h"]);

    let note =
        |text: &str| IncidentNote { time: Time(now()), author: "a@example.com".to_owned(), text: text.to_owned() };
    let late = |notes: Vec<IncidentNote>, phase| {
        let mut case = Case::new();
        case.contain("acme", "na");
        case.status.phase = Some(phase);
        case.spec.notes = notes;
        case.seconds = hours(30);
        case.pass()
    };
    let open = IncidentPhase::Contained;
    assert!(late(vec![], open).contains(&"incidentContact.Reminder.2h".to_owned()), "late is better than not at all");
    assert_eq!(late(vec![], open).iter().filter(|id| id.contains("Reminder")).count(), 1);
    assert!(late(vec![note("Amazon must be told")], open).iter().any(|id| id.contains("Reminder")));
    assert!(!late(vec![note("Amazon was told by A. at noon")], open).iter().any(|id| id.contains("Reminder")));
    assert!(!late(vec![], IncidentPhase::Closed).iter().any(|id| id.contains("Reminder")));
}

#[test]
fn there_is_an_end_and_the_platform_comes_first() {
    let mut case = Case::new();
    for number in 0..MOST_NOTIFICATIONS + 5 {
        case.contain(&format!("t{number:04}"), "na");
    }
    let decided = case.pass();
    assert_eq!((decided.len(), decided[0].as_str()), (MOST_NOTIFICATIONS, "incidentContact.Contained.1"));
    case.seconds = 10;
    case.sends();
    assert_eq!(case.notified().0, "TooManyMails");
}

#[test]
fn targets_beyond_those_that_are_listed_are_told_once() {
    let mut case = Case::new();
    // Contained, and not among the targets.
    case.shares =
        BTreeMap::from([(team("acme"), Share { contained: vec![connection("acme", "na")], ..Share::default() })]);
    case.status.contained = 1;
    assert_eq!(case.pass().len(), 2);
    case.seconds = 10;
    case.sends();
    case.seconds = 4000;
    assert_eq!(case.pass(), Vec::<String>::new());
}
