//! What people and their tools read of the record: on a listener of its own, over TLS, with a ServiceAccount token for the
//! audience [`AUDIENCE`] in the header `Authorization: Bearer`.
//!
//! - `GET /v1/records` with [`Asked`] as its query is answered with JSON lines ([`super::CONTENT_TYPE`]): records as they are
//!   stored, the newest first, and as the last line a [`Rest`]; an answer without it is cut off. Whoever may `get`
//!   `records.openteam.dev` in a namespace may ask for that namespace and is told what is of it alone; whoever may `audit`
//!   `teams.openteam.dev` in the whole cluster may leave the namespace out.
//! - `GET /v1/logs…` as [`super::logs`] says, for whoever may `audit`.
//!
//! 401 without such a token, 403 where RBAC does not allow it, whether or not what was asked for exists; 503 where the
//! apiserver or the disk fails, or others are answered just now. Every read is recorded before it is answered; of the files of
//! one log, once a minute for each reader.
//!
//! A recorder looks at a part of its record at a time, 32 MiB and half a second at most, and at two requests at once; one
//! more waits for a second. Other recorders have other records: each is asked by itself.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Where records are asked for.
pub const RECORDS_PATH: &str = "/v1/records";
/// What tokens of readers are for.
pub const AUDIENCE: &str = "openteam-recorder";
/// Most records of an answer, and how many there are if nothing is said.
pub const MOST_RECORDS: usize = 1000;

/// Which records are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Asked {
    /// Those of this namespace alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Those of this Team in [`Self::namespace`], which then must be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// Those of this AmazonConnection in [`Self::namespace`], likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// Those whose actor's name holds this text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Those of this OCSF class: `class_uid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<u64>,
    /// Those that ended so, of [`super::reading::Outcome`]; several with commas between.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Those with this text in them, as it is written there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Those that were stored at this time or later (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Those that were stored before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Those with a smaller sequence; without it the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// How many at most, 1 to [`MOST_RECORDS`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// The last line of an answer, `{"rest": {…}}`: what it does not have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rest {
    /// See there.
    pub rest: More,
}

/// Where older records are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct More {
    /// Give it as [`Asked::before`] for older ones; absent where the record begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
    /// Whether the recorder stopped looking before it had as many as were asked for.
    pub is_partial: bool,
}
