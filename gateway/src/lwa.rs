//! `POST /auth/o2/token`: Login with Amazon's contract, for callers whose client knows no other.
//!
//! The refresh token they give is `NAMESPACE/NAME~TOKEN`: the connection and their own token. Client id and secret are
//! not looked at. The answer is good for that connection, as long as TOKEN is, at most an hour.

use std::sync::Arc;

use audit::{Call, Correlation, Operation, Phase, Reason};
use axum::{
    Json,
    body::Body,
    extract::Request,
    http::{HeaderValue, Method, Response, StatusCode, header},
    response::IntoResponse,
};
use crds::NamespacedReference;
use http_body_util::{BodyExt, Limited};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;
use zeroize::Zeroizing;

use crate::{answer::Denial, gateway::Gateway, proxy, record, sealed_token::Grant};

/// Longest request, in bytes: two tokens and some names.
const LIMIT: usize = 32 * 1024;
/// Longest life of the answer, in seconds: Amazon's own.
const LONGEST: i64 = 3600;

/// RFC 8693 §2.1.
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// What LWA's error says.
pub(crate) struct LwaError {
    /// A CamelCase word for metrics.
    pub(crate) reason: &'static str,
    status: StatusCode,
    error: &'static str,
    description: String,
    retry_after: Option<u64>,
}

impl LwaError {
    /// The request itself is wrong.
    fn new(status: StatusCode, error: &'static str, description: impl Into<String>) -> Self {
        Self { reason: "BadRequest", status, error, description: description.into(), retry_after: None }
    }

    fn invalid_grant(reason: &'static str, description: impl Into<String>) -> Self {
        Self { reason, ..Self::new(StatusCode::BAD_REQUEST, "invalid_grant", description) }
    }

    pub(crate) fn response(self, correlation: Correlation) -> Response<Body> {
        let body = json!({ "error": self.error, "error_description": self.description, "request_id": correlation.0 });
        let mut response = no_store((self.status, Json(body)).into_response());
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<Denial> for LwaError {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::Unavailable { .. } => Self {
                reason: denial.reason(),
                retry_after: denial.retry_after(),
                ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", denial.to_string())
            },
            _ => Self::invalid_grant(denial.reason(), denial.to_string()),
        }
    }
}

/// Handles a token request.
pub(crate) async fn exchange(
    gateway: &Arc<Gateway>,
    request: Request,
    correlation: Correlation,
) -> Result<Response<Body>, LwaError> {
    let from = proxy::from(&request);
    let refused = |reason: &'static str| gateway.refusals.count(from, reason);
    let turned_away = |error: LwaError| {
        refused(error.reason);
        error
    };
    let given = given(request).await.map_err(turned_away)?;
    let index = gateway.index().map_err(LwaError::from).map_err(turned_away)?;
    let Some((connection, token)) = split(given.expose_secret()) else {
        refused("TokenInvalid");
        return Err(LwaError::invalid_grant(
            "TokenInvalid",
            "The refresh token must be NAMESPACE/NAME~TOKEN: the connection, and a RuntimeToken or a ServiceAccount token",
        ));
    };
    let known = match gateway.verifier.verify_own(&index, &token).await {
        Ok(known) => known,
        Err(denial) => {
            refused(denial.reason());
            return Err(denial.into());
        }
    };
    let now = Timestamp::now();
    let found = access::usable_connection(&index, &known.caller, &connection, now);
    let refusal = match &found {
        None => Some(access::Refusal::NotFound { name: Some(connection.to_string()) }),
        Some(usable) => usable.refusal.clone(),
    };
    let target = found.as_ref().and_then(|usable| record::target(&usable.name, &usable.connection));
    let intent = record::intent(correlation, &known, from, Operation::TOKEN, target);
    if let Some(refusal) = refusal {
        let call = record::refused(intent, refusal.reason(), 400);
        gateway.refusals.record(&known, from, refusal.reason(), call);
        return Err(LwaError::invalid_grant(refusal.reason(), refusal.to_string()));
    }
    let remaining = known.expires_at.map_or(LONGEST, |end| end.as_second() - now.as_second()).min(LONGEST);
    if remaining <= 0 {
        let call = record::refused(intent, "TokenExpired", 400);
        gateway.refusals.record(&known, from, "TokenExpired", call);
        return Err(LwaError::invalid_grant("TokenExpired", "The token in the refresh token has expired"));
    }
    let expires_at = Timestamp::from_second(now.as_second() + remaining).unwrap_or(now);
    let call = Call { expires_at: Some(expires_at), ..intent };
    let grant = Grant { connection, token, expires_at };
    let Some(access_token) = gateway.verifier.sealed_tokens.seal(&grant, now) else {
        gateway.conclude(call, Phase::Failed { reason: Reason::new("SealingFailed") });
        return Err(LwaError {
            reason: "SealingFailed",
            ..LwaError::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "the token could not be sealed")
        });
    };
    let _recorded = gateway.record(record::answered(call)).await?;
    let body = Answer {
        access_token: access_token.expose_secret(),
        token_type: "bearer",
        expires_in: remaining,
        refresh_token: given.expose_secret(),
    };
    Ok(no_store(Json(body).into_response()))
}

