//! Asking Amazon about a client secret by itself: a grantless token is the proof that it is right, and what a new one is
//! asked for with. Every use is recorded before it happens.

use std::time::{Duration, Instant};

use access::{Addresses, addresses};
use amazon::{AccessToken, GrantlessScope, LwaError, RetryCause, RotationError, SpApiError, Unauthorized};
use audit::{Act, Actor, Call, Change, Correlation, EntityChange, Operation, Phase, Source};
use crds::{AmazonApplication, AmazonConnectionSpec, StoredCredential};
use secrecy::SecretString;

use super::plan::Outcome;
use crate::{
    amazon_connection::{lwa_phase, retry_phase, sp_api_phase},
    controller::Context,
    credential,
    error::ReconcileError,
    subject::{Subject, entity},
};

const ROTATE: Operation =
    Operation { api: "applications", version: "2023-11-30", id: "rotateApplicationClientSecret", act: Act::Create };

/// Where an application's own calls go: Amazon documents this operation for North America.
fn addresses_of(context: &Context, application: &AmazonApplication) -> Option<Addresses> {
    addresses(&AmazonConnectionSpec::default(), application, context.allow_endpoints).ok()
}

fn call(correlation: Correlation, operation: Operation, phase: Phase) -> Call {
    Call {
        correlation,
        actor: Actor::Itself,
        source: Source::Itself,
        target: None,
        operation,
        marketplaces: Vec::new(),
        resources: Vec::new(),
        expires_at: None,
        phase,
    }
}

/// Whether Amazon accepts a stored secret.
pub(super) async fn prove(
    context: &Context,
    application: &AmazonApplication,
    stored: &StoredCredential,
) -> Result<Outcome, ReconcileError> {
    let correlation = Correlation::random();
    let Some(secret) = open(context, stored, correlation).await? else { return Ok(Outcome::Unopenable) };
    Ok(match grantless(context, application, &secret, correlation).await? {
        Ok(_) => Outcome::Accepted,
        Err(outcome) => outcome,
    })
}

/// Has Amazon make a new secret.
pub(super) async fn request(
    context: &Context,
    application: &AmazonApplication,
    stored: &StoredCredential,
) -> Result<Outcome, ReconcileError> {
    let correlation = Correlation::random();
    let entity = entity(AmazonApplication::KIND, &application.metadata)?;
    let change = Change::SecretRotationRequested;
    let event = EntityChange { correlation: Some(correlation), target: None, entity, change };
    let _recorded = context.recorder.record(event).await?;
    let Some(secret) = open(context, stored, correlation).await? else { return Ok(Outcome::Unopenable) };
    let token = match grantless(context, application, &secret, correlation).await? {
        Ok(granted) => granted.token,
        Err(outcome) => return Ok(outcome),
    };
    drop(secret);
    let Some(addresses) = addresses_of(context, application) else { return Ok(Outcome::Refused) };
    let clients = context.amazon.of(addresses.ca_bundle.clone())?;
    let _recorded = context.recorder.record(call(correlation, ROTATE, Phase::Intent)).await?;
    let sent = Instant::now();
    let answered = clients.applications.rotate_client_secret(&addresses.selling_partner_api, &token).await;
    let latency = sent.elapsed();
    let phase = match &answered {
        Ok(()) => Phase::Outcome { status: 204, latency },
        Err(RotationError::NotEnrolled) => Phase::Outcome { status: 400, latency },
        Err(RotationError::Api(error)) => sp_api_phase(error, latency),
    };
    context.recorder.record_later(call(correlation, ROTATE, phase));
    Ok(match answered {
        Ok(()) => Outcome::Requested,
        Err(error) => rotation_outcome(&error),
    })
}

/// Opens a stored secret.
pub(super) async fn open(
    context: &Context,
    stored: &StoredCredential,
    correlation: Correlation,
) -> Result<Option<SecretString>, ReconcileError> {
    let secret = credential::open(context, stored, correlation, None).await?;
    Ok(secret.and_then(|secret| secret.expose_text().ok().map(SecretString::from)))
}

