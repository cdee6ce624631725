//! What somebody must look at: alarms (OCSF 2004, Detection Finding) and reviews of the record (2003, Compliance Finding).

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::{
    Actor, Digest, EventName, LogOrigin, Origin, Requester, Source, Target,
    actor::{ActorBody, SourceBody},
    ocsf::{Body, Shape, Unmapped, millis},
};
use crate::Peer;

/// Most logs that one review lists; more set `metadata.is_truncated`. A shard a quarter and recorder.
pub(super) const MOST_LOGS: usize = 32;

/// What an alarm is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DetectionKind {
    /// Far more calls were refused than usual.
    BurstOfRefusals,
    /// Somebody used a connection for the first time that others have used for long.
    NewSubject,
    /// A known caller came from a new network.
    NewNetwork,
    /// A call was granted although what it used is contained.
    TokenUsedAfterContainment,
    /// Login with Amazon refuses a connection again and again.
    RefreshFailures,
    /// A connection is called far more than usual.
    UnusualVolume,
    /// A recorder's logs cannot be witnessed.
    RecorderSilent,
    /// Numbers of a writer are in no log.
    WriterGap,
    /// Codes are guessed, or asked for in numbers.
    SignInAttack,
    /// A log has not the checkpoint that somebody remembers.
    LogContradicted,
}

impl DetectionKind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::BurstOfRefusals,
        Self::NewSubject,
        Self::NewNetwork,
        Self::TokenUsedAfterContainment,
        Self::RefreshFailures,
        Self::UnusualVolume,
        Self::RecorderSilent,
        Self::WriterGap,
        Self::SignInAttack,
        Self::LogContradicted,
    ];

    /// The event that tells of it.
    #[must_use]
    pub const fn name(self) -> EventName {
        match self {
            Self::BurstOfRefusals => EventName::BurstOfRefusals,
            Self::NewSubject => EventName::NewSubject,
            Self::NewNetwork => EventName::NewNetwork,
            Self::TokenUsedAfterContainment => EventName::TokenUsedAfterContainment,
            Self::RefreshFailures => EventName::RefreshFailures,
            Self::UnusualVolume => EventName::UnusualVolume,
            Self::RecorderSilent => EventName::RecorderSilent,
            Self::WriterGap => EventName::WriterGap,
            Self::SignInAttack => EventName::SignInAttack,
            Self::LogContradicted => EventName::LogContradicted,
        }
    }
}

/// How far an alarm is: `activity_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DetectionStage {
    /// It is new.
    Created,
    /// There is more of it.
    Updated,
    /// It is over.
    Closed,
}

/// Who gave rise to an alarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Suspect {
    /// Who calls the gateway.
    Caller(Actor),
    /// Who uses the portal or Kubernetes.
    Requester(Requester),
}

/// An alarm.
#[derive(Clone, Debug)]
pub struct Detection {
    /// Shared by all events of one alarm.
    pub uid: Uuid,
    /// What it is about.
    pub kind: DetectionKind,
    /// How far it is.
    pub stage: DetectionStage,
    /// Whose concern, if it is one Team's.
    pub target: Option<Target>,
    /// Who gave rise to it, if that is one.
    pub suspect: Option<Suspect>,
    /// From where, if that is one place.
    pub source: Option<Source>,
    /// The process it is about, such as one whose events are missing.
    pub writer: Option<Peer>,
    /// How many events, calls or numbers it is about.
    pub count: u64,
    /// The time of the first of them.
    pub first: Timestamp,
    /// The time of the last.
    pub last: Timestamp,
}

impl Detection {
    pub(super) fn shape(&self) -> Shape<'_> {
        let activity = match self.stage {
            DetectionStage::Created => 1,
            DetectionStage::Updated => 2,
            DetectionStage::Closed => 3,
        };
        Shape { activity, target: self.target.as_ref(), ..Shape::of(self.kind.name()) }
    }

    pub(super) fn body<'a>(&'a self, origin: &'a Origin) -> (Body<'a>, Unmapped<'a>) {
        let row = self.kind.name().row();
        let evidence = Evidence {
            actor: self.suspect.as_ref().map(|suspect| match suspect {
                Suspect::Caller(actor) => actor.body(origin),
                Suspect::Requester(requester) => requester.body(),
            }),
            src_endpoint: self.source.map(|source| source.body(origin)),
        };
        let has_evidence = evidence.actor.is_some() || evidence.src_endpoint.is_some();
        let body = FindingBody {
            finding_info: FindingInfo {
                uid: self.uid,
                title: row.message,
                desc: row.cause,
                types: [row.name.as_str()],
                first_seen_time: Some(millis(self.first)),
                last_seen_time: Some(millis(self.last)),
            },
            compliance: None,
            evidences: has_evidence.then_some([evidence]),
            // status_id: 1 new, 4 resolved.
            status_id: if self.stage == DetectionStage::Closed { 4 } else { 1 },
            count: Some(self.count),
            start_time: millis(self.first),
            end_time: millis(self.last),
        };
        (Body::Finding(body), Unmapped { writer: self.writer.as_ref(), ..Unmapped::default() })
    }
}

