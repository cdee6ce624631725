//! /livez and /readyz for the kubelet, /metrics for Prometheus, in plain HTTP.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    http::{StatusCode, header},
    routing::get,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    client_timeouts::Taken,
    connection_limit::Places,
    metrics::{CONTENT_TYPE, Metrics},
};

/// The kubelet and a Prometheus or two need a few. More would take the process's file descriptors from those it works for.
const CONNECTIONS: usize = 32;
/// For one address, so that nobody keeps the kubelet out.
const CONNECTIONS_EACH: usize = 8;
/// How long a client may take for its request's head, and how long it may take nothing of its answer.
const LIMIT: Duration = Duration::from_secs(5);

/// Whether the process can do its work; the text says what is missing.
pub type Readiness = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Answers probes and scrapes until it is dropped.
///
/// # Errors
/// The address cannot be listened on; otherwise it does not return.
pub async fn serve(address: SocketAddr, ready: Readiness, metrics: Metrics) -> std::io::Result<()> {
    let readyz = move || {
        let answer = match ready() {
            Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
            Err(missing) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {missing}\n")),
        };
        async { answer }
    };
    let scrape = move || {
        let text = metrics.text();
        async { ([(header::CONTENT_TYPE, CONTENT_TYPE)], text) }
    };
    let router = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(scrape));
    let listener = TcpListener::bind(address).await?;
    let places = Places::new(CONNECTIONS, CONNECTIONS_EACH);
    let mut connections = JoinSet::new();
    loop {
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "probe not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        let Some(place) = places.take(from.ip()) else { continue };
        // One request each: who comes once in a while keeps no place in between.
        let connection = hyper::server::conn::http1::Builder::new()
            .keep_alive(false)
            .timer(TokioTimer::new())
            .header_read_timeout(LIMIT)
            .serve_connection(TokioIo::new(Taken::new(stream, LIMIT)), TowerToHyperService::new(router.clone()));
        connections.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%from, %error, "probe ended with an error");
            }
            drop(place);
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    use super::*;

    async fn ask(address: SocketAddr) -> String {
        let Ok(mut stream) = TcpStream::connect(address).await else { return String::new() };
        let _ = stream.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        answer
    }

    #[tokio::test]
    async fn who_holds_connections_open_gets_no_more_than_a_share_and_only_for_a_while() {
        let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let served = tokio::spawn(serve(address, Arc::new(|| Ok(())), Metrics::new(audit::Role::Gateway)));
        while !ask(address).await.starts_with("HTTP/1.1 200") {
            tokio::task::yield_now().await;
        }
        let mut held = Vec::new();
        for _ in 0..CONNECTIONS_EACH {
            held.push(TcpStream::connect(address).await.unwrap());
        }
        // Those places are taken, by connections that say nothing; this one is closed at once.
        assert_eq!(ask(address).await, "");
        for mut silent in held {
            let mut rest = Vec::new();
            let _ = silent.read_to_end(&mut rest).await;
        }
        assert!(ask(address).await.starts_with("HTTP/1.1 200"), "the silent ones were sent away");
        served.abort();
    }
}
