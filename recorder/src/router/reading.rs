//! What the portal shows of the record: `audit::wire::reading`, for the portal alone.

use std::{sync::Arc, time::Duration};

use audit::{
    Peer, Role,
    wire::{
        Refused,
        reading::{ACTIVITY_PATH, Asked, LAST_USE_PATH, LastUse, Page},
    },
};
use axum::{
    Extension, Json, Router,
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;
use tokio::sync::Semaphore;

use crate::{Journal, activity, last_use::Uses};

/// Pages that are made at once. It is the disk that calls wait for, and whoever is signed in may ask.
const AT_ONCE: usize = 2;
/// How long one more waits for its turn.
const PATIENCE: Duration = Duration::from_secs(1);

struct Shared {
    journal: Journal,
    uses: Arc<Uses>,
    turns: Semaphore,
}

pub(super) fn router(journal: Journal, uses: Arc<Uses>) -> Router {
    let shared = Shared { journal, uses, turns: Semaphore::new(AT_ONCE) };
    Router::new().route(ACTIVITY_PATH, get(page)).route(LAST_USE_PATH, get(last_use)).with_state(Arc::new(shared))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfNamespace {
    namespace: String,
}

type Asking<T> = Result<Query<T>, QueryRejection>;
type Caller = Option<Extension<Peer>>;

async fn page(State(shared): State<Arc<Shared>>, caller: Caller, asked: Asking<Asked>) -> Result<Json<Page>, Refusal> {
    only_the_portal(caller)?;
    let asked = understood(asked)?;
    of_a_namespace(&asked.namespace)?;
    if asked.connection.as_ref().is_some_and(|name| audit::Name::parse(name).is_err()) {
        return Err(Refusal(StatusCode::BAD_REQUEST, "not a connection"));
    }
    let turn = tokio::time::timeout(PATIENCE, shared.turns.acquire()).await;
    let Ok(Ok(_turn)) = turn else {
        return Err(Refusal(StatusCode::SERVICE_UNAVAILABLE, "others are answered just now"));
    };
    let journal = shared.journal.clone();
    let made = tokio::task::spawn_blocking(move || activity::page(journal.dir(), &asked)).await;
    match made {
        Ok(Ok(page)) => Ok(Json(page)),
        Ok(Err(error)) => {
            tracing::error!(%error, "the journal cannot be read");
            Err(Refusal(StatusCode::SERVICE_UNAVAILABLE, "journal cannot be read"))
        }
        Err(_) => Err(Refusal(StatusCode::INTERNAL_SERVER_ERROR, "recorder failed")),
    }
}

async fn last_use(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    asked: Asking<OfNamespace>,
) -> Result<Json<LastUse>, Refusal> {
    only_the_portal(caller)?;
    let OfNamespace { namespace } = understood(asked)?;
    of_a_namespace(&namespace)?;
    Ok(Json(shared.uses.of(&namespace)))
}

struct Refusal(StatusCode, &'static str);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(Refused { error: self.1.to_owned(), line: None })).into_response()
    }
}

/// Whoever else reads the record has `openteam journal`; the portal asks for members of a Team, and records that it does.
fn only_the_portal(caller: Caller) -> Result<(), Refusal> {
    match caller {
        Some(Extension(Peer { role: Role::Portal, .. })) => Ok(()),
        _ => Err(Refusal(StatusCode::FORBIDDEN, "for the portal alone")),
    }
}

fn understood<T>(asked: Asking<T>) -> Result<T, Refusal> {
    asked.map(|Query(asked)| asked).map_err(|_| Refusal(StatusCode::BAD_REQUEST, "not a question about the record"))
}

fn of_a_namespace(text: &str) -> Result<(), Refusal> {
    let is_one = audit::Name::parse(text).is_ok();
    is_one.then_some(()).ok_or(Refusal(StatusCode::BAD_REQUEST, "not a namespace"))
}

#[cfg(test)]
mod tests;
