//! Rotating a stored refresh token away, trying at Amazon what was, and destroying it.

use audit::{Change, Correlation, EntityChange};
use crds::{AmazonConnection, StoredCredential, StoredCredentialSpec, StoredRotation};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

use super::{
    ask::exchange,
    plan::{Question, Tidy, Verdict},
    rotation::Tried,
};
use crate::{
    controller::Context,
    credential,
    error::ReconcileError,
    subject::{Subject, entity, reference, target},
};

/// What is sealed in the place of a refresh token that was destroyed.
const DESTROYED: &[u8] = b"destroyed";

fn event(connection: &AmazonConnection, change: Change) -> Result<EntityChange, ReconcileError> {
    let entity = entity(AmazonConnection::KIND, &connection.metadata)?;
    Ok(EntityChange { correlation: None, target: target(connection)?, entity, change })
}

/// Takes the refresh token out of use: sealed anew, under a new key and as the next generation, and only to be tested. One
/// write, over the very version that was looked at: killed before it nothing has happened, after it the rotation is done and
/// says so itself.
pub(super) async fn rotate(
    context: &Context,
    connection: &AmazonConnection,
    stored: &StoredCredential,
    rotation: StoredRotation,
    now: Timestamp,
) -> Result<(), ReconcileError> {
    let (target, correlation) = (target(connection)?, Correlation::random());
    let in_use = in_use(connection, stored, now);
    let mut spec = StoredCredentialSpec { retired: true, previous: None, ..in_use.spec.clone() };
    spec.not_before = not_before(stored, &rotation);
    spec.rotation = Some(rotation);
    // What does not open is retired as it is: nothing is lost that a keyset mended later could tell of.
    if let Some(secret) = credential::open(context, &in_use, correlation, target.as_ref()).await? {
        spec.generation = stored.spec.generation + 1;
        let namespace = reference(&stored.metadata).namespace;
        let sealed = context.keyset.seal(&credential::binding(&namespace, &spec), secret.expose())?;
        (spec.data, spec.wrap) = (sealed.data, sealed.wrap);
    }
    let resealed = Change::CredentialResealed(credential::field(spec.field), spec.generation.unsigned_abs());
    let entity = entity(audit::Kind::StoredCredential, &stored.metadata)?;
    let resealed = EntityChange { correlation: Some(correlation), target, entity, change: resealed };
    let (_, _) = futures::try_join!(
        context.recorder.record(event(connection, Change::Rotated)?),
        context.recorder.record(resealed),
    )?;
    credential::replace(context, stored, spec).await?;
    tracing::info!(kind = "AmazonConnection", object = %reference(&connection.metadata), "rotated");
    Ok(())
}

/// The refresh token that a rotation is about: the one that Amazon accepted last, if it is still there, not one that was
/// pasted since and never worked.
fn in_use(connection: &AmazonConnection, stored: &StoredCredential, now: Timestamp) -> StoredCredential {
    let proven = connection.status.as_ref().and_then(|status| status.proven.as_ref());
    let accepted = proven.and_then(|proven| stored.usable(proven.refresh_token, now));
    accepted.or_else(|| stored.newest()).or_else(|| stored.only_tested()).unwrap_or_else(|| stored.clone())
}

/// Nothing that was sealed by the time of a rotation is used any more.
fn not_before(stored: &StoredCredential, rotation: &StoredRotation) -> MicroTime {
    let before = &stored.spec.not_before;
    rotation.at.as_ref().filter(|at| at.0 > before.0).unwrap_or(before).clone()
}

