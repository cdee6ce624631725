//! Whom to mail what, and when. Pure.
//!
//! A Team is mailed when something that concerns it is contained, when more is, and when nothing is any more. The platform's
//! `incidentContact` is mailed the same of everything, when the incident is closed, and when Amazon must be told soon. What
//! happens within seconds is one mail, because a mail says what is contained when it is sent.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use crds::{
    IncidentNotification, IncidentNotificationKind as Kind, IncidentNotificationState as Progress, IncidentPhase,
    IncidentSpec, IncidentStatus, MOST_NOTIFICATIONS, NamespacedReference,
    condition::{NOTIFIED, State, set},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    super::{name_of, share::Shares},
    Outcome, is_final,
};
use crate::{dependents::Name, status::whole_seconds};

/// Stands for the settings' `incidentContact`, as recipient.
pub(super) const PLATFORM: &str = "incidentContact";
/// How long a mail waits for more to tell: as long as a responder who contains one object after the other.
const GATHERING: SignedDuration = SignedDuration::from_secs(10);
/// How soon after a mail that something is contained the next one may tell of more.
const MORE: SignedDuration = SignedDuration::from_mins(5);
/// How long before Amazon must have been told a reminder is sent that no note says so, first and last.
const REMINDERS: [(&str, SignedDuration); 2] =
    [("12h", SignedDuration::from_hours(12)), ("2h", SignedDuration::from_hours(2))];
const FIRST_DELAY: Duration = Duration::from_secs(5);
const LONGEST_DELAY: Duration = Duration::from_secs(15 * 60);
/// With the longest delay between them these take three days, in which somebody looks at the alert.
const MOST_ATTEMPTS: i64 = 300;
/// How many recipients a sentence names.
const NAMED: usize = 5;

/// To whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Recipient {
    Platform,
    Team(NamespacedReference),
}

impl Recipient {
    pub(super) fn parse(text: &str) -> Self {
        match text.split_once('/') {
            Some((namespace, name)) => {
                Self::Team(NamespacedReference { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            None => Self::Platform,
        }
    }
}

/// What one pass looks at, beside the status as it is planned without mail.
pub(super) struct Seen<'a> {
    pub(super) spec: &'a IncidentSpec,
    pub(super) generation: Option<i64>,
    pub(super) shares: &'a Shares,
    /// Whether a Team has an address that can be written to.
    pub(super) has_contacts: &'a dyn Fn(&NamespacedReference) -> bool,
    pub(super) is_configured: bool,
    /// Whether the settings have one.
    pub(super) incident_contact: bool,
    pub(super) outcomes: &'a [Outcome],
    pub(super) now: Timestamp,
}

/// A mail that was sent or given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Ended {
    pub(in super::super) kind: Kind,
    pub(in super::super) to: String,
    pub(in super::super) state: Progress,
    pub(in super::super) reason: Option<&'static str>,
}

/// What a pass decided on, beside the status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Notices {
    /// What ended, to be recorded once the status is written.
    pub(in super::super) ended: Vec<Ended>,
    /// When to look again.
    pub(in super::super) again_at: Option<Timestamp>,
}

/// Whether it is to be tried now.
pub(super) fn is_due(one: &IncidentNotification, now: Timestamp) -> bool {
    one.state == Progress::Pending && one.next_attempt_at.as_ref().is_none_or(|at| at.0 <= now)
}

/// How long to wait after so many attempts (from 1). `jitter` is 0 to 1 and spreads the second half.
fn delay(attempts: i64, jitter: f64) -> SignedDuration {
    let doubled = FIRST_DELAY.saturating_mul(1 << u32::try_from(attempts - 1).unwrap_or(0).min(16));
    let delay = doubled.min(LONGEST_DELAY).mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0);
    SignedDuration::try_from(delay).unwrap_or(SignedDuration::from_mins(15))
}

/// Decides, and writes it into the status.
pub(super) fn plan(seen: &Seen<'_>, status: &mut IncidentStatus) -> Notices {
    let now = whole_seconds(seen.now);
    let ended = take(seen.outcomes, &mut status.notifications);
    let mut full = false;
    if seen.is_configured {
        for (to, kind, id, at) in wanted(seen, status, now) {
            if status.notifications.len() >= MOST_NOTIFICATIONS {
                full = true;
                break;
            }
            status.notifications.push(IncidentNotification {
                id,
                kind,
                to,
                state: Progress::Pending,
                attempts: 0,
                last_reason: None,
                at: Time(now),
                next_attempt_at: Some(Time(at)),
                targets: i64::try_from(status.targets.len()).unwrap_or(i64::MAX),
            });
        }
    }
    match notified(seen, status, full) {
        Some(state) => set(&mut status.conditions, state, seen.generation, now),
        None => status.conditions.retain(|condition| condition.type_ != NOTIFIED),
    }
    Notices { ended, again_at: again_at(seen, status, now) }
}

