//! AgentGrant: lets a ServiceAccount use connections.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{LocalReference, Scope};

/// Lets the pods of a ServiceAccount use connections of a Team.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "openteam.dev",
    version = "v1alpha1",
    kind = "AgentGrant",
    namespaced,
    doc = "Lets the pods of a ServiceAccount use connections of a Team, through the gateway.",
    status = "AgentGrantStatus",
    derive = "PartialEq",
    derive = "Default",
    category = "openteam",
    validation = Rule::new("self.metadata.name.size() <= 63").message("metadata.name: at most 63 characters"),
    printcolumn(name = "Team", type_ = "string", json_path = ".spec.teamRef.name"),
    printcolumn(name = "ServiceAccount", type_ = "string", json_path = ".spec.serviceAccount.name"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Contained", type_ = "string", json_path = ".status.conditions[?(@.type==\"Contained\")].status"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct AgentGrantSpec {
    /// The Team whose connections are granted, in the same namespace.
    pub team_ref: LocalReference,
    /// The ServiceAccount, in the same namespace.
    pub service_account: LocalReference,
    /// What it may use.
    pub scope: Scope,
}

/// What the operator saw.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentGrantStatus {
    /// `Ready` and `Contained`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}
