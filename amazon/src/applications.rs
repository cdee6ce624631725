//! The Application Management API: having Amazon make a new client secret.

use std::time::SystemTime;

use reqwest::header::{ACCEPT, CONTENT_LENGTH, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use thiserror::Error;

use crate::http::{self, Limits};
use crate::{ClientError, Endpoint, RetryCause, SpApiError, Unauthorized, amz_date};

const CLIENT_SECRET: &str = "/applications/2023-11-30/clientSecret";
const ANSWER_LIMIT_BYTES: usize = 64 * 1024;

/// Calls the Application Management API. Cheap to clone; clones share connections.
#[derive(Debug, Clone)]
pub struct ApplicationsClient {
    http: reqwest::Client,
}

/// Why Amazon makes no new client secret. None holds anything secret, nor Amazon's own words.
#[derive(Debug, Clone, Error)]
pub enum RotationError {
    /// Amazon does not know where to send the new secret to: no queue is registered in the Developer Console.
    #[error("amazon knows no queue for the new client secret of this application")]
    NotEnrolled,
    /// Another reason.
    #[error(transparent)]
    Api(#[from] SpApiError),
}

impl ApplicationsClient {
    /// A client that trusts the system's authorities, or with a `ca_bundle` (PEM) that bundle alone.
    ///
    /// # Errors
    ///
    /// [`ClientError`], when the bundle is not usable or TLS cannot be set up.
    pub fn new(ca_bundle: Option<&[u8]>) -> Result<Self, ClientError> {
        Self::with_limits(ca_bundle, Limits::default())
    }

    pub(crate) fn with_limits(ca_bundle: Option<&[u8]>, limits: Limits) -> Result<Self, ClientError> {
        Ok(Self { http: http::client(ca_bundle, limits)? })
    }

    /// Has Amazon make a new client secret (operation `rotateApplicationClientSecret`), which it sends to the queue that
    /// is registered for the application and nowhere else. The secret that `token` was got with dies 7 days later.
    /// Amazon allows one call a minute.
    ///
    /// `token` is a grantless one of [`crate::GrantlessScope::SecretRotation`].
    ///
    /// # Errors
    ///
    /// [`RotationError`]. After [`SpApiError::Retry`] Amazon may have done it all the same.
    pub async fn rotate_client_secret(&self, endpoint: &Endpoint, token: &SecretString) -> Result<(), RotationError> {
        let mut token = HeaderValue::from_str(token.expose_secret())
            .map_err(|_| SpApiError::Unauthorized(Unauthorized::Invalid))?;
        token.set_sensitive(true);
        let answer = self
            .http
            .post(endpoint.below(CLIENT_SECRET))
            .header("x-amz-access-token", token)
            .header("x-amz-date", amz_date(SystemTime::now()))
            .header(ACCEPT, "application/json")
            .header(CONTENT_LENGTH, "0")
            .send()
            .await
            .map_err(|error| SpApiError::Retry(error.into()))?;
        let status = answer.status().as_u16();
        let body = http::body(answer, ANSWER_LIMIT_BYTES).await.map_err(SpApiError::Retry)?;
        Err(match status {
            204 => return Ok(()),
            400 if says_not_enrolled(&body) => RotationError::NotEnrolled,
            401 | 403 => SpApiError::Unauthorized(Unauthorized::of(&body)).into(),
            429 => SpApiError::Throttled.into(),
            400..=499 => SpApiError::Refused(status).into(),
            500..=599 => SpApiError::Retry(RetryCause::Server(status)).into(),
            _ => SpApiError::Retry(RetryCause::Nonsense("its status")).into(),
        })
    }
}

/// `InvalidInput`, "Application is not enrolled for rotation notification" (application-management-api-model).
fn says_not_enrolled(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Refusal {
        errors: Vec<One>,
    }
    #[derive(Deserialize)]
    struct One {
        code: String,
        message: String,
    }
    let refusal = serde_json::from_slice::<Refusal>(body);
    let is_it = |one: &One| one.code == "InvalidInput" && one.message.to_ascii_lowercase().contains("not enrolled");
    refusal.is_ok_and(|refusal| refusal.errors.iter().any(is_it))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_server::{Answer, Server};

    fn token() -> SecretString {
        SecretString::from(format!("Atc{}not-a-real-token", '|'))
    }

    async fn ask(server: &Server) -> Result<(), RotationError> {
        let client = ApplicationsClient::with_limits(Some(server.ca_pem()), server.limits()).unwrap();
        client.rotate_client_secret(&server.endpoint(), &token()).await
    }

    async fn refusal(answer: Answer) -> RotationError {
        let server = Server::start(answer).await;
        let error = ask(&server).await.unwrap_err();
        let text = format!("{error:?} {error}");
        assert!(!text.contains("not-a-real") && !text.contains("marker"), "{text}");
        error
    }

    #[tokio::test]
    async fn amazon_is_asked_with_the_token_and_no_body_and_answers_nothing() {
        let server = Server::start(Answer::Bytes(b"HTTP/1.1 204 x\r\n\r\n".to_vec())).await;
        ask(&server).await.unwrap();
        let request = server.request();
        assert!(request.starts_with("POST /applications/2023-11-30/clientSecret HTTP/1.1\r\n"), "{request}");
        assert!(request.contains(&format!("x-amz-access-token: {}\r\n", token().expose_secret())), "{request}");
        assert!(request.ends_with("\r\n\r\n"), "{request}");
    }

    #[tokio::test]
    async fn an_application_without_a_queue_is_told_from_other_bad_requests() {
        let errors = |code: &str, message: &str| {
            Answer::json(400, &format!(r#"{{"errors":[{{"code":"{code}","message":"{message}","details":""}}]}}"#))
        };
        let told = "Application is not enrolled for rotation notification. marker";
        assert!(matches!(refusal(errors("InvalidInput", told)).await, RotationError::NotEnrolled));
        for other in [
            errors("InvalidInput", "marker"),
            errors("Other", told),
            Answer::json(400, "{\"errors\":[]}"),
            Answer::json(400, "marker"),
            Answer::json(404, told),
        ] {
            let error = refusal(other).await;
            assert!(matches!(error, RotationError::Api(SpApiError::Refused(400 | 404))), "{error:?}");
        }
    }

    #[tokio::test]
    async fn other_answers_are_told_apart() {
        let api = async |answer| match refusal(answer).await {
            RotationError::Api(error) => error,
            RotationError::NotEnrolled => panic!("it is enrolled"),
        };
        let denied = r#"{"errors":[{"code":"Unauthorized","message":"m","details":"The LWA secret token you provided has expired."}]}"#;
        let error = api(Answer::json(403, denied)).await;
        assert!(matches!(error, SpApiError::Unauthorized(Unauthorized::SecretExpired)), "{error:?}");
        assert!(matches!(api(Answer::json(429, "{}")).await, SpApiError::Throttled));
        for answer in [Answer::json(503, "marker"), Answer::json(200, "{}"), Answer::HangUp, Answer::Silence] {
            let error = api(answer).await;
            assert!(matches!(error, SpApiError::Retry(_)), "{error:?}");
        }
    }
}
