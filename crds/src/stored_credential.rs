//! StoredCredential: the only copy of a credential, encrypted, for operator and gateway.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{CredentialField, CredentialOwner};

/// The credential before the newest, in the same object: one write swaps both, and nothing is lost in between.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreviousCredential {
    /// Its generation, which its ciphertext is bound to.
    #[schemars(range(min = 1))]
    pub generation: i64,
    /// When the input that it came from was sealed.
    pub sealed_at: MicroTime,
    /// The encrypted credential.
    #[schemars(length(min = 1, max = 32768), regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    pub data: String,
    /// Its data key, wrapped.
    #[schemars(length(min = 1, max = 8192), regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    pub wrap: String,
    /// Until when it may still be used, while the newest is not proven. Absent: it is never used, only tested for whether
    /// Amazon still accepts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<MicroTime>,
}

/// The rotations that a credential has been through. Here and not only in a status, so that a restored backup rotates
/// nothing a second time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoredRotation {
    /// The annotation `openteam.dev/rotate` of its owner, as it was last acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// That of the Team.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team_value: Option<String>,
    /// When a rotation last happened; absent where none has, and the values were there from the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<MicroTime>,
}

/// What Amazon's notices told of a client secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoredTold {
    /// When the newest notice of a new secret that was acted on was published: an older one does nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice_at: Option<MicroTime>,
    /// Until when Amazon accepts the newest secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<MicroTime>,
    /// When the notice was published that the newest secret is to be rotated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warned_at: Option<MicroTime>,
}

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
    printcolumn(name = "Retired", type_ = "boolean", json_path = ".spec.retired"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.field != 'AuthorizationCode'")
    .message("field: a code is exchanged, never stored").field_path(".field"))]
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
    /// Rotated away: nobody uses it. It is kept to be tested for whether Amazon still accepts it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retired: bool,
    /// Retired, and Amazon refuses it: it is gone, and what is sealed here is the text `destroyed`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub destroyed: bool,
    /// The one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<PreviousCredential>,
    /// The seller that consented last by Amazon's consent page, as that told; of a refresh token only. A token that was pasted
    /// since is taken to be that seller's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 21), regex(pattern = r"^A[A-Z0-9]{9,20}$"))]
    pub selling_partner_id: Option<String>,
    /// The rotations that it has been through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<StoredRotation>,
    /// What Amazon's notices told of it; of a client secret only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<StoredTold>,
}

/// The name of the StoredCredential that holds `field` of `owner`; deterministic, so that there is never a second.
#[must_use]
pub fn stored_credential_name(owner: &CredentialOwner, field: CredentialField) -> String {
    format!("{}.{}.{}", owner.kind.as_str(), owner.name, field.as_str()).to_ascii_lowercase()
}

/// Whether a StoredCredential of these metadata goes with this owner, and not with one that had the same name before: what
/// such a one left stays for a moment, until Kubernetes has cleared it away. Without owner references, as after a restore,
/// the name decides.
#[must_use]
pub fn goes_with(stored: &ObjectMeta, owner: &ObjectMeta) -> bool {
    let owners = stored.owner_references.as_deref().unwrap_or_default();
    owners.is_empty() || owners.iter().any(|one| Some(&one.uid) == owner.uid.as_ref())
}

impl StoredCredential {
    /// [`goes_with`], of a whole one.
    #[must_use]
    pub fn goes_with(&self, owner: &ObjectMeta) -> bool {
        goes_with(&self.metadata, owner)
    }

    /// The newest credential by itself, unless it is retired.
    #[must_use]
    pub fn newest(&self) -> Option<Self> {
        (!self.spec.retired).then(|| self.alone())
    }

    /// The one before by itself, while it may still be used.
    #[must_use]
    pub fn previous_usable(&self, now: Timestamp) -> Option<Self> {
        let previous = self.spec.previous.as_ref()?;
        let lives = !self.spec.retired && previous.until.as_ref().is_some_and(|until| until.0 > now);
        lives.then(|| self.as_previous(previous))
    }

