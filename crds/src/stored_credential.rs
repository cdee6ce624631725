//! StoredCredential: the only copy of a credential, encrypted, for operator and gateway.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::{CredentialField, CredentialOwner};

#[expect(clippy::duplicated_attributes, reason = "each printcolumn has its own type and path")]
/// A credential as OpenTeam keeps it: AES-256-GCM under a key of its own, which is wrapped by the keyset.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "internal.openteam.dev",
    version = "v1alpha1",
    kind = "StoredCredential",
    namespaced,
    doc = "Internal: a credential as OpenTeam keeps it, encrypted. Written by the operator only.",
    derive = "PartialEq",
    printcolumn(name = "Kind", type_ = "string", json_path = ".spec.for.kind"),
    printcolumn(name = "For", type_ = "string", json_path = ".spec.for.name"),
    printcolumn(name = "Generation", type_ = "integer", json_path = ".spec.generation"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct StoredCredentialSpec {
    /// What it belongs to.
    pub r#for: CredentialOwner,
    /// Which credential of it.
    pub field: CredentialField,
    /// Our own counter, one more at each new credential; part of what the ciphertext is bound to. Not
    /// `metadata.generation`, so that a backup restores.
    #[schemars(range(min = 1))]
    pub generation: i64,
    /// When the input that this came from was sealed.
    pub sealed_at: MicroTime,
    /// Only inputs sealed after this are used, so that a replay or an old commit does nothing.
    pub not_before: MicroTime,
    /// The encrypted credential (docs/formats.md, "Stored format").
    #[schemars(length(min = 1, max = 32768), regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    pub data: String,
    /// Its data key, wrapped by a key of the keyset; replaced alone when the keyset rotates.
    #[schemars(length(min = 1, max = 8192), regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    pub wrap: String,
}

/// The name of the StoredCredential that holds `field` of `owner`; deterministic, so that there is never a second.
#[must_use]
pub fn stored_credential_name(owner: &CredentialOwner, field: CredentialField) -> String {
    format!("{}.{}.{}", owner.kind.as_str(), owner.name, field.as_str()).to_ascii_lowercase()
}

impl StoredCredential {
    /// Whether it goes with this owner, and not with one that had the same name before: what such a one left stays for
    /// a moment, until Kubernetes has cleared it away. Without owner references, as after a restore, the name decides.
    #[must_use]
    pub fn goes_with(&self, owner: &ObjectMeta) -> bool {
        let owners = self.metadata.owner_references.as_deref().unwrap_or_default();
        owners.is_empty() || owners.iter().any(|one| Some(&one.uid) == owner.uid.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

    use super::*;
    use crate::CredentialOwnerKind;

    #[test]
    fn a_credential_goes_with_its_owner_and_no_other_of_that_name() {
        let at = MicroTime(jiff::Timestamp::UNIX_EPOCH);
        let mut stored = StoredCredential::new(
            "amazonconnection.na.refreshtoken",
            StoredCredentialSpec {
                r#for: CredentialOwner { kind: CredentialOwnerKind::AmazonConnection, name: "na".to_owned() },
                field: CredentialField::RefreshToken,
                generation: 1,
                sealed_at: at.clone(),
                not_before: at,
                data: "x".to_owned(),
                wrap: "x".to_owned(),
            },
        );
        let owner = |uid: &str| ObjectMeta { uid: Some(uid.to_owned()), ..ObjectMeta::default() };
        assert!(stored.goes_with(&owner("1")), "restored from a backup");
        stored.metadata.owner_references =
            Some(vec![OwnerReference { uid: "1".to_owned(), ..OwnerReference::default() }]);
        assert!(stored.goes_with(&owner("1")));
        assert!(!stored.goes_with(&owner("2")));
        assert!(!stored.goes_with(&ObjectMeta::default()));
    }
}
