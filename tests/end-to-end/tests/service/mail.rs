//! What an incident mails, by a real SMTP server over TLS: to whom it concerns, to each what is theirs, and in the end.

use std::collections::BTreeSet;

use crds::{
    AmazonConnection, Incident, IncidentNotification, IncidentNotificationState as Progress, Team,
    condition::{NOTIFIED, find},
};
use kube::Api;
use openteam_end_to_end::{House, NAMESPACE, Received, alone, eventually, house};
use serde_json::{Value, json};

use super::incidents::told;

const OPERATOR: &str = "openteam-operator-0";

fn incident(house: &House, name: &str) -> Option<Incident> {
    let api: Api<Incident> = Api::namespaced(house.client().clone(), NAMESPACE);
    house.block_on(api.get_opt(name)).unwrap()
}

fn notifications(house: &House, name: &str) -> Vec<IncidentNotification> {
    incident(house, name).and_then(|it| it.status).map(|status| status.notifications).unwrap_or_default()
}

/// Waits until a mail about an incident is in a state, perhaps for a reason.
fn becomes(house: &House, incident: &str, id: &str, state: Progress, reason: Option<&str>) -> IncidentNotification {
    let is = |one: &IncidentNotification| {
        one.id == id && one.state == state && (reason.is_none() || one.last_reason.as_deref() == reason)
    };
    eventually(&format!("{id} of {incident} is {state:?} {reason:?}"), || {
        notifications(house, incident).into_iter().find(is)
    })
}

/// Reason of the condition `Notified`.
fn notified(house: &House, name: &str) -> Option<String> {
    let status = incident(house, name)?.status?;
    find(&status.conditions, NOTIFIED).map(|it| it.reason.clone())
}

/// Mails to an address that are about an incident.
fn mails(house: &House, to: &str, incident: &str) -> Vec<Received> {
    let mut mails = house.mails_to(to);
    mails.retain(|mail| mail.subject.contains(&format!("incident {incident} ")));
    mails
}

fn set_contacts(house: &House, team: &str, contacts: &[&str]) {
    house.patch::<Team>(team, team, &json!({ "spec": { "contacts": contacts } }));
}

fn contained(team: &str) -> String {
    format!("{team}/{team}.Contained.1")
}

const PLATFORM: &str = "incidentContact.Contained.1";

#[test]
fn promise_6_an_incident_is_mailed_to_whom_it_concerns_and_to_each_what_is_theirs() {
    let house = house();
    let (postal, courier) = (house.tenant("postal"), house.tenant("courier"));
    set_contacts(&house, "postal", &["ann@postal.example", "bob@postal.example"]);
    set_contacts(&house, "courier", &["cyd@courier.example"]);
    house.disable::<AmazonConnection>("postal", &postal.connection, "post-1");
    house.disable::<Team>("courier", "courier", "post-1");
    for id in [PLATFORM, &contained("postal"), &contained("courier")] {
        let one = becomes(&house, "post-1", id, Progress::Sent, None);
        assert_eq!((one.attempts, one.targets, one.last_reason), (1, 2, None), "{id}");
    }
    eventually("everybody was told", || (notified(&house, "post-1").as_deref() == Some("Notified")).then_some(()));

    let platform = mails(&house, House::INCIDENT_CONTACT, "post-1");
    let [platform] = &platform[..] else { panic!("two objects within seconds are one mail: {platform:#?}") };
    let application = house.amazon().application().application_id.clone();
    for part in [
        "AmazonConnection postal/postal-na",
        "Team courier/courier",
        "Amazon must be told by",
        &format!("To: {}", House::AMAZON_CONTACT),
        &format!("Point of contact: {}", House::INCIDENT_CONTACT),
        &application,
        &postal.seller.seller_id,
        &courier.seller.seller_id,
    ] {
        assert!(platform.text.contains(part), "{part} in {}", platform.text);
    }
    assert!(house.mails_to(House::AMAZON_CONTACT).is_empty(), "Amazon is told by people");
    for (to, own, foreign) in [
        ("ann@postal.example", "postal/postal-na", "courier"),
        ("bob@postal.example", "postal/postal-na", "courier"),
        ("cyd@courier.example", "Team courier/courier", "postal"),
    ] {
        let mails = mails(&house, to, "post-1");
        let [mail] = &mails[..] else { panic!("{to}: {mails:#?}") };
        assert!(mail.text.contains(own) && !mail.text.contains(foreign), "{to}: {}", mail.text);
        assert!(mail.to.iter().all(|other| !other.contains(foreign)), "{:?}", mail.to);
    }

    // The same as people get it.
    let output = house.openteam(&["incident", "notice", "post-1", "--to", "a@example.com"], "");
    let notice = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && notice.starts_with("To: a@example.com\n"), "{notice}");
    assert!(notice.contains(&application) && notice.contains(&courier.seller.seller_id), "{notice}");
    let output = house.openteam(&["incident", "note", "post-1", "case 42", "--amazon-was-told"], "");
    assert!(output.status.success());
    let output = house.openteam(&["incident", "show", "post-1"], "");
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("Amazon was told") && shown.contains("postal/postal"), "{shown}");

    // What is over is told to whom it was begun.
    house.restore::<AmazonConnection>("postal", &postal.connection);
    becomes(&house, "post-1", "postal/postal.Restored.1", Progress::Sent, None);
    house.restore::<Team>("courier", "courier");
    let closed = json!({ "rootCause": "postal's log", "remedy": "The log redacts.", "waiver": "A test." });
    house.patch::<Incident>(NAMESPACE, "post-1", &json!({ "spec": { "closed": closed } }));
    becomes(&house, "post-1", "courier/courier.Restored.1", Progress::Sent, None);
    becomes(&house, "post-1", "incidentContact.Closed.1", Progress::Sent, None);
    let all: Vec<_> = notifications(&house, "post-1").into_iter().map(|one| one.id).collect();
    assert!(!all.iter().any(|id| id.contains("Reminder")), "{all:?}");
    for mail in mails(&house, "cyd@courier.example", "post-1") {
        assert!(!mail.text.contains("postal"), "a cause that people wrote names another: {}", mail.text);
    }

    // Recorded, and no address anywhere but in the Team.
    let of_this = |event: &Value| {
        event["entity"]["name"] == format!("{NAMESPACE}/post-1") && !event["unmapped"]["notification"].is_null()
    };
    let (events, told) = eventually("all of it is recorded", || {
        let events = house.journal().into_iter().map(|mut record| record["event"].take());
        let events: Vec<Value> = events.filter(of_this).collect();
        let what =
            |event: &Value| (event["unmapped"]["team"].to_string(), event["unmapped"]["notification"].to_string());
        let told: BTreeSet<_> = events.iter().map(what).collect();
        (told.len() >= 6).then_some((events, told))
    });
    assert!(told.contains(&("null".to_owned(), "\"Closed\"".to_owned())), "{told:?}");
    assert!(events.iter().all(|event| event["message"] == "notified by mail"), "{events:#?}");
    let kept = [
        serde_json::to_string(&incident(&house, "post-1").unwrap().status).unwrap(),
        house.kubectl().run(&["get", "events", "-A", "-o", "json"]).unwrap(),
        events.iter().map(Value::to_string).collect(),
    ];
    for text in &kept {
        assert!(!text.contains("@postal.example") && !text.contains(House::INCIDENT_CONTACT), "{text}");
    }
}

