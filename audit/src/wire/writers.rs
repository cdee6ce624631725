//! Which numbers of each writer's run a recorder has, for the operator, over mutual TLS; no other role is answered.
//!
//! `GET /v1/writers` is answered with [`Writers`]. Where there are several recorders each has a part of a run's numbers
//! (`metadata.sequence`), and only all of them together tell which are missing. A recorder that is the only one judges by itself,
//! and answers with none.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Peer;

/// Where they are asked for.
pub const WRITERS_PATH: &str = "/v1/writers";
/// The longest answer, in bytes: some thousand runs of some stretches each.
pub const MAX_WRITERS_BYTES: usize = 16 * 1024 * 1024;

/// How long a number may be under way before it is missed, in milliseconds: a writer tries for as long as its queue has room.
pub const PATIENCE: i64 = 5 * 60_000;

/// What a recorder has of the runs that it knows of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Writers {
    /// From when on it knows all of its records, in milliseconds since 1970.
    pub known_from: i64,
    /// Up to when it has looked at them; what was stored later is not in this yet.
    pub known_until: i64,
    /// In no order.
    pub runs: Vec<Run>,
}

/// Of a recorder that does not know yet what it has.
impl Default for Writers {
    fn default() -> Self {
        Self { known_from: i64::MAX, known_until: i64::MIN, runs: Vec::new() }
    }
}

/// The numbers of one start of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its id, a UUIDv7 of when it began.
    pub run: Uuid,
    /// The process.
    pub writer: Peer,
    /// By their numbers, with gaps between them.
    pub stretches: Vec<Stretch>,
}

/// Numbers without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
    /// When the first of them was stored that came, in milliseconds since 1970: since then there is a gap below.
    pub since: i64,
    /// When the last of them was stored.
    pub until: i64,
}

/// When a run began: it is in its UUIDv7 (RFC 9562 §5.7), in milliseconds since 1970.
#[must_use]
pub fn began(run: &Uuid) -> Option<i64> {
    let (seconds, nanos) = run.get_timestamp()?.to_unix();
    i64::try_from(seconds).ok()?.checked_mul(1000)?.checked_add(i64::from(nanos / 1_000_000))
}