    /// The credential of this generation by itself, if it may be used now.
    #[must_use]
    pub fn usable(&self, generation: i64, now: Timestamp) -> Option<Self> {
        let of_it = |found: &Self| found.spec.generation == generation;
        self.newest().filter(of_it).or_else(|| self.previous_usable(now).filter(of_it))
    }

    /// The credential by itself that is kept only to be tested for whether Amazon still accepts it.
    #[must_use]
    pub fn only_tested(&self) -> Option<Self> {
        if self.spec.retired {
            return (!self.spec.destroyed).then(|| self.alone());
        }
        self.spec.previous.as_ref().filter(|previous| previous.until.is_none()).map(|it| self.as_previous(it))
    }

    fn alone(&self) -> Self {
        let spec = StoredCredentialSpec { previous: None, ..self.spec.clone() };
        Self { metadata: self.metadata.clone(), spec }
    }

    /// As if the one before were all there is.
    fn as_previous(&self, previous: &PreviousCredential) -> Self {
        let PreviousCredential { generation, sealed_at, data, wrap, until: _ } = previous.clone();
        let own = self.alone();
        Self { spec: StoredCredentialSpec { generation, sealed_at, data, wrap, ..own.spec }, ..own }
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
                retired: false,
                destroyed: false,
                previous: None,
                selling_partner_id: None,
                rotation: None,
                told: None,
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

    #[test]
    fn what_is_retired_or_over_is_not_used_and_what_is_only_tested_is_told_apart() {
        let at = |second| MicroTime(jiff::Timestamp::from_second(second).unwrap());
        let previous = |until: Option<i64>| PreviousCredential {
            generation: 1,
            sealed_at: at(1),
            data: "old".to_owned(),
            wrap: "old-wrap".to_owned(),
            until: until.map(at),
        };
        let stored = |retired, previous: Option<PreviousCredential>| {
            StoredCredential::new(
                "amazonconnection.na.refreshtoken",
                StoredCredentialSpec {
                    r#for: CredentialOwner { kind: CredentialOwnerKind::AmazonConnection, name: "na".to_owned() },
                    field: CredentialField::RefreshToken,
                    generation: 2,
                    sealed_at: at(2),
                    not_before: at(2),
                    data: "new".to_owned(),
                    wrap: "new-wrap".to_owned(),
                    retired,
                    destroyed: false,
                    previous,
                    rotation: None,
                    told: None,
                    selling_partner_id: None,
                },
            )
        };
        let now = jiff::Timestamp::from_second(100).unwrap();
        for (retired, before, newest, usable_before, tested) in [
            (false, None, true, false, None),
            (false, Some(previous(Some(101))), true, true, None),
            (false, Some(previous(Some(100))), true, false, None),
            (false, Some(previous(None)), true, false, Some("old")),
            (true, None, false, false, Some("new")),
            (true, Some(previous(Some(101))), false, false, Some("new")),
            (true, Some(previous(None)), false, false, Some("new")),
        ] {
            let found = stored(retired, before);
            let data = |it: Option<StoredCredential>| it.map(|it| (it.spec.generation, it.spec.data, it.spec.wrap));
            let (old, new) = ((1, "old".into(), "old-wrap".into()), (2, "new".into(), "new-wrap".into()));
            assert_eq!(data(found.usable(2, now)), newest.then_some(new), "{found:?}");
            assert_eq!(data(found.usable(1, now)), usable_before.then_some(old), "{found:?}");
            assert_eq!(found.only_tested().map(|it| it.spec.data).as_deref(), tested, "{found:?}");
            assert_eq!(found.usable(3, now), None);
        }
        let mut destroyed = stored(true, None);
        destroyed.spec.destroyed = true;
        assert_eq!((destroyed.usable(2, now), destroyed.only_tested()), (None, None));
    }
}