#[test]
fn mail_waits_for_its_server_through_the_operators_death_and_may_come_twice_as_one() {
    let house = alone();
    let tenant = house.tenant("courier-down");
    set_contacts(&house, "courier-down", &["dee@courier-down.example"]);
    house.set_mailbox(&json!({ "connect": "drop" }));
    house.disable::<AmazonConnection>("courier-down", &tenant.connection, "down-1");
    let id = contained("courier-down");
    becomes(&house, "down-1", &id, Progress::Pending, Some("SmtpUnreachable"));
    assert_eq!(notified(&house, "down-1").as_deref(), Some("MailDelayed"));
    // Nothing waits for it.
    eventually("it is contained", || {
        let read: AmazonConnection = house.read("courier-down", &tenant.connection);
        read.status?.incidents.contains(&"down-1".to_owned()).then_some(())
    });
    house.kill(OPERATOR);
    // It takes the mail and breaks off before it says so.
    house.set_mailbox(&json!({ "dropAfterData": true }));
    house.restart(OPERATOR);
    eventually("it is sent once", || (!mails(&house, "dee@courier-down.example", "down-1").is_empty()).then_some(()));
    house.kill(OPERATOR);
    house.set_mailbox(&json!({}));
    house.restart(OPERATOR);
    let sent = becomes(&house, "down-1", &id, Progress::Sent, None);
    becomes(&house, "down-1", PLATFORM, Progress::Sent, None);
    assert!(sent.attempts >= 2, "{sent:?}");
    let mails = mails(&house, "dee@courier-down.example", "down-1");
    assert!(mails.len() >= 2, "it was not known that it was taken: {mails:#?}");
    let ids: BTreeSet<_> = mails.iter().map(|mail| &mail.message_id).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert!(mails.iter().all(|mail| mail.from == "openteam@house.example"), "{mails:#?}");
    house.restore::<AmazonConnection>("courier-down", &tenant.connection);
}

