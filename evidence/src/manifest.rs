//! What a manifest says.

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What the first field of every manifest of this form says.
pub const FORMAT: &str = "openteam.dev/evidence/v1";

/// The SHA-256 of some bytes, 64 lower-case hex digits.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

/// Whether a text can be such a digest.
pub(crate) fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// `manifest.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: String,
    /// The installation's own id.
    pub cluster: String,
    /// Whose evidence it is.
    pub incident: Incident,
    /// Which bundle of the incident, from 1.
    pub sequence: u32,
    /// The digest of the manifest before; none in the first.
    pub previous: Option<String>,
    /// Why it was made.
    pub reason: Reason,
    /// When.
    pub created_at: Timestamp,
    /// By whom.
    pub made_by: Maker,
    /// Id of the key that signs.
    pub key_id: String,
    /// Where the journal stood, a recorder each.
    pub journal: Vec<Journal>,
    /// How much is in it.
    pub counts: Counts,
    /// What should be in it and is not, each with the reason.
    pub missing: Vec<Missing>,
    /// What is never in it.
    pub omitted: Vec<String>,
    /// Every other file, in the order of their paths, but for the signature.
    pub files: Vec<File>,
}

/// Whose evidence it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Incident {
    /// OpenTeam's own namespace.
    pub namespace: String,
    /// The Incident's name.
    pub name: String,
    /// Its UID: one made anew under the name is another one.
    pub uid: String,
}

/// Why a bundle was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// The incident contains something that the bundle before does not tell.
    Contained,
    /// A recorder answers that did not when the bundle before was made.
    Completed,
    /// The incident is closed.
    Closed,
}

/// The process that made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Maker {
    /// Its pod.
    pub pod: String,
    /// OpenTeam's version.
    pub version: String,
}

/// Where a recorder's journal stood when it was asked, and what of it is in the bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Journal {
    /// The recorder's pod.
    pub recorder: String,
    /// The sequence number of its last record; 0 in an empty journal.
    pub sequence: u64,
    /// The digest of that record, as it is stored and as `journal/RECORDER.jsonl` spells records.
    pub digest: String,
    /// Records from this time on were looked at.
    pub since: Timestamp,
    /// How many of them concern the incident; `use.json` is about all of these.
    pub records: u64,
    /// How many of those are in the bundle: the newest ones.
    pub kept: u64,
    /// Places of the journal that could not be read.
    pub flaws: u64,
}

/// How much is in a bundle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Counts {
    /// Objects of Kubernetes, without the Incident.
    pub objects: u64,
    /// Connections in `access.json`.
    pub connections: u64,
    /// AgentGrants there.
    pub grants: u64,
    /// RuntimeTokens there.
    pub runtime_tokens: u64,
    /// Records of the journal.
    pub records: u64,
}

/// Something that should be in a bundle and is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Missing {
    /// What.
    pub what: String,
    /// Why not.
    pub why: String,
}

/// A file of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Where.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// Its digest.
    pub sha256: String,
}
