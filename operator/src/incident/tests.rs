use http::StatusCode;
use serde_json::json;

use super::{testing::Server, *};
use crate::{error::Class, stores::Kind};

const STATUS: &str = "/namespaces/openteam-system/incidents/inc-1/status";
const EVENTS: &str = "/namespaces/openteam-system/events";

/// The Incident `inc-1` in a version.
fn incident(version: &str) -> Incident {
    let mut incident = Incident::new("inc-1", Default::default());
    incident.metadata.namespace = Some("openteam-system".to_owned());
    incident.metadata.resource_version = Some(version.to_owned());
    incident
}

#[tokio::test]
async fn what_was_written_is_neither_written_nor_told_again_before_the_watch_has_brought_it() {
    let server = Server::default();
    let context = server.context().await;
    for _ in 0..3 {
        reconcile(context.clone(), incident("1")).await.unwrap();
    }
    let written = server.written("PATCH", STATUS);
    assert_eq!(written.len(), 1);
    assert_eq!(written[0]["metadata"]["resourceVersion"], "1", "for the version that it was made from");
    let targets: Vec<_> = written[0]["status"]["targets"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert_eq!(targets, ["bad", "one"], "what does not parse too");
    assert_eq!(server.created(EVENTS).len(), 2, "opened, contained");

    // It came back.
    let mut brought = incident("2");
    brought.status = serde_json::from_value(written[0]["status"].clone()).unwrap();
    reconcile(context.clone(), brought.clone()).await.unwrap();
    assert_eq!(server.written("PATCH", STATUS).len(), 1, "at rest");

    // A target was restored meanwhile.
    brought.spec.title = Some("A token in a log".to_owned());
    let past = json!({ "kind": "Team", "namespace": "acme", "name": "odd", "containedAt": "2026-01-01T00:00:00Z" });
    brought.status.as_mut().unwrap().targets.push(serde_json::from_value(past).unwrap());
    brought.metadata.resource_version = Some("3".to_owned());
    let action = reconcile(context.clone(), brought.clone()).await.unwrap();
    assert_eq!(server.written("PATCH", STATUS).len(), 1, "not at once");
    assert_ne!(action, Action::await_change(), "but soon");
    let last = &mut brought.status.as_mut().unwrap().timeline.last_mut().unwrap().time;
    last.0 -= jiff::SignedDuration::from_secs(2);
    reconcile(context, brought).await.unwrap();
    assert_eq!(server.written("PATCH", STATUS).len(), 2);
}

#[tokio::test]
async fn somebody_elses_write_comes_first_and_nothing_is_told_before_it_is_written() {
    let server = Server::default();
    let context = server.context().await;
    *server.failing.lock().unwrap() = vec![StatusCode::SERVICE_UNAVAILABLE, StatusCode::CONFLICT];
    for class in [Class::Conflict, Class::Transient] {
        let failed = reconcile(context.clone(), incident("1")).await.unwrap_err();
        assert_eq!(failed.class(), class);
        assert!(server.created(EVENTS).is_empty());
    }
    reconcile(context, incident("1")).await.unwrap();
    assert_eq!(server.created(EVENTS).len(), 2);
}

#[tokio::test]
async fn a_change_concerns_the_incidents_that_an_object_names_and_those_that_it_was_a_target_of() {
    let server = Server::default();
    let context = server.context().await;
    let affected = |kind, name: &str| {
        let touched = Touched { name: Name::new(kind, Some("acme"), name), of: None };
        let mut names: Vec<_> = affected(&context.stores, &touched).iter().map(|it| it.to_string()).collect();
        names.sort();
        names
    };
    assert_eq!(affected(Kind::Team, "one"), ["openteam-system/inc-1", "openteam-system/past"]);
    assert_eq!(affected(Kind::Team, "bad"), ["openteam-system/inc-1", "openteam-system/inc-2"]);
    assert_eq!(affected(Kind::Team, "nameless"), ["openteam-system/unnamed"]);
    assert!(affected(Kind::Team, "gone").is_empty() && affected(Kind::AmazonConnection, "one").is_empty());
}
