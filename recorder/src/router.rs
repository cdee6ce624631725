//! `POST /v1/events`, as `audit::wire` describes it, and what it says of reading; evidence, as `evidence::wire` does. On a
//! listener of its own [`readers`].

mod digest;
mod evidence;
mod logs;
pub(crate) mod readers;
mod reading;
pub(crate) mod writers;

use std::{sync::Arc, time::Instant};

use audit::{
    Checked, Fault, Peer, check,
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
use jiff::Timestamp;

use crate::{
    AppendError, Journal, Logs, Shelf,
    last_use::{self, Uses},
    room::{NoRoom, Room, Space},
    view::Event,
};

/// The recorder's API. Whoever serves it puts the [`Peer`] of the client certificate into the request's
/// extensions; without one every request is refused.
pub fn router(journal: Journal, logs: Logs, shelf: Shelf) -> Router {
    let dir = journal.dir().to_owned();
    let room = Room::new(move || Space::of(&dir));
    let uses = Arc::new(Uses::new(Timestamp::now().as_millisecond()));
    rebuild(&journal, &uses);
    Router::new()
        .route(EVENTS_PATH, post(store))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(Stores { journal: journal.clone(), uses: uses.clone(), room: Arc::new(room) })
        .merge(digest::router(journal.clone(), logs.clone()))
        .merge(logs::router(logs))
        .merge(reading::router(journal.clone(), uses))
        .merge(evidence::router(journal, shelf))
}

/// Finds out when everybody was last served, while events are taken already: nothing waits for it.
fn rebuild(journal: &Journal, uses: &Arc<Uses>) {
    // It ends early when nobody is left to be told.
    let (dir, uses) = (journal.dir().to_owned(), Arc::downgrade(uses));
    tokio::task::spawn_blocking(move || {
        if let Err(error) = last_use::rebuild(&uses, &dir) {
            tracing::error!(%error, "the journal cannot be read for when tokens were last used");
        }
    });
}

#[derive(Clone)]
struct Stores {
    journal: Journal,
    uses: Arc<Uses>,
    room: Arc<Room>,
}

async fn store(
    State(Stores { journal, uses, room }): State<Stores>,
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
    let now = Instant::now();
    let views = views(&events)?;
    let lengths = events.iter().map(|event| event.as_line().len());
    let admitted = room.admit(views.iter().zip(lengths), now);
    if let Some(bytes) = room.to_tell(now) {
        tracing::error!(bytes, "the disk is nearly full: calls are refused");
        journal.record(Fault::DiskReserved { bytes }).await?;
    }
    admitted.map_err(|(index, why)| Refusal::NoRoom { line: index + 1, why })?;
    let used = last_use::used(&views);
    drop(views);
    let appended = journal.append(peer, events).await?;
    uses.note(used, Timestamp::now().as_millisecond());
    Ok(Json(Acknowledged { acknowledged: appended.count, last_sequence: appended.last_sequence }))
}

/// The events as their room and their use are judged. One that cannot be is not stored: it would be nobody's.
fn views(events: &[Checked]) -> Result<Vec<Event<'_>>, Refusal> {
    let lines = events.iter().map(Checked::as_line).enumerate();
    let views = lines.map(|(index, line)| {
        let wrong = |_| Refusal::Line { line: index + 1, error: "event cannot be read back".to_owned() };
        serde_json::from_str(line).map_err(wrong)
    });
    views.collect()
}

/// Why nothing was stored.
enum Refusal {
    NoPeer,
    Body(StatusCode),
    Line { line: usize, error: String },
    NoRoom { line: usize, why: NoRoom },
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
            Self::NoRoom { line, why } => (StatusCode::INSUFFICIENT_STORAGE, why.to_string(), Some(line)),
            Self::Journal(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string(), None),
        };
        (status, Json(Refused { error, line })).into_response()
    }
}

#[cfg(test)]
mod tests;
