//! AmazonConnection: a seller's grant to an application.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Access, LocalReference, MailStatus, NamespacedReference, Operations};

/// One of Amazon's three selling regions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
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
    printcolumn(name = "Consent Requested", type_ = "string", json_path = ".status.conditions[?(@.type==\"ConsentRequested\")].status", priority = 1),
    printcolumn(name = "Old Token Accepted", type_ = "string", json_path = ".status.conditions[?(@.type==\"OldTokenStillAccepted\")].status", priority = 1),
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
    /// `Credential` allows that Amazon's own access token is handed out to callers whose scope says the same and is all of
    /// this connection. Such a token cannot be taken back: it works for up to an hour even if this connection is contained
    /// (`status.exposedUntil` says until when), in every marketplace of the seller and for everything that the application
    /// may do there, and what is done with it is not recorded. Leave it at `Proxy` unless you must.
    #[serde(default)]
    pub access: Access,
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

/// Credentials that Amazon refused while those before them serve.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RefusedCredentials {
    /// Which.
    pub with: ProvenCredentials,
    /// Why, as the condition `Authorized` would say it.
    pub reason: String,
    /// The same for people.
    pub message: String,
}

/// A rotation that was acted on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rotation {
    /// The value of the annotation `openteam.dev/rotate` that was last acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The value of the Team's that was last acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team_value: Option<String>,
    /// When it was last rotated. RuntimeTokens that were created by then, and credentials that were sealed by then, are dead.
    /// Absent where the annotation was there from the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<MicroTime>,
}

/// A renewal that the seller is or was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Renewal {
    /// The value of the annotation `openteam.dev/renew` that was last acted on.
    pub value: String,
    /// Since when the seller is asked. A refresh token sealed later, which Amazon accepts, ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<MicroTime>,
    /// When such a one was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_at: Option<Time>,
}

/// When the refresh token that a rotation took out of use was last tried at Amazon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OldToken {
    /// Its generation.
    pub generation: i64,
    /// When it was tried.
    pub tried_at: Time,
    /// The value of the annotation `openteam.dev/test` that it was last tried for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tested: Option<String>,
}

/// What the operator and the gateways saw.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AmazonConnectionStatus {
    /// `Ready`, `Authorized`, `Contained` and `CredentialCurrent`, by the operator; where the seller is or was asked to
    /// consent again, `ConsentRequested`; after a rotation, `OldTokenStillAccepted`; `Refreshed`, by gateways.
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
    /// The seller that consented, where `spec.sellingPartnerId` does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selling_partner_id: Option<String>,
    /// The seller's marketplaces, as Amazon last told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub participations: Vec<Participation>,
    /// Which credentials that was asked with, and the only ones that gateways use. Asked again when they change; until Amazon
    /// has accepted the new ones, those before serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proven: Option<ProvenCredentials>,
    /// The newest credentials, where Amazon refused them and those before serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<RefusedCredentials>,
    /// The last rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<Rotation>,
    /// The last renewal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal: Option<Renewal>,
    /// The mail about the last rotation or renewal, or that the seller took the authorization back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent_mail: Option<MailStatus>,
    /// What was last tried of the refresh token that a rotation took out of use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_token: Option<OldToken>,
    /// Which credentials the condition `Refreshed` is about; written by gateways, with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refreshed_with: Option<ProvenCredentials>,
    /// When the condition `Refreshed` became what it was when Amazon last answered the operator about the same credentials.
    /// Only a later `Refreshed` is news.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refreshed_before: Option<Time>,
    /// The value of the annotation `openteam.dev/test` that was last acted on: Amazon has answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tested: Option<String>,
    /// Until when Amazon honours an access token that was handed out (`access: Credential`). Containing the connection does
    /// not end it. Written by gateways, before anybody gets the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposed_until: Option<Time>,
    /// Incidents that contain this connection, by themselves or by its Team or application.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incidents: Vec<String>,
}

impl AmazonConnection {
    /// Amazon's id of the seller: what the spec says, else who consented.
    #[must_use]
    pub fn selling_partner_id(&self) -> Option<&str> {
        let consented = self.status.as_ref().and_then(|status| status.selling_partner_id.as_deref());
        self.spec.selling_partner_id.as_deref().or(consented)
    }

    /// Whether it is for `seller` by that application in that region: two that are hold one and the same consent.
    #[must_use]
    pub fn is_for(&self, application: &NamespacedReference, region: Region, sandbox: bool, seller: &str) -> bool {
        let spec = &self.spec;
        spec.application_ref == *application
            && (spec.region, spec.sandbox) == (region, sandbox)
            && self.selling_partner_id() == Some(seller)
    }
}
