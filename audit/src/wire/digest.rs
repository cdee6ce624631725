//! What the operator asks a recorder for a review of the record, over mutual TLS; no other role is answered.
//!
//! `GET /v1/digest?since=MILLIS` is answered with a [`Digest`]: what was recorded since then, in numbers, and whether all logs are
//! whole. A recorder reads all of that, which takes it minutes, and does so once at a time: 503 while it does.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Where a digest is asked for.
pub const DIGEST_PATH: &str = "/v1/digest";
/// Most anomalies that are listed; of more, the newest.
pub const MOST_ANOMALIES: usize = 100;
/// Most flaws that are named of one log.
pub const MOST_FLAWS: usize = 20;
/// The longest answer, in bytes.
pub const MAX_DIGEST_BYTES: usize = 512 * 1024;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// From this time on, in milliseconds since 1970.
    pub since: i64,
}

/// What a recorder says of its record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Digest {
    /// How many events there were, by class and outcome.
    pub counts: Vec<Count>,
    /// How many detections were recorded, by kind.
    pub detections: Vec<Detections>,
    /// The detections, newest first.
    pub anomalies: Vec<Anomaly>,
    /// Places in the record that hold no event.
    pub unreadable: u64,
    /// All logs, oldest first, of whatever time.
    pub logs: Vec<Log>,
}

/// How many events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Count {
    /// OCSF's `class_uid`.
    pub class: u64,
    /// OCSF's name of the class; empty for one that is none of ours.
    pub caption: String,
    /// What became of them.
    pub outcome: Outcome,
    /// Events.
    pub events: u64,
    /// What they stand for: some stand for many.
    pub occurrences: u64,
}

/// What an event says of success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Outcome {
    /// It was about to happen.
    Intended,
    /// It happened.
    Succeeded,
    /// It was allowed and did not succeed.
    Failed,
    /// It was not allowed.
    Refused,
    /// Of a finding: somebody is to look.
    New,
    /// Of a finding: it is over.
    Resolved,
}

/// How many detections of a kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detections {
    /// As in [`crate::DetectionKind`].
    pub kind: String,
    /// How many.
    pub events: u64,
}

/// A detection. Names are those in the record: no clear e-mail address is among them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Anomaly {
    /// When it was stored, in milliseconds since 1970.
    pub time: i64,
    /// As in [`crate::DetectionKind`].
    pub kind: String,
    /// Shared by all events of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<Uuid>,
    /// `<namespace>/<name>`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// `<namespace>/<name>`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// Who gave rise to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The process it is about, `<role>/<pod>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writer: Option<String>,
    /// How many events, calls or numbers it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

/// What verifying a log came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Log {
    /// `<year>q<quarter>[-e<epoch>]`
    pub shard: String,
    /// Its name, from its newest checkpoint; empty where there is none that can be read.
    pub origin: String,
    /// Leaves of its newest checkpoint.
    pub size: u64,
    /// The root of that, in base64.
    pub root: String,
    /// What is wrong with it, in words; nothing if it is whole.
    pub flaws: Vec<String>,
    /// Flaws that are not named.
    pub more_flaws: u64,
}

impl Digest {
    /// Whether every log is whole.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        self.logs.iter().all(|log| log.flaws.is_empty() && log.more_flaws == 0)
    }
}
