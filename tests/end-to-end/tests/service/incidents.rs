//! Incidents: made by an annotation, followed by the operator, closed by people.

use std::{thread, time::Duration};

use crds::{
    AgentGrant, AmazonConnection, Incident, IncidentEvent, IncidentPhase, IncidentReach, IncidentStatus, Team,
    condition::{CLOSED, find},
};
use kube::Api;
use openteam_end_to_end::{House, NAMESPACE, US, alone, eventually, good, house, within};
use serde_json::{Value, json};

const OPERATOR: &str = "openteam-operator-0";
/// How soon an Incident shows what was contained; nothing waits for it.
const SOON: Duration = Duration::from_secs(5);

fn incident(house: &House, name: &str) -> Option<Incident> {
    let api: Api<Incident> = Api::namespaced(house.client().clone(), NAMESPACE);
    house.block_on(api.get_opt(name)).unwrap()
}

fn status(house: &House, name: &str) -> Option<IncidentStatus> {
    incident(house, name)?.status
}

/// Waits until an Incident is in a phase with so many objects contained.
fn becomes(house: &House, name: &str, phase: IncidentPhase, contained: i64) -> IncidentStatus {
    let is = |status: &IncidentStatus| status.phase == Some(phase) && status.contained == contained;
    within(SOON, &format!("{name} is {phase:?}, {contained} contained"), || status(house, name).filter(is)).0
}

fn happened(status: &IncidentStatus) -> Vec<IncidentEvent> {
    status.timeline.iter().map(|entry| entry.event).collect()
}

/// Reasons of the Events about an object.
pub(crate) fn told(house: &House, namespace: &str, name: &str) -> Vec<String> {
    let events = house.kubectl().run(&["get", "events", "--namespace", namespace, "--output=json"]).unwrap();
    let events: Value = serde_json::from_str(&events).unwrap();
    let about = |event: &&Value| event["involvedObject"]["name"] == name;
    let reason = |event: &Value| event["reason"].as_str().unwrap().to_owned();
    events["items"].as_array().unwrap().iter().filter(about).map(reason).collect()
}

fn close(house: &House, name: &str) {
    let waiver = "Ann: the token in the log was a test's.";
    let closed = json!({ "rootCause": "A token in a log.", "remedy": "The log redacts.", "waiver": waiver });
    house.patch::<Incident>(NAMESPACE, name, &json!({ "spec": { "closed": closed } }));
}

#[test]
fn an_annotation_opens_an_incident_that_is_followed_across_namespaces_to_its_end() {
    use IncidentEvent::{Closed, Contained, NoteAdded, Opened, Reopened, Restored};
    let house = house();
    let (heist, fence) = (house.tenant("heist"), house.tenant("fence"));
    let _token = fence.runtime_token("nightly");
    assert!(incident(&house, "heist-1").is_none());

    house.disable::<AmazonConnection>("heist", &heist.connection, "heist-1");
    becomes(&house, "heist-1", IncidentPhase::Contained, 1);
    // Two incidents on one object, one of them with objects in two namespaces.
    house.disable::<Team>("fence", "fence", "heist-1,heist-2");
    let first = becomes(&house, "heist-1", IncidentPhase::Contained, 2);
    let second = becomes(&house, "heist-2", IncidentPhase::Contained, 1);
    let targets: Vec<_> = first.targets.iter().map(|it| (it.kind.as_str(), it.namespace.as_str())).collect();
    assert_eq!(targets, [("AmazonConnection", "heist"), ("Team", "fence")]);
    assert_eq!(second.reach, IncidentReach { connections: 1, grants: 1, tokens: 1 });
    assert_eq!(first.reach, IncidentReach { connections: 2, grants: 2, tokens: 1 });
    let day = jiff::SignedDuration::from_hours(24);
    assert_eq!(first.notify_amazon_by.unwrap().0, first.targets[0].contained_at.0 + day);

    // What people know is theirs to write.
    let known = json!({ "title": "Heist", "severity": "High", "detectedAt": "2026-01-01T00:00:00Z",
        "notes": [{ "time": "2026-01-01T01:00:00Z", "author": "a@example.com", "text": "Seen in a ticket." }] });
    house.patch::<Incident>(NAMESPACE, "heist-1", &json!({ "spec": known }));
    let detected = eventually("the note is in the timeline", || {
        status(&house, "heist-1").filter(|status| happened(status).contains(&NoteAdded))
    });
    assert_eq!(detected.notify_amazon_by.unwrap().0.to_string(), "2026-01-02T00:00:00Z");
    let printed = house.kubectl().run(&["get", "incident", "heist-1", "-n", NAMESPACE]).unwrap();
    assert!(printed.contains("NOTIFY AMAZON BY") && printed.contains("Contained   2"), "{printed}");

    // Out of the second, not of the first.
    let words = ["annotate", "--overwrite", "team/fence", "-n", "fence", "openteam.dev/disable=heist-1"];
    let restored = format!("openteam.dev/restored=heist-2/{}", jiff::Timestamp::now());
    house.kubectl().run(&[&words[..], &[&restored]].concat()).unwrap();
    let second = becomes(&house, "heist-2", IncidentPhase::Open, 0);
    assert!(second.targets[0].restored_at.is_some(), "{second:?}");
    assert_eq!(happened(&second), [Opened, Contained, Restored]);
    becomes(&house, "heist-1", IncidentPhase::Contained, 2);

    // Closed while it contains, it stays open and says why.
    close(&house, "heist-1");
    eventually("what is still contained is told", || {
        let status = status(&house, "heist-1")?;
        let closed = find(&status.conditions, CLOSED).filter(|closed| closed.reason == "StillContains")?;
        assert_eq!(status.phase, Some(IncidentPhase::Contained));
        closed.message.contains("Team fence/fence").then_some(())
    });
    house.restore::<AmazonConnection>("heist", &heist.connection);
    becomes(&house, "heist-1", IncidentPhase::Contained, 1);
    house.restore::<Team>("fence", "fence");
    let closed = becomes(&house, "heist-1", IncidentPhase::Closed, 0);
    let story = [Opened, Contained, Contained, NoteAdded, Restored, Restored, Closed];
    assert_eq!(happened(&closed), story);

    // Contained by it again, it is open again; the timeline goes on.
    house.disable::<AgentGrant>("heist", "agent", "heist-1");
    let reopened = becomes(&house, "heist-1", IncidentPhase::Contained, 1);
    assert_eq!(happened(&reopened), [&story[..], &[Reopened, Contained]].concat());
    house.restore::<AgentGrant>("heist", "agent");
    becomes(&house, "heist-1", IncidentPhase::Closed, 0);
    eventually("every transition is an Event", || {
        let told = told(&house, NAMESPACE, "heist-1");
        let all = ["Opened", "Contained", "NoteAdded", "Restored", "Closed", "Reopened", "StillContains"];
        all.iter().all(|reason| told.iter().any(|it| it == reason)).then_some(())
    });
}

