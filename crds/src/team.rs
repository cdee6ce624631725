//! Team: who belongs together, in one namespace.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Rotation, duration};

/// What a member may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Role {
    /// Sees the Team.
    Viewer,
    /// Uses its connections and issues runtime tokens.
    Member,
    /// Also connects sellers and contains.
    Owner,
}

/// A person of the Team.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Member {
    /// The address the person signs in with. Upper and lower case are the same.
    #[schemars(length(max = 254), regex(pattern = r"^[^@\s]{1,64}@[^@\s]+$"))]
    pub email: String,
    /// Owner, Member or Viewer.
    pub role: Role,
}

/// Limits of runtime tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuntimeTokenLimits {
    /// The longest life of a runtime token, such as `24h`, which is also the default; at most 2160h (90 days).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 20), regex(pattern = duration::PATTERN))]
    #[x_kube(validation = Rule::new("duration(self) > duration('0s') && duration(self) <= duration('2160h')")
        .message("maxTtl must be more than 0s and at most 2160h (90 days)"))]
    pub max_ttl: Option<String>,
}

/// People who share Amazon connections. The Team's namespace is its tenancy: connections, grants and tokens of a Team
/// live beside it.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "openteam.dev",
    version = "v1alpha1",
    kind = "Team",
    namespaced,
    doc = "People, jobs and agents that share Amazon connections. The namespace of a Team is its tenancy.",
    status = "TeamStatus",
    derive = "PartialEq",
    derive = "Default",
    category = "openteam",
    validation = Rule::new("self.metadata.name.size() <= 63").message("metadata.name: at most 63 characters"),
    printcolumn(name = "Display Name", type_ = "string", json_path = ".spec.displayName"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Contained", type_ = "string", json_path = ".status.conditions[?(@.type==\"Contained\")].status"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct TeamSpec {
    /// The name people see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    pub display_name: Option<String>,
    /// Who belongs to it, by e-mail address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 500), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["email"]))]
    pub members: Vec<Member>,
    /// Limits of the runtime tokens that members issue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_tokens: Option<RuntimeTokenLimits>,
    /// Addresses that are written to about the Team's connections, such as a shared mailbox.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), inner(length(max = 254), regex(pattern = r"^[^@\s]{1,64}@[^@\s]+$")))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub contacts: Vec<String>,
}

/// The longest life of a runtime token where the Team does not say.
pub const DEFAULT_MAX_TTL: Duration = Duration::from_secs(24 * 3600);

impl TeamSpec {
    /// The role of the member with this address, or `None` for a stranger.
    #[must_use]
    pub fn role_of(&self, email: &str) -> Option<Role> {
        // Listed twice in different case: the lesser role holds.
        self.members.iter().filter(|member| member.email.eq_ignore_ascii_case(email)).map(|member| member.role).min()
    }

    /// The longest life of a runtime token.
    ///
    /// # Errors
    /// A text that is no length of time; the schema refuses it, an object older than the rule may still hold it.
    pub fn max_ttl(&self) -> Result<Duration, duration::InvalidDuration> {
        match self.runtime_tokens.as_ref().and_then(|limits| limits.max_ttl.as_deref()) {
            Some(text) => duration::parse(text),
            None => Ok(DEFAULT_MAX_TTL),
        }
    }
}

/// What the operator saw.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TeamStatus {
    /// `Ready` and `Contained`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The last rotation: its `at` is when all RuntimeTokens of the Team died that were there by then. Each AmazonConnection
    /// tells of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<Rotation>,
    /// The members as the record knows them: what differs from `spec.members` is recorded next. Nothing else is decided by it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 500), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["email"]))]
    pub recorded_members: Vec<Member>,
}
