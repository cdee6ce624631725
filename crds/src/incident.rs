//! Incident: what was contained, what was found out, and how it ended.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IncidentSeverity {
    /// Nothing was lost, or nothing that matters.
    Low,
    /// Something may have been lost.
    Medium,
    /// Something was lost.
    High,
    /// It goes on, or reaches far.
    Critical,
}

/// Something that was found out or done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct IncidentNote {
    /// When.
    pub time: Time,
    /// Who writes it.
    #[schemars(length(min = 1, max = 254))]
    pub author: String,
    /// What; no credentials.
    #[schemars(length(min = 1, max = 2000))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("a note does not change: add another one"))]
    pub text: String,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IncidentClosure {
    /// Why it happened.
    #[schemars(length(min = 1, max = 4000))]
    pub root_cause: String,
    /// What keeps it from happening again.
    #[schemars(length(min = 1, max = 4000))]
    pub remedy: String,
    /// Who decided, and why, that it is closed although Amazon has not refused every refresh token that was taken out of use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1000))]
    pub waiver: Option<String>,
}

/// What people know of an incident. The operator makes it, empty, when an annotation names it first.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "openteam.dev",
    version = "v1alpha1",
    kind = "Incident",
    namespaced,
    doc = "An incident, of the name that annotations openteam.dev/disable give it. It lives in OpenTeam's own namespace, since it may reach across others, and contains nothing by itself: the annotations do. The operator makes it when it is missing.",
    status = "IncidentStatus",
    derive = "PartialEq",
    derive = "Default",
    category = "openteam",
    validation = Rule::new("self.metadata.name.size() <= 63").message("metadata.name: at most 63 characters"),
    printcolumn(name = "Severity", type_ = "string", json_path = ".spec.severity"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Objects", type_ = "integer", json_path = ".status.contained"),
    printcolumn(name = "Notify Amazon By", type_ = "string", json_path = ".status.notifyAmazonBy"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Title", type_ = "string", json_path = ".spec.title", priority = 1)
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(oldSelf.notes) || (has(self.notes) && oldSelf.notes.all(o, self.notes.exists(n, n.time == o.time && n.author == o.author)))")
    .message("notes only grow: add another one instead of removing or redating one").field_path(".notes"))]
pub struct IncidentSpec {
    /// What it is about, in a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub title: Option<String>,
    /// How bad it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<IncidentSeverity>,
    /// When it was detected, which may be before anything was contained. Amazon's 24 hours begin then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detected_at: Option<Time>,
    /// What was found out and done. None is changed or removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["time", "author"]))]
    pub notes: Vec<IncidentNote>,
    /// Closes it, once nothing is contained by it any more and Amazon refuses the old refresh token of every connection that
    /// it contained, by itself or by a Team or application; or with a waiver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<IncidentClosure>,
}

/// Where an incident stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IncidentPhase {
    /// It contains something.
    Contained,
    /// It contains nothing, or nothing any more, and is not closed.
    Open,
    /// It is closed and contains nothing.
    Closed,
}

impl IncidentPhase {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Contained, Self::Open, Self::Closed];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Contained => "Contained",
            Self::Open => "Open",
            Self::Closed => "Closed",
        }
    }
}

/// An object that the annotation stands on, or stood on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IncidentTarget {
    /// Its kind.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// When the operator first saw that the incident contains it.
    pub contained_at: Time,
    /// When the operator saw that the incident contains it no longer; absent while it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored_at: Option<Time>,
    /// When the operator saw that it was gone, without having been restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Time>,
}

impl IncidentTarget {
    /// Whether the incident contains it.
    #[must_use]
    pub const fn is_contained(&self) -> bool {
        self.restored_at.is_none() && self.deleted_at.is_none()
    }
}

/// How far an incident reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IncidentReach {
    /// AmazonConnections.
    pub connections: i64,
    /// AgentGrants.
    pub grants: i64,
    /// RuntimeTokens.
    pub tokens: i64,
}

