//! Getting Amazon's access token with a refresh token: only when [`crate::tokens`] has none that is good.

use std::sync::Arc;

use access::Authorized;
use amazon::{AccessToken, LwaError};
use audit::{Actor, Call, Correlation, Operation, Phase, Reason, Source};

use crate::{
    answer::Denial,
    credentials::{CredentialError, Provenance},
    gateway::Gateway,
    record,
    tokens::{Token, TokenError},
    upstream::Upstream,
};

/// What a caller is told whose call Amazon refuses with a token that was made for it.
pub(crate) const DEAD_ON_ARRIVAL: &str = "Amazon refused the connection's access token although it was new";

impl Gateway {
    /// Amazon's token for the connection, refreshed if need be.
    pub(crate) async fn token(
        self: &Arc<Self>,
        authorized: &Authorized,
        upstream: &Upstream,
        correlation: Correlation,
    ) -> Result<Arc<Token>, Denial> {
        let provenance =
            self.provenance(authorized, upstream).map_err(|error| token_denial(&TokenError::Credential(error)))?;
        let refresh = || {
            let (gateway, authorized, from) = (self.clone(), authorized.clone(), provenance.clone());
            let client = upstream.clients.lwa.clone();
            async move { gateway.refresh(&authorized, &from, &client, correlation).await }
        };
        self.tokens.token(&authorized.name, provenance.clone(), refresh).await.map_err(|error| {
            tracing::warn!(connection = %authorized.name, %error, "no access token");
            token_denial(&error)
        })
    }

    /// The credentials in use. They must be those that the operator verified: the marketplaces that a decision rests on
    /// are those of the seller it verified, and new credentials may be another seller's.
    fn provenance(&self, authorized: &Authorized, upstream: &Upstream) -> Result<Provenance, CredentialError> {
        let Authorized { name, connection, application, .. } = authorized;
        let from = self.credentials.provenance(name, connection, application, &upstream.lwa)?;
        let proven = connection.status.as_ref().and_then(|status| status.proven.as_ref());
        if proven == Some(&from.credentials()) { Ok(from) } else { Err(CredentialError::NotVerified) }
    }

    /// One refresh at Login with Amazon: recorded first, then done.
    async fn refresh(
        &self,
        authorized: &Authorized,
        from: &Provenance,
        client: &amazon::LwaClient,
        correlation: Correlation,
    ) -> Result<AccessToken, TokenError> {
        let pair = self.credentials.open(&authorized.name, &authorized.connection.spec.application_ref, from)?;
        let call = Call {
            correlation,
            actor: Actor::Itself,
            source: Source::Itself,
            target: record::target(&authorized.name, &authorized.connection),
            operation: Operation::LWA_REFRESH,
            marketplaces: Vec::new(),
            resources: Vec::new(),
            expires_at: None,
            phase: Phase::Intent,
        };
        let _recorded = self.recorder.record(call.clone()).await.map_err(|_| TokenError::NotRecorded)?;
        let started = std::time::Instant::now();
        let answer = client.refresh(from.lwa(), from.client_id(), &pair.client_secret, &pair.refresh_token).await;
        self.conclude(
            &call,
            match &answer {
                Ok(_) => Phase::Outcome { status: 200, latency: started.elapsed() },
                Err(error) => Phase::Failed { reason: lwa_reason(error) },
            },
        );
        Ok(answer?)
    }
}

fn lwa_reason(error: &LwaError) -> Reason {
    Reason::new(match error {
        LwaError::InvalidGrant => "AuthorizationRevoked",
        LwaError::InvalidClient => "ApplicationSecretRejected",
        LwaError::Refused(_) => "AmazonRefused",
        LwaError::Retry(_) => "AmazonUnreachable",
    })
}

/// What a caller is told when there is no token: what would help, nothing of how it failed inside.
fn token_denial(error: &TokenError) -> Denial {
    match error {
        TokenError::Amazon(LwaError::InvalidGrant) => Denial::Reauthorize(
            "Amazon refused the connection's authorization: the seller must authorize the application again",
        ),
        TokenError::Amazon(LwaError::InvalidClient) => Denial::Upstream {
            reason: "ApplicationSecretRejected",
            why: "Amazon refused the application's client secret: its operators must renew it",
        },
        TokenError::Amazon(LwaError::Refused(_)) => {
            Denial::Upstream { reason: "AmazonRefused", why: "Login with Amazon refused the request" }
        }
        TokenError::Amazon(LwaError::Retry(_)) => {
            Denial::Upstream { reason: "AmazonUnreachable", why: "Login with Amazon did not answer; try again" }
        }
        TokenError::Credential(CredentialError::Missing) => {
            Denial::Upstream { reason: "CredentialMissing", why: "no credential is stored for the connection" }
        }
        TokenError::Credential(CredentialError::DoesNotOpen) => {
            Denial::Upstream { reason: "CredentialDoesNotOpen", why: "the stored credential does not open" }
        }
        TokenError::Credential(error @ CredentialError::NotVerified) => {
            Denial::Unavailable { reason: "CredentialNotVerified", why: error.to_string() }
        }
        TokenError::DeadOnArrival => Denial::Reauthorize(DEAD_ON_ARRIVAL),
        TokenError::NotRecorded => Denial::Unavailable {
            reason: "NotRecorded",
            why: "the use of the credential could not be recorded".to_owned(),
        },
        TokenError::Interrupted => {
            Denial::Unavailable { reason: "Interrupted", why: "the refresh was interrupted".to_owned() }
        }
    }
}
