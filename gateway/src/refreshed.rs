//! The condition `Refreshed`: what Amazon said when a gateway last used a connection's refresh token.
//!
//! Written in a task of its own, so that no call waits for it or fails by it; only what is news; one verdict a
//! connection, the last. What says nothing of the credentials, such as an Amazon that does not answer, is not told here.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use access::{Entry, Index};
use crds::{
    AmazonConnection, AmazonRefusal, NamespacedReference, ProvenCredentials,
    condition::{REFRESHED, State, find, set},
};
use jiff::Timestamp;
use kube::Client;
use serde_json::{Value, json};
use tokio::{sync::Notify, time::timeout};

use crate::status;

/// The field manager of the condition and of `refreshedWith`, which are applied together.
const MANAGER: &str = "openteam-gateway";
/// Longest wait for the apiserver to take one.
const LIMIT: Duration = Duration::from_secs(5);
/// After the first failure, doubled with each further one.
const RETRY_AFTER: Duration = Duration::from_millis(250);
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// What Amazon said, and of what.
#[derive(Clone, Debug, PartialEq)]
struct Said {
    /// The connection's UID: a namesake's credentials are others.
    uid: Option<String>,
    with: ProvenCredentials,
    verdict: Result<(), AmazonRefusal>,
}

impl Said {
    fn state(&self) -> State {
        match self.verdict {
            Ok(()) => State::yes(REFRESHED, "Refreshed", "Amazon honoured the refresh token"),
            Err(refusal) => State::no(REFRESHED, refusal.reason(), refusal.to_string()),
        }
    }

    /// Whether the connection's status says so already.
    fn is_told_by(&self, connection: &AmazonConnection) -> bool {
        let Some(status) = &connection.status else { return false };
        let state = self.state();
        status.refreshed_with.as_ref() == Some(&self.with)
            && find(&status.conditions, REFRESHED).is_some_and(|told| {
                !is_superseded(connection)
                    && told.status == if self.verdict.is_ok() { "True" } else { "False" }
                    && told.reason == state.reason
            })
    }
}

struct Waiting {
    said: Said,
    not_before: Instant,
    failures: u32,
}

/// The verdicts that are still to be written.
#[derive(Default)]
pub(crate) struct Verdicts {
    waiting: Mutex<HashMap<NamespacedReference, Waiting>>,
    news: Notify,
}

impl Verdicts {
    fn waiting(&self) -> MutexGuard<'_, HashMap<NamespacedReference, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Amazon said something of a connection's credentials. Returns at once.
    pub(crate) fn report(
        &self,
        name: &NamespacedReference,
        connection: &AmazonConnection,
        with: ProvenCredentials,
        verdict: Result<(), AmazonRefusal>,
    ) {
        let said = Said { uid: connection.metadata.uid.clone(), with, verdict };
        let mut waiting = self.waiting();
        match waiting.get_mut(name) {
            // It goes on waiting as long as it must.
            Some(waiting) => waiting.said = said,
            None if said.is_told_by(connection) => return,
            None => {
                waiting.insert(name.clone(), Waiting { said, not_before: Instant::now(), failures: 0 });
            }
        }
        drop(waiting);
        self.news.notify_one();
    }

    /// Writes what is reported, for as long as the future is polled. `latest` is asked for the objects as they are.
    pub(crate) async fn write(&self, client: &Client, latest: impl Fn() -> Arc<Index>) {
        loop {
            for (name, said) in self.due().await {
                let written = write_one(client, &latest(), &name, &said).await;
                self.settle(&name, &said, written);
            }
        }
    }

    /// Waits until something is due; all of that.
    async fn due(&self) -> Vec<(NamespacedReference, Said)> {
        loop {
            let now = Instant::now();
            let next = {
                let waiting = self.waiting();
                let due: Vec<_> = waiting
                    .iter()
                    .filter(|(_, one)| one.not_before <= now)
                    .map(|(name, one)| (name.clone(), one.said.clone()))
                    .collect();
                if !due.is_empty() {
                    return due;
                }
                waiting.values().map(|one| one.not_before).min()
            };
            match next {
                Some(next) => {
                    let _ = timeout(next.saturating_duration_since(now), self.news.notified()).await;
                }
                None => self.news.notified().await,
            }
        }
    }

