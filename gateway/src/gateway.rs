//! What every handler shares, and the steps they have in common.

use std::{net::IpAddr, sync::Arc, time::Duration};

use access::{Authorized, CredentialAuthorized, Index};
use audit::{Call, Phase, Recorded, Recorder};
use axum::{
    extract::Request,
    http::{HeaderMap, Method},
};
use crds::{AmazonApplication, AmazonConnection, NamespacedReference};
use jiff::Timestamp;
use kube::Client;
use process::view::View;

use crate::{
    answer::Denial,
    caller::{self, Known, Verifier},
    credentials::Credentials,
    metrics::Counts,
    proxy,
    record::Refusals,
    refreshed::Verdicts,
    tokens::Tokens,
    upstream::{Upstream, Upstreams},
};

/// Whose calls to Amazon are meant: what a token is got for, and where it goes.
#[derive(Clone, Copy)]
pub(crate) struct Of<'a> {
    pub(crate) name: &'a NamespacedReference,
    pub(crate) connection: &'a Arc<AmazonConnection>,
    pub(crate) application: &'a Arc<AmazonApplication>,
}

impl<'a> Of<'a> {
    /// Of a call that may be made.
    pub(crate) const fn call(authorized: &'a Authorized) -> Self {
        let Authorized { name, connection, application, .. } = authorized;
        Self { name, connection, application }
    }

    /// Of a token that may be handed out.
    pub(crate) const fn credential(authorized: &'a CredentialAuthorized) -> Self {
        let CredentialAuthorized { name, connection, application, .. } = authorized;
        Self { name, connection, application }
    }
}

/// Who asks for something of our own, from where, and what it is answered from.
pub(crate) struct Asking {
    pub(crate) from: IpAddr,
    pub(crate) index: Arc<Index>,
    pub(crate) known: Known,
}

/// The gateway's parts. One a process.
pub(crate) struct Gateway {
    pub(crate) client: Client,
    pub(crate) view: Arc<View>,
    pub(crate) staleness_limit: Duration,
    pub(crate) public_url: String,
    pub(crate) verifier: Verifier,
    pub(crate) credentials: Arc<Credentials>,
    pub(crate) tokens: Tokens,
    pub(crate) upstreams: Upstreams,
    pub(crate) recorder: Recorder,
    pub(crate) refusals: Refusals,
    pub(crate) counts: Counts,
    /// What Amazon says of credentials, for the condition `Refreshed`.
    pub(crate) verdicts: Verdicts,
}

impl Gateway {
    /// The index, current enough to decide on.
    pub(crate) fn index(&self) -> Result<Arc<Index>, Denial> {
        self.view
            .current(self.staleness_limit)
            .map_err(|stale| Denial::Unavailable { reason: "ViewNotCurrent", why: stale.to_string() })
    }

    /// Counts a request that was refused before anyone looked who sent it.
    pub(crate) fn turned_away(&self, from: IpAddr) -> impl Fn(Denial) -> Denial + '_ {
        move |denial| {
            self.refusals.count(from, denial.reason());
            denial
        }
    }

    /// The verified caller of a request. A refusal is counted, as there is nobody to name.
    pub(crate) async fn known(&self, index: &Index, headers: &HeaderMap, from: IpAddr) -> Result<Known, Denial> {
        let verified = async {
            let credential = caller::credential(headers)?;
            self.verifier.verify(index, &credential, Timestamp::now()).await
        };
        let known = verified.await;
        if let Err(denial) = &known {
            self.refusals.count(from, denial.reason());
        }
        known
    }

    /// How every request for something of our own begins.
    pub(crate) async fn asking(&self, request: Request) -> Result<Asking, Denial> {
        let from = proxy::from(&request);
        if request.method() != Method::GET {
            return Err(self.turned_away(from)(Denial::BadRequest("the method must be GET")));
        }
        let (parts, _) = request.into_parts();
        let index = self.index().map_err(self.turned_away(from))?;
        let known = self.known(&index, &parts.headers, from).await?;
        Ok(Asking { from, index, known })
    }

    /// Records and waits for the disk. What is recorded may only be done with the answer in hand.
    pub(crate) async fn record(&self, call: Call) -> Result<Recorded, Denial> {
        self.recorder.record(call).await.map_err(|error| {
            tracing::warn!(%error, "call refused: it could not be recorded");
            Denial::Unavailable { reason: "NotRecorded", why: "the call could not be recorded".to_owned() }
        })
    }

    /// Records what became of a call, without waiting.
    pub(crate) fn conclude(&self, call: Call, phase: Phase) {
        self.recorder.record_later(Call { phase, ..call });
    }

    /// Where the connection's calls go.
    pub(crate) fn upstream(&self, of: Of<'_>) -> Result<Arc<Upstream>, Denial> {
        self.upstreams.of(of.connection, of.application).map_err(|error| {
            Denial::Refused(access::Refusal::NotReady { connection: of.name.clone(), why: error.to_string() })
        })
    }
}
