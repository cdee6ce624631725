//! Stored credentials: whether one is current, and opening one for use.

use audit::{Change, EntityChange, Target};
use crds::{
    StoredCredential, StoredCredentialSpec,
    condition::{CREDENTIAL_CURRENT, State},
    stored_credential_name,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Api, api::PostParams};
use seal::{Keyset, Sealed, Secret, StoredBinding, wrap_key_id};

use crate::{
    controller::Context,
    error::ReconcileError,
    sealed_credential::INPUT,
    subject::{entity, reference},
};

/// The condition `CredentialCurrent` for what is stored under `what`.
pub(crate) fn current(stored: Option<&StoredCredential>, keyset: &Keyset, what: &str) -> State {
    let Some(stored) = stored else {
        return State::no(CREDENTIAL_CURRENT, "CredentialMissing", format!("no {what} is stored"));
    };
    let (generation, active) = (stored.spec.generation, keyset.active_id());
    match wrap_key_id(&stored.spec.wrap) {
        Ok(id) if id == active => {
            State::yes(CREDENTIAL_CURRENT, "Current", format!("{what} {generation} is stored under key {id}"))
        }
        Ok(id) if !keyset.has(id) => State::no(
            CREDENTIAL_CURRENT,
            "CredentialUnreadable",
            format!(
                "{what} {generation} is stored under key {id}, which is not in this cluster's keyset: restore the \
                 keyset that has it, or seal the {what} anew"
            ),
        ),
        Ok(id) => State::no(
            CREDENTIAL_CURRENT,
            "OldKey",
            format!("{what} {generation} is stored under key {id}, new ones go under {active}"),
        ),
        Err(_) => State::no(
            CREDENTIAL_CURRENT,
            "CredentialUnreadable",
            format!("{what} {generation} is stored in a form that does not open: seal it anew"),
        ),
    }
}

/// The events' name of a field.
pub(crate) const fn field(field: crds::CredentialField) -> audit::CredentialField {
    match field {
        crds::CredentialField::RefreshToken => audit::CredentialField::RefreshToken,
        crds::CredentialField::AuthorizationCode => audit::CredentialField::AuthorizationCode,
        crds::CredentialField::ClientSecret => audit::CredentialField::ClientSecret,
    }
}

/// What a StoredCredential's ciphertext is bound to.
pub(crate) fn binding<'a>(namespace: &'a str, spec: &'a crds::StoredCredentialSpec) -> StoredBinding<'a> {
    StoredBinding {
        namespace,
        kind: spec.r#for.kind.as_str(),
        name: &spec.r#for.name,
        field: spec.field.as_str(),
        generation: spec.generation.unsigned_abs(),
    }
}

/// Replaces the very version of a StoredCredential that was looked at. What it says of the input that it came from goes: that
/// is in use no more.
pub(crate) async fn replace(
    context: &Context,
    stored: &StoredCredential,
    spec: StoredCredentialSpec,
) -> Result<(), ReconcileError> {
    let name = reference(&stored.metadata);
    let mut metadata = ObjectMeta { managed_fields: None, ..stored.metadata.clone() };
    if spec.retired
        && let Some(annotations) = &mut metadata.annotations
    {
        annotations.remove(INPUT);
    }
    let api: Api<StoredCredential> = Api::namespaced(context.client.clone(), &name.namespace);
    let written = api.replace(&name.name, &PostParams::default(), &StoredCredential { metadata, spec }).await;
    written.map(drop).map_err(ReconcileError::about(format!("StoredCredential {name}")))
}

/// Opens a stored credential, recorded before it happens; `None` where it does not open, which is recorded too.
pub(crate) async fn open(
    context: &Context,
    stored: &StoredCredential,
    correlation: audit::Correlation,
    target: Option<&Target>,
) -> Result<Option<Secret>, ReconcileError> {
    let entity = entity(audit::Kind::StoredCredential, &stored.metadata)?;
    let (field, generation) = (field(stored.spec.field), stored.spec.generation.unsigned_abs());
    let event = |change| EntityChange {
        correlation: Some(correlation),
        target: target.cloned(),
        entity: entity.clone(),
        change,
    };
    let _recorded = context.recorder.record(event(Change::CredentialOpened(field, generation))).await?;
    let name = reference(&stored.metadata);
    let sealed = Sealed { data: stored.spec.data.clone(), wrap: stored.spec.wrap.clone() };
    // The object was found by its name: what it claims to be for must be just that, or one could stand in for another.
    let own_name = stored_credential_name(&stored.spec.r#for, stored.spec.field) == name.name;
    match context.keyset.open(&binding(&name.namespace, &stored.spec), &sealed) {
        Ok(secret) if own_name => Ok(Some(secret)),
        _ => {
            context.recorder.record_later(event(Change::CredentialUnopenable(field, generation)));
            tracing::error!(kind = "StoredCredential", object = %name, "stored credential does not open");
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{keyset, stored_client_secret};

    /// Two keys of one cluster: the second seals, and the first is still there where `both`.
    fn turned(both: bool) -> (Keyset, Keyset) {
        let documents = [Keyset::generate(1), Keyset::generate(2)].map(|keyset| {
            serde_json::from_str::<serde_json::Value>(secrecy::ExposeSecret::expose_secret(&keyset.to_json())).unwrap()
        });
        let [old, mut new] = documents;
        new["clusterId"] = old["clusterId"].clone();
        if both {
            new["keys"].as_array_mut().unwrap().push(old["keys"][0].clone());
        }
        let parse = |document: &serde_json::Value| Keyset::parse(&document.to_string()).unwrap();
        (parse(&old), parse(&new))
    }

    #[test]
    fn a_key_that_is_not_active_still_opens_and_one_that_is_gone_is_told() {
        let told = |stored: &StoredCredential, keyset: &Keyset| {
            let state = current(Some(stored), keyset, "client secret");
            (state.reason, state.message)
        };
        for (both, expected) in [(true, "OldKey"), (false, "CredentialUnreadable")] {
            let (old, new) = turned(both);
            let stored = stored_client_secret(&old, "acme", "app", 3);
            let (reason, message) = told(&stored, &new);
            assert_eq!(reason, expected, "{message}");
            assert!(message.contains(&old.active_id().to_string()), "{message}");
            assert_eq!(message.contains("not in this cluster's keyset"), !both, "{message}");
            let sealed = Sealed { data: stored.spec.data.clone(), wrap: stored.spec.wrap.clone() };
            assert_eq!(new.open(&binding("acme", &stored.spec), &sealed).is_ok(), both);
        }
        let keyset = keyset();
        assert_eq!(told(&stored_client_secret(&keyset, "acme", "app", 3), &keyset).0, "Current");
    }
}