/// What happened to an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IncidentEvent {
    /// It came into being.
    Opened,
    /// It contains objects.
    Contained,
    /// Objects were restored.
    Restored,
    /// Contained objects are gone.
    Deleted,
    /// A note was added.
    NoteAdded,
    /// It was closed, and nothing was contained by it any more.
    Closed,
    /// It was closed, and is not any more.
    Reopened,
    /// The timeline has no room for more; the record goes on.
    Full,
}

impl IncidentEvent {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "Opened",
            Self::Contained => "Contained",
            Self::Restored => "Restored",
            Self::Deleted => "Deleted",
            Self::NoteAdded => "NoteAdded",
            Self::Closed => "Closed",
            Self::Reopened => "Reopened",
            Self::Full => "Full",
        }
    }
}

/// An entry of the timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IncidentTimelineEntry {
    /// When the operator saw it.
    pub time: Time,
    /// What happened.
    pub event: IncidentEvent,
    /// To what, or by whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
}

/// What a mail about an incident says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IncidentNotificationKind {
    /// What is contained, what that means and what to do.
    Contained,
    /// Nothing of it is contained any more.
    Restored,
    /// It is closed.
    Closed,
    /// Amazon must be told soon, and no note says that it was.
    Reminder,
}

impl IncidentNotificationKind {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Contained => "Contained",
            Self::Restored => "Restored",
            Self::Closed => "Closed",
            Self::Reminder => "Reminder",
        }
    }
}

/// Where a mail about an incident stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IncidentNotificationState {
    /// It is to be sent, for the first time or again.
    Pending,
    /// The mail server has taken it.
    Sent,
    /// It was given up.
    Failed,
}

impl IncidentNotificationState {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Sent, Self::Failed];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Sent => "Sent",
            Self::Failed => "Failed",
        }
    }
}

/// A mail about an incident. Addresses are looked up when it is sent and are not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IncidentNotification {
    /// Its name. The mail's Message-ID is made from it, so one that was sent twice can be recognised.
    pub id: String,
    /// What it says.
    pub kind: IncidentNotificationKind,
    /// Whose contacts it is for: a Team as `NAMESPACE/NAME`, or `incidentContact` of the settings.
    pub to: String,
    /// Pending, Sent or Failed.
    pub state: IncidentNotificationState,
    /// How often sending was tried.
    #[serde(default)]
    pub attempts: i64,
    /// Why it was not sent at the last attempt, or not to all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_reason: Option<String>,
    /// When it was decided on, or the last attempt began.
    pub at: Time,
    /// When it is sent, or tried again; absent once it is sent or given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Time>,
    /// How many of the targets, from the first, it tells of.
    #[serde(default)]
    pub targets: i64,
}

/// Where a recorder's journal stood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IncidentJournalPosition {
    /// The recorder's pod.
    pub recorder: String,
    /// The sequence number of its last record.
    pub sequence: i64,
    /// That record's SHA-256, 64 hexadecimal digits.
    pub digest: String,
}

/// A bundle of evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IncidentEvidence {
    /// Which, from 1.
    pub sequence: i64,
    /// The SHA-256 of its manifest, 64 hexadecimal digits: no other bundle has it.
    pub digest: String,
    /// What it is called where it is kept.
    pub name: String,
    /// Where it is kept: `recorder/POD`, or a URL.
    pub locations: Vec<String>,
    /// Where the journals stood.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub position: Vec<IncidentJournalPosition>,
    /// The recorders whose journals are not in it, because they did not answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// When it was made.
    pub created_at: Time,
    /// Id of the key that signed it, as ConfigMap `openteam-evidence-key` has it.
    pub signed_by: String,
    /// The incident's phase then.
    pub phase: IncidentPhase,
    /// How many entries of the timeline it has.
    pub timeline: i64,
}

