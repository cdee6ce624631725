//! The client secret of an AmazonApplication: rotated through Amazon, which sends the new one by a queue of Amazon SQS.
//!
//! Asking is a step of the application's own pass ([`step`]); what comes by the queue is taken beside it ([`queue`],
//! [`notice`]). Both meet in the StoredCredential, whose one write makes the new secret the newest and keeps the old one
//! beside it, and whose change brings the next pass. What either was doing when it was killed is in the objects or still in
//! the queue.

mod ask;
mod notice;
mod plan;
pub(crate) mod queue;
#[cfg(test)]
mod tests;

use std::time::Duration;

use access::Containment;
use audit::{Change, EntityChange};
use crds::{
    AmazonApplication, AmazonApplicationStatus, SecretRotationStatus, StoredCredential, StoredCredentialSpec,
    condition::{State, set},
};
use jiff::Timestamp;
use kube::Api;

pub(crate) use self::notice::Fate;
pub(crate) use self::plan::{Observed, Outcome, QueueState, Step, plan};
use crate::{
    controller::Context,
    credential,
    error::{ReconcileError, delay},
    status,
    subject::{entity, reference},
};

/// How long a question that Amazon did not answer rests.
const UNANSWERED: u32 = 8;

/// Makes a step of the plan for `application`, whose other status is `new`, and says when to look again. Its own status is
/// written before Amazon is asked for anything that it would not take back, and after.
pub(crate) async fn step(
    context: &Context,
    application: &AmazonApplication,
    stored: &StoredCredential,
    new: &AmazonApplicationStatus,
    contained_by: &[Containment],
    step: &Step,
) -> Result<Option<Duration>, ReconcileError> {
    match step {
        Step::Destroy => {
            status::write(context, application, new, contained_by).await?;
            destroy(context, stored).await.map(|()| None)
        }
        Step::Prove(secret) => {
            status::write(context, application, new, contained_by).await?;
            let outcome = ask::prove(context, application, secret).await?;
            let mut written = application.clone();
            written.status = Some(new.clone());
            keep(context, &written, new, contained_by, secret, &outcome).await
        }
        Step::Request(secret) => {
            // As it is at the apiserver: one that was asked for meanwhile, by another leader or before our last write came
            // back, is not asked for again.
            let name = reference(&application.metadata);
            let api: Api<AmazonApplication> = Api::namespaced(context.client.clone(), &name.namespace);
            let about = || ReconcileError::about(format!("AmazonApplication {name}"));
            let Some(now) = api.get_opt(&name.name).await.map_err(about())? else { return Ok(None) };
            if now.metadata.resource_version != application.metadata.resource_version {
                return Err(ReconcileError::Conflict { what: format!("AmazonApplication {name}") });
            }
            status::apply_to_version(context, application, new).await?;
            let outcome = ask::request(context, application, secret).await?;
            keep(context, application, new, contained_by, secret, &outcome).await
        }
    }
}

/// Writes what came of a question, and tells what is new since `application`.
async fn keep(
    context: &Context,
    application: &AmazonApplication,
    new: &AmazonApplicationStatus,
    contained_by: &[Containment],
    secret: &StoredCredential,
    outcome: &Outcome,
) -> Result<Option<Duration>, ReconcileError> {
    let name = reference(&application.metadata);
    tracing::info!(kind = "AmazonApplication", object = %name, outcome = outcome.as_str(), "amazon was asked about the client secret");
    context.metrics.asked_about_secret(outcome);
    let before = new.secret_rotation.clone().unwrap_or_default();
    let client_id = &application.spec.client_id;
    let after = plan::after(&before, client_id, secret.spec.generation, outcome, Timestamp::now());
    let unanswered =
        matches!(outcome, Outcome::Unreachable | Outcome::Unknown | Outcome::Refused | Outcome::Unopenable);
    if after == before {
        // Nothing lasts of it: asked again in a while, of which nothing needs to be written.
        return Ok(unanswered.then(|| delay(UNANSWERED, fastrand::f64())));
    }
    let told = AmazonApplicationStatus { secret_rotation: Some(after), ..new.clone() };
    // The next pass, which this write brings, says the rest.
    status::write(context, application, &told, contained_by).await?;
    Ok(None)
}

/// Puts the plan's part into a status.
pub(crate) fn put(
    status: &mut AmazonApplicationStatus,
    rotation: SecretRotationStatus,
    state: State,
    generation: Option<i64>,
    now: Timestamp,
) {
    status.secret_rotation = (rotation != SecretRotationStatus::default()).then_some(rotation);
    set(&mut status.conditions, state, generation, now);
}

/// Destroys the secret before the newest, which Amazon does not accept any more.
async fn destroy(context: &Context, stored: &StoredCredential) -> Result<(), ReconcileError> {
    let Some(previous) = &stored.spec.previous else { return Ok(()) };
    let (field, generation) = (credential::field(stored.spec.field), previous.generation.unsigned_abs());
    let entity = entity(audit::Kind::StoredCredential, &stored.metadata)?;
    let change = Change::CredentialDestroyed(field, generation);
    let _recorded = context.recorder.record(EntityChange { correlation: None, target: None, entity, change }).await?;
    let spec = StoredCredentialSpec { previous: None, ..stored.spec.clone() };
    credential::replace(context, stored, spec).await?;
    tracing::info!(kind = "StoredCredential", object = %reference(&stored.metadata), generation, "client secret that ended was destroyed");
    Ok(())
}
