//! AmazonApplication: an application registered with Amazon, whose client secret OpenTeam keeps.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where Amazon is. Left out: Amazon's own addresses. Others work only in processes started with `--allow-endpoints`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Endpoints {
    /// Base address of Login with Amazon, such as `https://api.amazon.com`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 300), regex(pattern = r"^https://[^/?#@\s]+$"))]
    pub lwa: Option<String>,
    /// Base address of the Selling Partner API, such as `https://sellingpartnerapi-na.amazon.com`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 300), regex(pattern = r"^https://[^/?#@\s]+$"))]
    pub selling_partner_api: Option<String>,
    /// PEM certificates of the authorities that these addresses are trusted by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65536))]
    pub ca_bundle: Option<String>,
}

/// An application registered in Amazon's Solution Provider Portal.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "openteam.dev",
    version = "v1alpha1",
    kind = "AmazonApplication",
    namespaced,
    doc = "An application registered with Amazon. Its client secret is given as a SealedCredential, never here.",
    status = "AmazonApplicationStatus",
    derive = "PartialEq",
    derive = "Default",
    shortname = "amza",
    category = "openteam",
    validation = Rule::new("self.metadata.name.size() <= 63").message("metadata.name: at most 63 characters"),
    printcolumn(name = "Application", type_ = "string", json_path = ".spec.applicationId"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Contained", type_ = "string", json_path = ".status.conditions[?(@.type==\"Contained\")].status"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct AmazonApplicationSpec {
    /// Amazon's id of the application, `amzn1.sp.solution.…`.
    #[schemars(length(max = 100), regex(pattern = r"^amzn1\.(sp\.solution|sellerapps\.app)\.[0-9A-Za-z-]+$"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("applicationId is immutable: create another AmazonApplication"))]
    pub application_id: String,
    /// The Login with Amazon client id, `amzn1.application-oa2-client.…`. Not a secret.
    #[schemars(length(max = 100), regex(pattern = r"^amzn1\.application-oa2-client\.[0-9a-f]{32}$"))]
    pub client_id: String,
    /// Namespaces whose connections may use this application, by their labels. Left out: only its own namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_namespaces: Option<LabelSelector>,
    /// Where Amazon is; left out: Amazon's own addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Endpoints>,
}

/// What the operator saw.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AmazonApplicationStatus {
    /// `Ready`, `Contained` and `CredentialCurrent`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}
