//! Who presents a ServiceAccount token: the apiserver's answer, kept for a few seconds.

use std::{
    collections::HashMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use crds::NamespacedReference;
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use sha2::{Digest, Sha256};
use tokio::time::timeout;

/// How long an answer is kept. The apiserver keeps its own for about as long: a deleted pod's token is accepted for up
/// to 20 s in all (docs/security.md).
const KEPT: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_secs(2);
/// Strangers must not fill the memory: beyond this many answers, all are forgotten.
const MOST: usize = 10_000;

/// A ServiceAccount, as the apiserver vouches for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccount {
    /// The account.
    pub account: NamespacedReference,
    /// Its UID.
    pub uid: String,
    /// The pod that the token is bound to.
    pub pod: Option<String>,
    /// The token's own id, `JTI=…`.
    pub credential_id: Option<String>,
    /// When the token ends.
    pub expires_at: Option<Timestamp>,
}

/// Why a token was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unauthenticated {
    /// The apiserver does not vouch for it, or not for our audience.
    #[error("the token is not a valid ServiceAccount token for the audience {audience}")]
    Refused {
        /// The audience it should have.
        audience: String,
    },
    /// The apiserver could not be asked.
    #[error("the apiserver could not be asked about the token")]
    Unavailable,
}

/// When the apiserver was asked about a token, and what it vouched for.
type Answer = (Instant, Option<ServiceAccount>);

/// Asks the apiserver about ServiceAccount tokens of one audience.
pub struct Reviewer {
    reviews: Api<TokenReview>,
    audience: String,
    kept: Mutex<HashMap<[u8; 32], Answer>>,
}

impl Reviewer {
    /// For tokens of `audience`.
    #[must_use]
    pub fn new(client: Client, audience: &str) -> Self {
        Self { reviews: Api::all(client), audience: audience.to_owned(), kept: Mutex::default() }
    }

    /// The ServiceAccount behind a token.
    ///
    /// # Errors
    /// [`Unauthenticated`]; neither repeats the token.
    pub async fn review(&self, token: &str) -> Result<ServiceAccount, Unauthenticated> {
        let key: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let answer = match self.recall(&key) {
            Some(answer) => answer,
            None => {
                let asked = Instant::now();
                let answer = self.ask(token).await?;
                self.keep(key, asked, answer.clone());
                answer
            }
        };
        answer
            // The cache must not outlive the token.
            .filter(|account| account.expires_at.is_none_or(|end| end > Timestamp::now()))
            .ok_or_else(|| Unauthenticated::Refused { audience: self.audience.clone() })
    }

    fn recall(&self, key: &[u8; 32]) -> Option<Option<ServiceAccount>> {
        let kept = self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        kept.get(key).filter(|(asked, _)| asked.elapsed() <= KEPT).map(|(_, answer)| answer.clone())
    }

    fn keep(&self, key: [u8; 32], asked: Instant, answer: Option<ServiceAccount>) {
        let mut kept = self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if kept.len() >= MOST {
            kept.retain(|_, (asked, _)| asked.elapsed() <= KEPT);
            if kept.len() >= MOST {
                kept.clear();
            }
        }
        kept.insert(key, (asked, answer));
    }

    async fn ask(&self, token: &str) -> Result<Option<ServiceAccount>, Unauthenticated> {
        let review = TokenReview {
            metadata: ObjectMeta::default(),
            spec: TokenReviewSpec { audiences: Some(vec![self.audience.clone()]), token: Some(token.to_owned()) },
            status: None,
        };
        match timeout(LIMIT, self.reviews.create(&PostParams::default(), &review)).await {
            Ok(Ok(review)) => Ok(accepted(review, &self.audience, token)),
            Ok(Err(error)) => {
                tracing::warn!(%error, "TokenReview failed");
                Err(Unauthenticated::Unavailable)
            }
            Err(_) => Err(Unauthenticated::Unavailable),
        }
    }
}

/// What a review vouches for: authenticated, for our audience (an apiserver that knows no audiences leaves the list
/// empty), and a ServiceAccount.
fn accepted(review: TokenReview, audience: &str, token: &str) -> Option<ServiceAccount> {
    let status = review.status?;
    if status.authenticated != Some(true) || !status.audiences?.iter().any(|one| one == audience) {
        return None;
    }
    let user = status.user?;
    let (namespace, name) = user
        .username?
        .strip_prefix("system:serviceaccount:")?
        .split_once(':')
        .map(|(namespace, name)| (namespace.to_owned(), name.to_owned()))?;
    let extra = |key: &str| user.extra.as_ref().and_then(|extra| extra.get(key)?.first().cloned());
    Some(ServiceAccount {
        account: NamespacedReference { namespace, name },
        uid: user.uid.unwrap_or_default(),
        pod: extra("authentication.kubernetes.io/pod-name"),
        credential_id: extra("authentication.kubernetes.io/credential-id"),
        expires_at: expiry(token),
    })
}

/// The `exp` of a token that the apiserver has already verified (RFC 7519 §4.1.4).
fn expiry(token: &str) -> Option<Timestamp> {
    #[derive(serde::Deserialize)]
    struct Claims {
        exp: i64,
    }
    let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    Timestamp::from_second(serde_json::from_slice::<Claims>(&claims).ok()?.exp).ok()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::authentication::v1::{TokenReviewStatus, UserInfo};

    use super::*;

    fn review(change: impl FnOnce(&mut TokenReviewStatus)) -> TokenReview {
        let mut status = TokenReviewStatus {
            authenticated: Some(true),
            audiences: Some(vec!["openteam-gateway".to_owned()]),
            user: Some(UserInfo {
                username: Some("system:serviceaccount:acme:agent".to_owned()),
                uid: Some("1".to_owned()),
                ..UserInfo::default()
            }),
            error: None,
        };
        change(&mut status);
        TokenReview { status: Some(status), ..TokenReview::default() }
    }

    fn accepts(change: impl FnOnce(&mut TokenReviewStatus)) -> bool {
        accepted(review(change), "openteam-gateway", "a.b.c").is_some()
    }

    #[test]
    fn a_service_account_of_our_audience_is_accepted() {
        let account = accepted(review(|_| ()), "openteam-gateway", "a.b.c").unwrap();
        assert_eq!(account.account.to_string(), "acme/agent");
    }

    #[test]
    fn anything_short_of_that_is_not() {
        assert!(!accepts(|s| s.authenticated = None));
        assert!(!accepts(|s| s.authenticated = Some(false)));
        assert!(!accepts(|s| s.audiences = None));
        assert!(!accepts(|s| s.audiences = Some(vec![])));
        assert!(!accepts(|s| s.audiences = Some(vec!["https://kubernetes.default.svc".to_owned()])));
        assert!(!accepts(|s| s.user = None));
        for name in ["admin", "system:node:node1", "system:serviceaccount:acme", ""] {
            assert!(!accepts(|s| s.user.as_mut().unwrap().username = Some(name.to_owned())), "{name}");
        }
        assert!(accepted(TokenReview::default(), "openteam-gateway", "a.b.c").is_none());
    }

    #[test]
    fn the_expiry_is_read_from_the_claims() {
        let claims = BASE64_URL_SAFE_NO_PAD.encode(r#"{"exp":1800000000,"sub":"x"}"#);
        assert_eq!(expiry(&format!("h.{claims}.s")), Timestamp::from_second(1_800_000_000).ok());
        for token in ["", "a", "a.b.c", "a.e30.c"] {
            assert_eq!(expiry(token), None);
        }
    }
}
