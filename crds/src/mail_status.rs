//! What became of a mail that a status remembers.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether a mail was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MailState {
    /// It is tried, or tried again.
    Pending,
    /// The server has taken it.
    Sent,
    /// It was given up.
    Failed,
}

/// A mail that is sent once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MailStatus {
    /// Names it; one that was sent twice has it twice.
    pub id: String,
    /// Pending, Sent or Failed.
    pub state: MailState,
    /// How often it was tried.
    pub attempts: i64,
    /// Why the last attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_reason: Option<String>,
    /// When that was.
    pub at: Time,
}
