//! What the tests of several modules build.

use crds::{
    CredentialField, CredentialOwner, CredentialOwnerKind, StoredCredential, StoredCredentialSpec, Team,
    stored_credential_name,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use seal::{Keyset, StoredBinding};

/// The tests' present.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(1_790_000_000).unwrap()
}

pub(crate) fn keyset() -> Keyset {
    Keyset::generate(0)
}

pub(crate) fn team(namespace: &str, name: &str) -> Team {
    let mut team = Team::new(name, Default::default());
    team.metadata.namespace = Some(namespace.to_owned());
    team
}

pub(crate) fn stored_client_secret(keyset: &Keyset, namespace: &str, name: &str, generation: i64) -> StoredCredential {
    stored(keyset, namespace, CredentialOwnerKind::AmazonApplication, name, generation)
}

pub(crate) fn stored_refresh_token(keyset: &Keyset, namespace: &str, name: &str, generation: i64) -> StoredCredential {
    stored(keyset, namespace, CredentialOwnerKind::AmazonConnection, name, generation)
}

fn stored(
    keyset: &Keyset,
    namespace: &str,
    kind: CredentialOwnerKind,
    name: &str,
    generation: i64,
) -> StoredCredential {
    let owner = CredentialOwner { kind, name: name.to_owned() };
    let field: CredentialField = kind.field();
    let binding = StoredBinding {
        namespace,
        kind: kind.as_str(),
        name,
        field: field.as_str(),
        generation: generation.unsigned_abs(),
    };
    let sealed = keyset.seal(&binding, b"plainly fake").unwrap();
    let sealed_at = MicroTime(now() - SignedDuration::from_hours(1));
    let object = stored_credential_name(&owner, field);
    let spec = StoredCredentialSpec {
        r#for: owner,
        field,
        generation,
        not_before: sealed_at.clone(),
        sealed_at,
        data: sealed.data,
        wrap: sealed.wrap,
    };
    let mut stored = StoredCredential::new(&object, spec);
    stored.metadata.namespace = Some(namespace.to_owned());
    stored
}
