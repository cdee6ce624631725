use std::collections::BTreeMap;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::*;
use crate::{dependents::Name, team, testing};

/// An apiserver with three Teams, of which the second does not parse; watches stay silent.
#[derive(Clone, Default)]
struct Server {
    /// How often each path was written to, by verb.
    written: Arc<Mutex<BTreeMap<String, u32>>>,
    /// The statuses of the next writes of `one`'s status, before they succeed.
    failing: Arc<Mutex<Vec<StatusCode>>>,
}

impl Server {
    fn client(&self) -> Client {
        let server = self.clone();
        testing::apiserver(move |method, path, _| server.answer(method, path))
    }

    fn answer(&self, method: &Method, path: &str) -> (StatusCode, Value) {
        let team = |name: &str, spec: Value| {
            let metadata = json!({ "namespace": "acme", "name": name, "uid": name, "resourceVersion": "1" });
            json!({ "apiVersion": "openteam.dev/v1alpha1", "kind": "Team", "metadata": metadata, "spec": spec })
        };
        if method == Method::GET {
            let items = match path.ends_with("/teams") {
                true => vec![team("one", json!({})), team("bad", json!({ "members": 7 })), team("two", json!({}))],
                false => Vec::new(),
            };
            return (StatusCode::OK, json!({ "metadata": { "resourceVersion": "1" }, "items": items }));
        }
        *self.written.lock().unwrap().entry(format!("{method} {path}")).or_default() += 1;
        if path.ends_with("/teams/one/status")
            && let Some(code) = self.failing.lock().unwrap().pop()
        {
            let failure = json!({ "kind": "Status", "status": "Failure", "code": code.as_u16(), "reason": "" });
            return (code, failure);
        }
        let metadata = json!({ "namespace": "acme", "name": "made" });
        let answer = match path {
            _ if path.ends_with("/events") => {
                json!({ "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": metadata, "eventTime": null })
            }
            _ if path.contains("/configmaps/") => {
                json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata })
            }
            _ => team("one", json!({})),
        };
        (StatusCode::OK, answer)
    }

    fn count(&self, what: &str) -> u32 {
        self.written.lock().unwrap().iter().filter(|(at, _)| at.contains(what)).map(|(_, count)| count).sum()
    }

    async fn eventually(&self, what: &str, count: u32) {
        let wait = async {
            while self.count(what) < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(30), wait).await;
        assert!(waited.is_ok(), "{what} not {count} times: {:?}", self.written.lock().unwrap());
    }
}

async fn running(server: &Server) -> (Arc<Context>, CancellationToken) {
    let client = server.client();
    let (stores, feeding) = Stores::watch(&client, "openteam-system");
    tokio::spawn(feeding);
    stores.synced().await;
    let context = Arc::new(testing::context(client, stores));
    let shutdown = CancellationToken::new();
    let teams = context.stores.teams.store().clone();
    tokio::spawn(run(context.clone(), Kind::Team, teams, team::affected, team::reconcile, shutdown.clone()));
    (context, shutdown)
}

#[tokio::test]
async fn what_does_not_parse_is_told_once_and_stops_nothing() {
    let server = Server::default();
    let (context, _shutdown) = running(&server).await;
    server.eventually("PATCH /apis/openteam.dev/v1alpha1/namespaces/acme/teams/one/status", 1).await;
    server.eventually("PATCH /apis/openteam.dev/v1alpha1/namespaces/acme/teams/two/status", 1).await;
    // Each Team tells that it is ready, the bad one that it is bad.
    server.eventually("POST /apis/events.k8s.io/v1/namespaces/acme/events", 3).await;
    let bad = context.stores.team("acme", "bad").unwrap();
    assert!(bad.0.is_err());
    assert!(!context.unreadable.is_new("Team acme/bad", bad.meta()), "this version was told");
    assert_eq!(server.count("teams/bad"), 0, "and is left alone");
}

#[tokio::test]
async fn a_conflict_and_an_apiserver_in_trouble_are_survived() {
    let server = Server::default();
    let trouble = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS, StatusCode::CONFLICT];
    *server.failing.lock().unwrap() = trouble.to_vec();
    let (context, _shutdown) = running(&server).await;
    server.eventually("teams/two/status", 1).await;
    server.eventually("teams/one/status", 4).await;
    server.eventually("configmaps/openteam-gateway", 2).await;
    assert_eq!(context.metrics.reconciles(Kind::Team, "conflict"), 1);
    assert_eq!(context.metrics.reconciles(Kind::Team, "transient"), 2);
}

#[tokio::test]
async fn every_kind_of_change_finds_what_it_concerns() {
    let server = Server::default();
    let (context, _shutdown) = running(&server).await;
    let touched = |kind, name: &str| Touched { name: Name::new(kind, Some("acme"), name), of: None };
    let affected = |touched: &Touched| team::affected(&context.stores, touched).len();
    assert_eq!(affected(&touched(Kind::ConfigMap, "openteam-gateway")), 2, "of a namespace those that parse");
    assert_eq!(affected(&touched(Kind::Team, "one")), 2);
    assert_eq!(affected(&touched(Kind::AmazonConnection, "na")), 0);
    let elsewhere = Touched { name: Name::new(Kind::ConfigMap, Some("globex"), "openteam-gateway"), of: None };
    assert_eq!(affected(&elsewhere), 0);
}

#[tokio::test]
async fn what_was_written_is_not_written_again_before_the_watch_has_brought_it() {
    let server = Server::default();
    let (context, _shutdown) = running(&server).await;
    server.eventually("events", 3).await;
    let before = (server.count("teams/one/status"), server.count("events"));
    assert_eq!(before.0, 1);
    let one = context.stores.team("acme", "one").unwrap().0.clone().unwrap();
    team::reconcile(context.clone(), one.clone()).await.unwrap();
    assert_eq!((server.count("teams/one/status"), server.count("events")), before);
    let mut changed = one;
    changed.metadata.resource_version = Some("2".to_owned());
    team::reconcile(context, changed).await.unwrap();
    assert_eq!(server.count("teams/one/status"), 2, "a version that came since does not have it");
}
