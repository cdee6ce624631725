//! The control API: plain HTTP on a listener of its own, for whoever runs the test.
//!
//! | Call | Answer |
//! |---|---|
//! | `GET /control/calls` | the last 1000 [`crate::Call`]s, oldest first |
//! | `GET /control/counters` | [`crate::Counters`] |
//! | `GET /control/tokens` | every access token handed out, to be looked for where none may be |
//! | `GET /control/switches` | [`crate::State`] |
//! | `POST /control/switches` with a [`Change`] | [`crate::State`] after it, or 400 and `{"error"}` |
//! | `POST /control/consents` with `{"seller"}` | `{"refreshToken"}`, a further one; 400 and `{"error"}` for a stranger |
//! | `GET /control/consents` | every such refresh token, and those that codes were exchanged for, to be looked for likewise |
//! | `POST /control/codes` with `{"seller", "redirectUri"}` | `{"code"}`, as the consent page would give; likewise |
//! | `GET /control/codes` | every code that was given, to be looked for where none may be |
//! | `POST /control/reset` | 204; every switch back, ledger empty |

use crate::{amazon::Amazon, switches::Change};
use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

pub(crate) fn router(amazon: Arc<Amazon>) -> Router {
    Router::new()
        .route("/control/calls", get(async |State(amazon): Shared| Json(amazon.ledger.calls())))
        .route("/control/counters", get(async |State(amazon): Shared| Json(amazon.ledger.counters())))
        .route("/control/tokens", get(async |State(amazon): Shared| Json(amazon.access_tokens())))
        .route("/control/switches", get(async |State(amazon): Shared| Json(amazon.switches.state())).post(change))
        .route("/control/consents", get(consented).post(consent))
        .route("/control/codes", get(async |State(amazon): Shared| Json(amazon.consents.codes())).post(code))
        .route("/control/reset", post(async |State(amazon): Shared| amazon.reset()))
        .with_state(amazon)
}

type Shared = State<Arc<Amazon>>;

async fn change(State(amazon): Shared, Json(change): Json<Change>) -> Response {
    match amazon.switches.apply(change) {
        Ok(state) => Json(state).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, Json(json!({ "error": error.to_string() }))).into_response(),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Consent {
    seller: String,
}

async fn consented(State(amazon): Shared) -> Json<Vec<String>> {
    let all = amazon.switches.consented().into_iter().chain(amazon.consents.refresh_tokens());
    Json(all.map(|token| token.expose().to_owned()).collect())
}

async fn consent(State(amazon): Shared, Json(Consent { seller }): Json<Consent>) -> Response {
    match amazon.switches.consent(&seller) {
        Ok(token) => Json(json!({ "refreshToken": token.expose() })).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, Json(json!({ "error": error.to_string() }))).into_response(),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CodeWanted {
    seller: String,
    redirect_uri: String,
}

async fn code(State(amazon): Shared, Json(CodeWanted { seller, redirect_uri }): Json<CodeWanted>) -> Response {
    match amazon.code(&seller, &redirect_uri) {
        Ok(code) => Json(json!({ "code": code.expose() })).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, Json(json!({ "error": error.to_string() }))).into_response(),
    }
}

impl Amazon {
    fn reset(&self) -> StatusCode {
        self.switches.reset();
        self.ledger.reset();
        StatusCode::NO_CONTENT
    }
}
