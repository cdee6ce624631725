//! Which numbers of writers' runs are here: `audit::wire::writers`, for the operator alone.

use std::sync::Arc;

use audit::{
    Peer, Role,
    wire::{
        Refused,
        writers::{WRITERS_PATH, Writers},
    },
};
use axum::{
    Extension, Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::sync::watch;

/// What the watch for what needs a look told last.
pub(crate) fn router(told: watch::Receiver<Arc<Writers>>) -> Router {
    Router::new().route(WRITERS_PATH, get(answer)).with_state(told)
}

async fn answer(State(told): State<watch::Receiver<Arc<Writers>>>, caller: Option<Extension<Peer>>) -> Response {
    let Some(Extension(Peer { role: Role::Operator, .. })) = caller else {
        let refused = Refused { error: "for the operator alone".to_owned(), line: None };
        return (StatusCode::FORBIDDEN, Json(refused)).into_response();
    };
    let writers = told.borrow().clone();
    Json(&*writers).into_response()
}

#[cfg(test)]
mod tests {
    use audit::{Name, wire::writers::Run};
    use axum::{
        body::{Body, to_bytes},
        http::Request,
    };
    use tower::ServiceExt;
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn they_are_for_the_operator_alone_and_the_newest() {
        let (tell, told) = watch::channel(Arc::default());
        let router = router(told);
        let peer = |role| Peer { role, pod: Name::parse("pod").unwrap() };
        let ask = async |role: Option<Role>| {
            let mut request = Request::get(WRITERS_PATH).body(Body::empty()).unwrap();
            if let Some(role) = role {
                request.extensions_mut().insert(peer(role));
            }
            let response = router.clone().oneshot(request).await.unwrap();
            let status = response.status();
            (status, to_bytes(response.into_body(), 1 << 20).await.unwrap())
        };
        for role in Role::ALL.into_iter().filter(|role| *role != Role::Operator).map(Some).chain([None]) {
            assert_eq!(ask(role).await.0, StatusCode::FORBIDDEN, "{role:?}");
        }
        let run = Run { run: Uuid::now_v7(), writer: peer(Role::Gateway), stretches: Vec::new() };
        for writers in [Writers::default(), Writers { known_from: 5, known_until: 6, runs: vec![run] }] {
            tell.send_replace(Arc::new(writers.clone()));
            let (status, body) = ask(Some(Role::Operator)).await;
            assert_eq!((status, serde_json::from_slice::<Writers>(&body).unwrap()), (StatusCode::OK, writers));
        }
    }
}
