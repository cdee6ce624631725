//! The logs, as `audit::wire::logs` describes it.

use audit::{
    Peer, Role,
    log::SignedCheckpoint,
    wire::{
        Refused,
        logs::{LOGS_PATH, Logs, MAX_NOTE_BYTES},
    },
};
use axum::{
    Extension, Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State, rejection::BytesRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, put},
};

use crate::log::{self, Shard};

pub(super) fn router(logs: log::Logs) -> Router {
    let witnessed = format!("{LOGS_PATH}/{{shard}}/witnessed");
    let one = format!("{LOGS_PATH}/{{shard}}/{{*path}}");
    Router::new()
        .route(LOGS_PATH, get(list))
        .route(&witnessed, put(keep).get(read_witnessed).layer(DefaultBodyLimit::max(MAX_NOTE_BYTES)))
        .route(&one, get(read))
        .with_state(logs)
}

type Caller = Option<Extension<Peer>>;

async fn list(State(logs): State<log::Logs>, caller: Caller) -> Result<Json<Logs>, Refusal> {
    only_the_operator(caller)?;
    listed(logs).await
}

pub(super) async fn listed(logs: log::Logs) -> Result<Json<Logs>, Refusal> {
    Ok(Json(Logs { logs: on_disk(move || logs.list()).await? }))
}

async fn read(
    State(logs): State<log::Logs>,
    caller: Caller,
    Path((shard, path)): Path<(String, String)>,
) -> Result<Vec<u8>, Refusal> {
    only_the_operator(caller)?;
    file(logs, &shard, path).await
}

async fn read_witnessed(
    State(logs): State<log::Logs>,
    caller: Caller,
    Path(shard): Path<String>,
) -> Result<Vec<u8>, Refusal> {
    only_the_operator(caller)?;
    file(logs, &shard, "witnessed".to_owned()).await
}

pub(super) async fn file(logs: log::Logs, shard: &str, path: String) -> Result<Vec<u8>, Refusal> {
    let shard = parsed(shard)?;
    let found = on_disk(move || audit::log::Store::read(&logs.shard(shard), &path)).await?;
    found.ok_or(Refusal(StatusCode::NOT_FOUND, "no such file in this log"))
}

async fn keep(
    State(logs): State<log::Logs>,
    caller: Caller,
    Path(shard): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Refusal> {
    only_the_operator(caller)?;
    let shard = parsed(&shard)?;
    let body = body.map_err(|rejection| Refusal(rejection.status(), "request body is too long or incomplete"))?;
    let note = std::str::from_utf8(&body).ok().and_then(|note| SignedCheckpoint::parse(note).ok());
    let note = note.ok_or(Refusal(StatusCode::BAD_REQUEST, "not a signed checkpoint"))?;
    match on_disk(move || logs.keep_witnessed(shard, &note)).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Refusal(StatusCode::CONFLICT, "not a checkpoint that this log signed")),
    }
}

async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> std::io::Result<T> + Send + 'static) -> Result<T, Refusal> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => {
            tracing::error!(%error, "the log cannot be read");
            Err(Refusal(StatusCode::SERVICE_UNAVAILABLE, "log cannot be read"))
        }
        Err(_) => Err(Refusal(StatusCode::INTERNAL_SERVER_ERROR, "recorder failed")),
    }
}

pub(super) struct Refusal(pub(super) StatusCode, pub(super) &'static str);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(Refused { error: self.1.to_owned(), line: None })).into_response()
    }
}

/// A log reaches across tenants.
fn only_the_operator(caller: Caller) -> Result<(), Refusal> {
    match caller {
        Some(Extension(Peer { role: Role::Operator, .. })) => Ok(()),
        _ => Err(Refusal(StatusCode::FORBIDDEN, "for the operator alone")),
    }
}

fn parsed(shard: &str) -> Result<Shard, Refusal> {
    shard.parse().map_err(|_| Refusal(StatusCode::NOT_FOUND, "no such log"))
}
