//! Getting Amazon's access token with a refresh token: only when [`crate::tokens`] has none that is good.

use std::{sync::Arc, time::Duration};

use access::Authorized;
use amazon::{AccessToken, LwaError, RetryCause};
use audit::{Actor, Call, Correlation, Operation, Phase, Reason, Source};
use crds::{AmazonConnection, AmazonRefusal, NamespacedReference};
use jiff::Timestamp;

use crate::{
    answer::Denial,
    credentials::{CredentialError, Provenance},
    gateway::{Gateway, Of},
    record,
    tokens::{DEAD_ON_ARRIVAL_KEPT, NoToken, Token, TokenError},
    upstream::Upstream,
};

impl Gateway {
    /// Amazon's token for the connection, refreshed if need be.
    pub(crate) async fn token(
        self: &Arc<Self>,
        of: Of<'_>,
        upstream: &Upstream,
        correlation: Correlation,
    ) -> Result<Arc<Token>, Denial> {
        let provenance = self
            .credentials
            .provenance(of.name, of.connection, of.application, &upstream.lwa, Timestamp::now())
            .map_err(|error| credential_denial(&error))?;
        let refresh = || {
            let (gateway, from, client) = (self.clone(), provenance.clone(), upstream.clients.lwa.clone());
            let (name, connection) = (of.name.clone(), of.connection.clone());
            async move { gateway.refresh(&name, &connection, &from, &client, correlation).await }
        };
        self.tokens.token(of.name, provenance.clone(), refresh).await.map_err(|error| {
            tracing::warn!(connection = %of.name, %error, "no access token");
            token_denial(&error)
        })
    }

    /// The Selling Partner API took the connection's token.
    pub(crate) fn token_taken(&self, authorized: &Authorized, token: &Arc<Token>) {
        if let Some(with) = self.tokens.taken(&authorized.name, token) {
            self.verdicts.report(&authorized.name, &authorized.connection, with, Ok(()));
        }
    }

    /// The Selling Partner API refused the connection's token although it was new.
    pub(crate) fn token_refused(&self, authorized: &Authorized, token: &Arc<Token>) -> Denial {
        if let Some(with) = self.tokens.refuse(&authorized.name, token) {
            let verdict = Err(AmazonRefusal::AmazonRefused);
            self.verdicts.report(&authorized.name, &authorized.connection, with, verdict);
        }
        dead_on_arrival(DEAD_ON_ARRIVAL_KEPT)
    }

    /// One refresh at Login with Amazon: recorded first, then done.
    async fn refresh(
        &self,
        name: &NamespacedReference,
        connection: &AmazonConnection,
        from: &Provenance,
        client: &amazon::LwaClient,
        correlation: Correlation,
    ) -> Result<AccessToken, TokenError> {
        let pair = self.credentials.open(name, &connection.spec.application_ref, from)?;
        let call = Call {
            correlation,
            actor: Actor::Itself,
            source: Source::Itself,
            target: record::target(name, connection),
            operation: Operation::LWA_REFRESH,
            marketplaces: Vec::new(),
            resources: Vec::new(),
            expires_at: None,
            phase: Phase::Intent,
        };
        let _recorded = self.recorder.record(call.clone()).await.map_err(|_| TokenError::NotRecorded)?;
        let started = std::time::Instant::now();
        let answer = client.refresh(from.lwa(), from.client_id(), &pair.client_secret, &pair.refresh_token).await;
        self.counts.refreshed(&answer);
        self.conclude(
            call,
            match &answer {
                Ok(_) => Phase::Outcome { status: 200, latency: started.elapsed() },
                Err(error) => Phase::Failed { reason: lwa_reason(error) },
            },
        );
        let verdict = match &answer {
            // With tokens that the Selling Partner API refuses, one more says nothing: see `token_taken`.
            Ok(_) if self.tokens.are_doubted(name) => None,
            Ok(_) => Some(Ok(())),
            Err(error) => refusal(error).map(Err),
        };
        if let Some(verdict) = verdict {
            self.verdicts.report(name, connection, from.credentials(), verdict);
        }
        Ok(answer?)
    }
}

/// What Amazon refuses for good; `None` where it gave no answer, which says nothing of the credentials.
const fn refusal(error: &LwaError) -> Option<AmazonRefusal> {
    match error {
        LwaError::InvalidGrant => Some(AmazonRefusal::AuthorizationRevoked),
        LwaError::InvalidClient => Some(AmazonRefusal::ApplicationSecretRejected),
        LwaError::Refused(_) => Some(AmazonRefusal::AmazonRefused),
        LwaError::Retry(_) => None,
    }
}

fn lwa_reason(error: &LwaError) -> Reason {
    Reason::new(refusal(error).map_or(no_token(error).0, AmazonRefusal::reason))
}

/// Why Login with Amazon gave neither a token nor a refusal: a CamelCase word, and what the caller is told.
const fn no_token(error: &LwaError) -> (&'static str, &'static str) {
    match error {
        LwaError::Retry(RetryCause::Nonsense(_)) => {
            ("AmazonNonsense", "what Login with Amazon answered cannot be used; try again")
        }
        LwaError::Retry(RetryCause::Server(_)) => {
            ("AmazonUnreachable", "Login with Amazon answered with an error of its own; try again")
        }
        LwaError::Retry(RetryCause::Throttled) => {
            ("AmazonUnreachable", "Login with Amazon asks for fewer calls; try again")
        }
        LwaError::Retry(RetryCause::Timeout) => {
            ("AmazonUnreachable", "Login with Amazon did not answer in time; try again")
        }
        _ => ("AmazonUnreachable", "Login with Amazon could not be reached; try again"),
    }
}

/// What a caller is told when there is no token: what would help, nothing of how it failed inside.
fn token_denial(no_token: &NoToken) -> Denial {
    match &no_token.error {
        TokenError::Amazon(error) => match refusal(error) {
            Some(refusal) => Denial::Amazon(refusal),
            None => {
                let (reason, why) = self::no_token(error);
                Denial::Upstream { reason, why, retry_after: Some(no_token.retry_after()) }
            }
        },
        TokenError::Credential(error) => credential_denial(error),
        TokenError::DeadOnArrival => dead_on_arrival(no_token.retry_after()),
        TokenError::NotRecorded => {
            Denial::unavailable("NotRecorded", "the use of the credential could not be recorded")
        }
        TokenError::Interrupted => Denial::unavailable("Interrupted", "the refresh was interrupted"),
    }
}

fn credential_denial(error: &CredentialError) -> Denial {
    let upstream = |reason, why| Denial::Upstream { reason, why, retry_after: None };
    match error {
        CredentialError::Missing => upstream("CredentialMissing", "no credential is stored for the connection"),
        CredentialError::DoesNotOpen => upstream("CredentialDoesNotOpen", "the stored credential does not open"),
        CredentialError::NotVerified => Denial::unavailable("CredentialNotVerified", &error.to_string()),
    }
}

const fn dead_on_arrival(retry_after: Duration) -> Denial {
    Denial::Upstream {
        reason: "AccessTokenRefused",
        why: "the Selling Partner API refuses the connection's access token although it is new",
        retry_after: Some(retry_after),
    }
}
