//! The stored credentials, as the watch last saw them, and opening them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use amazon::Endpoint;
use crds::{
    CredentialField, CredentialOwner, CredentialOwnerKind, NamespacedReference, StoredCredential, StoredCredentialSpec,
    stored_credential_name,
};
use kube::ResourceExt;
use process::watch::Change;
use seal::{Keyset, Sealed, StoredBinding};
use secrecy::SecretString;

/// Why a credential cannot be used. Says nothing of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CredentialError {
    #[error("no credential is stored for it")]
    Missing,
    #[error("its stored credential does not open")]
    DoesNotOpen,
}

/// One stored credential, told from every other: a connection deleted and made anew begins at generation 1 again, with
/// another UID.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    uid: String,
    generation: i64,
}

/// What an access token was got with; with anything else it is another seller's, or another application's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Provenance {
    refresh_token: Version,
    client_secret: Version,
    client_id: String,
    lwa: String,
}

#[cfg(test)]
impl Provenance {
    /// As of refresh token `generation`.
    pub(crate) fn of(generation: i64) -> Self {
        let version = |generation| Version { uid: "1".to_owned(), generation };
        Self {
            refresh_token: version(generation),
            client_secret: version(1),
            client_id: "client".to_owned(),
            lwa: "https://lwa.example".to_owned(),
        }
    }
}

/// What a refresh needs.
pub(crate) struct Pair {
    pub(crate) refresh_token: SecretString,
    pub(crate) client_secret: SecretString,
}

/// All stored credentials, sealed; opened only for the moment of use.
pub(crate) struct Credentials {
    keyset: Keyset,
    stored: Mutex<HashMap<NamespacedReference, Arc<Stored>>>,
}

struct Stored {
    uid: String,
    spec: StoredCredentialSpec,
}

impl Credentials {
    pub(crate) fn new(keyset: Keyset) -> Self {
        Self { keyset, stored: Mutex::default() }
    }

    pub(crate) const fn keyset(&self) -> &Keyset {
        &self.keyset
    }

    fn stored(&self) -> std::sync::MutexGuard<'_, HashMap<NamespacedReference, Arc<Stored>>> {
        self.stored.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Takes over what the watch saw. One that does not parse is as good as missing.
    pub(crate) fn apply(&self, change: Change<StoredCredential>) {
        let entry = |object: StoredCredential| {
            let name =
                NamespacedReference { namespace: object.namespace().unwrap_or_default(), name: object.name_any() };
            (name, Arc::new(Stored { uid: object.uid().unwrap_or_default(), spec: object.spec }))
        };
        let mut stored = self.stored();
        match change {
            Change::All(all) => *stored = all.into_iter().flatten().map(entry).collect(),
            Change::Applied(Ok(object)) => stored.extend([entry(object)]),
            Change::Deleted(Ok(object)) => {
                stored.remove(&entry(object).0);
            }
            Change::Applied(Err(invalid)) | Change::Deleted(Err(invalid)) => {
                if let (Some(namespace), Some(name)) = (invalid.metadata.namespace, invalid.metadata.name) {
                    tracing::error!(%namespace, %name, "StoredCredential does not parse");
                    stored.remove(&NamespacedReference { namespace, name });
                }
            }
        }
    }

    /// What a token got now would come from.
    pub(crate) fn provenance(
        &self,
        connection: &NamespacedReference,
        application: &NamespacedReference,
        client_id: &str,
        lwa: &Endpoint,
    ) -> Result<Provenance, CredentialError> {
        let version = |kind, owner| {
            let stored = self.find(kind, owner)?;
            Ok(Version { uid: stored.uid.clone(), generation: stored.spec.generation })
        };
        Ok(Provenance {
            refresh_token: version(CredentialOwnerKind::AmazonConnection, connection)?,
            client_secret: version(CredentialOwnerKind::AmazonApplication, application)?,
            client_id: client_id.to_owned(),
            lwa: lwa.as_str().to_owned(),
        })
    }

    /// Opens both credentials that a refresh needs.
    pub(crate) fn open(
        &self,
        connection: &NamespacedReference,
        application: &NamespacedReference,
    ) -> Result<Pair, CredentialError> {
        Ok(Pair {
            refresh_token: self.open_one(CredentialOwnerKind::AmazonConnection, connection)?,
            client_secret: self.open_one(CredentialOwnerKind::AmazonApplication, application)?,
        })
    }

