//! Reading as each kind of caller meets it.

use audit::{Activity, Change, Entity, EntityChange, Kind, Name, Origin};
use axum::{
    body::{Body, to_bytes},
    http::Request,
};
use tempfile::TempDir;
use tower::ServiceExt;

use super::*;
use crate::Shelf;

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn journal() -> (Journal, TempDir) {
    let dir = TempDir::new().unwrap();
    let origin = Origin { role: Role::Recorder, pod: name("recorder-0"), version: "0" };
    (Journal::open(dir.path(), origin).unwrap(), dir)
}

async fn ask(journal: &Journal, role: Option<Role>, path: &str) -> (StatusCode, serde_json::Value) {
    let mut request = Request::get(path).body(Body::empty()).unwrap();
    if let Some(role) = role {
        request.extensions_mut().insert(Peer { role, pod: name(&format!("{role}-0")) });
    }
    let shelf = Shelf::open(journal.dir()).unwrap();
    let response = super::super::router(journal.clone(), crate::Logs::look(journal.dir()).unwrap(), shelf)
        .oneshot(request)
        .await
        .unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), 1024 * 1024).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn only_the_portal_is_answered() {
    let (journal, _dir) = journal();
    for path in ["/v1/activity?namespace=acme", "/v1/last-use?namespace=acme", "/v1/activity", "/v1/last-use"] {
        for role in [None, Some(Role::Operator), Some(Role::Gateway), Some(Role::Webhook), Some(Role::Recorder)] {
            let (status, answer) = ask(&journal, role, path).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{role:?} {path}: {answer}");
        }
    }
    for path in ["/v1/activity?namespace=acme", "/v1/last-use?namespace=acme"] {
        assert_eq!(ask(&journal, Some(Role::Portal), path).await.0, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn a_page_is_asked_for_by_its_query() {
    let (journal, _dir) = journal();
    for number in 1..=3 {
        let entity = Entity {
            kind: Kind::AmazonConnection,
            namespace: Some(name("acme")),
            name: name(&format!("c-{number}")),
            uid: None,
        };
        let restored = EntityChange { correlation: None, target: None, entity, change: Change::Restored };
        journal.record(Activity::from(restored)).await.unwrap();
    }
    let path = "/v1/activity?namespace=acme&team=acme&teamUid=01950000-0000-7000-8000-000000000001&before=3&limit=1";
    let (status, page) = ask(&journal, Some(Role::Portal), path).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    assert_eq!((&page["events"][0]["sequence"], page["events"].as_array().unwrap().len()), (&2.into(), 1));
    assert_eq!((&page["next"], &page["isPartial"]), (&2.into(), &false.into()));
    let filters = "connection=acme-na&topic=Changes&outcome=Succeeded&who=ada%0Aperson+hmac-sha256:1&text=restored&\
                   since=2026-01-01T00:00:00Z&until=2027-01-01T00:00:00Z";
    let (status, page) = ask(&journal, Some(Role::Portal), &format!("/v1/activity?namespace=acme&{filters}")).await;
    assert_eq!((status, &page["events"]), (StatusCode::OK, &serde_json::json!([])), "{page}");
    for path in [
        "/v1/activity",
        "/v1/activity?namespace=",
        "/v1/activity?namespace=Acme",
        "/v1/activity?namespace=a%2Fb",
        "/v1/activity?namespace=%22",
        "/v1/activity?namespace=acme&before=-1",
        "/v1/activity?namespace=acme&before=x",
        "/v1/activity?namespace=acme&limit=1e3",
        "/v1/activity?namespace=acme&teamUid=1",
        "/v1/activity?namespace=acme&namespace=other",
        "/v1/activity?namespace=acme&all=true",
        "/v1/activity?namespace=acme&connection=",
        "/v1/activity?namespace=acme&connection=a%22b",
        "/v1/activity?namespace=acme&topic=SignIns",
        "/v1/activity?namespace=acme&outcome=refused",
        "/v1/activity?namespace=acme&outcome=Refused&outcome=Failed",
        "/v1/activity?namespace=acme&who=",
        "/v1/activity?namespace=acme&text=a%0Ab",
        "/v1/activity?namespace=acme&since=yesterday",
        "/v1/last-use",
        "/v1/last-use?namespace=",
        "/v1/last-use?namespace=acme&token=a",
    ] {
        let (status, answer) = ask(&journal, Some(Role::Portal), path).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}: {answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_finds_no_turn_is_told_so_and_others_come_to_theirs() {
    let (journal, _dir) = journal();
    let shared = Shared { journal, uses: Arc::new(Uses::new(0)), turns: Semaphore::new(AT_ONCE) };
    let shared = Arc::new(shared);
    let asked = || Ok(Query(Asked { namespace: "acme".to_owned(), ..Asked::default() }));
    let portal = || Some(Extension(Peer { role: Role::Portal, pod: name("portal-0") }));
    let turns = shared.turns.acquire_many(2).await.unwrap();
    let refused = page(State(shared.clone()), portal(), asked()).await.err().unwrap();
    assert_eq!(refused.0, StatusCode::SERVICE_UNAVAILABLE);
    // That needs no turn.
    let of = Ok(Query(OfNamespace { namespace: "acme".to_owned() }));
    assert!(last_use(State(shared.clone()), portal(), of).await.is_ok());
    drop(turns);
    assert!(page(State(shared.clone()), portal(), asked()).await.is_ok());
}
