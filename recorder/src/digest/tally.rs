//! Counting events.

use std::collections::{BTreeMap, VecDeque};

use audit::{
    Class,
    wire::digest::{Anomaly, Count, Detections, Digest, MOST_ANOMALIES, Outcome},
};

use crate::view::{Event, Named, View, text};

const DETECTION: u64 = Class::DetectionFinding.uid();
/// Classes that are told apart; there are nine, and a disk may hold anything.
const MOST_CLASSES: usize = 64;

/// Numbers of what was recorded.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counts: BTreeMap<(u64, Outcome), (u64, u64)>,
    detections: BTreeMap<String, u64>,
    /// The newest last.
    anomalies: VecDeque<Anomaly>,
    unreadable: u64,
}

impl Tally {
    /// Adds a record as it is stored.
    pub(super) fn add(&mut self, payload: &[u8]) {
        let Some(View { time, event, .. }) = View::of(payload) else { return self.unreadable() };
        let key = (event.class_uid, outcome(&event));
        if self.counts.len() < MOST_CLASSES || self.counts.contains_key(&key) {
            let (events, occurrences) = self.counts.entry(key).or_default();
            *events += 1;
            // Of a finding it is what the finding is about, which has events of its own.
            let many = event.count.filter(|_| event.class_uid / 1000 != 2).unwrap_or(1);
            *occurrences = occurrences.saturating_add(many);
        }
        if event.class_uid == DETECTION {
            self.detected(time, event);
        }
    }

    /// Something that is no record.
    pub(super) fn unreadable(&mut self) {
        self.unreadable += 1;
    }

    fn detected(&mut self, time: i64, event: Event<'_>) {
        let Some(info) = event.finding_info else { return };
        let Some(kind) = info.types.first().and_then(|kind| text(kind)) else { return };
        if self.detections.len() < MOST_CLASSES || self.detections.contains_key(&kind) {
            *self.detections.entry(kind.clone()).or_default() += 1;
        }
        let name = |name: Option<Named<'_>>| name.and_then(|name| text(&name.key()));
        let actor = event.evidences.into_iter().next().and_then(|evidence| evidence.actor);
        self.anomalies.push_back(Anomaly {
            time,
            kind,
            uid: info.uid,
            team: name(event.unmapped.team),
            connection: name(event.unmapped.connection),
            actor: actor.and_then(|actor| text(&actor.user.name)),
            writer: event.unmapped.writer.and_then(|writer| text(&format!("{}/{}", writer.role, writer.pod))),
            count: event.count,
        });
        if self.anomalies.len() > MOST_ANOMALIES {
            self.anomalies.pop_front();
        }
    }

    /// Without logs.
    pub(super) fn digest(self) -> Digest {
        let counts = self.counts.into_iter().map(|((class, outcome), (events, occurrences))| Count {
            class,
            caption: Class::from_uid(class).map(|class| class.caption().to_owned()).unwrap_or_default(),
            outcome,
            events,
            occurrences,
        });
        let detections = self.detections.into_iter().map(|(kind, events)| Detections { kind, events });
        Digest {
            counts: counts.collect(),
            detections: detections.collect(),
            anomalies: self.anomalies.into_iter().rev().collect(),
            unreadable: self.unreadable,
            logs: Vec::new(),
        }
    }
}

fn outcome(event: &Event<'_>) -> Outcome {
    match (event.class_uid / 1000, event.action_id, event.status_id) {
        (2, _, Some(4)) => Outcome::Resolved,
        (2, ..) => Outcome::New,
        (_, Some(2), _) => Outcome::Refused,
        (_, _, Some(2)) => Outcome::Failed,
        (_, _, Some(99)) => Outcome::Intended,
        _ => Outcome::Succeeded,
    }
}
