//! What Amazon tells by Amazon SQS of an application's client secret.
//!
//! The envelope is camelCase, unlike that of other SP-API notifications (amzn/selling-partner-api-samples,
//! `lwa-rotation`). Its body holds the new secret in the clear: it is parsed here at the edge, and shown nowhere.

use std::borrow::Cow;

use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use thiserror::Error;
use zeroize::Zeroizing;

/// SQS takes no longer messages; Amazon's have about 1 KiB.
const LIMIT_BYTES: usize = 1024 * 1024;
/// Far above the 80 characters of a client secret, and of a client id.
const TEXT_LIMIT_BYTES: usize = 512;

/// A notice about a client secret.
#[derive(Debug)]
pub struct SecretNotice {
    /// The application's Login with Amazon client id. Not secret.
    pub client_id: String,
    /// When Amazon published it, by Amazon's clock: what tells an older notice from a newer one, since a queue keeps no
    /// order.
    pub published_at: Timestamp,
    /// What it says.
    pub news: SecretNews,
}

/// What a notice says.
#[derive(Debug)]
pub enum SecretNews {
    /// There is a new secret (`APPLICATION_OAUTH_CLIENT_NEW_SECRET`).
    New {
        /// The secret: visible ASCII.
        secret: SecretString,
        /// Until when it works.
        expires_at: Timestamp,
        /// Until when the one before works.
        old_expires_at: Timestamp,
    },
    /// The present one ends then (`APPLICATION_OAUTH_CLIENT_SECRET_EXPIRY`).
    Expires(Timestamp),
}

/// Why a message is no notice about a client secret. None repeats anything of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NoticeError {
    /// Not JSON of Amazon's form.
    #[error("message is no notification of amazon's")]
    Unreadable,
    /// Of another kind: perhaps somebody else's, who shares the queue.
    #[error("message is a notification of another kind")]
    OtherKind,
    /// What it says cannot be: an empty secret, control characters.
    #[error("notification holds {0} that cannot be right")]
    Wrong(&'static str),
}

impl SecretNotice {
    /// Reads the body of a message.
    ///
    /// # Errors
    ///
    /// [`NoticeError`] for everything else.
    pub fn parse(body: &str) -> Result<Self, NoticeError> {
        if body.len() > LIMIT_BYTES {
            return Err(NoticeError::Unreadable);
        }
        let envelope: Envelope<'_> = serde_json::from_str(body).map_err(|_| NoticeError::Unreadable)?;
        let published_at = envelope.notification_metadata.publish_time.or(envelope.event_time);
        let (client_id, news) = match envelope.notification_type.as_ref() {
            "APPLICATION_OAUTH_CLIENT_NEW_SECRET" => {
                let new = envelope.payload.application_o_auth_client_new_secret.ok_or(NoticeError::Unreadable)?;
                let secret = Zeroizing::new(new.new_client_secret.into_owned());
                if !is_text(&secret) {
                    return Err(NoticeError::Wrong("a secret"));
                }
                let news = SecretNews::New {
                    secret: SecretString::from(secret.as_str()),
                    expires_at: new.new_client_secret_expiry_time,
                    old_expires_at: new.old_client_secret_expiry_time,
                };
                (new.client_id, news)
            }
            "APPLICATION_OAUTH_CLIENT_SECRET_EXPIRY" => {
                let old = envelope.payload.application_o_auth_client_secret_expiry.ok_or(NoticeError::Unreadable)?;
                (old.client_id, SecretNews::Expires(old.client_secret_expiry_time))
            }
            _ => return Err(NoticeError::OtherKind),
        };
        if !is_text(&client_id) {
            return Err(NoticeError::Wrong("a client id"));
        }
        let published_at = published_at.ok_or(NoticeError::Wrong("no time of publication"))?;
        Ok(Self { client_id: client_id.into_owned(), published_at, news })
    }
}

