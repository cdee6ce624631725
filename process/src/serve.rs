//! Serving a router over TLS: who is at the other end, limits on what a slow or greedy client may hold, and a drain.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use audit::Peer;
use axum::{Router, extract::Request};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use x509_parser::{extensions::GeneralName, parse_x509_certificate};

use crate::{
    client_timeouts::{Taken, Timely},
    connection_limit::Places,
};

const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
const HEADER_LIMIT: Duration = Duration::from_secs(10);
/// Headers, all together; SP-API's own limit is far below. hyper counts by buffers, so up to twice as much may pass.
const HEADER_BYTES: usize = 64 * 1024;
/// From the end of the headers to the end of the body.
const BODY_LIMIT: Duration = Duration::from_secs(30);
/// How long a client may take nothing of its answer.
const TAKE_LIMIT: Duration = Duration::from_secs(60);
const CONNECTIONS: usize = 4096;
/// No more than these for one address, so that a single client does not keep all others out; not fewer, because the one
/// address may be that of a load balancer.
const CONNECTIONS_EACH: usize = 1024;
/// How long calls in flight may go on after SIGTERM.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(20);

/// The address a request came from, as a request extension.
#[derive(Clone, Copy, Debug)]
pub struct From(pub SocketAddr);

/// Whether a request has a path as its target, and one Host (RFC 9112, section 3.2). Whoever stands before or behind us must
/// not read another address out of the same request.
#[must_use]
pub fn names_a_path<B>(request: &axum::http::Request<B>) -> bool {
    let uri = request.uri();
    uri.scheme().is_none()
        && uri.authority().is_none()
        && request.headers().get_all(axum::http::header::HOST).iter().count() == 1
}

/// Serves `router` until `shutdown`, then lets calls in flight end within [`DRAIN_LIMIT`]. Handlers find [`From`] among
/// the request's extensions, and the [`Peer`] where the caller showed a role certificate. `tls` is asked at every
/// connection, so that a renewed certificate is served without a restart.
pub async fn serve(
    listener: TcpListener,
    tls: impl Fn() -> Arc<ServerConfig> + Send,
    router: Router,
    shutdown: CancellationToken,
) {
    let graceful = Arc::new(GracefulShutdown::new());
    let places = Places::new(CONNECTIONS, CONNECTIONS_EACH);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => break,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, mostly: let some close.
                tracing::warn!(%error, "connection not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Some(place) = places.take(from.ip()) else {
            tracing::debug!(%from, "too many connections, one refused");
            continue;
        };
        let watcher = graceful.watcher();
        let (acceptor, router) = (TlsAcceptor::from(tls()), router.clone());
        tokio::spawn(async move {
            connection(stream, from, acceptor, router, watcher).await;
            drop(place);
        });
    }
    drop(listener);
    if let Some(graceful) = Arc::into_inner(graceful)
        && timeout(DRAIN_LIMIT, graceful.shutdown()).await.is_err()
    {
        tracing::warn!("calls were still in flight when the drain ended");
    }
}

async fn connection(
    stream: TcpStream,
    from: SocketAddr,
    acceptor: TlsAcceptor,
    router: Router,
    watcher: hyper_util::server::graceful::Watcher,
) {
    // Small answers must not wait for a full segment; an error here is an old socket that fails below anyway.
    let _ = stream.set_nodelay(true);
    let stream = match timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%from, %error, "TLS handshake failed"),
        Err(_) => return tracing::debug!(%from, "TLS handshake timed out"),
    };
    let peer = stream.get_ref().1.peer_certificates().and_then(|chain| peer(chain.first()?));
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(|body| axum::body::Body::new(Timely::new(body, BODY_LIMIT)));
        request.extensions_mut().insert(From(from));
        if let Some(peer) = &peer {
            request.extensions_mut().insert(peer.clone());
        }
        router.clone().oneshot(request)
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_LIMIT)
        .max_buf_size(HEADER_BYTES)
        .serve_connection(TokioIo::new(Taken::new(stream, TAKE_LIMIT)), service);
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%from, %error, "connection ended with an error");
    }
}

/// The role and pod that a verified certificate names: exactly one URI SAN.
fn peer(certificate: &[u8]) -> Option<Peer> {
    let (_, certificate) = parse_x509_certificate(certificate).ok()?;
    let names = certificate.subject_alternative_name().ok()??;
    let mut uris = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    let only = uris.next()?;
    uris.next().is_none().then(|| only.parse().ok())?
}

#[cfg(test)]
mod tests;
