//! What a process and a recorder say to each other: `POST /v1/events`, one event a line, JSON.
//!
//! All lines of a request are stored, in order and with consecutive sequences, or none is.

pub mod digest;
pub mod logs;
pub mod reading;
pub mod records;
pub mod writers;

use serde::{Deserialize, Serialize};

/// The path events are posted to.
pub const EVENTS_PATH: &str = "/v1/events";

/// The media type of a request: JSON values separated by LF.
pub const CONTENT_TYPE: &str = "application/x-ndjson";

/// The longest event, in bytes, without its line end.
pub const MAX_EVENT_BYTES: usize = 16 * 1024;

/// Most events a client puts into one request.
pub const MAX_BATCH_EVENTS: usize = 256;

/// The longest request body a recorder reads, in bytes: a full batch of the longest events, 4 MiB and 256 line
/// ends.
pub const MAX_BODY_BYTES: usize = MAX_BATCH_EVENTS * (MAX_EVENT_BYTES + 1);

/// The answer 200: every line is on disk, past `fdatasync`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Acknowledged {
    /// How many events were stored; as many as there were lines.
    pub acknowledged: usize,
    /// This recorder's sequence number of the last of them.
    pub last_sequence: u64,
}

/// Any other answer: nothing of the request is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refused {
    /// Why, in words; holds nothing of what was sent.
    pub error: String,
    /// With status 400 the line at fault, with 507 the one that there is no room for, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
}