/// The refresh token that a request gives.
async fn given(request: Request) -> Result<SecretString, LwaError> {
    if request.method() != Method::POST {
        return Err(LwaError::new(StatusCode::METHOD_NOT_ALLOWED, "invalid_request", "the method must be POST"));
    }
    let form = read(request).await?;
    match form.grant_type.as_deref() {
        Some("refresh_token") => {}
        Some(TOKEN_EXCHANGE) => {
            let description = "token exchange (RFC 8693) is not served yet; use the grant type refresh_token";
            return Err(LwaError::new(StatusCode::BAD_REQUEST, "unsupported_grant_type", description));
        }
        Some(_) => {
            return Err(LwaError::new(
                StatusCode::BAD_REQUEST,
                "unsupported_grant_type",
                "The authorization grant type is not supported by the authorization server",
            ));
        }
        None => return Err(missing("grant_type")),
    }
    form.refresh_token.ok_or_else(|| missing("refresh_token"))
}

fn missing(parameter: &str) -> LwaError {
    LwaError::new(
        StatusCode::BAD_REQUEST,
        "invalid_request",
        format!("The request is missing a required parameter : {parameter}"),
    )
}

fn no_store(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

/// RFC 6749 §5.1, as Amazon answers.
#[derive(Serialize)]
struct Answer<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: i64,
    refresh_token: &'a str,
}

#[derive(Default, Deserialize)]
struct Form {
    grant_type: Option<String>,
    #[serde(default, deserialize_with = "secret")]
    refresh_token: Option<SecretString>,
}

fn secret<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(SecretString::from))
}

async fn read(request: Request) -> Result<Form, LwaError> {
    let bad = |why: &str| LwaError::new(StatusCode::BAD_REQUEST, "invalid_request", why);
    let json = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.trim_start().to_ascii_lowercase().starts_with("application/json"));
    let body = Limited::new(request.into_body(), LIMIT)
        .collect()
        .await
        .map_err(|_| bad("the request's body broke off or is larger than 32 KiB"))?;
    let body = Zeroizing::new(body.to_bytes().to_vec());
    if json {
        return serde_json::from_slice(&body).map_err(|_| bad("the request's body is no JSON object of texts"));
    }
    // Amazon's own JavaScript client does not encode `|`; form decoding takes it as it is.
    let mut form = Form::default();
    for (name, value) in url::form_urlencoded::parse(&body) {
        let twice = match &*name {
            "grant_type" => form.grant_type.replace(value.into_owned()).is_some(),
            "refresh_token" => form.refresh_token.replace(SecretString::from(&*value)).is_some(),
            _ => false,
        };
        if twice {
            return Err(bad("a parameter is given more than once"));
        }
    }
    Ok(form)
}

/// `NAMESPACE/NAME~TOKEN`.
fn split(given: &str) -> Option<(NamespacedReference, SecretString)> {
    let (connection, token) = given.split_once('~')?;
    let connection = connection.parse().ok()?;
    (!token.is_empty()).then(|| (connection, token.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refresh_token_names_the_connection() {
        let (connection, token) = split("acme/acme-na~a.b~c").unwrap();
        assert_eq!(connection.to_string(), "acme/acme-na");
        assert_eq!(token.expose_secret(), "a.b~c");
    }

    #[test]
    fn other_texts_are_no_refresh_token() {
        for text in ["", "~", "acme~t", "acme/~t", "/na~t", "acme/na", "acme/na~", "a b/na~t", "Acme/na~t", "a/b/c~t"] {
            assert!(split(text).is_none(), "{text}");
        }
    }
}
