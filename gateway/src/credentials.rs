//! The stored credentials, as the watch last saw them, and opening them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use amazon::Endpoint;
use crds::{
    AmazonApplication, AmazonConnection, CredentialField, CredentialOwner, CredentialOwnerKind, NamespacedReference,
    ProvenCredentials, StoredCredential, StoredCredentialSpec, stored_credential_name,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
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
    /// What is known of the seller was learnt with another one.
    #[error("its stored credential was not verified with Amazon yet")]
    NotVerified,
}

/// One stored credential by itself, sealed.
#[derive(Debug)]
struct Stored(StoredCredential);

impl PartialEq for Stored {
    /// Told from every other: a connection deleted and made anew begins at generation 1 again, with another UID.
    fn eq(&self, other: &Self) -> bool {
        (&self.0.metadata.uid, self.0.spec.generation) == (&other.0.metadata.uid, other.0.spec.generation)
    }
}

/// The credentials of one StoredCredential.
#[derive(Debug)]
struct Versions {
    /// None where it is retired.
    newest: Option<Arc<Stored>>,
    /// The one before, and until when it may be used.
    previous: Option<(Arc<Stored>, Timestamp)>,
    meta: ObjectMeta,
}

impl Versions {
    fn of(object: &StoredCredential) -> Self {
        // Any time before its end shows it.
        let until = object.spec.previous.as_ref().and_then(|previous| Some(previous.until.as_ref()?.0));
        let previous = object.previous_usable(Timestamp::MIN).map(Stored).map(Arc::new);
        Self {
            newest: object.newest().map(Stored).map(Arc::new),
            previous: previous.zip(until),
            meta: object.metadata.clone(),
        }
    }

    /// The one of this generation, while it may be used.
    fn usable(&self, generation: i64, now: Timestamp) -> Option<&Arc<Stored>> {
        let before = self.previous.as_ref().filter(|(_, until)| *until > now).map(|(stored, _)| stored);
        self.newest.iter().chain(before).find(|stored| stored.0.spec.generation == generation)
    }
}

/// What an access token is got with; with anything else it is another seller's, or another application's.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Provenance {
    refresh_token: Arc<Stored>,
    client_secret: Arc<Stored>,
    client_id: String,
    lwa: Endpoint,
}

impl Provenance {
    /// The credentials as the status of a connection names them.
    pub(crate) fn credentials(&self) -> ProvenCredentials {
        ProvenCredentials {
            refresh_token: self.refresh_token.0.spec.generation,
            client_secret: self.client_secret.0.spec.generation,
            client_id: self.client_id.clone(),
        }
    }

    pub(crate) fn client_id(&self) -> &str {
        &self.client_id
    }

    pub(crate) const fn lwa(&self) -> &Endpoint {
        &self.lwa
    }
}

#[cfg(test)]
impl Provenance {
    /// As of refresh token `generation`.
    pub(crate) fn of(generation: i64) -> Self {
        let stored = |kind, uid: &str, generation| Arc::new(Stored(tests::stored(kind, uid, generation)));
        Self {
            refresh_token: stored(CredentialOwnerKind::AmazonConnection, "1", generation),
            client_secret: stored(CredentialOwnerKind::AmazonApplication, "2", 1),
            client_id: "client".to_owned(),
            lwa: "https://lwa.example".parse().unwrap(),
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
    keyset: Arc<Keyset>,
    stored: Mutex<HashMap<NamespacedReference, Arc<Versions>>>,
}

/// An object that owns a credential. Its name alone may be that of one that is gone.
#[derive(Clone, Copy)]
struct Owner<'a> {
    kind: CredentialOwnerKind,
    name: &'a NamespacedReference,
    meta: &'a ObjectMeta,
}

impl Credentials {
    pub(crate) fn new(keyset: Arc<Keyset>) -> Self {
        Self { keyset, stored: Mutex::default() }
    }

