//! Starting the gateway, and ending it.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use audit::{Correlation, DigestKey, Lifecycle, Role, Transport};
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::Response,
};
use crds::StoredCredential;
use process::{
    authentication::Reviewer,
    certificate::RoleCertificate,
    probes, record, serve,
    start::{StartError, start},
    view::View,
};
use seal::{Keyset, KeysetError};
use tokio::{net::TcpListener, task::JoinSet};
use zeroize::Zeroizing;

use crate::{
    Arguments,
    answer::Denial,
    arguments::AUDIENCE,
    caller::Verifier,
    connections, credential,
    credentials::Credentials,
    gateway::Gateway,
    lwa,
    metrics::{Counts, Route, SERVED},
    proxy,
    record::Refusals,
    refreshed::Verdicts,
    sealed_token::SealedTokens,
    spans,
    tokens::Tokens,
    upstream::Upstreams,
};

/// The Model Context Protocol's address, which is served with a later release.
const MCP: &str = "/mcp";

/// How long SIGTERM waits for the record's last events.
const RECORD_DRAIN: Duration = Duration::from_secs(5);

/// Why the gateway ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It could not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The keyset cannot be read.
    #[error("keyset {path} cannot be read")]
    KeysetUnreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The keyset cannot be used.
    #[error("keyset {path} cannot be used")]
    Keyset {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: KeysetError,
    },
    /// The keyset's active key derives nothing, which is a bug.
    #[error("keyset derives no key")]
    NoKey,
    /// An address cannot be listened on.
    #[error("{0} cannot be listened on")]
    Listen(std::net::SocketAddr, #[source] std::io::Error),
    /// A task that must run for as long as the process ended.
    #[error("a part of the gateway ended: {0}")]
    Ended(&'static str),
}

/// Runs the gateway until SIGTERM.
///
/// # Errors
/// [`RunError`]
pub async fn run(arguments: Arguments) -> Result<(), RunError> {
    run_over(arguments, None).await
}

/// The same, its events going over another transport where one is given: for a bench that compares with recording nothing.
///
/// # Errors
/// [`RunError`]
pub async fn run_over(arguments: Arguments, transport: Option<Arc<dyn Transport>>) -> Result<(), RunError> {
    let process = start(Role::Gateway, &arguments.common).await?;
    let keyset = Arc::new(keyset(&arguments.keyset)?);
    let digests = keyset.derive("openteam.dev/audit-digest/v1", keyset.active_id()).ok_or(RunError::NoKey)?;
    let listener =
        TcpListener::bind(arguments.listen).await.map_err(|error| RunError::Listen(arguments.listen, error))?;
    let public_url = process.settings.gateway_address(&process.namespace);

    let mut watches = JoinSet::new();
    let view = View::start(&process.client, &mut watches);
    let credentials = Arc::new(Credentials::new(keyset.clone()));
    let stored = credentials.clone();
    view.follow::<StoredCredential>(&process.client, &mut watches, "StoredCredential", move |change| {
        stored.apply(change);
    });
    let limit = process.settings.staleness_limit;
    process.metrics.collect(view.clone());
    let ready = {
        let (view, shutdown) = (view.clone(), process.shutdown.clone());
        Arc::new(move || {
            // First of all at the end, so that whoever balances load looks elsewhere.
            if shutdown.is_cancelled() {
                return Err("shutting down".to_owned());
            }
            view.current(limit).map(|_| ()).map_err(|stale| stale.to_string())
        })
    };
    let probes = probes::serve(arguments.common.probes, ready, process.metrics.clone());
    tokio::pin!(probes);

    // Probes answer while the certificate is waited for: the kubelet must see a live process.
    let certificate = tokio::select! {
        certificate = RoleCertificate::obtain(process.client.clone(), Role::Gateway, &process.metrics) => certificate,
        ended = &mut probes => return Err(ended_probes(arguments.common.probes, ended)),
        () = process.shutdown.cancelled() => return Ok(()),
    };
    let (pod, namespace, address) = (process.pod.clone(), &process.namespace, &arguments.recorder);
    let transport = transport.unwrap_or_else(|| record::https(namespace, address, certificate.clone()));
    let (recorder, delivery) = record::connect(Role::Gateway, pod, namespace, address, transport, &process.metrics);
    let delivery = tokio::spawn(delivery.run());
    let gateway = Arc::new(Gateway {
        client: process.client.clone(),
        view,
        staleness_limit: limit,
        public_url,
        verifier: Verifier {
            reviewer: Reviewer::new(process.client.clone(), AUDIENCE),
            digests: DigestKey::new(*digests),
            sealed_tokens: SealedTokens::new(keyset),
        },
        credentials,
        tokens: Tokens::default(),
        upstreams: Upstreams::new(arguments.allow_endpoints),
        refusals: Refusals::new(recorder.clone()),
        recorder: recorder.clone(),
        verdicts: Verdicts::default(),
        counts: Counts::new(&process.metrics),
    });
    recorder.record_later(Lifecycle::Started);
    let serving = serve::serve(
        listener,
        {
            let certificate = certificate.clone();
            move || certificate.server()
        },
        spans::around(router(gateway.clone()), &process.traces),
        process.shutdown.clone(),
    );
    let ended = tokio::select! {
        () = serving => Ok(()),
        ended = &mut probes => Err(ended_probes(arguments.common.probes, ended)),
        _ = watches.join_next() => Err(RunError::Ended("a watch")),
        () = certificate.keep_renewed() => Err(RunError::Ended("the renewal of the certificate")),
        () = gateway.verdicts.write(&process.client, || gateway.view.latest()) => Err(RunError::Ended("the writing of conditions")),
        () = gateway.refusals.deliver() => Err(RunError::Ended("the counting of refusals")),
    };
    gateway.refusals.flush();
    recorder.record_later(Lifecycle::Stopped);
    if let Err(lost) = recorder.drain(RECORD_DRAIN).await {
        tracing::error!(%lost, "events were not delivered before the end");
    }
    delivery.abort();
    ended
}

fn ended_probes(address: std::net::SocketAddr, ended: std::io::Result<()>) -> RunError {
    match ended {
        Ok(()) => RunError::Ended("the probes"),
        Err(error) => RunError::Listen(address, error),
    }
}

fn keyset(path: &PathBuf) -> Result<Keyset, RunError> {
    let json = std::fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(|source| RunError::KeysetUnreadable { path: path.clone(), source })?;
    Keyset::parse(&json).map_err(|source| RunError::Keyset { path: path.clone(), source })
}

/// Amazon's paths, all but two; those are matched without regard to case, as Amazon does for its own.
fn router(gateway: Arc<Gateway>) -> Router {
    Router::new().fallback(dispatch).with_state(gateway)
}

async fn dispatch(State(gateway): State<Arc<Gateway>>, request: Request) -> Response<Body> {
    let began = Instant::now();
    let (route, outcome, response) = match answer(&gateway, request, Correlation::random()).await {
        (route, Ok(response)) => (route, SERVED, response),
        (route, Err((reason, response))) => (route, reason, response),
    };
    gateway.counts.answered(route, outcome, began);
    spans::answered(route, outcome);
    response
}

/// The answer to a request, or the reason why not and how that is told.
type Answered = Result<Response<Body>, (&'static str, Response<Body>)>;

/// Each way's future is on the heap by itself: they are of many kilobytes, and what is around them moves them several times.
async fn answer(gateway: &Arc<Gateway>, request: Request, correlation: Correlation) -> (Route, Answered) {
    let in_flight = gateway.counts.in_flight();
    let denied = |denial: Denial| (denial.reason(), denial.response(correlation.0));
    let turned_away = gateway.turned_away(proxy::from(&request));
    if let Err(denial) = proxy::names_a_path(&request) {
        return (Route::SpApi, Err(denied(turned_away(denial))));
    }
    match request.uri().path() {
        path if path.eq_ignore_ascii_case(amazon::LWA_TOKEN_PATH) => {
            let answer = Box::pin(lwa::exchange(gateway, request, correlation)).await;
            (Route::Token, answer.map_err(|error| (error.reason, error.response(correlation))))
        }
        connections::PATH => {
            let answer = Box::pin(connections::list(gateway, request, correlation)).await;
            (Route::Connections, answer.map_err(denied))
        }
        path if credential::is_path(path) => {
            let answer = Box::pin(credential::hand_out(gateway, request, correlation)).await;
            (Route::Credential, answer.map_err(denied))
        }
        MCP => {
            let denial = Denial::NotServedYet("the Model Context Protocol (/mcp)");
            (Route::SpApi, Err(denied(turned_away(denial))))
        }
        _ => {
            let answer = Box::pin(proxy::forward(gateway, request, correlation, in_flight)).await;
            (Route::SpApi, answer.map_err(denied))
        }
    }
}
