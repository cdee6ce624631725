//! Application Management 2023-11-30: rotateApplicationClientSecret, and the notices to a queue of Amazon SQS that tell
//! of new secrets.
//!
//! Forms and lives as in amzn/selling-partner-api-samples (`lwa-rotation`) and the SP-API documentation, "Rotate your
//! application client secret".

use crate::{
    Secret,
    amazon::Amazon,
    refusal::Refusal,
    seed::{SeedError, client_secret},
};
use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;

/// The operation's name in the ledger.
pub(crate) const NAME: &str = "applications/2023-11-30/rotateApplicationClientSecret";
/// Its path, for POST.
pub(crate) const PATH: &str = "/applications/2023-11-30/clientSecret";
/// What its token must be for.
pub(crate) const SCOPE: &str = "sellingpartnerapi::client_credential:rotation";
/// Calls per second.
pub(crate) const RATE: &str = "0.0167";

/// A queue of Amazon SQS that a developer registered for an application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Queue {
    /// Where SQS is, such as `https://localhost:5000`.
    pub endpoint: String,
    /// The queue's URL, which need not be there.
    pub url: String,
    /// The authority to trust there, PEM.
    pub ca: String,
}

/// How rotation behaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Rotation {
    /// How long the secret before works after a rotation. Amazon: 7 days.
    pub old_seconds: u32,
    /// How long the new one works. Amazon: 180 days.
    pub new_seconds: u32,
    /// Whether notices of new secrets are kept back; see [`crate::Emulator::notices`].
    pub held: bool,
}

impl Default for Rotation {
    fn default() -> Self {
        Self { old_seconds: 7 * 24 * 3600, new_seconds: 180 * 24 * 3600, held: false }
    }
}

/// A message could not be put into a queue.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// No queue is registered for the application.
    #[error("no queue is registered for client {0}")]
    NotEnrolled(String),
    /// The queue's authority, or what was answered.
    #[error("queue did not take the message")]
    Queue(#[source] reqwest::Error),
}

/// A new secret cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// No queue is registered for the application.
    #[error("no queue is registered for client {0}")]
    NotEnrolled(String),
    /// The operating system gives no random bytes.
    #[error("could not make a secret")]
    Random(#[from] SeedError),
}

impl Queue {
    /// Puts a message into it.
    async fn send(&self, body: &str) -> Result<(), reqwest::Error> {
        let ca = reqwest::Certificate::from_pem(self.ca.as_bytes())?;
        let client = reqwest::Client::builder().tls_certs_only([ca]).no_proxy().build()?;
        // Who serves SQS in tests looks at the signature only for the service that it names.
        let scope = "Credential=test/20260101/us-east-1/sqs/aws4_request";
        client
            .post(&self.endpoint)
            .header("x-amz-target", "AmazonSQS.SendMessage")
            .header("content-type", "application/x-amz-json-1.0")
            .header("authorization", format!("AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"))
            .body(json!({ "QueueUrl": self.url, "MessageBody": body }).to_string())
            .send()
            .await?
            .error_for_status()
            .map(drop)
    }
}

/// The notice of a new secret.
fn new_secret(client: &str, secret: &Secret, now: Timestamp, rotation: &Rotation) -> Value {
    let after = |seconds: u32| now.saturating_add(SignedDuration::from_secs(seconds.into())).unwrap_or(now);
    envelope(
        now,
        "APPLICATION_OAUTH_CLIENT_NEW_SECRET",
        json!({ "applicationOAuthClientNewSecret": {
            "clientId": client,
            "newClientSecret": secret.expose(),
            "newClientSecretExpiryTime": millis(after(rotation.new_seconds)),
            "oldClientSecretExpiryTime": millis(after(rotation.old_seconds)),
        } }),
    )
}

/// The notice that a secret ends.
pub(crate) fn expiry(client: &str, at: Timestamp, now: Timestamp) -> Value {
    envelope(
        now,
        "APPLICATION_OAUTH_CLIENT_SECRET_EXPIRY",
        json!({ "applicationOAuthClientSecretExpiry": {
            "clientId": client,
            "clientSecretExpiryTime": millis(at),
            "clientSecretExpiryReason": "PERIODIC_ROTATION",
        } }),
    )
}

fn millis(time: Timestamp) -> String {
    format!("{time:.3}")
}

fn envelope(now: Timestamp, kind: &str, payload: Value) -> Value {
    json!({
        "notificationVersion": "1.0",
        "notificationType": kind,
        "payloadVersion": "2023-11-30",
        "eventTime": millis(now),
        "payload": payload,
        "notificationMetadata": {
            "applicationId": "amzn1.sellerapps.app.0",
            "subscriptionId": uuid::Uuid::new_v4().to_string(),
            "publishTime": millis(now),
            "notificationId": uuid::Uuid::new_v4().to_string(),
        },
    })
}

impl Amazon {
    /// Makes a new secret for a client, and the notice of it, which goes to its queue unless it is held back.
    pub(crate) fn rotate(self: &Arc<Self>, client: &str) -> Result<(), RotateError> {
        if self.switches.queue(client).is_none() {
            return Err(RotateError::NotEnrolled(client.to_owned()));
        }
        let (secret, now, rotation) = (client_secret()?, self.clock.now(), self.switches.rotation(client));
        let body = new_secret(client, &secret, now, &rotation).to_string();
        let old_until = now.saturating_add(SignedDuration::from_secs(rotation.old_seconds.into())).unwrap_or(now);
        self.switches.rotated(client, secret, old_until, body.clone());
        if !rotation.held {
            let (amazon, client) = (Arc::clone(self), client.to_owned());
            tokio::spawn(async move {
                if let Err(error) = amazon.post(&client, &body).await {
                    eprintln!("notice to {client} was lost: {error}");
                }
            });
        }
        Ok(())
    }

    /// Puts a message into a client's queue.
    pub(crate) async fn post(&self, client: &str, body: &str) -> Result<(), PostError> {
        let queue = self.switches.queue(client).ok_or_else(|| PostError::NotEnrolled(client.to_owned()))?;
        queue.send(body).await.map_err(PostError::Queue)
    }

    /// Answers the operation: 204, and the new secret only by the queue.
    pub(crate) fn answer_rotation(self: &Arc<Self>, client: &str) -> Result<Response, Refusal> {
        match self.rotate(client) {
            Ok(()) => Ok(StatusCode::NO_CONTENT.into_response()),
            Err(RotateError::NotEnrolled(_)) => {
                Err(Refusal::invalid_input("Application is not enrolled for rotation notification."))
            }
            Err(RotateError::Random(_)) => Err(Refusal::failure(StatusCode::INTERNAL_SERVER_ERROR)),
        }
    }
}