/// Takes over what came of attempts.
fn take(outcomes: &[Outcome], notifications: &mut [IncidentNotification]) -> Vec<Ended> {
    let mut ended = Vec::new();
    for outcome in outcomes {
        let pending = |one: &&mut IncidentNotification| one.id == outcome.id && one.state == Progress::Pending;
        let Some(one) = notifications.iter_mut().find(pending) else { continue };
        one.attempts += 1;
        one.at = Time(whole_seconds(outcome.began));
        one.targets = outcome.targets;
        one.next_attempt_at = None;
        let reason = match outcome.result {
            Ok(sent) => {
                one.state = Progress::Sent;
                (sent.left_out > 0).then_some("SomeAddressesRefused")
            }
            Err(error) => {
                if is_final(error) || one.attempts >= MOST_ATTEMPTS {
                    one.state = Progress::Failed;
                } else {
                    let next = outcome.began.checked_add(delay(one.attempts, outcome.jitter));
                    one.next_attempt_at = Some(Time(whole_seconds(next.unwrap_or(outcome.began))));
                }
                Some(error.reason())
            }
        };
        one.last_reason = reason.map(str::to_owned);
        if one.state != Progress::Pending {
            ended.push(Ended { kind: one.kind, to: one.to.clone(), state: one.state, reason });
        }
    }
    ended
}

type Wanted = (String, Kind, String, Timestamp);

/// The mails that are not decided on yet: to whom, what, its name, when.
fn wanted(seen: &Seen<'_>, status: &IncidentStatus, now: Timestamp) -> Vec<Wanted> {
    let after = |wait: SignedDuration| now.checked_add(wait).unwrap_or(now);
    // Looked up, not searched for: there may be a thousand of each.
    let mut latest: HashMap<&str, &IncidentNotification> = HashMap::new();
    let mut counts: HashMap<(&str, &str), usize> = HashMap::new();
    for one in status.notifications.iter().filter(|one| one.kind != Kind::Reminder) {
        latest.insert(&one.to, one);
        *counts.entry((&one.to, one.kind.as_str())).or_default() += 1;
    }
    let places: HashMap<Name, usize> =
        status.targets.iter().enumerate().filter_map(|(place, target)| Some((name_of(target)?, place))).collect();
    let last = |to: &str| latest.get(to).copied();
    let named = |to: &str, kind: Kind| {
        let before = counts.get(&(to, kind.as_str())).copied().unwrap_or_default();
        format!("{to}.{}.{}", kind.as_str(), before + 1)
    };
    // `newest` is a place among the targets.
    let of = |to: String, is_contained: bool, newest: Option<usize>| -> Option<Wanted> {
        let (kind, at) = match (last(&to), is_contained) {
            (None, true) => (Kind::Contained, after(GATHERING)),
            (Some(last), true) if last.kind != Kind::Contained => (Kind::Contained, after(GATHERING)),
            (Some(last), true) => {
                let told = usize::try_from(last.targets).unwrap_or(0);
                let more = last.state != Progress::Pending && newest.is_some_and(|newest| newest >= told);
                let soonest = last.at.0.checked_add(MORE).unwrap_or(now);
                more.then_some((Kind::Contained, soonest.max(after(GATHERING))))?
            }
            (Some(last), false) if last.kind == Kind::Contained => (Kind::Restored, after(GATHERING)),
            (_, false) => return None,
        };
        Some((to.clone(), kind, named(&to, kind), at))
    };

    let mut wanted = Vec::new();
    let is_closed = status.phase == Some(IncidentPhase::Closed);
    if seen.incident_contact {
        let newest = status.targets.iter().rposition(|target| target.is_contained());
        let told = last(PLATFORM).map(|last| last.kind);
        if is_closed {
            // It says what a mail that all is restored would.
            let kind = Kind::Closed;
            let news = told.is_some_and(|told| told != kind);
            wanted.extend(news.then(|| (PLATFORM.to_owned(), kind, named(PLATFORM, kind), after(GATHERING))));
        } else {
            wanted.extend(of(PLATFORM.to_owned(), status.contained > 0, newest));
            wanted.extend(reminder(seen, status, now));
        }
    }
    for (team, share) in seen.shares.iter().filter(|(team, _)| (seen.has_contacts)(team)) {
        let newest = share.contained.iter().filter_map(|name| places.get(name).copied()).max();
        wanted.extend(of(team.to_string(), !share.contained.is_empty(), newest));
    }
    for to in latest.keys().filter(|to| **to != PLATFORM) {
        let still = matches!(Recipient::parse(to), Recipient::Team(team) if seen.shares.contains_key(&team));
        wanted.extend((!still).then(|| of((*to).to_owned(), false, None)).flatten());
    }
    // In an order that does not change from pass to pass.
    wanted.sort_by(|(a, _, a_id, _), (b, _, b_id, _)| (a != PLATFORM, a, a_id).cmp(&(b != PLATFORM, b, b_id)));
    wanted
}

