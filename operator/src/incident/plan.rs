//! What the status of an Incident says. Pure.

use std::{collections::HashSet, time::Duration};

use crds::{
    Incident, IncidentEvent, IncidentPhase, IncidentReach, IncidentStatus, IncidentTarget, IncidentTimelineEntry,
    LONGEST_TIMELINE, MOST_TARGETS,
    condition::{CLOSED, State, find, set},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::name_of;
use crate::{dependents::Name, status::whole_seconds};

/// How long after its detection Amazon must have been told of an incident.
const NOTIFY_AMAZON_WITHIN: SignedDuration = SignedDuration::from_hours(24);
/// How long after an entry of the timeline the next one may come.
const PACE: SignedDuration = SignedDuration::from_secs(2);
/// Of the condition `Closed`: spec.closed is given too early.
const STILL_CONTAINS: &str = "StillContains";
/// Of the condition `Closed`: nobody has shown that what leaked is dead.
const OLD_TOKENS_NOT_REFUSED: &str = "OldTokensNotRefused";
/// How many objects a sentence names.
const NAMED: usize = 5;

/// What one pass looks at.
pub(super) struct Observed<'a> {
    pub(super) incident: &'a Incident,
    /// The objects whose annotation names it, in a fixed order.
    pub(super) contained: &'a [Name],
    /// Whether an object is there, contained or not.
    pub(super) is_there: &'a dyn Fn(&Name) -> bool,
    /// How far its targets reach.
    pub(super) reach: IncidentReach,
    /// The connections within reach of targets whose old refresh token Amazon has not refused.
    pub(super) unproven: &'a dyn Fn(&[IncidentTarget]) -> Vec<Name>,
    pub(super) now: Timestamp,
}

/// What is to be written, and what of it is news.
#[derive(Debug, PartialEq)]
pub(super) struct Plan {
    pub(super) status: IncidentStatus,
    pub(super) happened: Vec<IncidentTimelineEntry>,
}

impl Plan {
    /// How long what happened waits: a thousand objects that kubectl contains one after the other are then a few entries
    /// and a few writes. A last entry from the future, by another leader's clock, keeps nothing waiting.
    pub(super) fn waits(&self, before: Option<&IncidentStatus>, now: Timestamp) -> Option<Duration> {
        let since = now.duration_since(before?.timeline.last()?.time.0);
        let waits = !self.happened.is_empty() && !since.is_negative() && since < PACE;
        waits.then(|| (PACE - since).unsigned_abs())
    }

    /// What keeps it from being closed, where that is news.
    pub(super) fn kept_open_by(&self, before: Option<&IncidentStatus>) -> Option<&Condition> {
        let because = |status: &IncidentStatus| find(&status.conditions, CLOSED).map(|it| it.reason.clone());
        let now = find(&self.status.conditions, CLOSED)
            .filter(|it| [STILL_CONTAINS, OLD_TOKENS_NOT_REFUSED].contains(&it.reason.as_str()))?;
        (before.and_then(because).as_ref() != Some(&now.reason)).then_some(now)
    }
}

/// Decides.
pub(super) fn plan(seen: &Observed<'_>) -> Plan {
    let Observed { incident, contained, now, .. } = *seen;
    let now = whole_seconds(now);
    let old = incident.status.clone().unwrap_or_default();
    let mut happened = Vec::new();
    let mut happen = |event, about| happened.push(IncidentTimelineEntry { time: Time(now), event, about });

    let changes = targets(seen, &old.targets, now);
    let was_closed = old.phase == Some(IncidentPhase::Closed);
    // What becomes of a connection once it is closed does not open it again.
    let unproven = match &incident.spec.closed {
        Some(closed) if closed.waiver.is_none() && !was_closed && contained.is_empty() => (seen.unproven)(&changes.all),
        _ => Vec::new(),
    };
    let phase = match (contained, &incident.spec.closed) {
        ([_, ..], _) => IncidentPhase::Contained,
        ([], Some(_)) if unproven.is_empty() => IncidentPhase::Closed,
        ([], _) => IncidentPhase::Open,
    };
    let is_closed = phase == IncidentPhase::Closed;
    if old.phase.is_none() {
        happen(IncidentEvent::Opened, None);
    }
    for note in new_notes(incident, &old.timeline) {
        happen(IncidentEvent::NoteAdded, Some(note));
    }
    if was_closed && !is_closed {
        happen(IncidentEvent::Reopened, None);
    }
    for (event, names) in [
        (IncidentEvent::Contained, changes.contained),
        (IncidentEvent::Restored, changes.restored),
        (IncidentEvent::Deleted, changes.deleted),
    ] {
        if !names.is_empty() {
            happen(event, Some(listed(&names)));
        }
    }
    if is_closed && !was_closed {
        happen(IncidentEvent::Closed, None);
    }

    let mut conditions = old.conditions;
    set(&mut conditions, closed(phase, incident, contained, &unproven), incident.metadata.generation, now);
    let status = IncidentStatus {
        phase: Some(phase),
        contained: i64::try_from(contained.len()).unwrap_or(i64::MAX),
        notify_amazon_by: notify_amazon_by(incident, &changes.all),
        targets: changes.all,
        // A closed incident's stays as it was: what came and went since is not its concern.
        reach: if was_closed && is_closed { old.reach } else { seen.reach },
        timeline: continued(old.timeline, &happened, now),
        evidence: old.evidence,
        notifications: old.notifications,
        conditions,
        observed_generation: incident.metadata.generation,
    };
    Plan { status, happened }
}

