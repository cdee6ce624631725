//! Counting events.

use std::{
    borrow::Cow,
    collections::{BTreeMap, VecDeque},
};

use audit::{
    Class, Peer,
    wire::digest::{Anomaly, Count, Detections, Digest, MOST_ANOMALIES, Outcome},
};
use serde::Deserialize;
use uuid::Uuid;

const DETECTION: u64 = Class::DetectionFinding.uid();
/// A longer text is no name and no word of ours: the longest is two names of 253 characters.
const LONGEST_TEXT: usize = 512;
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
        let Ok(Record { time, event }) = serde_json::from_slice::<Record<'_>>(payload) else {
            return self.unreadable();
        };
        let key = (event.class_uid, event.outcome());
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
        let text = |text: &str| (text.len() <= LONGEST_TEXT).then(|| text.to_owned());
        let Some(info) = event.finding_info else { return };
        let Some(kind) = info.types.first().and_then(|kind| text(kind)) else { return };
        if self.detections.len() < MOST_CLASSES || self.detections.contains_key(&kind) {
            *self.detections.entry(kind.clone()).or_default() += 1;
        }
        let name = |name: Option<Name<'_>>| name.and_then(|name| text(&format!("{}/{}", name.namespace, name.name)));
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

#[derive(Deserialize)]
struct Record<'a> {
    time: i64,
    #[serde(borrow)]
    event: Event<'a>,
}

#[derive(Deserialize)]
struct Event<'a> {
    class_uid: u64,
    action_id: Option<u64>,
    status_id: Option<u64>,
    count: Option<u64>,
    #[serde(borrow)]
    finding_info: Option<FindingInfo<'a>>,
    #[serde(borrow, default)]
    evidences: Vec<Evidence<'a>>,
    #[serde(borrow, default)]
    unmapped: Unmapped<'a>,
}

impl Event<'_> {
    fn outcome(&self) -> Outcome {
        match (self.class_uid / 1000, self.action_id, self.status_id) {
            (2, _, Some(4)) => Outcome::Resolved,
            (2, ..) => Outcome::New,
            (_, Some(2), _) => Outcome::Refused,
            (_, _, Some(2)) => Outcome::Failed,
            (_, _, Some(99)) => Outcome::Intended,
            _ => Outcome::Succeeded,
        }
    }
}

#[derive(Deserialize)]
struct FindingInfo<'a> {
    uid: Option<Uuid>,
    #[serde(borrow, default)]
    types: Vec<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Evidence<'a> {
    #[serde(borrow)]
    actor: Option<Actor<'a>>,
}

#[derive(Deserialize)]
struct Actor<'a> {
    #[serde(borrow)]
    user: User<'a>,
}

#[derive(Deserialize)]
struct User<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

#[derive(Default, Deserialize)]
struct Unmapped<'a> {
    #[serde(borrow)]
    team: Option<Name<'a>>,
    #[serde(borrow)]
    connection: Option<Name<'a>>,
    writer: Option<Peer>,
}

#[derive(Deserialize)]
struct Name<'a> {
    #[serde(borrow)]
    namespace: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
}
