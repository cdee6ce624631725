//! What every handler shares, and the steps they have in common.

use std::{net::IpAddr, sync::Arc, time::Duration};

use access::{Authorized, Index};
use audit::{Call, Phase, Recorded, Recorder};
use axum::http::HeaderMap;
use jiff::Timestamp;
use process::view::View;

use crate::{
    answer::Denial,
    caller::{self, Known, Verifier},
    credentials::Credentials,
    record::Refusals,
    tokens::Tokens,
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
}
