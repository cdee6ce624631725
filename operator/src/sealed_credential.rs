//! SealedCredential: opened, judged, and where it is the newest kept as the StoredCredential of its target.

mod plan;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use audit::{Change, EntityChange, Reason};
use crds::{
    CredentialOwnerKind, SealedCredential, SealedCredentialState, SealedCredentialStatus, StoredCredential,
    StoredCredentialSpec, Team, stored_credential_name,
};
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{
    Api, Resource,
    api::PostParams,
    runtime::{
        controller::Action,
        events::{Event, EventType},
    },
};
use seal::{Binding, Keyset, OpenedInput, PrivateKey, StoredBinding, input_key_id, open_input};
use sha2::{Digest, Sha256};

use self::plan::{Fault, NewCredential, Observed, Target, plan};
use crate::{
    controller::Context,
    credential::field,
    error::ReconcileError,
    status,
    stores::{Guarded, Kind, Touched, read},
    subject::{Subject, containment, entity, reference, target},
};

const RECHECK: Duration = Duration::from_secs(600);

/// Annotation of a StoredCredential: a digest of the input it came from. A sealed time is whatever the sealer says, so it
/// alone does not tell two inputs apart.
const INPUT: &str = "internal.openteam.dev/input";

/// Whether a change of another object concerns an input.
pub(crate) fn concerns(touched: &Touched, sealed: &SealedCredential) -> bool {
    let of = &sealed.spec.r#for;
    let kind = match of.kind {
        CredentialOwnerKind::AmazonApplication => Kind::AmazonApplication,
        CredentialOwnerKind::AmazonConnection => Kind::AmazonConnection,
    };
    let here = Some(&touched.namespace) == sealed.metadata.namespace.as_ref();
    here && match touched.kind {
        Kind::StoredCredential => touched.name == stored_credential_name(of, sealed.spec.field),
        // A contained Team contains its connections.
        Kind::Team => of.kind == CredentialOwnerKind::AmazonConnection,
        touched_kind => touched_kind == kind && touched.name == of.name,
    }
}

/// One pass.
pub(crate) async fn reconcile(context: Arc<Context>, sealed: SealedCredential) -> Result<Action, ReconcileError> {
    if sealed.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let name = reference(&sealed.metadata);
    let found = find_target(&context, &sealed);
    let stored = context.stores.stored(&name.namespace, &stored_credential_name(&sealed.spec.r#for, sealed.spec.field));
    let opened = open(&context.sealing_keys, &sealed);
    let plan = plan(&Observed {
        sealed: &sealed,
        input: &digest(&sealed),
        target: found.as_ref().map_or(&Target::Absent, |found| &found.target),
        stored: read(stored.as_ref()),
        opened: opened.as_ref().map(|opened| opened.sealed_at_ms).map_err(|&fault| fault),
        now: Timestamp::now(),
    });
    if let (Some(new), Some(found), Ok(opened)) = (&plan.store, &found, &opened) {
        store(&context, &sealed, found, new, opened).await?;
    }
    write_status(&context, &sealed, found.as_ref(), &plan.status).await?;
    Ok(Action::requeue(plan.recheck.unwrap_or(RECHECK)))
}

/// What an input is for, as far as it is there.
struct Found {
    target: Target,
    owner: OwnerReference,
    event_target: Option<audit::Target>,
}

fn find_target(context: &Context, sealed: &SealedCredential) -> Option<Found> {
    let namespace = sealed.metadata.namespace.as_deref()?;
    let name = &sealed.spec.r#for.name;
    match sealed.spec.r#for.kind {
        CredentialOwnerKind::AmazonApplication => {
            let reference = crds::NamespacedReference { namespace: namespace.to_owned(), name: name.clone() };
            found(read(context.stores.application(&reference).as_ref())?, None)
        }
        CredentialOwnerKind::AmazonConnection => {
            let connection = context.stores.connection(namespace, name);
            let connection = read(connection.as_ref())?;
            let team = context.stores.team(namespace, &connection.spec.team_ref.name);
            found(connection, team.as_deref())
        }
    }
}

/// The application of a connection does not count here: containing it stops all its connections, but what they are
/// stays their Team's to change.
fn found<K: Subject>(object: &K, team: Option<&Guarded<Team>>) -> Option<Found> {
    if object.meta().deletion_timestamp.is_some() {
        return None;
    }
    let by =
        containment(K::ACCESS, object.meta()).or_else(|| team.and_then(|team| containment(Team::ACCESS, team.meta())));
    Some(Found {
        target: by.map_or(Target::Free, |by| Target::Contained(by.to_string())),
        owner: object.controller_owner_ref(&())?,
        event_target: target(object).ok().flatten(),
    })
}

/// Opens an input with the key that it names.
fn open(keys: &[PrivateKey], sealed: &SealedCredential) -> Result<OpenedInput, Fault> {
    let text = &sealed.spec.ciphertext;
    let id = input_key_id(text).map_err(|_| Fault::InvalidText)?;
    let key = keys.iter().find(|key| key.id() == id).ok_or(Fault::UnknownSealingKey(id))?;
    let binding = Binding {
        namespace: sealed.metadata.namespace.as_deref().unwrap_or_default(),
        kind: sealed.spec.r#for.kind.as_str(),
        name: &sealed.spec.r#for.name,
        field: sealed.spec.field.as_str(),
    };
    let opened = open_input([key], &binding, text).map_err(|_| Fault::CannotOpen)?;
    credential_text(&opened).ok_or(Fault::NotACredential)?;
    Ok(opened)
}

/// The credential without the line end that a file or a pipe added.
fn credential_text(opened: &OpenedInput) -> Option<&str> {
    let text = opened.secret.expose_text().ok()?.trim();
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())).then_some(text)
}

