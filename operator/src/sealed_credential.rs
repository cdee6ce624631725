//! SealedCredential: opened, judged, and where it is the newest kept as the StoredCredential of its target.

mod code;
mod exchange;
mod plan;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use audit::{Change, EntityChange, Reason};
use crds::{
    AmazonApplication, AmazonConnection, CredentialField, CredentialOwnerKind, NamespacedReference, ProvenCredentials,
    SealedCredential, SealedCredentialState, SealedCredentialStatus, StoredCredential, StoredCredentialSpec,
    StoredRotation, Team,
    condition::{AUTHORIZED, is_true},
    goes_with, stored_credential_name,
};
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Api, Resource, api::PostParams, runtime::controller::Action};
use seal::{Binding, Keyset, OpenedInput, PrivateKey, StoredBinding, input_key_id, open_input};
use sha2::{Digest, Sha256};

pub(crate) use self::exchange::Exchanges;
use self::plan::{Fault, History, NewCredential, Observed, Target, plan};
use crate::{
    amazon_connection::stored_token,
    controller::Context,
    credential::field,
    dependents::Name,
    error::ReconcileError,
    status::{self, Event},
    stores::{Guarded, Kind, Stores, Touched, owner_name, read},
    subject::{Subject, containment, entity, reference, target},
};

/// Annotation of a StoredCredential: a digest of the input it came from. A sealed time is whatever the sealer says, so it
/// alone does not tell two inputs apart.
pub(crate) const INPUT: &str = "internal.openteam.dev/input";

/// The inputs that a change of another object concerns.
pub(crate) fn affected(stores: &Stores, touched: &Touched) -> Vec<Arc<NamespacedReference>> {
    let Touched { name, of } = touched;
    let inputs = |name: &Name| stores.sealed.looking_at(name);
    match (name.kind, of) {
        (Kind::StoredCredential, Some(of)) => inputs(&owner_name(Some(&name.namespace), of)),
        (Kind::AmazonConnection | Kind::AmazonApplication, _) => inputs(name),
        // A contained Team contains its connections.
        (Kind::Team, _) => {
            let connections = stores.connections.looking_at(name);
            let name = |it: &Arc<NamespacedReference>| Name::new(Kind::AmazonConnection, Some(&it.namespace), &it.name);
            connections.iter().flat_map(|connection| inputs(&name(connection))).collect()
        }
        _ => Vec::new(),
    }
}

/// Whether an input may become its target's credential in a moment: it was not judged yet, or waited for what is there
/// now.
pub(crate) fn is_under_way(sealed: &SealedCredential) -> bool {
    let judged = sealed.status.as_ref().filter(|status| status.observed_generation == sealed.metadata.generation);
    judged.is_none_or(|status| {
        let there_now = status.reason.as_deref() == Some(plan::TARGET_NOT_FOUND);
        status.state == Some(SealedCredentialState::Exchanging)
            || status.state == Some(SealedCredentialState::Waiting) && there_now
    })
}

/// Whether an input is in use and was said to be: then it need not be opened again to know that.
fn rests(sealed: &SealedCredential, input: &str, stored: Option<&StoredCredential>) -> bool {
    let Some((stored, status)) = stored.zip(sealed.status.as_ref()) else { return false };
    let of = &sealed.spec.r#for;
    status.state == Some(SealedCredentialState::Accepted)
        && status.observed_generation == sealed.metadata.generation
        && status.sealed_at.as_ref() == Some(&stored.spec.sealed_at)
        && status.message == Some(plan::accepted(of.kind.as_str(), &of.name, stored.spec.generation))
        && plan::came_from(stored, input)
}

/// One pass.
pub(crate) async fn reconcile(context: Arc<Context>, sealed: SealedCredential) -> Result<Action, ReconcileError> {
    if sealed.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    if sealed.spec.field == CredentialField::AuthorizationCode {
        return exchange::reconcile(&context, sealed).await;
    }
    let name = reference(&sealed.metadata);
    let found = find_target(&context, &sealed);
    let stored = stored_of(&context, &sealed);
    let input = digest(&sealed);
    if rests(&sealed, &input, read(stored.as_ref())) {
        context.applied.forget(&name, &SealedCredential::kind(&()));
        return Ok(Action::await_change());
    }
    let sealed = match sealed.spec.ciphertext.starts_with(DIGEST) {
        true => {
            let api: Api<SealedCredential> = Api::namespaced(context.client.clone(), &name.namespace);
            let found =
                api.get_opt(&name.name).await.map_err(ReconcileError::about(format!("SealedCredential {name}")))?;
            let Some(sealed) = found else { return Ok(Action::await_change()) };
            sealed
        }
        false => sealed,
    };
    let input = digest(&sealed);
    let opened = open(&context.sealing_keys, &sealed);
    let plan = plan(&Observed {
        sealed: &sealed,
        input: &input,
        target: found.as_ref().map_or(&Target::Absent, |found| &found.target),
        stored: read(stored.as_ref()),
        history: found.as_ref().map_or(&History::default(), |found| &found.history),
        code: None,
        opened: opened.as_ref().map(|opened| opened.sealed_at_ms).map_err(|&fault| fault),
        now: Timestamp::now(),
    });
    if let (Some(new), Some(found), Ok(opened)) = (&plan.store, &found, &opened) {
        store(&context, &sealed, found, new, credential_text(opened).unwrap_or_default()).await?;
    }
    write_status(&context, &sealed, found.as_ref(), &plan.status).await?;
    Ok(plan.recheck.map_or_else(Action::await_change, Action::requeue))
}

