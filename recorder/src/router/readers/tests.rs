//! The API as each kind of reader meets it, over a scripted apiserver.

use std::{convert::Infallible, sync::Arc};

use audit::{Activity, Change, Entity, EntityChange, Kind, Origin, Requester, Role};
use axum::{
    body::{Body, to_bytes},
    http::Request,
};
use serde_json::json;
use tempfile::TempDir;
use tower::ServiceExt;

use super::*;
use crate::read::{Item, items};

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// Rights by account: `verb resource namespace`.
const RIGHTS: [(&str, &str); 3] =
    [("tenant", "get records acme"), ("auditor", "audit teams "), ("elsewhere", "audit teams acme")];

/// An apiserver that vouches for the token of each account, which is its name, and knows [`RIGHTS`].
fn apiserver() -> Client {
    let service = tower::service_fn(|request: axum::http::Request<kube::client::Body>| async move {
        let path = request.uri().path().to_owned();
        let body = request.into_body().collect_bytes().await.unwrap();
        let asked: Value = serde_json::from_slice(&body).unwrap();
        let spec = &asked["spec"];
        let status = match path.as_str() {
            "/apis/authentication.k8s.io/v1/tokenreviews" => {
                let token = spec["token"].as_str().unwrap();
                let known = RIGHTS.iter().any(|(account, _)| *account == token) || token == "nobody";
                let user = json!({ "username": format!("system:serviceaccount:acme:{token}"), "uid": "1" });
                json!({ "authenticated": known, "audiences": ["openteam-recorder"], "user": user })
            }
            "/apis/authorization.k8s.io/v1/subjectaccessreviews" => {
                let of = |member: &str| spec["resourceAttributes"][member].as_str().unwrap_or_default().to_owned();
                assert_eq!(of("group"), "openteam.dev");
                let account = spec["user"].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
                let right = format!("{} {} {}", of("verb"), of("resource"), of("namespace"));
                json!({ "allowed": RIGHTS.contains(&(account.as_str(), right.as_str())) })
            }
            other => panic!("{other}"),
        };
        let mut answer = asked.clone();
        answer["status"] = status;
        let answer = serde_json::to_vec(&answer).unwrap();
        Ok::<_, Infallible>(axum::http::Response::builder().status(201).body(kube::client::Body::from(answer)).unwrap())
    });
    Client::new(service, "default")
}

struct House {
    journal: Journal,
    dir: TempDir,
    router: Router,
}

async fn house() -> House {
    let dir = TempDir::new().unwrap();
    let origin = Origin { role: Role::Recorder, pod: name("recorder-0"), version: "0" };
    let journal = Journal::open(dir.path(), origin).unwrap();
    for namespace in ["acme", "other", "acme"] {
        let entity =
            Entity { kind: Kind::AmazonConnection, namespace: Some(name(namespace)), name: name("na"), uid: None };
        let change = EntityChange { correlation: None, target: None, entity, change: Change::Restored };
        journal.record(Activity::from(change)).await.unwrap();
    }
    let logs = Logs::look(dir.path()).unwrap();
    let router = super::router(journal.clone(), logs, apiserver());
    House { journal, dir, router }
}

impl House {
    async fn ask(&self, token: Option<&str>, path: &str) -> (StatusCode, String) {
        let mut request = Request::get(path);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.send(request.body(Body::empty()).unwrap()).await
    }

    async fn send(&self, request: Request<Body>) -> (StatusCode, String) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 64 * 1024 * 1024).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    /// Who read what, as it is recorded.
    fn reads(&self) -> Vec<(String, String)> {
        let told = |item: Item| match item {
            Item::Record(record) if record.event["message"] == "record read by" => {
                let text = |value: &Value| value.as_str().unwrap().to_owned();
                let entity = &record.event["entity"];
                let what = format!("{} {}", text(&entity["type"]), text(&entity["name"]));
                Some((text(&record.event["actor"]["user"]["name"]), what))
            }
            _ => None,
        };
        items(self.dir.path()).unwrap().filter_map(|item| told(item.unwrap())).collect()
    }
}

const PATHS: [&str; 6] = [
    "/v1/records?namespace=acme",
    "/v1/records?namespace=other",
    "/v1/records?namespace=absent",
    "/v1/records",
    "/v1/logs",
    "/v1/logs/2026q4/checkpoint",
];

