//! AmazonApplication: an application registered with Amazon, whose client secret OpenTeam keeps.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, MicroTime, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Access;

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
    /// Base address of Amazon SQS, such as `https://sqs.us-east-1.amazonaws.com`. Left out: that of the queue's region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 300), regex(pattern = r"^https://[^/?#@\s]+$"))]
    pub sqs: Option<String>,
    /// Base address of Amazon's consent page, such as `https://sellercentral.amazon.com`. Left out: Seller Central of the
    /// connection's first marketplace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 300), regex(pattern = r"^https://[^/?#@\s]+$"))]
    pub consent: Option<String>,
    /// PEM certificates of the authorities that these addresses are trusted by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65536))]
    pub ca_bundle: Option<String>,
}

/// How the client secret is rotated without anybody's hands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretRotation {
    /// The queue of Amazon SQS that is registered in Amazon's Developer Console for the application's notices, such as
    /// `https://sqs.us-east-1.amazonaws.com/123456789012/openteam`. Amazon sends a new client secret there and nowhere else;
    /// the operator must be allowed to read it (docs/install.md). Several applications may share one.
    #[schemars(
        length(max = 300),
        regex(pattern = r"^https://sqs\.[a-z0-9-]{4,30}\.amazonaws\.com(\.cn)?/[0-9]{12}/[A-Za-z0-9_-]{1,80}$")
    )]
    pub queue_url: String,
}

impl SecretRotation {
    /// The queue's AWS region.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        self.queue_url.strip_prefix("https://sqs.")?.split('.').next()
    }
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
    printcolumn(name = "Secret Expires", type_ = "string", json_path = ".status.secretRotation.secretExpiresAt"),
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
    /// Where Amazon's consent page sends sellers back to, exactly as it is registered with Amazon (OAuth Redirect URI):
    /// `PUBLICURL/amazon/callback` of OpenTeam's portal. Amazon takes no `#` in it (its error MD5110). Left out: none is named
    /// to Amazon, which then takes the first that is registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 300), regex(pattern = r"^https://[^/?#@\s]+(/[^#\s]*)?$"))]
    pub redirect_uri: Option<String>,
    /// Where Amazon sends sellers to sign in before they consent, exactly as it is registered with Amazon (OAuth Login URI):
    /// `PUBLICURL/amazon/login` of OpenTeam's portal. Nothing is sent there by OpenTeam; it is kept here so that both addresses
    /// are in one place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 300), regex(pattern = r"^https://[^/?#@\s]+(/[^#\s]*)?$"))]
    pub login_uri: Option<String>,
    /// Whether the application is in draft at Amazon: the links that sellers consent by then say so.
    #[serde(default)]
    pub draft: bool,
    /// Namespaces whose connections may use this application, by their labels. Left out: only its own namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_namespaces: Option<LabelSelector>,
    /// `Credential` allows that Amazon's own access tokens made with this application are handed out, where a connection
    /// and a caller's scope say the same. Whoever answers to Amazon for the application decides it: what is done with such a
    /// token is neither checked nor recorded.
    #[serde(default)]
    pub access: Access,
    /// Rotates the client secret ahead of its end, and when `openteam.dev/rotate` asks for it. Left out: that is done by hand
    /// in Amazon's Developer Console, and the new secret is given as a SealedCredential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_rotation: Option<SecretRotation>,
    /// Where Amazon is; left out: Amazon's own addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Endpoints>,
}

/// How far a rotation of the client secret is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SecretRotationPhase {
    /// Amazon is being asked, or was asked by an operator that ended: whether it heard is not known.
    Requesting,
    /// Amazon was asked; the new secret is on its way through the queue.
    Requested,
    /// Amazon refused or could not be asked; it is asked again at `retryAt`.
    Failed,
    /// There is no queue: somebody must rotate it in Amazon's Developer Console and seal the new secret.
    ByHand,
}

/// Why a rotation began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SecretRotationCause {
    /// The annotation `openteam.dev/rotate` has a new value.
    Annotation,
    /// Amazon told that the secret ends.
    Notice,
    /// The secret's end is near.
    Schedule,
}

/// A client secret that Amazon was asked about, by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretVerdict {
    /// Its generation.
    pub generation: i64,
    /// The client id it was tried with.
    pub client_id: String,
}

impl SecretVerdict {
    /// Whether it is about this secret of an application of this client id.
    #[must_use]
    pub fn is_of(&self, generation: i64, client_id: &str) -> bool {
        self.generation == generation && self.client_id == client_id
    }
}

/// The rotation of the client secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretRotationStatus {
    /// The value of the annotation `openteam.dev/rotate` that was last acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// How far the rotation is; absent while there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<SecretRotationPhase>,
    /// Why it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<SecretRotationCause>,
    /// The generation of the secret that it replaces: a newer one ends it, however that came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<i64>,
    /// When Amazon was last asked for a new secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_at: Option<Time>,
    /// How often it was asked in this rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<i64>,
    /// Not asked again before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Time>,
    /// What kept Amazon from doing it, in a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// When a newer secret was last stored in place of one that was to be rotated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated_at: Option<Time>,
    /// Until when Amazon accepts the newest secret: as it told, else at the latest 180 days after it was sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_expires_at: Option<Time>,
    /// Until when the secret before is kept and tried second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_secret_until: Option<Time>,
    /// When the newest of Amazon's notices that was acted on was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_notice_at: Option<MicroTime>,
    /// The secret that Amazon last accepted when it was asked about that alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proven: Option<SecretVerdict>,
    /// Those of the stored ones that it refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<SecretVerdict>,
    /// The secret with which Amazon does not let the application rotate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_allowed: Option<SecretVerdict>,
}

/// What the operator saw.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AmazonApplicationStatus {
    /// `Ready`, `Contained`, `CredentialCurrent` and `ClientSecretCurrent`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The rotation of the client secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_rotation: Option<SecretRotationStatus>,
}