    fn find(&self, kind: CredentialOwnerKind, owner: &NamespacedReference) -> Result<Arc<Stored>, CredentialError> {
        let name = stored_credential_name(&CredentialOwner { kind, name: owner.name.clone() }, kind.field());
        let name = NamespacedReference { namespace: owner.namespace.clone(), name };
        self.stored().get(&name).cloned().ok_or(CredentialError::Missing)
    }

    fn open_one(
        &self,
        kind: CredentialOwnerKind,
        owner: &NamespacedReference,
    ) -> Result<SecretString, CredentialError> {
        let stored = self.find(kind, owner)?;
        let stored = &stored.spec;
        let field: CredentialField = kind.field();
        let binding = StoredBinding {
            namespace: &owner.namespace,
            kind: kind.as_str(),
            name: &owner.name,
            field: field.as_str(),
            generation: u64::try_from(stored.generation).map_err(|_| CredentialError::DoesNotOpen)?,
        };
        let sealed = Sealed { data: stored.data.clone(), wrap: stored.wrap.clone() };
        let secret = self.keyset.open(&binding, &sealed).map_err(|_| CredentialError::DoesNotOpen)?;
        let text = secret.expose_text().map_err(|_| CredentialError::DoesNotOpen)?;
        Ok(SecretString::from(text))
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

    use super::*;

    fn stored(kind: CredentialOwnerKind, uid: &str, generation: i64) -> StoredCredential {
        let owner = CredentialOwner { kind, name: "na".to_owned() };
        let at = MicroTime(jiff::Timestamp::UNIX_EPOCH);
        let spec = StoredCredentialSpec {
            field: kind.field(),
            generation,
            sealed_at: at.clone(),
            not_before: at,
            data: "x".to_owned(),
            wrap: "x".to_owned(),
            r#for: owner.clone(),
        };
        let mut object = StoredCredential::new(&stored_credential_name(&owner, kind.field()), spec);
        object.metadata.namespace = Some("acme".to_owned());
        object.metadata.uid = Some(uid.to_owned());
        object
    }

    fn both() -> Change<StoredCredential> {
        use CredentialOwnerKind::{AmazonApplication, AmazonConnection};
        Change::All([stored(AmazonConnection, "1", 1), stored(AmazonApplication, "2", 1)].map(Ok).into())
    }

    fn name() -> NamespacedReference {
        NamespacedReference { namespace: "acme".to_owned(), name: "na".to_owned() }
    }

    fn provenance(credentials: &Credentials, client_id: &str, lwa: &str) -> Result<Provenance, CredentialError> {
        credentials.provenance(&name(), &name(), client_id, &lwa.parse().unwrap())
    }

    #[test]
    fn a_token_of_anything_else_is_another_token() {
        use CredentialOwnerKind::{AmazonApplication, AmazonConnection};
        let credentials = Credentials::new(Keyset::generate(0));
        let (client, lwa) = ("client", "https://lwa.example");
        assert_eq!(provenance(&credentials, client, lwa).unwrap_err(), CredentialError::Missing);
        credentials.apply(both());
        let first = provenance(&credentials, client, lwa).unwrap();
        assert_eq!(provenance(&credentials, client, lwa).unwrap(), first);
        assert_ne!(provenance(&credentials, "another", lwa).unwrap(), first);
        assert_ne!(provenance(&credentials, client, "https://elsewhere.example").unwrap(), first);
        for changed in [
            stored(AmazonConnection, "1", 2),
            // Deleted and made anew for another seller: the generation begins at 1 again.
            stored(AmazonConnection, "3", 1),
            stored(AmazonApplication, "2", 2),
            stored(AmazonApplication, "4", 1),
        ] {
            credentials.apply(Change::Applied(Ok(changed)));
            assert_ne!(provenance(&credentials, client, lwa).unwrap(), first);
            credentials.apply(both());
        }
    }

    #[test]
    fn what_does_not_open_says_nothing_of_why() {
        let credentials = Credentials::new(Keyset::generate(0));
        credentials.apply(both());
        assert_eq!(credentials.open(&name(), &name()).err(), Some(CredentialError::DoesNotOpen));
    }
}