#[test]
fn what_is_refused_for_good_is_given_up_and_said() {
    let house = alone();
    let tenant = house.tenant("returned");
    set_contacts(&house, "returned", &["eve@returned.example", "gone@returned.example", "<odd>@returned.example"]);
    house.set_mailbox(&json!({ "rcpt": 550, "rcptFor": "gone@returned.example" }));
    house.disable::<AmazonConnection>("returned", &tenant.connection, "returned-1");
    becomes(&house, "returned-1", &contained("returned"), Progress::Sent, Some("SomeAddressesRefused"));
    assert_eq!(mails(&house, "eve@returned.example", "returned-1").len(), 1, "the others are told");
    assert!(mails(&house, "gone@returned.example", "returned-1").is_empty());
    house.restore::<AmazonConnection>("returned", &tenant.connection);

    house.set_mailbox(&json!({ "data": 554 }));
    house.disable::<AmazonConnection>("returned", &tenant.connection, "returned-2");
    becomes(&house, "returned-2", &contained("returned"), Progress::Failed, Some("SmtpRefused"));
    becomes(&house, "returned-2", PLATFORM, Progress::Failed, Some("SmtpRefused"));
    assert_eq!(notified(&house, "returned-2").as_deref(), Some("NotNotified"));
    eventually("it is told", || {
        told(&house, NAMESPACE, "returned-2").contains(&"NotNotified".to_owned()).then_some(())
    });
    let metrics = house.metrics(OPERATOR);
    let failed = metrics.lines().find_map(|line| line.strip_prefix("openteam_notifications{state=\"Failed\"} "));
    assert!(failed.unwrap().parse::<u32>().unwrap() >= 2, "{metrics}");
    eventually("it is recorded", || {
        let is = |record: &Value| {
            let event = &record["event"];
            event["message"] == "not notified by mail" && event["status_detail"] == "SmtpRefused"
        };
        house.journal().iter().any(is).then_some(())
    });
    // The server repeats addresses and says what it is; nobody keeps that.
    let kept = serde_json::to_string(&incident(&house, "returned-2").unwrap()).unwrap();
    assert!(!kept.contains("the mailbox refuses") && !kept.contains("@returned.example"), "{kept}");
    let logs = std::fs::read_to_string(house.state_dir().join(format!("house/logs/{OPERATOR}.log"))).unwrap();
    assert!(logs.contains("SmtpRefused") && !logs.contains("the mailbox refuses"));
    for address in ["eve@returned.example", "gone@returned.example"] {
        assert!(!logs.contains(address), "{address}");
    }
    house.restore::<AmazonConnection>("returned", &tenant.connection);
}

#[test]
fn user_and_password_are_those_that_are_mounted_now() {
    let house = alone();
    let tenant = house.tenant("keyholder");
    let (first, second) = (password(), password());
    house.plant("SMTP password", &first);
    house.plant("SMTP password", &second);
    house.set_mailbox(&json!({ "username": "openteam", "password": first }));
    house.disable::<AmazonConnection>("keyholder", &tenant.connection, "key-1");
    becomes(&house, "key-1", PLATFORM, Progress::Pending, Some("SmtpLoginRefused"));
    house.set_smtp_credentials(Some(("openteam", &format!("{first}\n"))));
    becomes(&house, "key-1", PLATFORM, Progress::Sent, None);
    assert_eq!(mails(&house, House::INCIDENT_CONTACT, "key-1")[0].user, "openteam");
    house.restore::<AmazonConnection>("keyholder", &tenant.connection);

    // Rotated: the server first, then the Secret, and no process is started anew.
    let pid = house.pid(OPERATOR);
    house.set_mailbox(&json!({ "username": "openteam", "password": second }));
    becomes(&house, "key-1", "incidentContact.Restored.1", Progress::Pending, Some("SmtpLoginRefused"));
    house.set_smtp_credentials(Some(("openteam", &second)));
    becomes(&house, "key-1", "incidentContact.Restored.1", Progress::Sent, None);
    assert_eq!(house.pid(OPERATOR), pid);
}

/// One that nobody else has.
fn password() -> String {
    std::iter::repeat_with(fastrand::alphanumeric).take(48).collect()
}

#[test]
fn without_a_mail_server_everything_works_and_says_that_nobody_was_told() {
    let house = alone();
    let tenant = house.tenant("hermit");
    set_contacts(&house, "hermit", &["fay@hermit.example"]);
    for key in ["smtpUrl", "smtpFrom"] {
        house.set(key, None);
    }
    house.stop(OPERATOR);
    house.restart(OPERATOR);
    house.disable::<AmazonConnection>("hermit", &tenant.connection, "hermit-1");
    eventually("it says so", || (notified(&house, "hermit-1").as_deref() == Some("MailNotConfigured")).then_some(()));
    assert_eq!(notifications(&house, "hermit-1"), []);
    // Set up while it goes on, over TLS from the first byte.
    house.set("smtpUrl", Some(&house.mailbox().url("smtps")));
    house.set("smtpFrom", Some("openteam@house.example"));
    house.stop(OPERATOR);
    house.restart(OPERATOR);
    becomes(&house, "hermit-1", &contained("hermit"), Progress::Sent, None);
    assert_eq!(mails(&house, "fay@hermit.example", "hermit-1").len(), 1);
    house.restore::<AmazonConnection>("hermit", &tenant.connection);
}
