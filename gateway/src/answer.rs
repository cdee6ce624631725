//! Answers of our own, in the shapes that Amazon's clients understand.

use std::time::Duration;

use access::Refusal;
use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
    response::IntoResponse,
};
use crds::AmazonRefusal;
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
    /// Amazon refuses what calls are made with.
    #[error("{0}")]
    Amazon(AmazonRefusal),
    /// Amazon's answer cannot be passed on, or none came.
    #[error("{why}")]
    Upstream {
        /// A CamelCase word.
        reason: &'static str,
        /// In words.
        why: &'static str,
        /// When trying again may help, where it may.
        retry_after: Option<Duration>,
    },
    /// What a later release serves.
    #[error("{0} is not served yet")]
    NotServedYet(&'static str),
    /// The body is larger than the gateway takes.
    #[error("the request's body is larger than 1 MiB")]
    TooLarge,
}

impl Denial {
    pub(crate) fn unavailable(reason: &'static str, why: &str) -> Self {
        Self::Unavailable { reason, why: why.to_owned() }
    }

    /// An answer of Amazon's that nobody can use.
    pub(crate) const fn nonsense(why: &'static str) -> Self {
        Self::Upstream { reason: "AmazonNonsense", why, retry_after: None }
    }

    /// A CamelCase word for the record.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::BadRequest(_) => "BadRequest",
            Self::TokenMissing => "TokenMissing",
            Self::TokenInvalid => "TokenInvalid",
            Self::TokenExpired => "TokenExpired",
            Self::Refused(refusal) => refusal.reason(),
            Self::Unavailable { reason, .. } | Self::Upstream { reason, .. } => reason,
            Self::Amazon(refusal) => refusal.reason(),
            Self::NotServedYet(_) => "NotServedYet",
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
            Self::Amazon(_) | Self::Upstream { .. } => StatusCode::BAD_GATEWAY,
            Self::NotServedYet(_) => StatusCode::NOT_IMPLEMENTED,
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
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
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

    /// Whole seconds after which trying again may help (RFC 9110 §10.2.3).
    pub(crate) fn retry_after(&self) -> Option<u64> {
        match self {
            // Our view is proven anew each second, a recorder comes back when it comes back.
            Self::Unavailable { .. } => Some(1),
            // Rounded up: a moment too early would be told the same again.
            Self::Upstream { retry_after, .. } => {
                retry_after.map(|after| after.as_millis().div_ceil(1000).max(1) as u64)
            }
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
        Refusal::NotAuthorized { .. } => StatusCode::BAD_GATEWAY,
        Refusal::RuntimeToken { .. }
        | Refusal::Contained { .. }
        | Refusal::NotReady { .. }
        | Refusal::OperationUnknown { .. }
        | Refusal::NeverServed { .. }
        | Refusal::OperationNotAllowed { .. }
        | Refusal::MarketplaceNotInScope { .. }
        | Refusal::CredentialNotGiven { .. }
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
            Denial::Amazon(AmazonRefusal::AuthorizationRevoked),
            Denial::Upstream {
                reason: "AmazonTimeout",
                why: "no answer",
                retry_after: Some(Duration::from_millis(1001)),
            },
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

    #[test]
    fn retry_after_is_whole_seconds_rounded_up_and_only_where_waiting_helps() {
        let upstream = |millis| Denial::Upstream {
            reason: "AmazonUnreachable",
            why: "",
            retry_after: Some(Duration::from_millis(millis)),
        };
        for (millis, told) in [(0, "1"), (1, "1"), (1000, "1"), (1001, "2"), (16_000, "16")] {
            let response = upstream(millis).response(Uuid::nil());
            assert_eq!(response.headers()[header::RETRY_AFTER], told, "{millis}");
        }
        for denial in [
            Denial::Amazon(AmazonRefusal::AuthorizationRevoked),
            Denial::nonsense("no"),
            Denial::TokenInvalid,
            Denial::Refused(Refusal::NotFound { name: None }),
        ] {
            assert!(!denial.response(Uuid::nil()).headers().contains_key(header::RETRY_AFTER), "{denial}");
        }
    }
}