/// A log as far as a review goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReviewedLog {
    /// The log.
    pub origin: LogOrigin,
    /// How many events it had.
    pub size: u64,
    /// [`Digest::of_unguessable`] of the checkpoint of that size.
    pub checkpoint: Digest,
}

/// How far a review is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReviewStage {
    /// What is to be looked at was put together.
    Made,
    /// This person has looked at it.
    SignedOffBy(Requester),
}

/// A review of the record of a span of time.
#[derive(Clone, Debug)]
pub struct Review {
    /// Shared by all events of one review.
    pub uid: Uuid,
    /// Where the span begins.
    pub from: Timestamp,
    /// Where it ends.
    pub to: Timestamp,
    /// What there was to review, by log.
    pub logs: Vec<ReviewedLog>,
    /// How far it is.
    pub stage: ReviewStage,
}

impl Review {
    pub(super) fn shape(&self) -> Shape<'_> {
        let name = match self.stage {
            ReviewStage::Made => EventName::ReviewMade,
            ReviewStage::SignedOffBy(_) => EventName::ReviewSignedOff,
        };
        Shape { truncated: self.logs.len() > MOST_LOGS, ..Shape::of(name) }
    }

    pub(super) fn body<'a>(&'a self, origin: &'a Origin) -> (Body<'a>, Unmapped<'a>) {
        let row = self.shape().name.row();
        let by = match &self.stage {
            ReviewStage::Made => None,
            ReviewStage::SignedOffBy(by) => Some(SignedOffBy { actor: by.body(), src_endpoint: by.source(origin) }),
        };
        let checkpoints = self.logs.iter().take(MOST_LOGS).map(|log| CheckpointBody {
            log: &log.origin,
            size: log.size,
            digest: log.checkpoint.as_str(),
        });
        let body = FindingBody {
            finding_info: FindingInfo {
                uid: self.uid,
                title: "review of the record",
                desc: row.cause,
                types: ["Review"],
                first_seen_time: None,
                last_seen_time: None,
            },
            compliance: Some(Compliance {
                // "Developers must review logs in real-time or at least bi-weekly."
                standards: ["Amazon Data Protection Policy"],
                control: "logging and monitoring",
            }),
            evidences: None,
            status_id: if by.is_some() { 4 } else { 1 },
            count: None,
            start_time: millis(self.from),
            end_time: millis(self.to),
        };
        let more = Unmapped { checkpoints: checkpoints.collect(), signed_off_by: by, ..Unmapped::default() };
        (Body::Finding(body), more)
    }
}

/// What an event of either class has besides what all have.
#[derive(Serialize)]
pub(super) struct FindingBody<'a> {
    finding_info: FindingInfo,
    #[serde(skip_serializing_if = "Option::is_none")]
    compliance: Option<Compliance>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidences: Option<[Evidence<'a>; 1]>,
    status_id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    start_time: i64,
    end_time: i64,
}

/// OCSF's object finding_info.
#[derive(Serialize)]
struct FindingInfo {
    uid: Uuid,
    title: &'static str,
    desc: &'static str,
    types: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    first_seen_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_seen_time: Option<i64>,
}

/// OCSF's object compliance.
#[derive(Serialize)]
struct Compliance {
    standards: [&'static str; 1],
    control: &'static str,
}

/// OCSF's object evidences.
#[derive(Serialize)]
struct Evidence<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<ActorBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    src_endpoint: Option<SourceBody<'a>>,
}

/// What was reviewed of a log.
#[derive(PartialEq, Serialize)]
pub(super) struct CheckpointBody<'a> {
    log: &'a LogOrigin,
    size: u64,
    digest: &'a str,
}

/// Who signed a review off; OCSF's class has no place for that.
#[derive(PartialEq, Serialize)]
pub(super) struct SignedOffBy<'a> {
    actor: ActorBody<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    src_endpoint: Option<SourceBody<'a>>,
}