/// The most bundles of one incident.
pub const MOST_EVIDENCE: usize = 50;

// With these limits, and those of the spec, an Incident stays below the 1.5 MiB that etcd takes.

/// The most objects that a status names.
pub const MOST_TARGETS: usize = 1000;
/// The most entries that a timeline has.
pub const LONGEST_TIMELINE: usize = 500;
/// The most mails that a status names.
pub const MOST_NOTIFICATIONS: usize = 1000;

/// What the operator saw.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IncidentStatus {
    /// Contained, Open or Closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<IncidentPhase>,
    /// How many objects it contains now, by annotations that name it.
    #[serde(default)]
    pub contained: i64,
    /// What it contains or contained. At most 1,000; of more, those that came first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MOST_TARGETS))]
    pub targets: Vec<IncidentTarget>,
    /// What the targets are or what is below them, restored or not; counted until the incident is closed.
    #[serde(default)]
    pub reach: IncidentReach,
    /// When Amazon must have been told: 24 hours after `spec.detectedAt`, or after the first containment where that is not
    /// given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify_amazon_by: Option<Time>,
    /// What happened, in its order. It only grows, up to 500 entries; several objects within two seconds are one entry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = LONGEST_TIMELINE))]
    pub timeline: Vec<IncidentTimelineEntry>,
    /// The mails about it. At most 1,000; the condition `Notified` says where there was no room for more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MOST_NOTIFICATIONS))]
    pub notifications: Vec<IncidentNotification>,
    /// The bundles of evidence, in their order. It only grows, up to 50; the last place is for that of the closed incident.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MOST_EVIDENCE), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["sequence"]))]
    pub evidence: Vec<IncidentEvidence>,
    /// `Closed`, which names what is still contained where `spec.closed` is given too early; `EvidenceKept`, which says why
    /// evidence is not kept; and `Notified`, which says who was not told, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// How a note begins that says that Amazon was told of the incident; upper and lower case are the same.
pub const AMAZON_WAS_TOLD: &str = "Amazon was told";

impl IncidentSpec {
    /// Whether a note says that Amazon was told.
    #[must_use]
    pub fn amazon_was_told(&self) -> bool {
        let says = |note: &IncidentNote| {
            let begins = note.text.trim_start().get(..AMAZON_WAS_TOLD.len());
            begins.is_some_and(|begins| begins.eq_ignore_ascii_case(AMAZON_WAS_TOLD))
        };
        self.notes.iter().any(says)
    }
}

/// Whether an Incident can have this name: a Kubernetes name of at most 63 characters.
#[must_use]
pub fn is_incident_name(text: &str) -> bool {
    let label = |label: &str| {
        label.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
            && !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 63 && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amazon_was_told_if_a_note_begins_so() {
        let told = |text: &str| {
            let time = Time(jiff::Timestamp::UNIX_EPOCH);
            let note = IncidentNote { time, author: "a@example.com".to_owned(), text: text.to_owned() };
            IncidentSpec { notes: vec![note], ..IncidentSpec::default() }.amazon_was_told()
        };
        for text in ["Amazon was told", "Amazon was told at noon by A.", "  amazon was told: case 12"] {
            assert!(told(text), "{text:?}");
        }
        for text in ["", "we think Amazon was told", "Amazon must be told", "Amazon was tol", "Amazon wäs told"] {
            assert!(!told(text), "{text:?}");
        }
        assert!(!IncidentSpec::default().amazon_was_told());
    }

    #[test]
    fn an_incident_has_a_name_that_kubernetes_takes() {
        for name in ["inc-7", "unnamed", "2026.11.27", "a", &"n".repeat(63)] {
            assert!(is_incident_name(name), "{name:?}");
        }
        for name in ["", "Incident 42", "INC-7", "inc_7", "-a", "a-", "a..b", ".a", "é", "a/b", &"n".repeat(64)] {
            assert!(!is_incident_name(name), "{name:?}");
        }
    }
}
