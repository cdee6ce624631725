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
use tokio::{sync::Semaphore, time::timeout};
use tracing::Instrument;

use crate::traces::TARGET;

/// How long an answer is kept. The apiserver keeps its own for about as long: a deleted pod's token is accepted for up
/// to 20 s in all (docs/security.md).
const KEPT: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_secs(2);
/// Strangers must not fill the memory: beyond this many answers those about them are forgotten, then all.
const MOST: usize = 10_000;
/// Questions at a time. Each garbage token is one, and the apiserver that they would bury is the one that our watches
/// need too: without them we serve nobody.
const QUESTIONS: usize = 16;

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
    places: Semaphore,
}

impl Reviewer {
    /// For tokens of `audience`.
    #[must_use]
    pub fn new(client: Client, audience: &str) -> Self {
        Self {
            reviews: Api::all(client),
            audience: audience.to_owned(),
            kept: Mutex::default(),
            places: Semaphore::new(QUESTIONS),
        }
    }

    /// The ServiceAccount behind a token.
    ///
    /// # Errors
    /// [`Unauthenticated`]; neither repeats the token.
    pub async fn review(&self, token: &str) -> Result<ServiceAccount, Unauthenticated> {
        let key: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let answer = match self.recall(&key) {
            Some(answer) => answer,
            None => timeout(LIMIT, self.ask(key, token))
                .instrument(span())
                .await
                .map_err(|_| Unauthenticated::Unavailable)??,
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
            kept.retain(|_, (asked, answer)| answer.is_some() && asked.elapsed() <= KEPT);
            if kept.len() >= MOST {
                kept.clear();
            }
        }
        kept.insert(key, (asked, answer));
    }

    async fn ask(&self, key: [u8; 32], token: &str) -> Result<Option<ServiceAccount>, Unauthenticated> {
        let _place = self.places.acquire().await.map_err(|_| Unauthenticated::Unavailable)?;
        // Whoever waited with the same token may have learnt the answer meanwhile.
        if let Some(answer) = self.recall(&key) {
            return Ok(answer);
        }
        let review = TokenReview {
            metadata: ObjectMeta::default(),
            spec: TokenReviewSpec { audiences: Some(vec![self.audience.clone()]), token: Some(token.to_owned()) },
            status: None,
        };
        let asked = Instant::now();
        let review = self.reviews.create(&PostParams::default(), &review).await.map_err(|error| {
            tracing::warn!(%error, "TokenReview failed");
            Unauthenticated::Unavailable
        })?;
        let answer = accepted(review, &self.audience, token);
        self.keep(key, asked, answer.clone());
        Ok(answer)
    }
}

fn span() -> tracing::Span {
    tracing::info_span!(target: TARGET, "token review", otel.kind = "client")
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
    use std::{
        convert::Infallible,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering::SeqCst},
        },
    };

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

    /// An apiserver that vouches for tokens beginning with `good`, counts questions and lets them wait for each other.
    #[derive(Clone, Default)]
    struct Apiserver {
        asked: Arc<AtomicUsize>,
        under_way: Arc<AtomicUsize>,
        most_at_once: Arc<AtomicUsize>,
    }

    impl Apiserver {
        fn reviewer(&self) -> Arc<Reviewer> {
            let apiserver = self.clone();
            let service = tower::service_fn(move |request: axum::http::Request<kube::client::Body>| {
                let apiserver = apiserver.clone();
                async move { Ok::<_, Infallible>(apiserver.answer(request).await) }
            });
            Arc::new(Reviewer::new(Client::new(service, "default"), "openteam-gateway"))
        }

        async fn answer(
            &self,
            request: axum::http::Request<kube::client::Body>,
        ) -> axum::http::Response<kube::client::Body> {
            self.asked.fetch_add(1, SeqCst);
            let now = self.under_way.fetch_add(1, SeqCst) + 1;
            self.most_at_once.fetch_max(now, SeqCst);
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            self.under_way.fetch_sub(1, SeqCst);
            let asked: TokenReview =
                serde_json::from_slice(&request.into_body().collect_bytes().await.unwrap()).unwrap();
            let good = asked.spec.token.as_deref().is_some_and(|token| token.starts_with("good"));
            let answer = review(|status| status.authenticated = Some(good));
            axum::http::Response::new(serde_json::to_vec(&answer).unwrap().into())
        }
    }

    async fn ask_all(reviewer: &Arc<Reviewer>, tokens: impl IntoIterator<Item = String>) -> usize {
        let ask = |token: String| {
            let reviewer = reviewer.clone();
            tokio::spawn(async move { reviewer.review(&token).await.is_ok() })
        };
        let asked: Vec<_> = tokens.into_iter().map(ask).collect();
        let mut accepted = 0;
        for one in asked {
            accepted += usize::from(one.await.unwrap());
        }
        accepted
    }

    #[tokio::test]
    async fn a_flood_of_garbage_asks_a_few_questions_at_a_time() {
        let apiserver = Apiserver::default();
        let reviewer = apiserver.reviewer();
        let garbage = (0..300).map(|n| format!("bad.{n}.x"));
        assert_eq!(ask_all(&reviewer, garbage.chain(["good.b.c".to_owned()])).await, 1);
        assert_eq!(apiserver.asked.load(SeqCst), 301);
        assert!(apiserver.most_at_once.load(SeqCst) <= QUESTIONS);
    }

    #[tokio::test]
    async fn many_calls_with_one_token_ask_no_more_than_can_be_under_way() {
        let apiserver = Apiserver::default();
        let reviewer = apiserver.reviewer();
        assert_eq!(ask_all(&reviewer, vec!["good.b.c".to_owned(); 300]).await, 300);
        assert!(apiserver.asked.load(SeqCst) <= QUESTIONS);
    }

    #[test]
    fn a_flood_of_garbage_does_not_make_the_answers_about_others_be_forgotten() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let reviewer = runtime.block_on(async { Apiserver::default().reviewer() });
        let key = |n: usize| Sha256::digest(n.to_be_bytes()).into();
        reviewer.keep(key(0), Instant::now(), accepted(review(|_| ()), "openteam-gateway", "a.b.c"));
        for n in 1..2 * MOST {
            reviewer.keep(key(n), Instant::now(), None);
        }
        assert!(reviewer.recall(&key(0)).is_some());
        assert!(reviewer.kept.lock().unwrap().len() <= MOST);
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
