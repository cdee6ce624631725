//! Starting the gateway, and ending it.

use std::{path::PathBuf, sync::Arc, time::Duration};

use audit::{DigestKey, Lifecycle, Role};
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
    Arguments, arguments::AUDIENCE, caller::Verifier, connections, credentials::Credentials, gateway::Gateway, lwa,
    proxy, record::Refusals, tokens::Tokens, upstream::Upstreams,
};

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
    let process = start(Role::Gateway, &arguments.common).await?;
    let keyset = keyset(&arguments.keyset)?;
    let digests = keyset.derive("openteam.dev/audit-digest/v1", keyset.active_id()).ok_or(RunError::NoKey)?;
    let listener =
        TcpListener::bind(arguments.listen).await.map_err(|error| RunError::Listen(arguments.listen, error))?;
    let public_url = process.settings.gateway_address(&process.namespace);

    let mut watches = JoinSet::new();
    let view = View::start(&process.client, &mut watches);
    let credentials = Arc::new(Credentials::new(keyset));
    let stored = credentials.clone();
    view.follow::<StoredCredential>(&process.client, &mut watches, "StoredCredential", move |change| {
        stored.apply(change);
    });
    let limit = process.settings.staleness_limit;
    let ready = {
        let view = view.clone();
        Arc::new(move || view.current(limit).map(|_| ()).map_err(|stale| stale.to_string()))
    };
    let probes = probes::serve(arguments.common.probes, ready);
    tokio::pin!(probes);

    // Probes answer while the certificate is waited for: the kubelet must see a live process.
    let certificate = tokio::select! {
        certificate = RoleCertificate::obtain(process.client.clone(), Role::Gateway) => certificate,
        ended = &mut probes => return Err(ended_probes(arguments.common.probes, ended)),
        () = process.shutdown.cancelled() => return Ok(()),
    };
    let (recorder, delivery) = record::connect(
        Role::Gateway,
        process.pod.clone(),
        &process.namespace,
        &arguments.recorder,
        certificate.clone(),
    );
    let delivery = tokio::spawn(delivery.run());
    let gateway = Arc::new(Gateway {
        view,
        staleness_limit: limit,
        public_url,
        verifier: Verifier {
            reviewer: Reviewer::new(process.client.clone(), AUDIENCE),
            digests: DigestKey::new(*digests),
        },
        credentials,
        tokens: Tokens::default(),
        upstreams: Upstreams::new(arguments.allow_endpoints),
        refusals: Refusals::new(recorder.clone()),
        recorder: recorder.clone(),
    });
    recorder.record_later(Lifecycle::Started);
    let serving = serve::serve(
        listener,
        {
            let certificate = certificate.clone();
            move || certificate.server()
        },
        router(gateway.clone()),
        process.shutdown.clone(),
    );
    let ended = tokio::select! {
        () = serving => Ok(()),
        ended = &mut probes => Err(ended_probes(arguments.common.probes, ended)),
        _ = watches.join_next() => Err(RunError::Ended("a watch")),
        () = certificate.keep_renewed() => Err(RunError::Ended("the renewal of the certificate")),
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

async fn dispatch(state: State<Arc<Gateway>>, request: Request) -> Response<Body> {
    match request.uri().path() {
        path if path.eq_ignore_ascii_case(amazon::LWA_TOKEN_PATH) => lwa::handle(state, request).await,
        "/openteam/v1/connections" => connections::handle(state, request).await,
        _ => proxy::handle(state, request).await,
    }
}
