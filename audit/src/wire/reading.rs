//! What the portal asks a recorder, over mutual TLS; no other role is answered.
//!
//! - `GET /v1/activity` with [`Asked`] as its query is answered with a [`Page`].
//! - `GET /v1/last-use?namespace=NAMESPACE` is answered with [`LastUse`].
//!
//! A recorder looks at a part of its journal at a time, 32 MiB and half a second at most, and at two requests at once; one
//! more waits for a second and is then answered with 503.

mod sought;
mod topic;
mod words;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use sought::{NotSought, Sought, folded};
pub use topic::Topic;
pub use words::Party;

/// Where a page of the record is asked for.
pub const ACTIVITY_PATH: &str = "/v1/activity";
/// Where it is asked when tokens and accounts were last used.
pub const LAST_USE_PATH: &str = "/v1/last-use";
/// Most events of a page.
pub const MOST_EVENTS: usize = 100;

/// Which part of the record is asked for. What is not said does not matter.
///
/// A recorder that does not know a field refuses the question: an answer that left a filter out would look like one without
/// anything hidden.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Asked {
    /// Events of this namespace and no other.
    pub namespace: String,
    /// Without those of other Teams in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// Without those of a Team that had the name before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team_uid: Option<Uuid>,
    /// Those with a smaller sequence; without it the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// How many at most, 1 to [`MOST_EVENTS`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Those of this AmazonConnection of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// Those about this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<Topic>,
    /// Those that ended so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Those that this one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<Sought>,
    /// Those with this in the words that pages tell them in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Sought>,
    /// Those that were stored at this time or later (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Those that were stored before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// A part of the record, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Page {
    /// The events.
    pub events: Vec<Told>,
    /// Give it as [`Asked::before`] for older ones; absent where the journal begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
    /// Whether the recorder stopped looking before the page was full. Older events may follow.
    pub is_partial: bool,
}

/// What a page tells of an event. Texts are the record's own words and names; nothing else of an event is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    /// The recorder's number of it.
    pub sequence: u64,
    /// When it was stored, in milliseconds since 1970.
    pub time: i64,
    /// OCSF's `class_uid`.
    pub class: u64,
    /// OCSF's `activity_id`.
    pub activity: u64,
    /// What happened, in the record's fixed words, such as `issued by`.
    pub message: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, such as `MarketplaceNotInScope`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<ToldActor>,
    /// The name of the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// `API/VERSION/OPERATION`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Marketplace ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub marketplaces: Vec<String>,
    /// The object that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity: Option<ToldEntity>,
}

/// How an event ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It was about to happen.
    Intended,
    /// It happened.
    Succeeded,
    /// It was allowed, and failed.
    Failed,
    /// It was not allowed.
    Refused,
}

/// Who did something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToldActor {
    /// `Person`, `ServiceAccount`, `RuntimeToken`; `System` for OpenTeam itself, `User` for others of Kubernetes.
    pub kind: String,
    /// Its name; of a person the digest of the address.
    pub name: String,
}

/// An object in the namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToldEntity {
    /// Its kind.
    pub kind: String,
    /// Its name, without the namespace.
    pub name: String,
}

/// When something last made a call that was answered, in milliseconds since 1970, by name.
///
/// Names live on: a time before the creation of an object is another one's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastUse {
    /// Of RuntimeTokens.
    pub runtime_tokens: BTreeMap<String, i64>,
    /// Of ServiceAccounts, which AgentGrants are for.
    pub service_accounts: BTreeMap<String, i64>,
    /// Whether the journal was not looked at as a whole: what is not here may have been used before [`Self::since`].
    pub is_partial: bool,
    /// From when on nothing is missing, in milliseconds since 1970.
    pub since: i64,
}
