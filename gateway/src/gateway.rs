//! What every handler shares, and the steps they have in common.

use std::{net::IpAddr, sync::Arc, time::Duration};

use access::{Authorized, Index};
use amazon::{AccessToken, LwaError};
use audit::{Actor, Call, Correlation, DigestKey, Operation, Phase, Reason, Recorded, Recorder, Source};
use axum::http::HeaderMap;
use jiff::Timestamp;
use process::view::View;

use crate::{
    answer::Denial,
    caller::{self, Known, Verifier},
    credentials::{CredentialError, Credentials},
    record::{self, Refusals},
    tokens::{Token, TokenError, Tokens},
    upstream::{Upstream, Upstreams},
};

/// The gateway's parts. One a process.
pub(crate) struct Gateway {
    pub(crate) view: Arc<View>,
    pub(crate) staleness_limit: Duration,
    pub(crate) public_url: String,
    pub(crate) verifier: Verifier,
    pub(crate) credentials: Arc<Credentials>,
    pub(crate) tokens: Tokens,
    pub(crate) upstreams: Upstreams,
    pub(crate) recorder: Recorder,
    pub(crate) refusals: Refusals,
    pub(crate) digests: DigestKey,
}

impl Gateway {
    /// The index, current enough to decide on.
    pub(crate) fn index(&self) -> Result<Arc<Index>, Denial> {
        self.view
            .current(self.staleness_limit)
            .map_err(|stale| Denial::Unavailable { reason: "ViewNotCurrent", why: stale.to_string() })
    }

    /// The verified caller of a request. A refusal is counted, as there is nobody to name.
    pub(crate) async fn known(&self, index: &Index, headers: &HeaderMap, from: IpAddr) -> Result<Known, Denial> {
        let verified = async {
            let credential = caller::credential(headers)?;
            self.verifier.verify(index, self.credentials.keyset(), &credential, Timestamp::now()).await
        };
        let known = verified.await;
        if let Err(denial) = &known {
            self.refusals.count(from, denial.reason());
        }
        known
    }

    /// Records an intent and waits for the disk. What was intended may only be done with the answer in hand.
    pub(crate) async fn intend(&self, call: &Call) -> Result<Recorded, Denial> {
        debug_assert_eq!(call.phase, Phase::Intent);
        self.recorder.record(call.clone()).await.map_err(|error| {
            tracing::warn!(%error, "call refused: it could not be recorded");
            Denial::Unavailable { reason: "NotRecorded", why: "the call could not be recorded".to_owned() }
        })
    }

    /// Records what became of a call, without waiting.
    pub(crate) fn conclude(&self, call: &Call, phase: Phase) {
        self.recorder.record_later(Call { phase, ..call.clone() });
    }

    /// Where the connection's calls go.
    pub(crate) fn upstream(&self, authorized: &Authorized) -> Result<Upstream, Denial> {
        self.upstreams.of(&authorized.connection, &authorized.application).map_err(|error| {
            Denial::Refused(access::Refusal::NotReady { connection: authorized.name.clone(), why: error.to_string() })
        })
    }

    /// Amazon's token for the connection, refreshed if need be.
    pub(crate) async fn token(
        self: &Arc<Self>,
        authorized: &Authorized,
        upstream: &Upstream,
        correlation: Correlation,
    ) -> Result<Arc<Token>, Denial> {
        let application = &authorized.connection.spec.application_ref;
        let client_id = &authorized.application.spec.client_id;
        let provenance = self
            .credentials
            .provenance(&authorized.name, application, client_id, &upstream.lwa)
            .map_err(|error| token_denial(&TokenError::Credential(error)))?;
        let refresh = || {
            let (gateway, authorized) = (self.clone(), authorized.clone());
            let (lwa, client) = (upstream.lwa.clone(), upstream.clients.lwa.clone());
            async move { gateway.refresh(&authorized, &lwa, &client, correlation).await }
        };
        self.tokens.token(&authorized.name, provenance, refresh).await.map_err(|error| {
            tracing::warn!(connection = %authorized.name, %error, "no access token");
            token_denial(&error)
        })
    }

    /// One refresh at Login with Amazon: recorded first, then done.
    async fn refresh(
        &self,
        authorized: &Authorized,
        lwa: &amazon::Endpoint,
        client: &amazon::LwaClient,
        correlation: Correlation,
    ) -> Result<AccessToken, TokenError> {
        let pair = self.credentials.open(&authorized.name, &authorized.connection.spec.application_ref)?;
        let call = Call {
            correlation,
            actor: Actor::Itself,
            source: Source::Itself,
            target: record::target(authorized),
            operation: Operation::LWA_REFRESH,
            marketplaces: Vec::new(),
            resources: Vec::new(),
            expires_at: None,
            phase: Phase::Intent,
        };
        let _recorded = self.recorder.record(call.clone()).await.map_err(|_| TokenError::NotRecorded)?;
        let client_id = &authorized.application.spec.client_id;
        let started = std::time::Instant::now();
        let answer = client.refresh(lwa, client_id, &pair.client_secret, &pair.refresh_token).await;
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
        TokenError::NotRecorded => Denial::Unavailable {
            reason: "NotRecorded",
            why: "the use of the credential could not be recorded".to_owned(),
        },
        TokenError::Interrupted => {
            Denial::Unavailable { reason: "Interrupted", why: "the refresh was interrupted".to_owned() }
        }
    }
}
