//! What operator and recorder say to each other about evidence, over mutual TLS.
//!
//! - `POST /v1/extract` with an [`Extract`] as JSON is answered with lines: records as they are stored, `{"unreadable": …}`
//!   and `{"missing": …}` as `openteam journal` prints them, and at last an [`End`]. An answer without that one is incomplete.
//! - `GET /v1/evidence/` is answered with the names of the kept bundles, one a line, oldest first.
//! - `GET /v1/evidence/NAME` is answered with a bundle.
//! - `PUT /v1/evidence/NAME` keeps one: 201 when it is on disk, 200 when it was, 409 with the name of the one that there is of
//!   this incident and sequence already, 507 when the disk has no room.

use serde::{Deserialize, Serialize};

/// Where records are asked for.
pub const EXTRACT_PATH: &str = "/v1/extract";
/// Where bundles are kept.
pub const EVIDENCE_PATH: &str = "/v1/evidence/";
/// The longest [`Extract`], in bytes.
pub const MAX_EXTRACT_BYTES: usize = 4 * 1024 * 1024;
/// Most bytes of records that one answer has.
pub const MAX_ANSWER_BYTES: u64 = 512 * 1024 * 1024;

/// Which records are asked for: those from `since` on that name any of the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Extract {
    /// Milliseconds since 1970.
    pub since: i64,
    /// AmazonConnections, `NAMESPACE/NAME`.
    pub connections: Vec<String>,
    /// Teams, likewise.
    pub teams: Vec<String>,
    /// `actor.user.name`.
    pub actors: Vec<String>,
    /// Objects that changed, `Kind NAMESPACE/NAME`.
    pub entities: Vec<String>,
}

/// The last line of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct End {
    /// Where the journal stood.
    pub end: Position,
}

/// Where a journal stood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Position {
    /// The recorder's pod.
    pub recorder: String,
    /// The sequence of its last record; 0 in an empty journal.
    pub sequence: u64,
    /// That record's SHA-256, as stored.
    pub digest: String,
    /// How many records the answer has.
    pub records: u64,
    /// How many places could not be read.
    pub flaws: u64,
    /// Whether there are more than [`MAX_ANSWER_BYTES`]: the newest are not in it. Ask for a shorter time.
    pub is_cut: bool,
}

/// What begins the last line. A record begins otherwise.
pub const END_BEGINS: &[u8] = br#"{"end":"#;