/// The targets, and which of them changed.
struct Targets {
    all: Vec<IncidentTarget>,
    contained: Vec<Name>,
    restored: Vec<Name>,
    deleted: Vec<Name>,
}

fn targets(seen: &Observed<'_>, old: &[IncidentTarget], now: Timestamp) -> Targets {
    let mut targets = Targets { all: old.to_vec(), contained: vec![], restored: vec![], deleted: vec![] };
    let holds: HashSet<&Name> = seen.contained.iter().collect();
    let mut known = HashSet::new();
    for target in &mut targets.all {
        let Some(name) = name_of(target) else { continue };
        match (target.is_contained(), holds.contains(&name)) {
            (false, true) => {
                (target.restored_at, target.deleted_at) = (None, None);
                targets.contained.push(name.clone());
            }
            (true, false) if (seen.is_there)(&name) => {
                target.restored_at = Some(Time(now));
                targets.restored.push(name.clone());
            }
            (true, false) => {
                target.deleted_at = Some(Time(now));
                targets.deleted.push(name.clone());
            }
            (true, true) | (false, false) => {}
        }
        known.insert(name);
    }
    let room = MOST_TARGETS.saturating_sub(targets.all.len());
    for name in seen.contained.iter().filter(|name| !known.contains(*name)).take(room) {
        targets.all.push(IncidentTarget {
            kind: name.kind.as_str().to_owned(),
            namespace: name.namespace.clone(),
            name: name.name.clone(),
            contained_at: Time(now),
            restored_at: None,
            deleted_at: None,
        });
        targets.contained.push(name.clone());
    }
    targets
}

/// By whom and of when the notes are that the timeline has not told.
fn new_notes(incident: &Incident, timeline: &[IncidentTimelineEntry]) -> Vec<String> {
    if timeline.len() >= LONGEST_TIMELINE {
        return Vec::new();
    }
    let is_told = |note: &String| {
        timeline.iter().any(|entry| entry.event == IncidentEvent::NoteAdded && entry.about.as_ref() == Some(note))
    };
    let notes = incident.spec.notes.iter().map(|note| format!("{}, {}", note.author, note.time.0));
    notes.filter(|note| !is_told(note)).collect()
}

/// `Kind namespace/name`, the first few.
fn listed(names: &[Name]) -> String {
    let mut text = names.iter().take(NAMED).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if names.len() > NAMED {
        text += &format!(" and {} more", names.len() - NAMED);
    }
    text
}

fn closed(phase: IncidentPhase, incident: &Incident, contained: &[Name], unproven: &[Name]) -> State {
    match phase {
        IncidentPhase::Closed => State::yes(CLOSED, "Closed", ""),
        IncidentPhase::Contained if incident.spec.closed.is_some() => {
            let message = format!("spec.closed counts once nothing is contained by it any more: {}", listed(contained));
            State::no(CLOSED, STILL_CONTAINS, message)
        }
        IncidentPhase::Open if !unproven.is_empty() => {
            let message = format!(
                "spec.closed counts once Amazon refuses the old refresh token of {}: rotate it, have the seller end it and \
                 look at its condition OldTokenStillAccepted; or say in spec.closed.waiver who decided that it need not, and \
                 why",
                listed(unproven)
            );
            State::no(CLOSED, OLD_TOKENS_NOT_REFUSED, message)
        }
        IncidentPhase::Contained | IncidentPhase::Open => State::no(CLOSED, "NotClosed", ""),
    }
}

fn notify_amazon_by(incident: &Incident, targets: &[IncidentTarget]) -> Option<Time> {
    let first = || targets.iter().map(|target| &target.contained_at).min();
    let detected = incident.spec.detected_at.as_ref().or_else(first)?;
    whole_seconds(detected.0).checked_add(NOTIFY_AMAZON_WITHIN).ok().map(Time)
}

/// The timeline with what happened, as far as there is room. Its last entry says where there was none.
fn continued(
    mut timeline: Vec<IncidentTimelineEntry>,
    happened: &[IncidentTimelineEntry],
    now: Timestamp,
) -> Vec<IncidentTimelineEntry> {
    let room = LONGEST_TIMELINE.saturating_sub(timeline.len());
    if happened.len() < room {
        timeline.extend_from_slice(happened);
    } else if room > 0 {
        timeline.extend_from_slice(&happened[..room - 1]);
        timeline.push(IncidentTimelineEntry { time: Time(now), event: IncidentEvent::Full, about: None });
    }
    timeline
}

#[cfg(test)]
mod tests;
