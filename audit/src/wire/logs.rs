//! The logs of a recorder, for the operator, which witnesses them, and for who verifies them.
//!
//! - `GET /v1/logs` is answered with [`Logs`].
//! - `GET /v1/logs/SHARD/PATH` is a file of C2SP's tlog-tiles: `checkpoint`, `tile/…`; and `vkey`, the key it is checked with,
//!   `witnessed`, the newest checkpoint that was cosigned. 404 where there is none.
//!   Readers are answered on the other listener ([`super::records`]) if they may `audit`.
//! - `PUT /v1/logs/SHARD/witnessed` with a checkpoint that this log signed and the witness cosigned; the operator alone.

use serde::{Deserialize, Serialize};

/// The path of the list, and without its own the beginning of all others.
pub const LOGS_PATH: &str = "/v1/logs";
/// The longest note that is taken: a checkpoint with its signatures.
pub const MAX_NOTE_BYTES: usize = 16 * 1024;

/// What logs there are, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logs {
    /// One a quarter, or more.
    pub logs: Vec<Log>,
}

/// A log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Log {
    /// `<year>q<quarter>[-e<epoch>]`
    pub shard: String,
    /// Whether it grows no more.
    pub is_closed: bool,
    /// Leaves of its newest checkpoint; 0 before there is one.
    pub size: u64,
    /// Leaves of the newest that the witness cosigned.
    pub witnessed: u64,
}