/// What is stored of the credential that an input is, or is exchanged for.
fn stored_of(context: &Context, sealed: &SealedCredential) -> Option<Arc<Guarded<StoredCredential>>> {
    let of = &sealed.spec.r#for;
    let namespace = sealed.metadata.namespace.as_deref().unwrap_or_default();
    context.stores.stored(namespace, &stored_credential_name(of, of.kind.field()))
}

/// What an input is for, as far as it is there.
struct Found {
    target: Target,
    owner: OwnerReference,
    event_target: Option<audit::Target>,
    history: History,
}

fn find_target(context: &Context, sealed: &SealedCredential) -> Option<Found> {
    let namespace = sealed.metadata.namespace.as_deref()?;
    let name = &sealed.spec.r#for.name;
    match sealed.spec.r#for.kind {
        CredentialOwnerKind::AmazonApplication => {
            let reference = crds::NamespacedReference { namespace: namespace.to_owned(), name: name.clone() };
            let application = context.stores.application(&reference);
            let application = read(application.as_ref())?;
            found(application, None, || of_secret(context, application))
        }
        CredentialOwnerKind::AmazonConnection => {
            let connection = context.stores.connection(namespace, name);
            // What the portal sealed for one that had the name before goes with that one.
            let connection = read(connection.as_ref()).filter(|it| goes_with(&sealed.metadata, &it.metadata))?;
            let team = context.stores.team(namespace, &connection.spec.team_ref.name);
            found(connection, team.as_deref(), || of_token(context, connection, team.as_deref().map(Resource::meta)))
        }
    }
}

/// Of a client secret: the newest that Amazon accepted for any connection.
fn of_secret(context: &Context, application: &AmazonApplication) -> History {
    let name = reference(&application.metadata);
    let name = Name::new(Kind::AmazonApplication, Some(&name.namespace), &name.name);
    let connections = context.stores.connections.looking_at(&name);
    let connections = connections.iter().filter_map(|it| context.stores.connection(&it.namespace, &it.name));
    let accepted =
        connections.filter_map(|connection| accepted(read(Some(&connection))?).map(|with| with.client_secret));
    History { accepted: accepted.max(), ..History::default() }
}

fn of_token(context: &Context, connection: &AmazonConnection, team: Option<&ObjectMeta>) -> History {
    let rotation = connection.status.as_ref().and_then(|status| status.rotation.clone());
    History {
        accepted: accepted(connection).map(|with| with.refresh_token),
        seller: read(stored_token(context, connection).as_ref()).and_then(|it| it.spec.selling_partner_id.clone()),
        rotating: access::rotation_outstanding(connection, team),
        rotation: rotation.map(|it| StoredRotation { value: it.value, team_value: it.team_value, at: it.at }),
    }
}

/// The credentials that Amazon accepted last, unless it refused them since.
fn accepted(connection: &AmazonConnection) -> Option<&ProvenCredentials> {
    let status = connection.status.as_ref()?;
    status.proven.as_ref().filter(|_| is_true(&status.conditions, AUTHORIZED))
}

