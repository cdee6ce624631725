//! Takes connections, with or without TLS, and serves HTTP/1.1 on them.

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::time::Duration;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

/// Serves until dropped; then all its connections end too, hanging ones included.
pub(crate) async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, router: Router) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, tls.clone(), router.clone()));
                }
                // Out of file descriptors, mostly: some connection has to end first.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// A connection that fails is the caller's loss only; what it asked before is in the ledger.
async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, router: Router) {
    // Pieces of a trickle must leave one by one.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    match tls {
        None => http(stream, router).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                http(stream, router).await;
            }
        }
    }
}

async fn http(stream: impl AsyncRead + AsyncWrite + Unpin, router: Router) {
    let service = TowerToHyperService::new(router);
    let connection = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
    let _ended = connection.await;
}