/// The reminder that is due by now, of those the last.
fn reminder(seen: &Seen<'_>, status: &IncidentStatus, now: Timestamp) -> Option<Wanted> {
    let by = status.notify_amazon_by.as_ref()?.0;
    if seen.spec.amazon_was_told() {
        return None;
    }
    let due = |before: &SignedDuration| by.checked_sub(*before).is_ok_and(|at| at <= now);
    let (name, _) = REMINDERS.iter().rfind(|(_, before)| due(before))?;
    let id = format!("{PLATFORM}.{}.{name}", Kind::Reminder.as_str());
    let known = status.notifications.iter().any(|one| one.id == id);
    (!known).then(|| (PLATFORM.to_owned(), Kind::Reminder, id, now))
}

fn again_at(seen: &Seen<'_>, status: &IncidentStatus, now: Timestamp) -> Option<Timestamp> {
    if !seen.is_configured {
        return None;
    }
    let pending = status.notifications.iter().filter(|one| one.state == Progress::Pending);
    let attempts = pending.filter_map(|one| Some(one.next_attempt_at.as_ref()?.0));
    let reminded = seen.incident_contact && status.phase != Some(IncidentPhase::Closed) && !seen.spec.amazon_was_told();
    let by = status.notify_amazon_by.as_ref().filter(|_| reminded);
    let reminders = REMINDERS.iter().filter_map(|(_, before)| by?.0.checked_sub(*before).ok());
    attempts.chain(reminders).filter(|at| *at > now).min()
}

/// The condition; none where there was nothing to tell yet.
fn notified(seen: &Seen<'_>, status: &IncidentStatus, full: bool) -> Option<State> {
    let all = &status.notifications;
    let concerns_somebody = !status.targets.is_empty();
    if all.is_empty() && !concerns_somebody {
        return None;
    }
    let whom = |state: Progress| {
        let mut names: Vec<&str> = all.iter().filter(|one| one.state == state).map(|one| one.to.as_str()).collect();
        names.dedup();
        names
    };
    let reasons = |state: Progress| {
        let of = all.iter().filter(|one| one.state == state).filter_map(|one| one.last_reason.clone());
        let reasons: BTreeSet<String> = of.collect();
        reasons.into_iter().collect::<Vec<_>>().join(", ")
    };
    if !seen.is_configured {
        let message = "nobody is mailed: set smtpUrl, smtpFrom and incidentContact in ConfigMap openteam (docs/install.md, \
                       Mail), and until then tell the contacts of the Teams yourself";
        return Some(State::no(NOTIFIED, "MailNotConfigured", message));
    }
    let failed = whom(Progress::Failed);
    if !failed.is_empty() {
        let message = format!("given up: {} ({}). Tell them yourself", listed(&failed), reasons(Progress::Failed));
        return Some(State::no(NOTIFIED, "NotNotified", message));
    }
    if full {
        let message =
            format!("there was no room for more than {MOST_NOTIFICATIONS} mails: tell the other Teams yourself");
        return Some(State::no(NOTIFIED, "TooManyMails", message));
    }
    let refused = all.iter().any(|one| one.state == Progress::Pending && one.attempts > 0);
    let pending = whom(Progress::Pending);
    if refused {
        let message = format!("not sent yet: {} ({}). It is tried again", listed(&pending), reasons(Progress::Pending));
        return Some(State::no(NOTIFIED, "MailDelayed", message));
    }
    if !pending.is_empty() {
        return Some(State::unknown(NOTIFIED, "MailPending", format!("on the way: {}", listed(&pending))));
    }
    let silent: Vec<String> =
        seen.shares.keys().filter(|team| !(seen.has_contacts)(team)).map(ToString::to_string).collect();
    if !seen.incident_contact {
        return Some(State::no(NOTIFIED, "NoIncidentContact", "set incidentContact in ConfigMap openteam"));
    }
    if !silent.is_empty() {
        let names: Vec<&str> = silent.iter().map(String::as_str).collect();
        let message = format!("without an address in spec.contacts: Team {}. Tell them yourself", listed(&names));
        return Some(State::no(NOTIFIED, "NoContacts", message));
    }
    Some(State::yes(NOTIFIED, "Notified", ""))
}

fn listed(names: &[&str]) -> String {
    let mut text = names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    if names.len() > NAMED {
        text += &format!(" and {} more", names.len() - NAMED);
    }
    text
}

#[cfg(test)]
mod tests;