/// The application of a connection does not count here: containing it stops all its connections, but what they are
/// stays their Team's to change.
fn found<K: Subject>(object: &K, team: Option<&Guarded<Team>>, history: impl FnOnce() -> History) -> Option<Found> {
    if object.meta().deletion_timestamp.is_some() {
        return None;
    }
    let by =
        containment(K::ACCESS, object.meta()).or_else(|| team.and_then(|team| containment(Team::ACCESS, team.meta())));
    Some(Found {
        target: by.map_or(Target::Free, |by| Target::Contained(by.to_string())),
        owner: object.controller_owner_ref(&())?,
        event_target: target(object).ok().flatten(),
        history: history(),
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

/// Begins what stands in the place of a ciphertext that is not kept. No ciphertext has a colon.
const DIGEST: &str = "digest:";

/// Keeps of an input that is in use only the digest of its ciphertext: there are as many as connections, of 2 KB each.
pub(crate) fn shorten(sealed: &mut SealedCredential) {
    let accepted = sealed.status.as_ref().filter(|status| {
        status.state == Some(SealedCredentialState::Accepted)
            && status.observed_generation == sealed.metadata.generation
    });
    if accepted.is_some() {
        sealed.spec.ciphertext = format!("{DIGEST}{}", digest(sealed));
    }
}

fn digest(sealed: &SealedCredential) -> String {
    if let Some(digest) = sealed.spec.ciphertext.strip_prefix(DIGEST) {
        return digest.to_owned();
    }
    HEXLOWER.encode(&Sha256::digest(sealed.spec.ciphertext.as_bytes())[..16])
}

/// Keeps the credential; recorded before, and only if nobody else wrote it meanwhile.
async fn store(
    context: &Context,
    sealed: &SealedCredential,
    found: &Found,
    new: &NewCredential,
    credential: &str,
) -> Result<(), ReconcileError> {
    let mut object = stored_credential(&context.keyset, sealed, &found.owner, new, credential)?;
    if let Some(before) = read(stored_of(context, sealed).as_ref()) {
        keep_others(&mut object.metadata, &before.metadata);
    }
    let (input, field) = (field(sealed.spec.field), field(object.spec.field));
    let event = |entity, change| EntityChange { correlation: None, target: found.event_target.clone(), entity, change };
    let accepted = entity(audit::Kind::SealedCredential, &sealed.metadata)?;
    let kept = entity(audit::Kind::StoredCredential, &object.metadata)?;
    let generation = new.generation.unsigned_abs();
    let (_, _) = futures::try_join!(
        context.recorder.record(event(accepted, Change::InputAccepted(input))),
        context.recorder.record(event(kept, Change::CredentialSealed(field, generation))),
    )?;
    let name = reference(&object.metadata);
    let api: Api<StoredCredential> = Api::namespaced(context.client.clone(), &name.namespace);
    write(&api, &object).await?;
    tracing::info!(kind = "StoredCredential", object = %name, generation, "credential stored");
    Ok(())
}

/// What others put on the object that is replaced stays theirs.
fn keep_others(metadata: &mut ObjectMeta, before: &ObjectMeta) {
    if metadata.resource_version.is_none() || metadata.resource_version != before.resource_version {
        return;
    }
    metadata.labels.clone_from(&before.labels);
    metadata.finalizers.clone_from(&before.finalizers);
    let mut annotations = before.annotations.clone().unwrap_or_default();
    annotations.extend(metadata.annotations.take().unwrap_or_default());
    metadata.annotations = Some(annotations);
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
    credential: &str,
) -> Result<StoredCredential, ReconcileError> {
    let spec = &sealed.spec;
    // What a code was exchanged for is stored as what its owner has.
    let field = spec.r#for.kind.field();
    let namespace = reference(&sealed.metadata).namespace;
    let binding = StoredBinding {
        namespace: &namespace,
        kind: spec.r#for.kind.as_str(),
        name: &spec.r#for.name,
        field: field.as_str(),
        generation: new.generation.unsigned_abs(),
    };
    let secret = keyset.seal(&binding, credential.as_bytes())?;
    Ok(StoredCredential {
        metadata: ObjectMeta {
            name: Some(stored_credential_name(&spec.r#for, field)),
            namespace: Some(namespace),
            resource_version: new.replaces.clone(),
            annotations: Some([(INPUT.to_owned(), digest(sealed))].into()),
            // Goes with its target. Not blocking its deletion: that would need rights on its finalizers.
            owner_references: Some(vec![OwnerReference { block_owner_deletion: None, ..owner.clone() }]),
            ..ObjectMeta::default()
        },
        spec: StoredCredentialSpec {
            r#for: spec.r#for.clone(),
            field,
            generation: new.generation,
            sealed_at: new.sealed_at.clone(),
            not_before: new.sealed_at.clone(),
            data: secret.data,
            wrap: secret.wrap,
            retired: false,
            destroyed: false,
            previous: new.previous.clone(),
            selling_partner_id: new.seller.clone(),
            rotation: new.rotation.clone(),
            told: new.told.clone(),
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
    if old == *new || !status::apply(context, sealed, new).await? {
        return Ok(());
    }
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
        Some(SealedCredentialState::Accepted | SealedCredentialState::Waiting | SealedCredentialState::Exchanging)
        | None => None,
    };
    if let Some(change) = change {
        let entity = entity(audit::Kind::SealedCredential, &sealed.metadata)?;
        let target = found.and_then(|found| found.event_target.clone());
        context.recorder.record_later(EntityChange { correlation: None, target, entity, change });
    }
    // Of one that is in use its target tells.
    if new.state == Some(SealedCredentialState::Accepted) {
        return Ok(());
    }
    let warns = matches!(new.state, Some(SealedCredentialState::Refused | SealedCredentialState::Superseded));
    let event = Event {
        warns,
        reason: new.reason.clone().unwrap_or_default(),
        note: new.message.clone(),
        action: "Open".to_owned(),
    };
    status::publish(context, sealed, event).await;
    Ok(())
}
