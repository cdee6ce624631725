//! What a review of the record is made of: `audit::wire::digest`, for the operator alone.

use std::sync::Arc;

use audit::{
    Peer, Role,
    wire::{
        Refused,
        digest::{Asked, DIGEST_PATH, Digest},
    },
};
use axum::{
    Extension, Json, Router,
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::sync::Semaphore;

use crate::{Journal, Logs, digest};

struct Shared {
    journal: Journal,
    logs: Logs,
    turn: Arc<Semaphore>,
}

pub(super) fn router(journal: Journal, logs: Logs) -> Router {
    let shared = Shared { journal, logs, turn: Arc::new(Semaphore::new(1)) };
    Router::new().route(DIGEST_PATH, get(answer)).with_state(Arc::new(shared))
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    caller: Option<Extension<Peer>>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Digest>, Refusal> {
    // Numbers and names of all tenants are in it.
    let Some(Extension(Peer { role: Role::Operator, .. })) = caller else {
        return Err(Refusal(StatusCode::FORBIDDEN, "for the operator alone"));
    };
    let Query(Asked { since }) =
        asked.map_err(|_| Refusal(StatusCode::BAD_REQUEST, "not a question about the record"))?;
    let busy = Refusal(StatusCode::SERVICE_UNAVAILABLE, "another digest is made just now");
    // It goes with the work, which goes on for a moment where who asked has left.
    let turn = shared.turn.clone().try_acquire_owned().map_err(|_| busy)?;
    let (dir, logs) = (shared.journal.dir().to_owned(), shared.logs.clone());
    let asking = Arc::new(());
    let wanted = Arc::downgrade(&asking);
    let made = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        digest::digest(&dir, &logs, since, &|| wanted.strong_count() > 0)
    })
    .await;
    drop(asking);
    match made {
        Ok(Ok(digest)) => Ok(Json(digest)),
        Ok(Err(error)) => {
            tracing::error!(%error, "the record cannot be read");
            Err(Refusal(StatusCode::SERVICE_UNAVAILABLE, "record cannot be read"))
        }
        Err(_) => Err(Refusal(StatusCode::INTERNAL_SERVER_ERROR, "recorder failed")),
    }
}

struct Refusal(StatusCode, &'static str);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(Refused { error: self.1.to_owned(), line: None })).into_response()
    }
}

#[cfg(test)]
mod tests {
    use audit::{Name, Origin};
    use axum::{
        body::{Body, to_bytes},
        http::Request,
    };
    use tempfile::TempDir;
    use tower::ServiceExt;

    use super::*;

    async fn ask(router: &Router, role: Option<Role>, query: &str) -> (StatusCode, Vec<u8>) {
        let mut request = Request::get(format!("{DIGEST_PATH}{query}")).body(Body::empty()).unwrap();
        if let Some(role) = role {
            request.extensions_mut().insert(Peer { role, pod: Name::parse("pod").unwrap() });
        }
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        (status, to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec())
    }

    #[tokio::test]
    async fn a_digest_is_for_the_operator_alone_and_made_once_at_a_time() {
        let dir = TempDir::new().unwrap();
        let origin = Origin { role: Role::Recorder, pod: Name::parse("recorder-0").unwrap(), version: "0" };
        let journal = Journal::open(dir.path(), origin).unwrap();
        let logs = Logs::look(dir.path()).unwrap();
        let shared = Shared { journal, logs, turn: Arc::new(Semaphore::new(1)) };
        let turn = shared.turn.clone();
        let router = Router::new().route(DIGEST_PATH, get(answer)).with_state(Arc::new(shared));
        for role in Role::ALL.into_iter().filter(|role| *role != Role::Operator).map(Some).chain([None]) {
            assert_eq!(ask(&router, role, "?since=0").await.0, StatusCode::FORBIDDEN, "{role:?}");
        }
        let operator = Some(Role::Operator);
        for query in ["", "?since=", "?since=yesterday", "?since=0&all=true"] {
            assert_eq!(ask(&router, operator, query).await.0, StatusCode::BAD_REQUEST, "{query}");
        }
        let (status, body) = ask(&router, operator, "?since=0").await;
        let digest: Digest = serde_json::from_slice(&body).unwrap();
        assert_eq!((status, digest), (StatusCode::OK, Digest::default()));
        let _taken = turn.try_acquire().unwrap();
        assert_eq!(ask(&router, operator, "?since=0").await.0, StatusCode::SERVICE_UNAVAILABLE);
    }
}
