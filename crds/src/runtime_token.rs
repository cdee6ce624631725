//! RuntimeToken: OpenTeam's own short-lived credential, of which only the hash is kept.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{LocalReference, MailStatus, Scope};

/// A credential for the gateway, issued by a member of the Team.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "openteam.dev",
    version = "v1alpha1",
    kind = "RuntimeToken",
    namespaced,
    doc = "A short-lived credential for the gateway. The token itself is shown once when it is issued; here is only its hash. Deleting the object revokes it.",
    status = "RuntimeTokenStatus",
    derive = "PartialEq",
    category = "openteam",
    validation = Rule::new("self.metadata.name.size() <= 63").message("metadata.name: at most 63 characters"),
    printcolumn(name = "Team", type_ = "string", json_path = ".spec.teamRef.name"),
    printcolumn(name = "Issued By", type_ = "string", json_path = ".spec.issuedBy"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".spec.expiresAt"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Contained", type_ = "string", json_path = ".status.conditions[?(@.type==\"Contained\")].status"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self == oldSelf").message("a RuntimeToken never changes: issue another one and delete this one"))]
pub struct RuntimeTokenSpec {
    /// The Team whose connections it opens, in the same namespace.
    pub team_ref: LocalReference,
    /// What it may use.
    pub scope: Scope,
    /// When it ends; at most the Team's `runtimeTokens.maxTtl` after creation.
    pub expires_at: Time,
    /// Address of the member who issued it. It is good only while that member could issue it.
    #[schemars(length(max = 254), regex(pattern = r"^[^@\s]{1,64}@[^@\s]+$"))]
    pub issued_by: String,
    /// SHA-256 of the whole token text, 64 hexadecimal digits.
    #[schemars(length(min = 64, max = 64), regex(pattern = r"^[0-9a-f]{64}$"))]
    pub hash: String,
}

/// What the operator saw.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuntimeTokenStatus {
    /// `Ready` and `Contained`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The mail to `issuedBy` that the token is about to end: once, when a fifth of its life is left or a day, whichever is
    /// less. None is sent for a token that lives an hour or less, or that is no good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry_mail: Option<MailStatus>,
}
