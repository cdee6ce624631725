//! PortalUser: what the portal knows of a person who signs in.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{NamespacedReference, Region};

/// A code that was mailed and may still be entered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignInCode {
    /// SHA-256 of what the browser that asked for it holds: in no other browser does it work.
    #[schemars(length(min = 64, max = 64))]
    pub browser: String,
    /// The network that it was asked for from, as in `failures`.
    #[schemars(length(max = 32))]
    pub network: String,
    /// Id of the known browser that asked for it; absent for all others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub known: Option<String>,
    /// HMAC-SHA-256 of the code, under the portal's key.
    #[schemars(length(min = 64, max = 64))]
    pub code: String,
    /// When it ends.
    pub expires_at: MicroTime,
    /// How often a wrong code may still be entered.
    #[schemars(range(min = 0, max = 5))]
    pub tries_left: i64,
}

/// Wrong codes that were entered from one network by browsers that are not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NetworkFailures {
    /// The network, as a part of an HMAC-SHA-256 under the portal's key.
    #[schemars(length(max = 32))]
    pub network: String,
    /// How many, in a row.
    pub failures: i64,
    /// Until when no code is taken from there, after too many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked_until: Option<MicroTime>,
    /// When the last one was entered.
    pub at: MicroTime,
}

/// A mail with a code, remembered for an hour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SentCode {
    /// When it was asked for.
    pub at: MicroTime,
    /// The network that it was asked for from, as in `failures`.
    #[schemars(length(max = 32))]
    pub network: String,
    /// Id of the known browser that asked for it; absent for all others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub known: Option<String>,
}

/// A browser that the person has signed in with. What others do in the person's name does not lock it out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KnownBrowser {
    /// Names it.
    #[schemars(length(min = 1, max = 32))]
    pub id: String,
    /// SHA-256 of what it holds.
    #[schemars(length(min = 64, max = 64))]
    pub hash: String,
    /// When a person last signed in with it.
    pub signed_in_at: MicroTime,
    /// Wrong codes in a row.
    #[serde(default)]
    pub failures: i64,
    /// Until when it is locked, after too many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked_until: Option<MicroTime>,
}

/// A session: a browser that is signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PortalSession {
    /// Names it, where the person ends it.
    #[schemars(length(min = 1, max = 32))]
    pub id: String,
    /// SHA-256 of the session's secret, 64 hexadecimal digits.
    #[schemars(length(min = 64, max = 64))]
    pub hash: String,
    /// When it began.
    pub created_at: MicroTime,
    /// When it was last used, to some minutes.
    pub used_at: MicroTime,
    /// What the browser calls itself, in short, such as `Firefox on Linux`.
    #[schemars(length(max = 60))]
    pub browser: String,
    /// The network that it began from, such as `192.0.2.0/24`.
    #[schemars(length(max = 50))]
    pub network: String,
}

/// A membership that the person has accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AcceptedMembership {
    /// The Team.
    pub team: NamespacedReference,
    /// Its UID: a Team made anew is accepted anew.
    #[schemars(length(max = 64))]
    pub uid: String,
    /// When.
    pub at: MicroTime,
}

/// A connection that is made once the seller has consented.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionDraft {
    /// The name people see.
    #[schemars(length(max = 100))]
    pub display_name: String,
    /// Its region.
    pub region: Region,
    /// Its marketplaces.
    #[schemars(length(min = 1, max = 23), inner(length(max = 20)))]
    pub marketplace_ids: Vec<String>,
}

/// A consent that the person has gone to Amazon for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PendingConsent {
    /// SHA-256 of the `state` that Amazon gives back.
    #[schemars(length(min = 64, max = 64))]
    pub state: String,
    /// The session that it began in, and must end in.
    #[schemars(length(max = 32))]
    pub session: String,
    /// When it ends.
    pub expires_at: MicroTime,
    /// For this Team.
    pub team: NamespacedReference,
    /// With this application.
    pub application: NamespacedReference,
    /// The connection, in the Team's namespace.
    #[schemars(length(min = 1, max = 63))]
    pub connection: String,
    /// Its UID, where it is there: no other of that name is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub connection_uid: Option<String>,
    /// Where that is not there yet: what is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draft: Option<ConnectionDraft>,
    /// The `redirect_uri` that was sent to Amazon, if one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 300))]
    pub redirect_uri: Option<String>,
}

#[expect(clippy::duplicated_attributes, reason = "each printcolumn has its own type and path")]
/// A person who signs in to the portal.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "internal.openteam.dev",
    version = "v1alpha1",
    kind = "PortalUser",
    namespaced,
    doc = "Internal: a member of a Team who has asked for a sign-in code. Written by the portal only. The annotation openteam.dev/disable ends all that the person can do in the portal.",
    derive = "PartialEq",
    derive = "Default",
    printcolumn(name = "Email", type_ = "string", json_path = ".spec.email"),
    printcolumn(name = "Contained", type_ = "string", json_path = r".metadata.annotations.openteam\.dev/disable"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct PortalUserSpec {
    /// The address that codes are mailed to, in lower case.
    #[schemars(length(max = 254))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("email is immutable: its hash is the object's name"))]
    pub email: String,
    /// Codes that may still be entered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub codes: Vec<SignInCode>,
    /// Codes that were asked for in the last hour.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub sent: Vec<SentCode>,
    /// Wrong codes from browsers that are not known, by network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub failures: Vec<NetworkFailures>,
    /// Browsers that the person has signed in with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub browsers: Vec<KnownBrowser>,
    /// Sessions that have not ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub sessions: Vec<PortalSession>,
    /// Memberships that the person has accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    pub accepted: Vec<AcceptedMembership>,
    /// Consents that are under way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub consents: Vec<PendingConsent>,
}
