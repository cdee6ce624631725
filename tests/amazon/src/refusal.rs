//! Errors as the Selling Partner API words them.

use axum::{
    Json,
    http::{HeaderName, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::json;

const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// Why a call gets no data: a status, `x-amzn-ErrorType`, and one entry of `errors[]`.
///
/// The 403s are as seen live, but for what is marked assumed; the other error types are assumed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    status: StatusCode,
    error_type: &'static str,
    code: &'static str,
    message: String,
    details: String,
}

impl Refusal {
    /// No `x-amz-access-token`.
    pub(crate) fn token_missing() -> Self {
        Self::denied("Access token is missing in the request header.")
    }

    /// The token never was one, or its grant was revoked since.
    pub(crate) fn token_invalid() -> Self {
        Self::denied("The access token you provided is revoked, malformed or invalid.")
    }

    /// The token's hour is over.
    pub(crate) fn token_expired() -> Self {
        Self::denied("The access token you provided has expired.")
    }

    /// A marketplace that another region's host serves.
    pub(crate) fn other_region() -> Self {
        Self::denied("The marketplaces you provided are not valid for region.")
    }

    /// An unknown path (as seen live); a token of another region, or a marketplace the seller takes no part in
    /// (assumed).
    pub(crate) fn no_access() -> Self {
        Self::denied("")
    }

    fn denied(details: &str) -> Self {
        Self {
            status: StatusCode::FORBIDDEN,
            error_type: "AccessDeniedException",
            code: "Unauthorized",
            message: "Access to requested resource is denied.".to_owned(),
            details: details.to_owned(),
        }
    }

    /// A parameter or header is missing or wrong.
    pub(crate) fn invalid_input(message: &str) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            error_type: "InvalidInputException",
            code: "InvalidInput",
            message: message.to_owned(),
            details: String::new(),
        }
    }

    /// No such order or item for this seller.
    pub(crate) fn not_found(message: &str) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            error_type: "ResourceNotFoundException",
            code: "NotFound",
            message: message.to_owned(),
            details: String::new(),
        }
    }

    /// A switch says so.
    pub(crate) fn failure(status: StatusCode) -> Self {
        let (error_type, code, message) = match status {
            StatusCode::TOO_MANY_REQUESTS => {
                ("QuotaExceededException", "QuotaExceeded", "You exceeded your quota for the requested resource.")
            }
            StatusCode::SERVICE_UNAVAILABLE => (
                "ServiceUnavailableException",
                "ServiceUnavailable",
                "Service is temporarily unavailable. Please try again.",
            ),
            _ => ("InternalFailure", "InternalFailure", "We encountered an internal error. Please try again."),
        };
        Self { status, error_type, code, message: message.to_owned(), details: String::new() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let error = json!({"code": self.code, "message": self.message, "details": self.details});
        (self.status, [(ERROR_TYPE, self.error_type)], Json(json!({"errors": [error]}))).into_response()
    }
}
