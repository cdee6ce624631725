//! Login with Amazon's token endpoint.

use crate::{
    amazon::Amazon,
    consent::BadCode,
    ledger::Entry,
    rotation,
    seed::{Secret, Seller, token},
};
use axum::{
    Json,
    body::{Body, to_bytes},
    http::{HeaderName, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Life of an access token, in seconds.
pub(crate) const ACCESS_TOKEN_SECONDS: u32 = 3600;

/// Far above any true request: a token has at most 2048 bytes.
const BODY_LIMIT: usize = 64 * 1024;

/// Why there is no token. Statuses and texts are as seen live or in clients' tests, unless marked assumed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Denial {
    /// Neither form nor JSON, a value that is no text, or a parameter twice (RFC 6749 §3.2; its text is assumed).
    Malformed,
    MissingParameter(&'static str),
    UnsupportedGrantType,
    /// A refresh must not carry `scope`; a grantless grant must carry a known one (text assumed).
    Scope,
    Client,
    Grant,
    /// A code that is unknown, another client's, used or too old.
    Code,
    /// A code that was given for another redirect URI (assumed).
    RedirectUri,
    /// A switch says so, or there is no randomness.
    Failure(StatusCode),
}

impl IntoResponse for Denial {
    fn into_response(self) -> Response {
        let (status, error, description) = match self {
            Self::Malformed => (StatusCode::BAD_REQUEST, "invalid_request", "The request is malformed".to_owned()),
            Self::MissingParameter(name) => (
                StatusCode::BAD_REQUEST,
                "invalid_request",
                format!("The request is missing a required parameter : {name}"),
            ),
            Self::UnsupportedGrantType => (
                StatusCode::BAD_REQUEST,
                "unsupported_grant_type",
                "The authorization grant type is not supported by the authorization server".to_owned(),
            ),
            Self::Scope => (StatusCode::BAD_REQUEST, "invalid_scope", "The request has an invalid scope".to_owned()),
            Self::Client => (StatusCode::UNAUTHORIZED, "invalid_client", "Client authentication failed".to_owned()),
            Self::Grant => (
                StatusCode::BAD_REQUEST,
                "invalid_grant",
                "The request has an invalid grant parameter : refresh_token. User may have revoked or didn't grant the \
                 permission."
                    .to_owned(),
            ),
            Self::Code => (
                StatusCode::BAD_REQUEST,
                "invalid_grant",
                "The request has an invalid grant parameter : code".to_owned(),
            ),
            Self::RedirectUri => (
                StatusCode::BAD_REQUEST,
                "invalid_grant",
                "The request has an invalid grant parameter : redirect_uri".to_owned(),
            ),
            Self::Failure(StatusCode::SERVICE_UNAVAILABLE) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "temporarily_unavailable",
                "The authorization server is temporarily unavailable".to_owned(),
            ),
            Self::Failure(status) => {
                (status, "server_error", "The authorization server met an unexpected condition".to_owned())
            }
        };
        let mut body = json!({ "error": error, "error_description": description });
        if error == "invalid_grant" {
            // Seen live with values nobody wrote down.
            body["error_index"] = json!("");
            body["request_id"] = json!(uuid::Uuid::new_v4().to_string());
        }
        unstored((status, Json(body)).into_response())
    }
}

/// Answers a POST to the token endpoint.
pub(crate) async fn answer(amazon: &Amazon, entry: Entry, parts: &Parts, body: Body) -> Response {
    match grant(amazon, entry, parts, body).await {
        Ok(token) => unstored(Json(token).into_response()),
        Err(denial) => denial.into_response(),
    }
}

/// The scopes of grantless operations (SP-API documentation, "Grantless operations").
const SCOPES: [&str; 3] = ["sellingpartnerapi::notifications", rotation::SCOPE, "sellingpartnerapi::shipments:track"];

/// The grants: client first, then what it asks for, so that a wrong secret learns nothing of a token.
async fn grant(amazon: &Amazon, entry: Entry, parts: &Parts, body: Body) -> Result<Value, Denial> {
    let body = to_bytes(body, BODY_LIMIT).await.map_err(|_| Denial::Malformed)?;
    let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let given = parse(content_type.unwrap_or_default(), &body)?;
    let required =
        |name: &'static str| given.get(name).filter(|value| !value.is_empty()).ok_or(Denial::MissingParameter(name));

    let grant_type = required("grant_type")?;
    match grant_type.as_str() {
        "refresh_token" => {}
        "authorization_code" => {
            let [code, client, secret] = [required("code")?, required("client_id")?, required("client_secret")?];
            if !amazon.switches.is_secret(client, secret) {
                return Err(Denial::Client);
            }
            let redirect_uri = given.get("redirect_uri").map(String::as_str);
            let taken = amazon.consents.take(code, client, redirect_uri, amazon.clock.now());
            let seller = taken.map_err(|bad| match bad {
                BadCode::Code => Denial::Code,
                BadCode::RedirectUri => Denial::RedirectUri,
            })?;
            let seller = amazon.seed.sellers.iter().find(|one| one.seller_id == seller).ok_or(Denial::Code)?;
            let refresh_token = amazon.switches.authorize(seller);
            amazon.consents.gave(&refresh_token);
            return access_token(amazon, entry, seller, refresh_token);
        }
        "client_credentials" => {
            let [scope, client, secret] = [required("scope")?, required("client_id")?, required("client_secret")?];
            if !amazon.switches.is_secret(client, secret) {
                return Err(Denial::Client);
            }
            if !scope.split(' ').all(|one| SCOPES.contains(&one)) {
                return Err(Denial::Scope);
            }
            let access_token = token("Atc").map_err(|_| Denial::Failure(StatusCode::INTERNAL_SERVER_ERROR))?;
            amazon.issue_grantless(&access_token, client, scope);
            return Ok(json!({
                "access_token": access_token,
                "scope": scope,
                "token_type": "bearer",
                "expires_in": ACCESS_TOKEN_SECONDS,
            }));
        }
        _ => return Err(Denial::UnsupportedGrantType),
    }
    let [refresh_token, client, secret] =
        [required("refresh_token")?, required("client_id")?, required("client_secret")?];
    if given.contains_key("scope") {
        return Err(Denial::Scope);
    }
    if !amazon.switches.is_secret(client, secret) {
        return Err(Denial::Client);
    }
    let gave = |seller: &Seller| {
        seller.refresh_token.expose() == refresh_token || amazon.switches.is_consent(&seller.seller_id, refresh_token)
    };
    let authorized = |seller: &&Seller| gave(seller) && seller.client_id == *client;
    let seller = amazon.seed.sellers.iter().find(authorized).ok_or(Denial::Grant)?;
    access_token(amazon, entry, seller, Secret::new(refresh_token))
}

/// An access token made with a refresh token of the seller's, which is given back with it.
fn access_token(amazon: &Amazon, entry: Entry, seller: &Seller, made_with: Secret) -> Result<Value, Denial> {
    amazon.ledger.note(entry, |call| call.seller = Some(seller.seller_id.clone()));
    let number = amazon.switches.grant(&seller.seller_id).ok_or(Denial::Grant)?;
    if amazon.switches.is_ended(&made_with) {
        return Err(Denial::Grant);
    }

    amazon.switches.used(&made_with);
    let access_token = token("Atza").map_err(|_| Denial::Failure(StatusCode::INTERNAL_SERVER_ERROR))?;
    amazon.issue(&access_token, seller, number, made_with.clone());
    Ok(json!({
        "access_token": access_token,
        "refresh_token": made_with,
        "token_type": "bearer",
        "expires_in": ACCESS_TOKEN_SECONDS,
    }))
}

/// Form or JSON; a form's `|` may stand there raw.
fn parse(content_type: &str, body: &[u8]) -> Result<BTreeMap<String, String>, Denial> {
    if content_type.to_ascii_lowercase().starts_with("application/json") {
        return serde_json::from_slice(body).map_err(|_| Denial::Malformed);
    }
    let mut given = BTreeMap::new();
    for (name, value) in url::form_urlencoded::parse(body) {
        if given.insert(name.into_owned(), value.into_owned()).is_some() {
            return Err(Denial::Malformed);
        }
    }
    Ok(given)
}

fn unstored(mut response: Response) -> Response {
    const HEADERS: [(HeaderName, &str); 3] = [
        (header::CACHE_CONTROL, "no-store"),
        (header::PRAGMA, "no-cache"),
        (header::CONTENT_TYPE, "application/json;charset=UTF-8"),
    ];
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