#[tokio::test]
async fn each_reader_is_answered_what_rbac_lets_them_read() {
    let house = house().await;
    let (ok, none, no) = (StatusCode::OK, StatusCode::NOT_FOUND, StatusCode::FORBIDDEN);
    for (token, expected) in [
        (None, [StatusCode::UNAUTHORIZED; 6]),
        (Some("stranger"), [StatusCode::UNAUTHORIZED; 6]),
        (Some("nobody"), [no; 6]),
        (Some("elsewhere"), [no; 6]),
        (Some("tenant"), [ok, no, no, no, no, no]),
        (Some("auditor"), [ok, ok, ok, ok, ok, none]),
    ] {
        for (path, expected) in PATHS.into_iter().zip(expected) {
            let (status, answer) = house.ask(token, path).await;
            assert_eq!(status, expected, "{token:?} {path}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_refusal_says_the_same_whatever_is_there() {
    let house = house().await;
    let asked = |path: &'static str| house.ask(Some("tenant"), path);
    assert_eq!(asked("/v1/records?namespace=other").await, asked("/v1/records?namespace=absent").await);
    assert_eq!(asked("/v1/logs/2026q4/checkpoint").await, asked("/v1/logs/nonsense/key").await);
    assert_eq!(house.reads(), [], "nothing was read");
}

#[tokio::test]
async fn a_reader_of_a_namespace_is_told_what_is_of_it_newest_first_and_where_the_rest_is() {
    let house = house().await;
    let (_, answer) = house.ask(Some("tenant"), "/v1/records?namespace=acme&limit=2").await;
    let lines: Vec<Value> = answer.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // The read itself is of the namespace too.
    assert_eq!((&lines[0]["sequence"], &lines[1]["sequence"]), (&4.into(), &3.into()));
    assert_eq!(lines[2], json!({ "rest": { "next": 3, "isPartial": false } }));
    let (_, answer) = house.ask(Some("tenant"), "/v1/records?namespace=acme&limit=2&before=3").await;
    let lines: Vec<Value> = answer.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["sequence"], lines.len()), (&1.into(), 2));
    assert_eq!(lines[1], json!({ "rest": { "isPartial": false } }));
    let (_, answer) = house.ask(Some("auditor"), "/v1/records?text=other").await;
    assert_eq!(answer.lines().count(), 2, "{answer}");
}

#[tokio::test]
async fn every_read_is_recorded_before_it_is_answered() {
    let house = house().await;
    house.ask(Some("tenant"), "/v1/records?namespace=acme").await;
    house.ask(Some("tenant"), "/v1/records?namespace=acme&team=acme").await;
    house.ask(Some("auditor"), "/v1/records").await;
    for _ in 0..3 {
        house.ask(Some("auditor"), "/v1/logs").await;
        house.ask(Some("auditor"), "/v1/logs/2026q4/checkpoint").await;
        house.ask(Some("auditor"), "/v1/logs/2026q4/tile/0/000").await;
    }
    let by = |account: &str, what: &str| (format!("system:serviceaccount:acme:{account}"), what.to_owned());
    assert_eq!(
        house.reads(),
        [
            by("tenant", "Namespace acme"),
            by("tenant", "Team acme/acme"),
            by("auditor", "Log recorder-0"),
            by("auditor", "Log recorder-0"),
            by("auditor", "Log recorder-0"),
        ]
    );
}

#[tokio::test]
async fn what_is_no_question_is_refused() {
    let house = house().await;
    for path in [
        "/v1/records?namespace=Acme",
        "/v1/records?namespace=",
        "/v1/records?namespace=acme&namespace=other",
        "/v1/records?team=acme",
        "/v1/records?connection=na",
        "/v1/records?class=1",
        "/v1/records?class=ApiActivity",
        "/v1/records?outcome=Good",
        "/v1/records?outcome=",
        "/v1/records?text=",
        "/v1/records?since=yesterday",
        "/v1/records?before=-1",
        "/v1/records?limit=x",
        "/v1/records?all=true",
    ] {
        assert_eq!(house.ask(Some("auditor"), path).await.0, StatusCode::BAD_REQUEST, "{path}");
        assert_eq!(house.ask(Some("stranger"), path).await.0, StatusCode::UNAUTHORIZED, "{path}");
    }
    let path = "/v1/records?outcome=Refused,Failed&since=2026-01-01T00:00:00Z&class=6003&limit=5";
    assert_eq!(house.ask(Some("auditor"), path).await.0, StatusCode::OK);
    for path in ["/v1/logs/2026q4/key", "/v1/logs/2026q4/tile/../key", "/v1/logs/x/checkpoint"] {
        assert_eq!(house.ask(Some("auditor"), path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn a_token_is_given_once_and_as_bearer() {
    let house = house().await;
    for values in [&["auditor"][..], &["Basic auditor"], &["Bearer "], &["Bearer auditor", "Bearer auditor"]] {
        let mut request = Request::get("/v1/logs");
        for value in values {
            request = request.header("authorization", *value);
        }
        let (status, _) = house.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{values:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn two_are_answered_at_once_and_one_more_is_told_so() {
    let house = house().await;
    let door = Door::new(apiserver(), house.journal.clone());
    let logs = Logs::look(house.dir.path()).unwrap();
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let shared = Arc::new(Shared { journal: house.journal.clone(), logs, door, turns: turns.clone() });
    let mut headers = HeaderMap::new();
    headers.insert("authorization", "Bearer auditor".parse().unwrap());
    let ask = || records(State(shared.clone()), headers.clone(), Ok(Query(Asked::default())));
    let both = turns.acquire_many(2).await.unwrap();
    assert_eq!(ask().await.err(), Some(Refusal::Busy));
    drop(both);
    assert!(ask().await.is_ok());
    assert_eq!(house.reads().len(), 1, "what was not answered is not recorded as read");
}

#[tokio::test]
async fn without_an_apiserver_nobody_is_answered() {
    let house = house().await;
    let service = tower::service_fn(|_: axum::http::Request<kube::client::Body>| async {
        Err::<axum::http::Response<kube::client::Body>, _>(std::io::Error::other("away"))
    });
    let logs = Logs::look(house.dir.path()).unwrap();
    let router = super::router(house.journal.clone(), logs, Client::new(service, "default"));
    let house = House { router, ..house };
    for path in PATHS {
        assert_eq!(house.ask(Some("auditor"), path).await.0, StatusCode::SERVICE_UNAVAILABLE, "{path}");
    }
    assert_eq!(house.reads(), []);
}

#[test]
fn who_reads_is_told_as_the_webhook_tells_who_asks() {
    assert!(matches!(Requester::of("system:serviceaccount:acme:tenant"), Requester::ServiceAccount(_)));
}
