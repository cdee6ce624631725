//! What a caller may do, by the cluster's own RBAC: the apiserver's SubjectAccessReview.

use std::time::Duration;

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use tokio::{sync::Semaphore, time::timeout};
use tracing::Instrument;

use crate::{authentication::ServiceAccount, traces::TARGET};

const LIMIT: Duration = Duration::from_secs(2);
/// Questions at a time: the apiserver that they would bury is the one that our watches need too.
const QUESTIONS: usize = 16;

/// What somebody wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question<'a> {
    /// The verb, such as `get`.
    pub verb: &'a str,
    /// The API group.
    pub group: &'a str,
    /// The resource, in the plural.
    pub resource: &'a str,
    /// In this namespace; in all of them, without one.
    pub namespace: Option<&'a str>,
}

/// The apiserver could not be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the apiserver could not be asked what the caller may do")]
pub struct Unavailable;

/// Asks the apiserver what ServiceAccounts may do.
pub struct Authorizer {
    reviews: Api<SubjectAccessReview>,
    places: Semaphore,
}

impl Authorizer {
    /// Takes the right to create SubjectAccessReviews.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { reviews: Api::all(client), places: Semaphore::new(QUESTIONS) }
    }

    /// Whether this account may do this, now: nothing is kept, so that a right that was taken away is gone.
    ///
    /// # Errors
    /// [`Unavailable`]
    pub async fn may(&self, account: &ServiceAccount, question: Question<'_>) -> Result<bool, Unavailable> {
        let asked = async {
            let _place = self.places.acquire().await.map_err(|_| Unavailable)?;
            let review = review(account, question);
            self.reviews.create(&PostParams::default(), &review).await.map_err(|error| {
                tracing::warn!(%error, "SubjectAccessReview failed");
                Unavailable
            })
        };
        let span = tracing::info_span!(target: TARGET, "subject access review", otel.kind = "client");
        let review = timeout(LIMIT, asked).instrument(span).await.map_err(|_| Unavailable)??;
        // `denied` overrules, where an authorizer knows it.
        Ok(review.status.is_some_and(|status| status.allowed && status.denied != Some(true)))
    }
}

/// A ServiceAccount has the groups that Kubernetes gives all of them (Kubernetes, "Using RBAC Authorization", service
/// accounts), whatever its token says.
fn review(account: &ServiceAccount, question: Question<'_>) -> SubjectAccessReview {
    let (namespace, name) = (&account.account.namespace, &account.account.name);
    let groups = vec![
        "system:serviceaccounts".to_owned(),
        format!("system:serviceaccounts:{namespace}"),
        "system:authenticated".to_owned(),
    ];
    let attributes = ResourceAttributes {
        verb: Some(question.verb.to_owned()),
        group: Some(question.group.to_owned()),
        resource: Some(question.resource.to_owned()),
        namespace: question.namespace.map(str::to_owned),
        ..ResourceAttributes::default()
    };
    SubjectAccessReview {
        metadata: ObjectMeta::default(),
        spec: SubjectAccessReviewSpec {
            user: Some(format!("system:serviceaccount:{namespace}:{name}")),
            uid: Some(account.uid.clone()).filter(|uid| !uid.is_empty()),
            groups: Some(groups),
            resource_attributes: Some(attributes),
            ..SubjectAccessReviewSpec::default()
        },
        status: None,
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use crds::NamespacedReference;
    use serde_json::{Value, json};

    use super::*;

    /// An apiserver that answers every question so.
    fn authorizer(status: u16, answer: Value) -> Authorizer {
        let service = tower::service_fn(move |_: axum::http::Request<kube::client::Body>| {
            let body = serde_json::to_vec(&answer).unwrap();
            let response = axum::http::Response::builder().status(status).body(kube::client::Body::from(body)).unwrap();
            async move { Ok::<_, Infallible>(response) }
        });
        Authorizer::new(Client::new(service, "default"))
    }

    fn account() -> ServiceAccount {
        ServiceAccount {
            account: NamespacedReference { namespace: "audit".to_owned(), name: "siem".to_owned() },
            uid: "1".to_owned(),
            pod: None,
            credential_id: None,
            expires_at: None,
        }
    }

    const QUESTION: Question<'static> =
        Question { verb: "get", group: "openteam.dev", resource: "records", namespace: Some("acme") };

    #[tokio::test]
    async fn only_what_the_apiserver_allows_is_allowed() {
        let answered = |status: Value| json!({ "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {}, "status": status });
        for (status, expected) in [
            (json!({ "allowed": true }), true),
            (json!({ "allowed": false }), false),
            (json!({ "allowed": true, "denied": true }), false),
            (json!({ "allowed": false, "evaluationError": "unknown" }), false),
        ] {
            assert_eq!(authorizer(201, answered(status)).may(&account(), QUESTION).await, Ok(expected));
        }
        let failed = json!({ "kind": "Status", "status": "Failure", "message": "no", "code": 403 });
        assert_eq!(authorizer(403, failed).may(&account(), QUESTION).await, Err(Unavailable));
    }

    #[test]
    fn the_question_names_the_account_and_its_groups() {
        let spec = review(&account(), QUESTION).spec;
        assert_eq!(spec.user.as_deref(), Some("system:serviceaccount:audit:siem"));
        assert_eq!(
            spec.groups.unwrap(),
            ["system:serviceaccounts", "system:serviceaccounts:audit", "system:authenticated"]
        );
        assert_eq!(spec.resource_attributes.unwrap().namespace.as_deref(), Some("acme"));
        assert_eq!(spec.non_resource_attributes, None);
    }
}
