//! The API as each kind of caller meets it, and the whole way from the client's handle to the disk.

use std::{collections::HashSet, sync::Arc};

use audit::{
    Activity, Fault, Lifecycle, Name, ObjectName, Origin, Reason, Recorder, Role, Run, Settings, Target, wire,
};
use axum::{
    body::{Body, to_bytes},
    http::Request,
};
use jiff::Timestamp;
use tempfile::TempDir;
use tower::ServiceExt;

use super::*;
use crate::read::{Filter, Item, items, print};

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn origin(role: Role) -> Origin {
    Origin { role, pod: name(&format!("{role}-0")), version: "0.1.0" }
}

fn peer(role: Role) -> Peer {
    Peer { role, pod: name(&format!("{role}-0")) }
}

fn journal() -> (Journal, TempDir) {
    let dir = TempDir::new().unwrap();
    (Journal::open(dir.path(), origin(Role::Recorder)).unwrap(), dir)
}

fn line(activity: impl Into<Activity>) -> String {
    Run::new(origin(Role::Gateway)).event(&activity.into()).as_line().to_owned()
}

fn refused_caller() -> audit::RefusedCallers {
    audit::RefusedCallers {
        source: audit::Network::V4([203, 0, 113]),
        reason: Reason::new("UnknownToken"),
        count: 1,
        first: Timestamp::now(),
        last: Timestamp::now(),
    }
}

/// Sends `body` as `role`, and returns the status and the answer.
async fn send(journal: &Journal, role: Option<Role>, body: impl Into<Body>) -> (StatusCode, String) {
    let mut request = Request::post(EVENTS_PATH).body(body.into()).unwrap();
    if let Some(role) = role {
        request.extensions_mut().insert(peer(role));
    }
    let response = router(journal.clone(), Logs::look(journal.dir()).unwrap(), Shelf::of(journal.dir()))
        .oneshot(request)
        .await
        .unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), 64 * 1024).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn stored(dir: &TempDir) -> usize {
    items(dir.path()).unwrap().map(Result::unwrap).count()
}