#[test]
fn many_objects_contained_at_once_are_few_entries() {
    let house = house();
    let tenant = house.tenant("crowd");
    let tokens: Vec<Value> = (0..100)
        .map(|number| {
            let mut token = good("RuntimeToken");
            token["metadata"] = json!({ "namespace": "crowd", "name": format!("token-{number}") });
            token["spec"]["teamRef"]["name"] = json!(tenant.name);
            token
        })
        .collect();
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": tokens });
    house.kubectl().run_with(&["apply", "-f", "-"], &list.to_string()).unwrap();
    house
        .kubectl()
        .run(&["annotate", "runtimetokens", "--all", "-n", "crowd", "openteam.dev/disable=crowd-1"])
        .unwrap();
    let status = eventually("all are told", || status(&house, "crowd-1").filter(|status| status.targets.len() == 100));
    assert_eq!((status.contained, status.reach.tokens), (100, 100));
    assert!(status.timeline.len() < 30, "{:#?}", status.timeline);
}

#[test]
fn a_name_that_no_incident_can_have_contains_all_the_same_and_is_told() {
    let house = house();
    let tenant = house.tenant("misnamed");
    let token = tenant.agent_token();
    house.disable::<AmazonConnection>("misnamed", &tenant.connection, "Incident 42,misnamed-1");
    becomes(&house, "misnamed-1", IncidentPhase::Contained, 1);
    eventually("it is told on the object", || {
        told(&house, "misnamed", &tenant.connection).contains(&"IncidentNotMade".to_owned()).then_some(())
    });
    eventually("it contains", || (house.gateway(0).call(&token).orders(US).code() == "Contained").then_some(()));
    house.restore::<AmazonConnection>("misnamed", &tenant.connection);
    becomes(&house, "misnamed-1", IncidentPhase::Open, 0);
}

#[test]
fn an_operator_killed_in_the_middle_goes_on_where_it_was() {
    use IncidentEvent::{Closed, Contained, Opened, Restored};
    let house = alone();
    let tenant = house.tenant("midnight");
    // Down when it is contained, and when it is restored and closed.
    house.kill(OPERATOR);
    house.disable::<Team>("midnight", "midnight", "midnight-down");
    house.restart(OPERATOR);
    eventually("it is opened", || status(&house, "midnight-down").filter(|it| it.contained == 1));
    house.kill(OPERATOR);
    house.restore::<Team>("midnight", "midnight");
    close(&house, "midnight-down");
    house.restart(OPERATOR);
    let closed = eventually("it is closed", || {
        status(&house, "midnight-down").filter(|it| it.phase == Some(IncidentPhase::Closed))
    });
    assert_eq!(happened(&closed), [Opened, Contained, Restored, Closed]);

    // At whichever step.
    for (step, wait) in [0, 5, 10, 20, 40, 80].into_iter().enumerate() {
        let name = format!("midnight-{step}");
        house.disable::<AmazonConnection>("midnight", &tenant.connection, &name);
        // The point in time is what is tried.
        thread::sleep(Duration::from_millis(wait));
        house.kill(OPERATOR);
        house.restart(OPERATOR);
        let status = eventually("it is followed", || status(&house, &name).filter(|it| it.contained == 1));
        assert_eq!(happened(&status), [Opened, Contained], "each once: {name}");
        house.restore::<AmazonConnection>("midnight", &tenant.connection);
        eventually("it is restored", || {
            incident(&house, &name)?.status.filter(|it| it.phase == Some(IncidentPhase::Open))
        });
    }
    tenant.wait_until_ready(&tenant.connection);
}