/// Tries the refresh token that was rotated away. Recorded like every use of a credential.
pub(super) async fn try_old(
    context: &Context,
    connection: &AmazonConnection,
    question: &Question,
) -> Result<Tried, ReconcileError> {
    let target = target(connection)?;
    let mut verdict = exchange(context, question, &question.client_secret, target.as_ref()).await?;
    if verdict == Verdict::ApplicationSecretRejected
        && let Some(second) = &question.second_secret
    {
        verdict = exchange(context, question, second, target.as_ref()).await?;
    }
    let name = reference(&connection.metadata);
    tracing::info!(kind = "AmazonConnection", object = %name, verdict = verdict.state().reason, "old token was tried");
    context.calls.called(super::old_token_of(&name), &verdict);
    let change = match verdict {
        Verdict::Authorized(_) => Some(Change::OldTokenAccepted),
        Verdict::Revoked => Some(Change::OldTokenRefused),
        _ => None,
    };
    if let Some(change) = change {
        context.recorder.record_later(event(connection, change)?);
    }
    Ok(Tried { generation: question.refresh_token.spec.generation, test: question.test.clone(), verdict })
}

/// Takes out what is of no use any more: what Amazon refuses, which the status says already, or what may no longer be used.
pub(super) async fn tidy(context: &Context, stored: &StoredCredential, tidy: Tidy) -> Result<(), ReconcileError> {
    let mut spec = stored.spec.clone();
    let gone = match tidy {
        Tidy::Destroy if spec.retired => {
            let namespace = reference(&stored.metadata).namespace;
            let sealed = context.keyset.seal(&credential::binding(&namespace, &spec), DESTROYED)?;
            (spec.data, spec.wrap, spec.destroyed) = (sealed.data, sealed.wrap, true);
            Some(spec.generation)
        }
        Tidy::Destroy | Tidy::DropPrevious => spec.previous.take().map(|previous| previous.generation),
    };
    let Some(gone) = gone else { return Ok(()) };
    let change = Change::CredentialDestroyed(credential::field(spec.field), gone.unsigned_abs());
    let entity = entity(audit::Kind::StoredCredential, &stored.metadata)?;
    let _recorded = context.recorder.record(EntityChange { correlation: None, target: None, entity, change }).await?;
    credential::replace(context, stored, spec).await
}

#[cfg(test)]
mod tests {
    use crds::{AmazonConnectionStatus, PreviousCredential, ProvenCredentials};
    use jiff::SignedDuration;

    use super::*;
    use crate::testing::{keyset, now, stored_refresh_token};

    #[test]
    fn what_is_rotated_away_is_what_worked() {
        let keyset = keyset();
        let mut stored = stored_refresh_token(&keyset, "acme", "na", 4);
        let until = Some(MicroTime(now() + SignedDuration::from_hours(1)));
        let spec = stored.spec.clone();
        stored.spec.previous = Some(PreviousCredential {
            generation: 3,
            sealed_at: spec.sealed_at,
            data: "before".to_owned(),
            wrap: spec.wrap,
            until,
        });
        let connection = |generation: Option<i64>| {
            let mut connection = AmazonConnection::new("na", Default::default());
            let proven = generation.map(|refresh_token| ProvenCredentials { refresh_token, ..Default::default() });
            connection.status = Some(AmazonConnectionStatus { proven, ..Default::default() });
            connection
        };
        for (proven, generation) in [(None, 4), (Some(4), 4), (Some(3), 3), (Some(2), 4)] {
            assert_eq!(in_use(&connection(proven), &stored, now()).spec.generation, generation, "{proven:?}");
        }
        stored.spec.retired = true;
        assert_eq!(in_use(&connection(Some(3)), &stored, now()).spec.generation, 4, "rotated again");
    }

    #[test]
    fn no_earlier_time_takes_the_place_of_a_later_one() {
        let stored = stored_refresh_token(&keyset(), "acme", "na", 1);
        let sealed_at = stored.spec.not_before.0;
        let at = |at| StoredRotation { at, ..StoredRotation::default() };
        let later = MicroTime(sealed_at + SignedDuration::from_secs(1));
        assert_eq!(not_before(&stored, &at(Some(later.clone()))), later);
        assert_eq!(not_before(&stored, &at(Some(MicroTime(sealed_at - SignedDuration::from_secs(1))))).0, sealed_at);
        assert_eq!(not_before(&stored, &at(None)).0, sealed_at);
    }
}