#[tokio::test]
async fn events_are_acknowledged_with_their_sequence() {
    let (journal, dir) = journal();
    let one = line(Lifecycle::Started);
    let two = format!("{}\n{}\n", line(refused_caller()), line(Lifecycle::Stopped));
    let answer = send(&journal, Some(Role::Gateway), one).await;
    assert_eq!(answer, (StatusCode::OK, r#"{"acknowledged":1,"lastSequence":1}"#.to_owned()));
    let answer = send(&journal, Some(Role::Gateway), two).await;
    assert_eq!(answer, (StatusCode::OK, r#"{"acknowledged":2,"lastSequence":3}"#.to_owned()));
    let Item::Record(record) = items(dir.path()).unwrap().nth(1).unwrap().unwrap() else { panic!("no record") };
    assert_eq!((record.sequence, record.writer), (2, peer(Role::Gateway)));
    assert_eq!(record.event["status_detail"], "UnknownToken");
}

#[tokio::test]
async fn without_a_certificate_nothing_is_stored() {
    let (journal, dir) = journal();
    let (status, answer) = send(&journal, None, line(Lifecycle::Started)).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{answer}");
    assert_eq!(stored(&dir), 0);
}

#[tokio::test]
async fn a_role_stores_no_class_it_does_not_produce() {
    let (journal, dir) = journal();
    let events = format!("{}\n{}", line(Lifecycle::Started), line(refused_caller()));
    for role in [Role::Portal, Role::Webhook, Role::Recorder] {
        let (status, answer) = send(&journal, Some(role), events.clone()).await;
        let expected = format!(r#"{{"error":"event has class 6003, which the {role} does not produce","line":2}}"#);
        assert_eq!((status, answer), (StatusCode::BAD_REQUEST, expected));
    }
    assert_eq!(stored(&dir), 0);
}

#[tokio::test]
async fn a_bad_line_is_named_and_refuses_the_whole_request() {
    let (journal, dir) = journal();
    let good = line(Lifecycle::Started);
    for (body, at) in [
        (String::new(), 1),
        ("\n".to_owned(), 1),
        ("{}".to_owned(), 1),
        ("secret-thing".to_owned(), 1),
        (format!("{good}\n\n{good}"), 2),
        (format!("{good}\n{good}\n\n"), 3),
        (format!("{good}\n{}", good.replace("1.8.0", "1.9.0")), 2),
        (format!("{good}\n{good}secret-thing"), 2),
        (format!("{good}\n{}", " ".repeat(wire::MAX_EVENT_BYTES + 1)), 2),
    ] {
        let (status, answer) = send(&journal, Some(Role::Gateway), body).await;
        let refused: Refused = serde_json::from_str(&answer).unwrap();
        assert_eq!((status, refused.line), (StatusCode::BAD_REQUEST, Some(at)), "{answer}");
        assert!(!answer.contains("secret-thing"));
    }
    assert_eq!(stored(&dir), 0);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let (journal, dir) = journal();
    let (status, answer) = send(&journal, Some(Role::Gateway), vec![b'\n'; MAX_BODY_BYTES + 1]).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{answer}");
    assert_eq!(stored(&dir), 0);
}

#[tokio::test]
async fn other_methods_and_paths_are_not_there() {
    let (journal, _dir) = journal();
    for (method, path, status) in [
        ("GET", EVENTS_PATH, StatusCode::METHOD_NOT_ALLOWED),
        ("PUT", EVENTS_PATH, StatusCode::METHOD_NOT_ALLOWED),
        ("POST", "/v1/events/", StatusCode::NOT_FOUND),
        ("POST", "/", StatusCode::NOT_FOUND),
    ] {
        let mut request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        request.extensions_mut().insert(peer(Role::Gateway));
        let response = router(journal.clone(), Logs::look(journal.dir()).unwrap(), Shelf::of(journal.dir()))
            .oneshot(request)
            .await
            .unwrap();
        assert_eq!(response.status(), status, "{method} {path}");
    }
}

#[tokio::test]
async fn printing_keeps_to_the_team_connection_and_time_asked_for() {
    let (journal, dir) = journal();
    let target = |team: &str, connection: Option<&str>| {
        let object = |of| ObjectName::parse("acme", of).unwrap();
        Some(Target { team: object(team), team_uid: None, connection: connection.map(object) })
    };
    let fault = |target| Fault::Unexpected { reason: Reason::new("Test"), target };
    for of in [None, target("a", None), target("a", Some("na")), target("b", Some("na")), target("b", Some("eu"))] {
        send(&journal, Some(Role::Gateway), line(fault(of))).await;
    }
    let object = |text: &str| Some(text.parse().unwrap());
    let hour = jiff::SignedDuration::from_hours(1);
    let (before, after) = (Timestamp::now() - hour, Timestamp::now() + hour);
    let all = Filter::default();
    for (filter, records) in [
        (all.clone(), 5),
        (Filter { team: object("acme/a"), ..all.clone() }, 2),
        (Filter { connection: object("acme/na"), ..all.clone() }, 2),
        (Filter { team: object("acme/b"), connection: object("acme/na"), ..all.clone() }, 1),
        (Filter { team: object("other/a"), ..all.clone() }, 0),
        (Filter { team: object("acme/na"), ..all.clone() }, 0),
        (Filter { since: Some(before), until: Some(after), ..all.clone() }, 5),
        (Filter { since: Some(after), ..all.clone() }, 0),
        (Filter { until: Some(before), ..all.clone() }, 0),
    ] {
        let mut out = Vec::new();
        let printed = print(dir.path(), &filter, &mut out).unwrap();
        assert_eq!((printed.records, printed.flaws), (records, 0), "{filter:?}");
        assert_eq!(out.iter().filter(|byte| **byte == b'\n').count() as u64, records);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_256_writers_were_told_is_recorded_is_on_the_disk_once() {
    let (journal, dir) = journal();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let app = router(journal.clone(), Logs::look(journal.dir()).unwrap(), Shelf::of(journal.dir()))
        .layer(Extension(peer(Role::Gateway)));
    tokio::spawn(async move { axum::serve(listener, app).await });
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let (recorder, delivery) = Recorder::new(Settings {
        origin: origin(Role::Gateway),
        recorders: vec![url],
        transport: Arc::new(audit::Https::new(move || client.clone())),
    });
    let delivery = tokio::spawn(delivery.run());

    let writers: Vec<_> = (0..256)
        .map(|_| {
            let recorder = recorder.clone();
            tokio::spawn(async move {
                let mut uids = Vec::new();
                for _ in 0..10 {
                    recorder.record_later(refused_caller());
                    uids.push(recorder.record(refused_caller()).await.unwrap().uid().to_string());
                }
                uids
            })
        })
        .collect();
    let mut recorded = HashSet::new();
    for writer in writers {
        recorded.extend(writer.await.unwrap());
    }
    recorder.drain(std::time::Duration::from_secs(20)).await.unwrap();
    delivery.await.unwrap();

    let mut stored = HashSet::new();
    for (item, sequence) in items(dir.path()).unwrap().zip(1..) {
        let Item::Record(record) = item.unwrap() else { panic!("the journal has a flaw") };
        assert_eq!(record.sequence, sequence);
        assert!(stored.insert(record.event["metadata"]["uid"].as_str().unwrap().to_owned()), "stored twice");
    }
    assert_eq!(recorded.len(), 2560);
    assert!(stored.is_superset(&recorded));
    assert_eq!(stored.len(), 2 * 2560);
}
