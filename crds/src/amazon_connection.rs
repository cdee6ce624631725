//! AmazonConnection: a seller's grant to an application.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{LocalReference, NamespacedReference, Operations};

/// One of Amazon's three selling regions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Region {
    /// North and South America.
    #[default]
    Na,
    /// Europe, Middle East, India, Africa.
    Eu,
    /// Far East and Australia.
    Fe,
}

impl Region {
    /// Amazon's name of it: `NA`, `EU` or `FE`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Na => "NA",
            Self::Eu => "EU",
            Self::Fe => "FE",
        }
    }
}

/// A seller's grant to an application, used by one Team.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "openteam.dev",
    version = "v1alpha1",
    kind = "AmazonConnection",
    namespaced,
    doc = "A seller's grant to an application, used by one Team. Its refresh token is given as a SealedCredential, never here.",
    status = "AmazonConnectionStatus",
    derive = "PartialEq",
    derive = "Default",
    shortname = "amzc",
    category = "openteam",
    validation = Rule::new("self.metadata.name.size() <= 63").message("metadata.name: at most 63 characters"),
    printcolumn(name = "Team", type_ = "string", json_path = ".spec.teamRef.name"),
    printcolumn(name = "Seller", type_ = "string", json_path = ".spec.sellingPartnerId"),
    printcolumn(name = "Region", type_ = "string", json_path = ".spec.region"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Contained", type_ = "string", json_path = ".status.conditions[?(@.type==\"Contained\")].status"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".status.authorizationExpiresAt"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Incidents", type_ = "string", json_path = ".status.incidents", priority = 1)
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.region == 'NA' || !self.marketplaceIds.exists(m, m in ['A2EUQ1WTGCTBG2','ATVPDKIKX0DER','A1AM78C64UM0Y8','A2Q3Y263D00KWC'])")
    .message("marketplaceIds: CA, US, MX and BR are in region NA").field_path(".marketplaceIds"))]
#[x_kube(validation = Rule::new("self.region == 'EU' || !self.marketplaceIds.exists(m, m in ['A28R8C7NBKEWEA','A1RKKUPIHCS9HS','A1F83G8C2ARO7P','A13V1IB3VIYZZH','AMEN7PMS3EDWL','A1805IZSGTT6HS','A1PA6795UKMFR9','APJ6JRA9NG5V4','A2NODRKZP88ZB9','AE08WJ6YKNBMC','A1C3SOZRARQ6R3','ARBP9OOSHTCHU','A33AVAJ2PDY3EV','A17E79C6D8DWNP','A2VIGQ35RCS4UG','A21TJRUUN4KGV'])")
    .message("marketplaceIds: IE, ES, UK, FR, BE, NL, DE, IT, SE, ZA, PL, EG, TR, SA, AE and IN are in region EU").field_path(".marketplaceIds"))]
#[x_kube(validation = Rule::new("self.region == 'FE' || !self.marketplaceIds.exists(m, m in ['A19VAU5U5O7RUS','A39IBJ37TRP1C6','A1VC38T7YXB528'])")
    .message("marketplaceIds: SG, AU and JP are in region FE").field_path(".marketplaceIds"))]
#[x_kube(validation = Rule::new("!has(oldSelf.sellingPartnerId) || (has(self.sellingPartnerId) && self.sellingPartnerId == oldSelf.sellingPartnerId)")
    .message("sellingPartnerId is immutable once known: create a new AmazonConnection for another seller").field_path(".sellingPartnerId"))]
pub struct AmazonConnectionSpec {
    /// The name people see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    pub display_name: Option<String>,
    /// The Team that uses it, in the same namespace.
    #[x_kube(validation = Rule::new("self == oldSelf").message("teamRef is immutable: create a new AmazonConnection instead"))]
    pub team_ref: LocalReference,
    /// The application that the seller authorized.
    #[x_kube(validation = Rule::new("self == oldSelf").message("applicationRef is immutable: create a new AmazonConnection instead"))]
    pub application_ref: NamespacedReference,
    /// NA, EU or FE. One authorization covers one region.
    #[x_kube(validation = Rule::new("self == oldSelf").message("region is immutable: create a new AmazonConnection instead"))]
    pub region: Region,
    /// Amazon's ids of the marketplaces that callers may use, such as `ATVPDKIKX0DER`. Nothing else is reachable.
    #[schemars(length(min = 1, max = 23), inner(length(max = 20), regex(pattern = r"^A[A-Z0-9]{9,19}$")))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub marketplace_ids: Vec<String>,
    /// Amazon's id of the seller. May be left out until the seller has consented.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 21), regex(pattern = r"^A[A-Z0-9]{9,20}$"))]
    pub selling_partner_id: Option<String>,
    /// Whether Amazon's sandbox is called instead of production.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self == oldSelf").message("sandbox is immutable: create a new AmazonConnection instead"))]
    pub sandbox: bool,
    /// Which operations callers may use at most; without it only those of class `read`. An operation that names no
    /// marketplace is open to callers with a narrower scope only when it is allowed here by its own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operations: Option<Operations>,
}

/// One marketplace that the seller has an account in, as Amazon last told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Participation {
    /// Amazon's id of the marketplace.
    pub marketplace_id: String,
    /// Its country, such as `US`.
    pub country_code: String,
    /// Whether the seller takes part in it.
    pub is_participating: bool,
    /// Whether listings are suspended there.
    pub has_suspended_listings: bool,
}

/// Which credentials Amazon last gave its answer to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProvenCredentials {
    /// Generation of the stored refresh token.
    pub refresh_token: i64,
    /// Generation of the application's stored client secret.
    pub client_secret: i64,
    /// The application's client id.
    pub client_id: String,
}

/// What the operator saw.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AmazonConnectionStatus {
    /// `Ready`, `Authorized`, `Contained` and `CredentialCurrent`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The regional address that calls go to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// When the refresh token in use was sealed, which is the earliest that the seller's authorization is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorized_at: Option<Time>,
    /// 365 days later, when Amazon wants a public application's authorization renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_expires_at: Option<Time>,
    /// The seller's marketplaces, as Amazon last told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub participations: Vec<Participation>,
    /// Which credentials that was asked with; asked again when they change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proven: Option<ProvenCredentials>,
    /// Incidents that contain this connection, by themselves or by its Team or application.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incidents: Vec<String>,
}
