//! `POST /v1/events`, as `audit::wire` describes it; evidence, as `evidence::wire` does.

mod evidence;

use audit::{
    Peer, check,
    wire::{Acknowledged, EVENTS_PATH, MAX_BODY_BYTES, Refused},
};
use axum::{
    Extension, Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State, rejection::BytesRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};

use crate::{AppendError, Journal, Shelf};

/// The recorder's API. Whoever serves it puts the [`Peer`] of the client certificate into the request's
/// extensions; without one every request is refused.
pub fn router(journal: Journal, shelf: Shelf) -> Router {
    Router::new()
        .route(EVENTS_PATH, post(store))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(journal.clone())
        .merge(evidence::router(journal, shelf))
}

async fn store(
    State(journal): State<Journal>,
    peer: Option<Extension<Peer>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Acknowledged>, Refusal> {
    let Extension(peer) = peer.ok_or(Refusal::NoPeer)?;
    let body = body.map_err(|rejection| Refusal::Body(rejection.status()))?;
    let mut events = Vec::new();
    let lines = body.strip_suffix(b"\n").unwrap_or(&body).split(|byte| *byte == b'\n');
    for (index, line) in lines.enumerate() {
        let event =
            check(line, peer.role).map_err(|error| Refusal::Line { line: index + 1, error: error.to_string() })?;
        events.push(event);
    }
    let appended = journal.append(peer, events).await?;
    Ok(Json(Acknowledged { acknowledged: appended.count, last_sequence: appended.last_sequence }))
}

/// Why nothing was stored.
enum Refusal {
    NoPeer,
    Body(StatusCode),
    Line { line: usize, error: String },
    Journal(AppendError),
}

impl From<AppendError> for Refusal {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::TooLong { index } => Self::Line { line: index + 1, error: error.to_string() },
            other => Self::Journal(other),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, error, line) = match self {
            Self::NoPeer => (StatusCode::FORBIDDEN, "no role certificate was presented".to_owned(), None),
            Self::Body(status) => (status, "request body is too long or incomplete".to_owned(), None),
            Self::Line { line, error } => (StatusCode::BAD_REQUEST, error, Some(line)),
            Self::Journal(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string(), None),
        };
        (status, Json(Refused { error, line })).into_response()
    }
}

#[cfg(test)]
mod tests;