fn digest(sealed: &SealedCredential) -> String {
    HEXLOWER.encode(&Sha256::digest(sealed.spec.ciphertext.as_bytes())[..16])
}

/// Keeps the credential; recorded before, and only if nobody else wrote it meanwhile.
async fn store(
    context: &Context,
    sealed: &SealedCredential,
    found: &Found,
    new: &NewCredential,
    opened: &OpenedInput,
) -> Result<(), ReconcileError> {
    let object = stored_credential(&context.keyset, sealed, &found.owner, new, opened)?;
    let field = field(sealed.spec.field);
    let event = |entity, change| EntityChange { correlation: None, target: found.event_target.clone(), entity, change };
    let accepted = entity(audit::Kind::SealedCredential, &sealed.metadata)?;
    let kept = entity(audit::Kind::StoredCredential, &object.metadata)?;
    let generation = new.generation.unsigned_abs();
    let (_, _) = futures::try_join!(
        context.recorder.record(event(accepted, Change::InputAccepted(field))),
        context.recorder.record(event(kept, Change::CredentialSealed(field, generation))),
    )?;
    let name = reference(&object.metadata);
    let api: Api<StoredCredential> = Api::namespaced(context.client.clone(), &name.namespace);
    write(&api, &object).await?;
    tracing::info!(stored_credential = %name, generation, "credential stored");
    Ok(())
}

/// Creates, or replaces the very version that was planned with.
async fn write(api: &Api<StoredCredential>, object: &StoredCredential) -> Result<(), ReconcileError> {
    let name = reference(&object.metadata);
    let written = match object.metadata.resource_version {
        None => api.create(&PostParams::default(), object).await,
        Some(_) => api.replace(&name.name, &PostParams::default(), object).await,
    };
    written.map(drop).map_err(ReconcileError::about(format!("StoredCredential {name}")))
}

fn stored_credential(
    keyset: &Keyset,
    sealed: &SealedCredential,
    owner: &OwnerReference,
    new: &NewCredential,
    opened: &OpenedInput,
) -> Result<StoredCredential, ReconcileError> {
    let spec = &sealed.spec;
    let namespace = reference(&sealed.metadata).namespace;
    let binding = StoredBinding {
        namespace: &namespace,
        kind: spec.r#for.kind.as_str(),
        name: &spec.r#for.name,
        field: spec.field.as_str(),
        generation: new.generation.unsigned_abs(),
    };
    let secret = keyset.seal(&binding, credential_text(opened).unwrap_or_default().as_bytes())?;
    Ok(StoredCredential {
        metadata: ObjectMeta {
            name: Some(stored_credential_name(&spec.r#for, spec.field)),
            namespace: Some(namespace),
            resource_version: new.replaces.clone(),
            annotations: Some([(INPUT.to_owned(), digest(sealed))].into()),
            // Goes with its target. Not blocking its deletion: that would need rights on its finalizers.
            owner_references: Some(vec![OwnerReference { block_owner_deletion: None, ..owner.clone() }]),
            ..ObjectMeta::default()
        },
        spec: StoredCredentialSpec {
            r#for: spec.r#for.clone(),
            field: spec.field,
            generation: new.generation,
            sealed_at: new.sealed_at.clone(),
            not_before: new.sealed_at.clone(),
            data: secret.data,
            wrap: secret.wrap,
        },
    })
}

/// Writes the status where it differs and tells what became of the input.
async fn write_status(
    context: &Context,
    sealed: &SealedCredential,
    found: Option<&Found>,
    new: &SealedCredentialStatus,
) -> Result<(), ReconcileError> {
    let old = sealed.status.clone().unwrap_or_default();
    if old == *new {
        return Ok(());
    }
    status::apply(context, sealed, new).await?;
    let settled = (new.state, &new.reason, new.observed_generation);
    if settled == (old.state, &old.reason, old.observed_generation) {
        return Ok(());
    }
    let field = field(sealed.spec.field);
    let change = match new.state {
        Some(SealedCredentialState::Refused) => {
            let reason = plan::word(new.reason.as_deref().unwrap_or_default());
            Some(Change::InputRefused(field, Reason::new(reason)))
        }
        Some(SealedCredentialState::Superseded) => Some(Change::InputSuperseded(field)),
        Some(SealedCredentialState::Accepted | SealedCredentialState::Waiting) | None => None,
    };
    if let Some(change) = change {
        let entity = entity(audit::Kind::SealedCredential, &sealed.metadata)?;
        let target = found.and_then(|found| found.event_target.clone());
        context.recorder.record_later(EntityChange { correlation: None, target, entity, change });
    }
    let warns = matches!(new.state, Some(SealedCredentialState::Refused | SealedCredentialState::Superseded));
    let event = Event {
        type_: if warns { EventType::Warning } else { EventType::Normal },
        reason: new.reason.clone().unwrap_or_default(),
        note: new.message.clone(),
        action: "Open".to_owned(),
        secondary: None,
    };
    status::publish(context, sealed, event).await;
    Ok(())
}
