use std::time::Duration;

use http::StatusCode;
use tokio::sync::broadcast;

use super::*;
use crate::incident::testing::Server;

async fn opener(server: &Server) -> Opener {
    Opener { context: server.context().await, made: HashSet::new(), told: HashMap::new(), due: Instant::now() }
}

async fn eventually(what: &str, done: impl Fn() -> bool) {
    let wait = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(30), wait).await.is_ok(), "{what}");
}

const INCIDENTS: &str = "/namespaces/openteam-system/incidents";

#[tokio::test]
async fn what_annotations_name_is_made_once_and_what_cannot_be_is_told_once() {
    let server = Server::default();
    let mut opener = opener(&server).await;
    for _ in 0..3 {
        for object in opener.context.stores.contained() {
            opener.open(&object).await;
        }
    }
    assert_eq!(server.created(INCIDENTS), ["inc-1", "inc-2", "unnamed"], "of what does not parse too");
    assert_eq!(server.created("/namespaces/acme/events"), ["odd.1.incidentnotmade"]);
}

#[tokio::test]
async fn one_that_exists_is_as_good_as_made() {
    let server = Server::default();
    *server.failing.lock().unwrap() = vec![StatusCode::CONFLICT; 3];
    let mut opener = opener(&server).await;
    for _ in 0..3 {
        for object in opener.context.stores.contained() {
            opener.open(&object).await;
        }
    }
    assert_eq!(server.created(INCIDENTS), ["inc-1", "inc-2", "unnamed"]);
}

#[tokio::test]
async fn a_failure_is_tried_again() {
    let server = Server::default();
    *server.failing.lock().unwrap() = vec![StatusCode::SERVICE_UNAVAILABLE; 3];
    let opener = opener(&server).await;
    let (_sender, changes) = broadcast::channel(8);
    tokio::spawn(opener.run(changes));
    eventually("each is tried again", || server.created(INCIDENTS).len() >= 6).await;
    let mut created = server.created(INCIDENTS);
    created.dedup();
    assert_eq!(created, ["inc-1", "inc-2", "unnamed"]);
}

#[tokio::test]
async fn one_that_was_deleted_is_made_again_while_something_names_it() {
    let server = Server::default();
    let opener = opener(&server).await;
    let (sender, changes) = broadcast::channel(8);
    tokio::spawn(opener.run(changes));
    eventually("all are made", || server.created(INCIDENTS).len() == 3).await;
    for gone in ["inc-2", "inc-3"] {
        let name = Name::new(Kind::Incident, Some("openteam-system"), gone);
        sender.send(Some(Touched { name, of: None })).unwrap();
    }
    eventually("it is made again", || server.created(INCIDENTS).len() == 4).await;
    assert_eq!(server.created(INCIDENTS), ["inc-1", "inc-2", "inc-2", "unnamed"]);
}