    fn stored(&self) -> std::sync::MutexGuard<'_, HashMap<NamespacedReference, Arc<Versions>>> {
        self.stored.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Takes over what the watch saw. One that does not parse is as good as missing.
    pub(crate) fn apply(&self, change: Change<StoredCredential>) {
        let entry = |object: StoredCredential| {
            let name =
                NamespacedReference { namespace: object.namespace().unwrap_or_default(), name: object.name_any() };
            (name, Arc::new(Versions::of(&object)))
        };
        let mut stored = self.stored();
        match change.without_leaving() {
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

    /// What a token got now would come from: the very credentials that the operator verified, the newest or those before.
    /// What a decision rests on, the marketplaces among them, was learnt with these; others may be another seller's.
    pub(crate) fn provenance(
        &self,
        name: &NamespacedReference,
        connection: &AmazonConnection,
        application: &AmazonApplication,
        lwa: &Endpoint,
        now: Timestamp,
    ) -> Result<Provenance, CredentialError> {
        use CredentialOwnerKind::{AmazonApplication, AmazonConnection};
        let refresh_token = self.find(Owner { kind: AmazonConnection, name, meta: &connection.metadata })?;
        let client_secret = self.find(Owner {
            kind: AmazonApplication,
            name: &connection.spec.application_ref,
            meta: &application.metadata,
        })?;
        let proven = connection.status.as_ref().and_then(|status| status.proven.as_ref());
        let proven = proven.filter(|proven| proven.client_id == application.spec.client_id);
        let proven = proven.ok_or(CredentialError::NotVerified)?;
        let usable = |versions: &Versions, generation| versions.usable(generation, now).cloned();
        Ok(Provenance {
            refresh_token: usable(&refresh_token, proven.refresh_token).ok_or(CredentialError::NotVerified)?,
            client_secret: usable(&client_secret, proven.client_secret).ok_or(CredentialError::NotVerified)?,
            client_id: application.spec.client_id.clone(),
            lwa: lwa.clone(),
        })
    }

    /// Opens both credentials that a refresh needs: just those, whatever was stored since.
    pub(crate) fn open(
        &self,
        connection: &NamespacedReference,
        application: &NamespacedReference,
        from: &Provenance,
    ) -> Result<Pair, CredentialError> {
        use CredentialOwnerKind::{AmazonApplication, AmazonConnection};
        Ok(Pair {
            refresh_token: self.open_one(AmazonConnection, connection, &from.refresh_token.0.spec)?,
            client_secret: self.open_one(AmazonApplication, application, &from.client_secret.0.spec)?,
        })
    }

    fn find(&self, owner: Owner<'_>) -> Result<Arc<Versions>, CredentialError> {
        let of = CredentialOwner { kind: owner.kind, name: owner.name.name.clone() };
        let name = stored_credential_name(&of, owner.kind.field());
        let name = NamespacedReference { namespace: owner.name.namespace.clone(), name };
        let stored = self.stored().get(&name).cloned().ok_or(CredentialError::Missing)?;
        if crds::goes_with(&stored.meta, owner.meta) { Ok(stored) } else { Err(CredentialError::Missing) }
    }

    fn open_one(
        &self,
        kind: CredentialOwnerKind,
        owner: &NamespacedReference,
        stored: &StoredCredentialSpec,
    ) -> Result<SecretString, CredentialError> {
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
    use crds::AmazonConnectionStatus;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, OwnerReference, Time};

    use super::*;

    pub(super) fn stored(kind: CredentialOwnerKind, uid: &str, generation: i64) -> StoredCredential {
        let owner = CredentialOwner { kind, name: "na".to_owned() };
        let at = MicroTime(jiff::Timestamp::UNIX_EPOCH);
        let spec = StoredCredentialSpec {
            field: kind.field(),
            generation,
            sealed_at: at.clone(),
            not_before: at,
            data: "x".to_owned(),
            wrap: "x".to_owned(),
            retired: false,
            destroyed: false,
            previous: None,
            rotation: None,
            told: None,
            selling_partner_id: None,
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

    fn connection(uid: &str) -> AmazonConnection {
        let mut connection = AmazonConnection::default();
        connection.metadata.uid = Some(uid.to_owned());
        connection.spec.application_ref = name();
        connection
    }

    fn at(second: i64) -> jiff::Timestamp {
        jiff::Timestamp::from_second(second).unwrap()
    }

    /// With what the operator proved the generations of refresh token and client secret.
    fn proven(
        credentials: &Credentials,
        client_id: &str,
        lwa: &str,
        (refresh_token, client_secret): (i64, i64),
    ) -> Result<Provenance, CredentialError> {
        let mut application = AmazonApplication::default();
        application.spec.client_id = client_id.to_owned();
        let mut connection = connection("na-1");
        let proven = ProvenCredentials { refresh_token, client_secret, client_id: client_id.to_owned() };
        connection.status = Some(AmazonConnectionStatus { proven: Some(proven), ..Default::default() });
        credentials.provenance(&name(), &connection, &application, &lwa.parse().unwrap(), at(100))
    }

    fn provenance(credentials: &Credentials, client_id: &str, lwa: &str) -> Result<Provenance, CredentialError> {
        proven(credentials, client_id, lwa, (1, 1))
    }

    #[test]
    fn a_token_of_anything_else_is_another_token() {
        use CredentialOwnerKind::{AmazonApplication, AmazonConnection};
        let credentials = Credentials::new(Arc::new(Keyset::generate(0)));
        let (client, lwa) = ("client", "https://lwa.example");
        assert_eq!(provenance(&credentials, client, lwa).unwrap_err(), CredentialError::Missing);
        credentials.apply(both());
        let first = provenance(&credentials, client, lwa).unwrap();
        assert_eq!(provenance(&credentials, client, lwa).unwrap(), first);
        assert_ne!(provenance(&credentials, "another", lwa).unwrap(), first);
        assert_ne!(provenance(&credentials, client, "https://elsewhere.example").unwrap(), first);
        for (changed, generations) in [
            (stored(AmazonConnection, "1", 2), (2, 1)),
            // Deleted and made anew for another seller: the generation begins at 1 again.
            (stored(AmazonConnection, "3", 1), (1, 1)),
            (stored(AmazonApplication, "2", 2), (1, 2)),
            (stored(AmazonApplication, "4", 1), (1, 1)),
        ] {
            credentials.apply(Change::Applied(Ok(changed)));
            assert_ne!(proven(&credentials, client, lwa, generations).unwrap(), first);
            credentials.apply(both());
        }
    }

    #[test]
    fn only_what_was_proven_is_used_the_newest_or_the_one_before_and_never_what_is_retired() {
        use CredentialOwnerKind::{AmazonApplication, AmazonConnection};
        let before = |generation, until: Option<i64>| crds::PreviousCredential {
            generation,
            sealed_at: MicroTime(at(1)),
            data: "x".to_owned(),
            wrap: "x".to_owned(),
            until: until.map(|second| MicroTime(at(second))),
        };
        let credentials = Credentials::new(Arc::new(Keyset::generate(0)));
        let generation = |found: Result<Provenance, CredentialError>| {
            found.map(|found| (found.credentials().refresh_token, found.credentials().client_secret)).ok()
        };
        for (retired, previous, usable) in [
            (false, None, [false, true]),
            (false, Some(before(1, Some(101))), [true, true]),
            (false, Some(before(1, Some(100))), [false, true]),
            (false, Some(before(1, None)), [false, true]),
            (true, None, [false, false]),
            (true, Some(before(1, Some(101))), [false, false]),
        ] {
            for kind in [AmazonConnection, AmazonApplication] {
                credentials.apply(both());
                let mut object = stored(kind, "9", 2);
                (object.spec.retired, object.spec.previous) = (retired, previous.clone());
                credentials.apply(Change::Applied(Ok(object)));
                for (asked, usable) in [1, 2].into_iter().zip(usable) {
                    let both = if kind == AmazonConnection { (asked, 1) } else { (1, asked) };
                    let found = proven(&credentials, "client", "https://lwa.example", both);
                    assert_eq!(generation(found), usable.then_some(both), "{kind:?} {retired} {previous:?} {asked}");
                }
            }
        }
        assert_eq!(
            proven(&credentials, "client", "https://lwa.example", (3, 1)).unwrap_err(),
            CredentialError::NotVerified
        );
    }

    #[test]
    fn what_does_not_open_says_nothing_of_why() {
        let credentials = Credentials::new(Arc::new(Keyset::generate(0)));
        credentials.apply(both());
        let from = provenance(&credentials, "client", "https://lwa.example").unwrap();
        assert_eq!(credentials.open(&name(), &name(), &from).err(), Some(CredentialError::DoesNotOpen));
    }

    #[test]
    fn a_connection_made_anew_does_not_get_what_its_namesake_left() {
        let credentials = Credentials::new(Arc::new(Keyset::generate(0)));
        credentials.apply(both());
        let owned_by = |uid: &str| {
            let mut object = stored(CredentialOwnerKind::AmazonConnection, "1", 1);
            object.metadata.owner_references =
                Some(vec![OwnerReference { uid: uid.to_owned(), ..OwnerReference::default() }]);
            object
        };
        let of = |uid: &str| {
            let lwa = "https://lwa.example".parse().unwrap();
            let mut connection = connection(uid);
            let proven = ProvenCredentials { refresh_token: 1, client_secret: 1, client_id: String::new() };
            connection.status = Some(AmazonConnectionStatus { proven: Some(proven), ..Default::default() });
            credentials.provenance(&name(), &connection, &AmazonApplication::default(), &lwa, at(0))
        };
        assert!(of("na-1").is_ok(), "without an owner it was restored from a backup");
        credentials.apply(Change::Applied(Ok(owned_by("na-1"))));
        assert!(of("na-1").is_ok());
        assert_eq!(of("na-2").unwrap_err(), CredentialError::Missing);
        // On its way out it is gone for its own connection too.
        let mut leaving = owned_by("na-1");
        leaving.metadata.deletion_timestamp = Some(Time(jiff::Timestamp::UNIX_EPOCH));
        credentials.apply(Change::Applied(Ok(leaving)));
        assert_eq!(of("na-1").unwrap_err(), CredentialError::Missing);
    }
}