/// A grantless token for the secret, which nobody but Amazon and the application can have.
pub(super) async fn grantless(
    context: &Context,
    application: &AmazonApplication,
    secret: &SecretString,
    correlation: Correlation,
) -> Result<Result<AccessToken, Outcome>, ReconcileError> {
    let Some(addresses) = addresses_of(context, application) else { return Ok(Err(Outcome::Unreachable)) };
    let clients = context.amazon.of(addresses.ca_bundle.clone())?;
    let _recorded = context.recorder.record(call(correlation, Operation::LWA_GRANTLESS, Phase::Intent)).await?;
    let sent = Instant::now();
    let (client_id, scope) = (&application.spec.client_id, GrantlessScope::SecretRotation);
    let granted = clients.lwa.grantless(&addresses.lwa, client_id, secret, scope).await;
    let latency: Duration = sent.elapsed();
    let phase = match &granted {
        Ok(_) => Phase::Outcome { status: 200, latency },
        Err(LwaError::Retry(cause)) => retry_phase(cause, latency),
        Err(error) => lwa_phase(error, latency),
    };
    context.recorder.record_later(call(correlation, Operation::LWA_GRANTLESS, phase));
    Ok(granted.map_err(|error| lwa_outcome(&error)))
}

/// A refusal other than of the client says that it was recognized.
fn lwa_outcome(error: &LwaError) -> Outcome {
    match error {
        LwaError::InvalidClient => Outcome::Rejected,
        LwaError::InvalidGrant | LwaError::Refused(_) => Outcome::NotAllowed,
        LwaError::Retry(_) => Outcome::Unreachable,
    }
}

fn rotation_outcome(error: &RotationError) -> Outcome {
    match error {
        RotationError::NotEnrolled => Outcome::NotEnrolled,
        RotationError::Api(SpApiError::Unauthorized(Unauthorized::SecretExpired)) => Outcome::Rejected,
        RotationError::Api(SpApiError::Unauthorized(Unauthorized::Role)) => Outcome::NotAllowed,
        RotationError::Api(SpApiError::Unauthorized(_) | SpApiError::Refused(_)) => Outcome::Refused,
        // It did not hear, or said that it did nothing.
        RotationError::Api(
            SpApiError::Throttled | SpApiError::Retry(RetryCause::Connect(_) | RetryCause::Throttled),
        ) => Outcome::Unreachable,
        RotationError::Api(SpApiError::Retry(_)) => Outcome::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_amazon_surely_did_not_do_is_taken_for_not_done() {
        let of = |error: SpApiError| rotation_outcome(&RotationError::Api(error));
        assert_eq!(rotation_outcome(&RotationError::NotEnrolled), Outcome::NotEnrolled);
        assert_eq!(of(SpApiError::Throttled), Outcome::Unreachable);
        for cause in [RetryCause::Timeout, RetryCause::Server(503), RetryCause::Nonsense("its status")] {
            assert_eq!(of(SpApiError::Retry(cause)), Outcome::Unknown);
        }
        assert_eq!(of(SpApiError::Unauthorized(Unauthorized::SecretExpired)), Outcome::Rejected);
        assert_eq!(of(SpApiError::Unauthorized(Unauthorized::Role)), Outcome::NotAllowed);
        assert_eq!(of(SpApiError::Unauthorized(Unauthorized::Other)), Outcome::Refused);
        assert_eq!(of(SpApiError::Refused(404)), Outcome::Refused);
    }

    #[test]
    fn only_invalid_client_speaks_against_the_secret() {
        assert_eq!(lwa_outcome(&LwaError::InvalidClient), Outcome::Rejected);
        assert_eq!(lwa_outcome(&LwaError::Refused(amazon::RefusedCode::InvalidScope)), Outcome::NotAllowed);
        assert_eq!(lwa_outcome(&LwaError::Retry(RetryCause::Server(503))), Outcome::Unreachable);
    }
}
