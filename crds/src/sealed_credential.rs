//! SealedCredential: a credential on its way in, that only the operator can open.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Kinds that own a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum CredentialOwnerKind {
    /// Owns a client secret.
    AmazonApplication,
    /// Owns a refresh token.
    AmazonConnection,
}

impl CredentialOwnerKind {
    /// The kind's name, as in `kind:`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AmazonApplication => "AmazonApplication",
            Self::AmazonConnection => "AmazonConnection",
        }
    }

    /// The credential that this kind owns, under which it is stored.
    #[must_use]
    pub const fn field(self) -> CredentialField {
        match self {
            Self::AmazonApplication => CredentialField::ClientSecret,
            Self::AmazonConnection => CredentialField::RefreshToken,
        }
    }
}

/// Which credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum CredentialField {
    /// The seller's refresh token, of an AmazonConnection.
    RefreshToken,
    /// The code that Amazon's consent page gave, of an AmazonConnection: good once, for five minutes. The operator exchanges
    /// it for a refresh token, and keeps that.
    AuthorizationCode,
    /// The application's client secret, of an AmazonApplication.
    ClientSecret,
}

impl CredentialField {
    /// The field's name as in `field:`, which is also what the ciphertext is bound to.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RefreshToken => "RefreshToken",
            Self::AuthorizationCode => "AuthorizationCode",
            Self::ClientSecret => "ClientSecret",
        }
    }
}

/// The object a credential belongs to, in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct CredentialOwner {
    /// AmazonApplication or AmazonConnection.
    pub kind: CredentialOwnerKind,
    /// Its name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
}

/// What Amazon's consent page told besides the code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Consent {
    /// The seller that consented, as Amazon sent it back with the code (`selling_partner_id`).
    #[schemars(length(max = 21), regex(pattern = r"^A[A-Z0-9]{9,20}$"))]
    pub selling_partner_id: String,
    /// The redirect URI that Amazon was sent on the way there, which is that of the AmazonApplication. Left out: none was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 300), regex(pattern = r"^https://[^/?#@\s]+(/[^#\s]*)?$"))]
    pub redirect_uri: Option<String>,
}

/// A credential that anyone can seal with the public key and only the operator can open. It may sit in Git.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "openteam.dev",
    version = "v1alpha1",
    kind = "SealedCredential",
    namespaced,
    doc = "A credential that anyone can seal with the public key (openteam seal) and only the operator can open. It may sit in Git and be replaced in place; only the newest sealing is used.",
    status = "SealedCredentialStatus",
    derive = "PartialEq",
    shortname = "osc",
    category = "openteam",
    validation = Rule::new("self.metadata.name.size() <= 63").message("metadata.name: at most 63 characters"),
    printcolumn(name = "Kind", type_ = "string", json_path = ".spec.for.kind"),
    printcolumn(name = "For", type_ = "string", json_path = ".spec.for.name"),
    printcolumn(name = "Field", type_ = "string", json_path = ".spec.field"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(self.__for__.kind == 'AmazonApplication') == (self.field == 'ClientSecret')")
    .message("field: an AmazonApplication has a ClientSecret, an AmazonConnection a RefreshToken or an AuthorizationCode").field_path(".field"))]
#[x_kube(validation = Rule::new("has(self.consent) == (self.field == 'AuthorizationCode')")
    .message("consent: an AuthorizationCode needs it, nothing else has it").field_path(".consent"))]
pub struct SealedCredentialSpec {
    /// What it belongs to. The ciphertext opens for nothing else.
    pub r#for: CredentialOwner,
    /// Which credential of it.
    pub field: CredentialField,
    /// Of an AuthorizationCode: what Amazon's consent page told with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent: Option<Consent>,
    /// The sealed credential, as `openteam seal` prints it.
    #[schemars(length(min = 1, max = 16384), regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    pub ciphertext: String,
}

/// What became of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SealedCredentialState {
    /// Not looked at for good: what it is for does not exist yet.
    Waiting,
    /// The operator is asking Amazon for a refresh token in exchange for the code.
    Exchanging,
    /// In use, or was until a newer one came.
    Accepted,
    /// Not newer than what is stored.
    Superseded,
    /// Cannot be used; the reason says why.
    Refused,
}

/// One operator's word that it, and nobody else, sends a code to Amazon: written before it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExchangeClaim {
    /// A UUID of its own; events of the call have it as their correlation.
    pub id: String,
    /// The operator's pod.
    pub by: String,
    /// When it was claimed.
    pub at: MicroTime,
    /// A digest of the ciphertext that it is about: a code that was claimed once is not sent again, whatever else of the spec
    /// changes.
    pub input: String,
}

/// What the operator did with it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SealedCredentialStatus {
    /// Waiting, Exchanging, Accepted, Superseded or Refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<SealedCredentialState>,
    /// A CamelCase word that programs may act on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// A sentence for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it was sealed, as found inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed_at: Option<MicroTime>,
    /// Of an AuthorizationCode: who sent it to Amazon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<ExchangeClaim>,
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}
