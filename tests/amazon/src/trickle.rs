//! A body sent piece by piece, so that a test has a stream to cut off.

use crate::amazon::Amazon;
use axum::{
    body::{Body, to_bytes},
    http::header,
    response::Response,
};
use futures::stream;
use std::{convert::Infallible, sync::Arc, time::Duration};

/// Sends the same body in small pieces, of unannounced length.
pub(crate) async fn trickle(amazon: &Arc<Amazon>, response: Response, bytes: usize, every: Duration) -> Response {
    let (mut parts, body) = response.into_parts();
    // Our own answers, in memory already: collecting them cannot fail.
    let whole = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let open = OpenStream::new(amazon);
    let pieces = stream::unfold((whole, open, false), move |(mut rest, open, begun)| async move {
        if rest.is_empty() {
            return None;
        }
        if begun {
            tokio::time::sleep(every).await;
        }
        let piece = rest.split_to(bytes.min(rest.len()));
        Some((Ok::<_, Infallible>(piece), (rest, open, true)))
    });
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from_stream(pieces))
}

/// Counts a stream as open until its end, or until the caller leaves.
struct OpenStream(Arc<Amazon>);

impl OpenStream {
    fn new(amazon: &Arc<Amazon>) -> Self {
        amazon.ledger.stream_opened();
        Self(Arc::clone(amazon))
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.ledger.stream_closed();
    }
}
