//! Answers of our own, in the shapes that Amazon's clients understand.

use access::Refusal;
use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
    response::IntoResponse,
};
use serde_json::json;
use uuid::Uuid;

/// Why a request is not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Denial {
    /// The request itself is wrong.
    #[error("{0}")]
    BadRequest(&'static str),
    /// No credential.
    #[error("Access token is missing in the request header.")]
    TokenMissing,
    /// Not one of ours, or of nobody we know.
    #[error("The access token you provided is revoked, malformed or invalid.")]
    TokenInvalid,
    /// Ours, and over.
    #[error("The access token you provided has expired.")]
    TokenExpired,
    /// The decision was no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// We cannot tell whether the call is allowed, so it is not.
    #[error("{why}; try again")]
    Unavailable {
        /// A CamelCase word.
        reason: &'static str,
        /// In words.
        why: String,
    },
    /// Amazon accepts the credential no longer.
    #[error("{0}")]
    Reauthorize(&'static str),
    /// Amazon's answer cannot be passed on, or none came.
    #[error("{why}")]
    Upstream {
        /// A CamelCase word.
        reason: &'static str,
        /// In words.
        why: &'static str,
    },
    /// The body is larger than the gateway takes.
    #[error("the request's body is larger than 1 MiB")]
    TooLarge,
}

impl Denial {
    /// A CamelCase word for the record.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::BadRequest(_) => "BadRequest",
            Self::TokenMissing => "TokenMissing",
            Self::TokenInvalid => "TokenInvalid",
            Self::TokenExpired => "TokenExpired",
            Self::Refused(refusal) => refusal.reason(),
            Self::Unavailable { reason, .. } | Self::Upstream { reason, .. } => reason,
            Self::Reauthorize(_) => "AuthorizationRejected",
            Self::TooLarge => "BodyTooLarge",
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            // Amazon answers 403, not 401, and its clients look for that.
            Self::TokenMissing | Self::TokenInvalid | Self::TokenExpired => StatusCode::FORBIDDEN,
            Self::Refused(refusal) => refusal_status(refusal),
            Self::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Reauthorize(_) | Self::Upstream { .. } => StatusCode::BAD_GATEWAY,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        }
    }

    /// `code` of SP-API's error. For a token that is no good it is Amazon's own, which clients act on.
    fn code(&self) -> &'static str {
        match self {
            Self::TokenMissing | Self::TokenInvalid | Self::TokenExpired => "Unauthorized",
            other => other.reason(),
        }
    }

    /// The answer in SP-API's error shape (`errors[] {code, message, details}`).
    pub(crate) fn response(&self, request_id: Uuid) -> Response<Body> {
        let (message, details) = match self {
            Self::TokenMissing | Self::TokenInvalid | Self::TokenExpired => {
                ("Access to requested resource is denied.".to_owned(), self.to_string())
            }
            other => (other.to_string(), String::new()),
        };
        let body = json!({ "errors": [{ "code": self.code(), "message": message, "details": details }] });
        let mut response = (self.status(), axum::Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert("x-amzn-errortype", HeaderValue::from_static(self.error_type()));
        if let Ok(id) = HeaderValue::from_str(&request_id.to_string()) {
            headers.insert("x-amzn-requestid", id);
        }
        if let Some(seconds) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(seconds));
        }
        response
    }

    fn error_type(&self) -> &'static str {
        match self.status() {
            StatusCode::FORBIDDEN => "AccessDeniedException",
            StatusCode::NOT_FOUND => "ResourceNotFoundException",
            status if status.is_client_error() => "InvalidInputException",
            _ => "InternalFailure",
        }
    }

    /// Seconds after which trying again may help.
    fn retry_after(&self) -> Option<&'static str> {
        match self {
            Self::Unavailable { .. } => Some("1"),
            Self::Upstream { .. } => Some("5"),
            _ => None,
        }
    }
}

fn refusal_status(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::NotFound { .. } => StatusCode::NOT_FOUND,
        Refusal::Ambiguous { .. } | Refusal::Path(_) | Refusal::Query(_) | Refusal::MarketplaceMissing { .. } => {
            StatusCode::BAD_REQUEST
        }
        Refusal::RuntimeToken { .. }
        | Refusal::Contained { .. }
        | Refusal::NotReady { .. }
        | Refusal::OperationUnknown { .. }
        | Refusal::NeverServed { .. }
        | Refusal::OperationNotAllowed { .. }
        | Refusal::MarketplaceNotInScope { .. }
        | Refusal::NotYetCheckable { .. } => StatusCode::FORBIDDEN,
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn every_denial_has_the_shape_that_clients_parse() {
        for denial in [
            Denial::BadRequest("two credentials"),
            Denial::TokenMissing,
            Denial::TokenInvalid,
            Denial::TokenExpired,
            Denial::Refused(Refusal::NotFound { name: None }),
            Denial::Unavailable { reason: "NotRecorded", why: "the recorder did not answer".to_owned() },
            Denial::Reauthorize("revoked"),
            Denial::Upstream { reason: "AmazonTimeout", why: "no answer" },
            Denial::TooLarge,
        ] {
            let response = denial.response(Uuid::nil());
            assert!(response.status().is_client_error() || response.status().is_server_error());
            assert!(response.headers().contains_key("x-amzn-requestid"));
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let error = &body["errors"][0];
            assert!(["code", "message", "details"].iter().all(|key| error[key].is_string()), "{body}");
        }
    }
}