    /// Takes out what was written, unless another verdict came meanwhile; what was not is tried again later.
    fn settle(&self, name: &NamespacedReference, said: &Said, written: bool) {
        let mut waiting = self.waiting();
        let Some(one) = waiting.get_mut(name) else { return };
        if written {
            if one.said == *said {
                waiting.remove(name);
            }
            return;
        }
        let pause = RETRY_AFTER.saturating_mul(1 << one.failures.min(16)).min(LONGEST_RETRY);
        one.failures += 1;
        one.not_before = Instant::now() + pause.mul_f64(0.5 + fastrand::f64() / 2.0);
    }
}

/// Whether there is nothing more to write of this.
async fn write_one(client: &Client, index: &Index, name: &NamespacedReference, said: &Said) -> bool {
    let Some(connection) = index.connections.get(name).and_then(Entry::read) else { return true };
    let Some(status) = plan(connection, said, Timestamp::now()) else { return true };
    match timeout(LIMIT, status::apply(client, MANAGER, connection, &status)).await {
        Ok(Ok(())) => {
            tracing::info!(connection = %name, reason = said.state().reason, "condition Refreshed written");
            true
        }
        Ok(Err(error)) if status::is(&error, 404) => true,
        // Someone else wrote: our view shows it in a moment, perhaps with the same news.
        Ok(Err(error)) if status::is(&error, 409) => false,
        Ok(Err(error)) => {
            tracing::warn!(connection = %name, %error, "condition Refreshed not written; tried again later");
            false
        }
        Err(_) => {
            tracing::warn!(connection = %name, "condition Refreshed not written in time; tried again later");
            false
        }
    }
}

/// Whether the operator has asked Amazon since the condition was written: only a later one is news to it.
fn is_superseded(connection: &AmazonConnection) -> bool {
    connection.status.as_ref().is_some_and(|status| {
        status.refreshed_before.is_some()
            && find(&status.conditions, REFRESHED).map(|told| &told.last_transition_time)
                == status.refreshed_before.as_ref()
    })
}

