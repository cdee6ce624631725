//! Evidence: `evidence::wire`, for the operator alone.

use std::sync::Arc;

use audit::{Peer, Role, wire::Refused};
use axum::{
    Extension, Json, Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, Path, State, rejection::BytesRejection},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use evidence::{
    BundleName, MAX_BYTES,
    wire::{EVIDENCE_PATH, EXTRACT_PATH, Extract, MAX_EXTRACT_BYTES},
};
use tokio::sync::{Semaphore, mpsc};

use crate::{
    Journal,
    extract::extract,
    shelf::{KeepError, Kept, Shelf},
};

/// Pieces of an answer that wait to be sent.
const QUEUE: usize = 16;

struct Shared {
    journal: Journal,
    shelf: Arc<Shelf>,
    /// One goes through the journal at a time: it is the disk that calls wait for.
    reading: Arc<Semaphore>,
}

pub(super) fn router(journal: Journal, shelf: Shelf) -> Router {
    let shared = Shared { journal, shelf: Arc::new(shelf), reading: Arc::new(Semaphore::new(1)) };
    let one = format!("{EVIDENCE_PATH}{{name}}");
    Router::new()
        .route(EXTRACT_PATH, post(records).layer(DefaultBodyLimit::max(MAX_EXTRACT_BYTES)))
        .route(EVIDENCE_PATH, get(list))
        .route(&one, get(read).put(keep).layer(DefaultBodyLimit::max(MAX_BYTES)))
        .with_state(Arc::new(shared))
}

type Shelved = State<Arc<Shared>>;
type Caller = Option<Extension<Peer>>;

async fn records(
    State(shared): Shelved,
    caller: Caller,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    only_the_operator(caller)?;
    let asked: Extract = serde_json::from_slice(&complete(body)?)
        .map_err(|_| Refusal(StatusCode::BAD_REQUEST, "not a question for records".to_owned()))?;
    let busy = || Refusal(StatusCode::SERVICE_UNAVAILABLE, "somebody else is answered just now".to_owned());
    let permit = shared.reading.clone().try_acquire_owned().map_err(|_| busy())?;
    let (pieces, queue) = mpsc::channel(QUEUE);
    let journal = shared.journal.clone();
    // Not awaited: it ends with the answer, or once nobody takes it any more.
    tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let mut send = |piece| pieces.blocking_send(Ok::<_, std::io::Error>(piece)).is_ok();
        if let Err(error) = extract(journal.dir(), journal.pod(), &asked, &mut send) {
            tracing::error!(%error, "the journal cannot be read");
            // The answer breaks off, so that nobody takes it for complete.
            let _ = pieces.blocking_send(Err(error));
        }
    });
    let stream = futures::stream::unfold(queue, |mut queue| async move { Some((queue.recv().await?, queue)) });
    Ok(([(CONTENT_TYPE, audit::wire::CONTENT_TYPE)], Body::from_stream(stream)).into_response())
}

async fn list(State(shared): Shelved, caller: Caller) -> Result<String, Refusal> {
    only_the_operator(caller)?;
    let names = on_disk(&shared, Shelf::names).await?.map_err(|error| failed(&error))?;
    Ok(names.iter().map(|name| format!("{name}\n")).collect())
}

async fn read(State(shared): Shelved, caller: Caller, Path(name): Path<String>) -> Result<Vec<u8>, Refusal> {
    only_the_operator(caller)?;
    let name = parsed(&name)?;
    let found = on_disk(&shared, move |shelf| shelf.read(&name)).await?.map_err(|error| failed(&error))?;
    found.ok_or_else(|| Refusal(StatusCode::NOT_FOUND, "no such bundle is kept here".to_owned()))
}

async fn keep(
    State(shared): Shelved,
    caller: Caller,
    Path(name): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, String), Refusal> {
    only_the_operator(caller)?;
    let (name, tar) = (parsed(&name)?, complete(body)?);
    match on_disk(&shared, move |shelf| shelf.keep(&name, &tar)).await? {
        Ok(Kept::Now) => Ok((StatusCode::CREATED, String::new())),
        Ok(Kept::Before) => Ok((StatusCode::OK, String::new())),
        Ok(Kept::Other(other)) => Ok((StatusCode::CONFLICT, other.to_string())),
        Err(error @ KeepError::NotThatBundle(_)) => Err(Refusal(StatusCode::BAD_REQUEST, error.to_string())),
        Err(error @ KeepError::Full) => Err(Refusal(StatusCode::INSUFFICIENT_STORAGE, error.to_string())),
        Err(KeepError::Disk(error)) => Err(failed(&error)),
    }
}

async fn on_disk<T: Send + 'static>(
    shared: &Shared,
    work: impl FnOnce(&Shelf) -> T + Send + 'static,
) -> Result<T, Refusal> {
    let shelf = shared.shelf.clone();
    let done = tokio::task::spawn_blocking(move || work(&shelf)).await;
    done.map_err(|_| Refusal(StatusCode::INTERNAL_SERVER_ERROR, "recorder failed".to_owned()))
}

struct Refusal(StatusCode, String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(Refused { error: self.1, line: None })).into_response()
    }
}

/// Evidence reaches across tenants; who makes it is the only one who needs it over the network.
fn only_the_operator(caller: Caller) -> Result<(), Refusal> {
    match caller {
        Some(Extension(Peer { role: Role::Operator, .. })) => Ok(()),
        _ => Err(Refusal(StatusCode::FORBIDDEN, "for the operator alone".to_owned())),
    }
}

fn complete(body: Result<Bytes, BytesRejection>) -> Result<Bytes, Refusal> {
    body.map_err(|rejection| Refusal(rejection.status(), "request body is too long or incomplete".to_owned()))
}

fn parsed(name: &str) -> Result<BundleName, Refusal> {
    name.parse().map_err(|error: evidence::NotABundleName| Refusal(StatusCode::BAD_REQUEST, error.to_string()))
}

fn failed(error: &std::io::Error) -> Refusal {
    tracing::error!(%error, "evidence's disk failed");
    Refusal(StatusCode::SERVICE_UNAVAILABLE, "evidence's disk failed".to_owned())
}

#[cfg(test)]
mod tests;