fn is_text(text: &str) -> bool {
    !text.is_empty() && text.len() <= TEXT_LIMIT_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    #[serde(borrow)]
    notification_type: Cow<'a, str>,
    event_time: Option<Timestamp>,
    #[serde(borrow)]
    payload: Payload<'a>,
    #[serde(default)]
    notification_metadata: Metadata,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    publish_time: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'a> {
    #[serde(borrow)]
    application_o_auth_client_new_secret: Option<NewSecret<'a>>,
    #[serde(borrow)]
    application_o_auth_client_secret_expiry: Option<Expiry<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewSecret<'a> {
    #[serde(borrow)]
    client_id: Cow<'a, str>,
    #[serde(borrow)]
    new_client_secret: Cow<'a, str>,
    new_client_secret_expiry_time: Timestamp,
    old_client_secret_expiry_time: Timestamp,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Expiry<'a> {
    #[serde(borrow)]
    client_id: Cow<'a, str>,
    client_secret_expiry_time: Timestamp,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret;
    use serde_json::{Value, json};

    use super::*;

    const CLIENT_ID: &str = "amzn1.application-oa2-client.example";

    fn envelope(kind: &str, payload: Value) -> Value {
        json!({
            "notificationVersion": "1.0",
            "notificationType": kind,
            "payloadVersion": "2023-11-30",
            "eventTime": "2026-01-01T00:00:00.000Z",
            "payload": payload,
            "notificationMetadata": {
                "applicationId": "amzn1.sellerapps.app.x", "subscriptionId": "s",
                "publishTime": "2026-01-01T00:00:01.123Z", "notificationId": "n",
            },
        })
    }

    fn new_secret(secret: &str) -> Value {
        envelope(
            "APPLICATION_OAUTH_CLIENT_NEW_SECRET",
            json!({ "applicationOAuthClientNewSecret": {
                "clientId": CLIENT_ID, "newClientSecret": secret,
                "newClientSecretExpiryTime": "2026-06-30T00:00:00.000Z",
                "oldClientSecretExpiryTime": "2026-01-08T00:00:00.000Z",
            } }),
        )
    }

    fn expiry() -> Value {
        envelope(
            "APPLICATION_OAUTH_CLIENT_SECRET_EXPIRY",
            json!({ "applicationOAuthClientSecretExpiry": {
                "clientId": CLIENT_ID, "clientSecretExpiryTime": "2026-03-01T00:00:00.000Z",
                "clientSecretExpiryReason": "PERIODIC_ROTATION",
            } }),
        )
    }

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_new_secret_is_read_and_never_shown() {
        let notice = SecretNotice::parse(&new_secret("not-a-real-secret").to_string()).unwrap();
        assert!(!format!("{notice:?}").contains("not-a-real"), "{notice:?}");
        assert_eq!((notice.client_id.as_str(), notice.published_at), (CLIENT_ID, time("2026-01-01T00:00:01.123Z")));
        let SecretNews::New { secret, expires_at, old_expires_at } = notice.news else { panic!("{notice:?}") };
        assert_eq!(secret.expose_secret(), "not-a-real-secret");
        assert_eq!((expires_at, old_expires_at), (time("2026-06-30T00:00:00Z"), time("2026-01-08T00:00:00Z")));
    }

    #[test]
    fn an_expiry_is_read() {
        let notice = SecretNotice::parse(&expiry().to_string()).unwrap();
        assert!(matches!(notice.news, SecretNews::Expires(at) if at == time("2026-03-01T00:00:00Z")), "{notice:?}");
    }

    #[test]
    fn escapes_in_a_secret_are_undone() {
        let body = new_secret("MARK").to_string().replace("MARK", "not\\u002da\\/secret");
        let SecretNews::New { secret, .. } = SecretNotice::parse(&body).unwrap().news else { panic!("new") };
        assert_eq!(secret.expose_secret(), "not-a/secret");
    }

    #[test]
    fn without_a_time_of_publication_the_event_s_own_counts() {
        let mut body = expiry();
        body.as_object_mut().unwrap().remove("notificationMetadata");
        assert_eq!(SecretNotice::parse(&body.to_string()).unwrap().published_at, time("2026-01-01T00:00:00Z"));
        body.as_object_mut().unwrap().remove("eventTime");
        assert!(matches!(SecretNotice::parse(&body.to_string()), Err(NoticeError::Wrong(_))));
    }

    #[test]
    fn what_is_not_amazons_notice_is_refused_without_repeating_it() {
        let without = |path: &str| {
            let mut body = new_secret("marker");
            body["payload"]["applicationOAuthClientNewSecret"].as_object_mut().unwrap().remove(path);
            body.to_string()
        };
        let refused = |body: &str| {
            let error = SecretNotice::parse(body).unwrap_err();
            assert!(!format!("{error:?} {error}").contains("marker"), "{error:?}");
            error
        };
        for body in [
            String::new(),
            "marker".to_owned(),
            "{}".to_owned(),
            "[]".to_owned(),
            "null".to_owned(),
            new_secret("marker").to_string()[..200].to_owned(),
            without("clientId"),
            without("newClientSecret"),
            without("newClientSecretExpiryTime"),
            without("oldClientSecretExpiryTime"),
            new_secret("marker").to_string().replace("2026-06-30T00:00:00.000Z", "marker"),
            envelope("APPLICATION_OAUTH_CLIENT_NEW_SECRET", json!({})).to_string(),
            envelope("APPLICATION_OAUTH_CLIENT_NEW_SECRET", expiry()["payload"].clone()).to_string(),
            // PascalCase, as other notifications of SP-API are.
            new_secret("marker").to_string().replace("notificationType", "NotificationType"),
            format!("{}{}", expiry(), " ".repeat(LIMIT_BYTES)),
        ] {
            assert_eq!(refused(&body), NoticeError::Unreadable, "{body}");
        }
        for kind in ["ORDER_CHANGE", "", "APPLICATION_OAUTH_CLIENT_NEW_SECRET_2"] {
            assert_eq!(refused(&envelope(kind, json!({})).to_string()), NoticeError::OtherKind, "{kind}");
        }
        for secret in ["", " ", "a marker", "marker\n", "mark\u{e9}r", &"m".repeat(TEXT_LIMIT_BYTES + 1)] {
            assert_eq!(refused(&new_secret(secret).to_string()), NoticeError::Wrong("a secret"), "{secret:?}");
        }
        let body = new_secret("marker").to_string().replace(CLIENT_ID, "");
        assert_eq!(refused(&body), NoticeError::Wrong("a client id"));
    }

    proptest! {
        #[test]
        fn garbage_is_refused_and_nothing_panics(body in ".{0,200}") {
            prop_assert!(SecretNotice::parse(&body).is_err());
        }

        #[test]
        fn a_notice_cut_or_with_a_changed_byte_never_panics(cut in 0usize..600, byte in any::<u8>()) {
            let text = new_secret("not-a-real-secret").to_string();
            let mut bytes = text.into_bytes();
            let at = cut.min(bytes.len() - 1);
            bytes[at] = byte;
            if let Ok(text) = std::str::from_utf8(&bytes) {
                let _ = SecretNotice::parse(text);
                if text.is_char_boundary(at) {
                    prop_assert!(SecretNotice::parse(&text[..at]).is_err());
                }
            }
        }

        #[test]
        fn every_printable_secret_comes_through(secret in "[!-~]{1,512}") {
            let notice = SecretNotice::parse(&new_secret(&secret).to_string()).unwrap();
            let SecretNews::New { secret: read, .. } = notice.news else { panic!("new") };
            prop_assert_eq!(read.expose_secret(), secret.as_str());
        }
    }
}