/// What the status must say, or `None` where it says so already or the verdict is about other credentials than those in
/// use.
fn plan(connection: &AmazonConnection, said: &Said, now: Timestamp) -> Option<Value> {
    let proven = connection.status.as_ref().and_then(|status| status.proven.as_ref());
    if connection.metadata.uid != said.uid || proven != Some(&said.with) || said.is_told_by(connection) {
        return None;
    }
    let mut conditions = connection.status.as_ref().map_or_else(Vec::new, |status| status.conditions.clone());
    if is_superseded(connection) {
        // The same word said again is a new one.
        conditions.retain(|condition| condition.type_ != REFRESHED);
    }
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    set(&mut conditions, said.state(), connection.metadata.generation, now);
    conditions.retain(|condition| condition.type_ == REFRESHED);
    Some(json!({ "conditions": conditions, "refreshedWith": said.with }))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use crds::{AmazonConnectionStatus, condition};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use kube::client::Body;

    use super::*;

    fn name() -> NamespacedReference {
        NamespacedReference { namespace: "acme".to_owned(), name: "na".to_owned() }
    }

    fn with(generation: i64) -> ProvenCredentials {
        ProvenCredentials { refresh_token: generation, client_secret: 1, client_id: "client".to_owned() }
    }

    fn connection() -> AmazonConnection {
        let mut connection = AmazonConnection::new("na", crds::AmazonConnectionSpec::default());
        connection.metadata.namespace = Some("acme".to_owned());
        connection.metadata.uid = Some("1".to_owned());
        connection.metadata.resource_version = Some("7".to_owned());
        connection.metadata.generation = Some(3);
        let mut status = AmazonConnectionStatus { proven: Some(with(1)), ..AmazonConnectionStatus::default() };
        set(&mut status.conditions, State::yes(condition::AUTHORIZED, "Authorized", ""), None, at(0));
        connection.status = Some(status);
        connection
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn said(generation: i64, verdict: Result<(), AmazonRefusal>) -> Said {
        Said { uid: Some("1".to_owned()), with: with(generation), verdict }
    }

    const REVOKED: Result<(), AmazonRefusal> = Err(AmazonRefusal::AuthorizationRevoked);

    /// The connection as it is once `status` was applied.
    fn after(connection: &AmazonConnection, status: &Value) -> AmazonConnection {
        let mut connection = connection.clone();
        let now = connection.status.as_mut().unwrap();
        now.conditions.retain(|condition| condition.type_ != REFRESHED);
        let ours: AmazonConnectionStatus = serde_json::from_value(status.clone()).unwrap();
        now.conditions.extend(ours.conditions);
        now.refreshed_with = ours.refreshed_with;
        connection
    }

    #[test]
    fn only_news_about_the_credentials_in_use_is_written() {
        let fresh = connection();
        let good = plan(&fresh, &said(1, Ok(())), at(10)).unwrap();
        let good = after(&fresh, &good);
        assert_eq!(plan(&good, &said(1, Ok(())), at(20)), None);
        let revoked = after(&good, &plan(&good, &said(1, REVOKED), at(20)).unwrap());
        assert_eq!(plan(&revoked, &said(1, REVOKED), at(30)), None);
        let other = Err(AmazonRefusal::ApplicationSecretRejected);
        assert!(plan(&revoked, &said(1, other), at(30)).is_some(), "another reason is news");
        // About credentials that are not, or no longer, those in use.
        assert_eq!(plan(&fresh, &said(2, REVOKED), at(10)), None);
        let mut unproven = connection();
        unproven.status = None;
        assert_eq!(plan(&unproven, &said(1, REVOKED), at(10)), None);
        let mut renewed = revoked.clone();
        renewed.status.as_mut().unwrap().proven = Some(with(2));
        assert!(plan(&renewed, &said(2, REVOKED), at(40)).is_some(), "the same word of new credentials is news");
        // Asked anew since, by the operator: the same word said again is news.
        let mut asked = revoked.clone();
        asked.status.as_mut().unwrap().refreshed_before = Some(Time(at(20)));
        let again = plan(&asked, &said(1, REVOKED), at(50)).unwrap();
        assert_eq!(again["conditions"][0]["lastTransitionTime"], "1970-01-01T00:00:50Z");
        assert_eq!(plan(&after(&asked, &again), &said(1, REVOKED), at(60)), None);
        // Of a namesake.
        let mut namesake = connection();
        namesake.metadata.uid = Some("2".to_owned());
        assert_eq!(plan(&namesake, &said(1, REVOKED), at(10)), None);
    }

    #[test]
    fn nothing_but_the_condition_and_what_it_is_about_is_written() {
        let status = plan(&connection(), &said(1, REVOKED), at(10)).unwrap();
        let keys: Vec<_> = status.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["conditions", "refreshedWith"]);
        let [condition] = status["conditions"].as_array().unwrap().as_slice() else { unreachable!("{status}") };
        assert_eq!(condition["type"], "Refreshed");
        assert_eq!(condition["status"], "False");
        assert_eq!(condition["reason"], "AuthorizationRevoked");
        assert_eq!(condition["observedGeneration"], 3);
        assert_eq!(condition["lastTransitionTime"], "1970-01-01T00:00:10Z");
        assert_eq!(status["refreshedWith"]["refreshToken"], 1);
    }

    /// An apiserver with one connection, which the replicas' views show at once.
    #[derive(Clone)]
    struct Apiserver(Arc<Mutex<Seen>>);

    struct Seen {
        connection: AmazonConnection,
        asked: usize,
        written: usize,
        /// Fails so many requests first.
        failing: usize,
    }

    impl Apiserver {
        fn new(failing: usize) -> Self {
            Self(Arc::new(Mutex::new(Seen { connection: connection(), asked: 0, written: 0, failing })))
        }

        fn seen(&self) -> MutexGuard<'_, Seen> {
            self.0.lock().unwrap()
        }

        fn index(&self) -> Arc<Index> {
            let entry = Entry::Read(Arc::new(self.seen().connection.clone()));
            Arc::new(Index { connections: [(name(), entry)].into_iter().collect(), ..Index::default() })
        }

        fn client(&self) -> Client {
            let apiserver = self.clone();
            let service = tower::service_fn(move |request: axum::http::Request<Body>| {
                let apiserver = apiserver.clone();
                async move { Ok::<_, Infallible>(apiserver.answer(request).await) }
            });
            Client::new(service, "default")
        }

        async fn answer(&self, request: axum::http::Request<Body>) -> axum::http::Response<Body> {
            assert_eq!(request.uri().path(), "/apis/openteam.dev/v1alpha1/namespaces/acme/amazonconnections/na/status");
            assert_eq!(request.uri().query(), Some("&force=true&fieldManager=openteam-gateway"));
            let body: Value = serde_json::from_slice(&request.into_body().collect_bytes().await.unwrap()).unwrap();
            let mut seen = self.seen();
            seen.asked += 1;
            if seen.failing > 0 {
                seen.failing -= 1;
                return answer(
                    500,
                    &json!({ "kind": "Status", "status": "Failure", "code": 500, "message": "", "reason": "" }),
                );
            }
            let version = seen.connection.metadata.resource_version.clone().unwrap();
            assert_eq!(body["metadata"]["uid"], "1");
            if body["metadata"]["resourceVersion"] != version.as_str() {
                return answer(
                    409,
                    &json!({ "kind": "Status", "status": "Failure", "code": 409, "message": "", "reason": "Conflict" }),
                );
            }
            seen.connection = after(&seen.connection, &body["status"]);
            seen.connection.metadata.resource_version = Some(format!("{version}0"));
            seen.written += 1;
            answer(200, &serde_json::to_value(&seen.connection).unwrap())
        }

        /// Runs a replica until it has nothing more to write.
        async fn replica(&self, reports: &[Result<(), AmazonRefusal>]) {
            let verdicts = Verdicts::default();
            let looked_at = connection();
            for verdict in reports {
                verdicts.report(&name(), &looked_at, with(1), *verdict);
            }
            let client = self.client();
            let done = async {
                while !verdicts.waiting().is_empty() {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                () = verdicts.write(&client, || self.index()) => {}
                () = done => {}
            }
        }
    }

    fn answer(status: u16, body: &Value) -> axum::http::Response<Body> {
        axum::http::Response::builder().status(status).body(body.to_string().into_bytes().into()).unwrap()
    }

    #[tokio::test]
    async fn the_same_news_of_several_replicas_is_written_once() {
        let apiserver = Apiserver::new(0);
        let three = || apiserver.replica(&[REVOKED]);
        tokio::join!(three(), three(), three());
        assert_eq!(apiserver.seen().written, 1);
        assert_eq!(
            find(&apiserver.seen().connection.status.as_ref().unwrap().conditions, REFRESHED).unwrap().status,
            "False"
        );
        apiserver.replica(&[REVOKED]).await;
        assert_eq!(apiserver.seen().written, 1, "a replica that comes later sees it");
    }

    #[tokio::test]
    async fn several_verdicts_of_one_connection_are_one_write_of_the_last() {
        let apiserver = Apiserver::new(0);
        apiserver.replica(&[Ok(()), REVOKED, Ok(()), REVOKED]).await;
        assert_eq!(apiserver.seen().asked, 1);
        let seen = apiserver.seen();
        assert_eq!(find(&seen.connection.status.as_ref().unwrap().conditions, REFRESHED).unwrap().status, "False");
    }

    #[tokio::test]
    async fn what_the_apiserver_did_not_take_is_tried_again() {
        let apiserver = Apiserver::new(2);
        apiserver.replica(&[REVOKED]).await;
        let seen = apiserver.seen();
        assert_eq!((seen.asked, seen.written), (3, 1));
    }
}
