//! The client secret of an application, rotated through Amazon and a queue of Amazon SQS.

use std::{
    thread,
    time::{Duration, Instant},
};

use amazon_emulator::{Change, Fault, Rotation};
use crds::{
    AmazonApplication, AmazonConnection, ProvenCredentials, SecretRotationPhase, SecretRotationStatus,
    StoredCredential,
    annotation::ROTATE,
    condition::{CLIENT_SECRET_CURRENT, find},
};
use jiff::{SignedDuration, Timestamp};
use openteam_end_to_end::{House, Tenant, US, alone, eventually, house, rotate_while_serving, within};
use serde_json::{Value, json};

use crate::incidents::told;

const OPERATOR: &str = "openteam-operator-0";
const APPLICATION: &str = "amazon";
/// A message that a killed operator had in its hands is hidden for half a minute.
const HIDDEN: Duration = Duration::from_secs(120);

fn rotate(tenant: &Tenant<'_>, value: &str) {
    let annotations = json!({ "metadata": { "annotations": { ROTATE: value } } });
    tenant.house().patch::<AmazonApplication>(&tenant.name, APPLICATION, &annotations);
}

fn status(tenant: &Tenant<'_>) -> SecretRotationStatus {
    let application: AmazonApplication = tenant.house().read(&tenant.name, APPLICATION);
    application.status.and_then(|status| status.secret_rotation).unwrap_or_default()
}

fn stored(tenant: &Tenant<'_>) -> StoredCredential {
    tenant.house().read(&tenant.name, "amazonapplication.amazon.clientsecret")
}

fn generation(tenant: &Tenant<'_>) -> i64 {
    stored(tenant).spec.generation
}

/// Waits for what the condition `ClientSecretCurrent` says, and gives its message.
fn becomes(tenant: &Tenant<'_>, reason: &str) -> String {
    eventually(&format!("{CLIENT_SECRET_CURRENT} says {reason}"), || {
        let application: AmazonApplication = tenant.house().read(&tenant.name, APPLICATION);
        let status = application.status?;
        let condition = find(&status.conditions, CLIENT_SECRET_CURRENT)?;
        (condition.reason == reason).then(|| condition.message.clone())
    })
}

/// Waits until Amazon has accepted the newest secret by itself and with the connection.
fn settles(tenant: &Tenant<'_>, generation: i64) {
    within(HIDDEN, &format!("client secret {generation} is in use"), || {
        let rotation = status(tenant);
        let proven = rotation.proven.as_ref().map(|proven| proven.generation);
        let connection: AmazonConnection = tenant.house().read(&tenant.name, &tenant.connection);
        let with: ProvenCredentials = connection.status?.proven?;
        (rotation.phase.is_none() && proven == Some(generation) && with.client_secret == generation).then_some(())
    });
    assert_eq!(stored(tenant).spec.generation, generation);
}

fn queue<'t>(tenant: &'t Tenant<'_>) -> &'t str {
    tenant.queue.as_deref().unwrap()
}

/// Waits until so many messages are in the tenant's queue.
fn left(house: &House, tenant: &Tenant<'_>, messages: u64) {
    within(HIDDEN, &format!("{messages} messages are left"), || {
        (house.messages_in(queue(tenant)) == messages).then_some(())
    });
}

#[test]
fn an_annotation_rotates_the_client_secret_once_while_calls_go_on() {
    let house = house();
    let tenant = house.tenant_apart("turning", true);
    becomes(&tenant, "Current");
    let old = stored(&tenant).spec;
    rotate_while_serving(&tenant, "1");
    settles(&tenant, 2);
    left(&house, &tenant, 0);
    becomes(&tenant, "Current");

    let new = stored(&tenant).spec;
    let previous = new.previous.unwrap();
    assert_eq!((previous.generation, previous.data), (1, old.data));
    let week = previous.until.unwrap().0.duration_since(Timestamp::now());
    assert!(week > SignedDuration::from_hours(6 * 24) && week <= SignedDuration::from_hours(7 * 24), "{week}");
    let rotation = status(&tenant);
    assert_eq!((rotation.value.as_deref(), rotation.phase), (Some("1"), None));
    assert!(rotation.rotated_at.is_some() && rotation.old_secret_until.is_some());
    let shown = house.kubectl().run(&["get", "amza", APPLICATION, "--namespace", &tenant.name]).unwrap();
    let ends = rotation.secret_expires_at.unwrap().0.to_string();
    assert!(shown.contains("SECRET EXPIRES") && shown.contains(&ends), "{shown}");
    assert!(told(&house, &tenant.name, APPLICATION).contains(&"ClientSecretRotated".to_owned()));

    // The same value again, as a GitOps controller would apply it, and the same input: nothing.
    rotate(&tenant, "1");
    tenant.house().patch::<AmazonApplication>(
        &tenant.name,
        APPLICATION,
        &json!({ "metadata": { "labels": { "a": "b" } } }),
    );
    let metric = |what: &str| house.metrics(OPERATOR).lines().any(|line| line.starts_with(what));
    assert!(metric("openteam_client_secret_questions_total{outcome=\"requested\"}"));
    assert!(metric("openteam_next_deadline_timestamp_seconds{deadline=\"client_secret_expiry\"}"));
    assert_eq!(house.amazon().emulator().notices(&tenant.application.client_id).len(), 1);
    assert_eq!(generation(&tenant), 2);

    // Each use of a secret was recorded before, and what came of it.
    let journal = house.journal();
    let of = |operation: &str| journal.iter().filter(|one| one["event"]["api"]["operation"] == operation).count();
    assert!(of("applications/2023-11-30/rotateApplicationClientSecret") >= 2);
    assert!(of("lwa/o2/clientCredentials") >= 4);
}

#[test]
fn notices_that_come_twice_late_or_for_others_change_nothing_and_an_unsolicited_one_is_taken() {
    let house = house();
    let tenant = house.tenant_apart("noticed", true);
    let (client, emulator) = (&tenant.application.client_id, house.amazon().emulator());
    becomes(&tenant, "Current");
    // Nobody here asked for these.
    house.block_on(emulator.rotate(client)).unwrap();
    settles(&tenant, 2);
    thread::sleep(Duration::from_millis(5));
    house.block_on(emulator.rotate(client)).unwrap();
    settles(&tenant, 3);
    let notices = emulator.notices(client);
    for notice in [&notices[1], &notices[0], &notices[1], &notices[0]] {
        house.send_to_queue(queue(&tenant), notice);
    }
    left(&house, &tenant, 0);
    assert_eq!(generation(&tenant), 3);

    let foreign = notices[1].replace(client.as_str(), "amzn1.application-oa2-client.00000000000000000000000000000000");
    let mut forged: Value = serde_json::from_str(&notices[1]).unwrap();
    forged["payload"]["applicationOAuthClientNewSecret"]["newClientSecret"] = "amzn1.oa2-cs.v1.forged".into();
    forged["notificationMetadata"]["publishTime"] = Timestamp::now().to_string().into();
    for message in ["no notice at all", &foreign, &forged.to_string()] {
        house.send_to_queue(queue(&tenant), message);
    }
    let counted = |outcome: &str| {
        let name = format!("openteam_client_secret_notices_total{{outcome=\"{outcome}\"}} ");
        let text = house.metrics(OPERATOR);
        text.lines().find_map(|line| line.strip_prefix(&name)).and_then(|count| count.parse::<u64>().ok()).unwrap_or(0)
    };
    eventually("all three are looked at", || {
        ["unreadable", "foreign", "not_proven"].iter().all(|outcome| counted(outcome) > 0).then_some(())
    });
    left(&house, &tenant, 3);
    assert_eq!(generation(&tenant), 3, "what Amazon does not accept is not stored");
    // And they are in nobody's way.
    house.block_on(emulator.rotate(client)).unwrap();
    settles(&tenant, 4);
    left(&house, &tenant, 3);
}

#[test]
fn an_application_that_amazon_knows_no_queue_for_says_what_to_do_and_goes_on_by_itself() {
    let house = house();
    let tenant = house.tenant_apart("unenrolled", true);
    house.enroll(&tenant.application, None);
    becomes(&tenant, "Current");
    rotate(&tenant, "1");
    let message = becomes(&tenant, "NotEnrolled");
    assert!(message.contains("Developer Console") && message.contains("openteam seal"), "{message}");
    assert!(told(&house, &tenant.name, APPLICATION).contains(&"NotEnrolled".to_owned()));
    house.enroll(&tenant.application, tenant.queue.as_deref());
    // A new value need not wait for the next try, but for Amazon's pace.
    rotate(&tenant, "2");
    settles(&tenant, 2);
}

#[test]
fn without_a_queue_somebody_is_told_to_do_it_and_a_new_input_ends_it() {
    let house = house();
    let tenant = house.tenant_apart("handmade", false);
    let message = becomes(&tenant, "Current");
    assert!(message.contains("by hand"), "{message}");
    rotate(&tenant, "1");
    let message = becomes(&tenant, "RotateByHand");
    assert!(message.contains("amazonapplication/handmade/amazon"), "{message}");
    assert_eq!(status(&tenant).phase, Some(SecretRotationPhase::ByHand));
    let target = format!("amazonapplication/{}/{APPLICATION}", tenant.name);
    house.seal(&target, "client-secret", tenant.application.client_secret.expose());
    becomes(&tenant, "Current");
    assert_eq!((generation(&tenant), status(&tenant).phase), (2, None));
}

#[test]
fn a_queue_that_cannot_be_read_begins_nothing() {
    let house = house();
    let tenant = house.tenant_apart("queueless", true);
    becomes(&tenant, "Current");
    let elsewhere = format!("{}-gone", queue(&tenant));
    let spec = json!({ "spec": { "secretRotation": { "queueUrl": elsewhere } } });
    house.patch::<AmazonApplication>(&tenant.name, APPLICATION, &spec);
    let message = becomes(&tenant, "QueueUnreadable");
    assert!(message.contains(&elsewhere) && message.contains("docs/install.md"), "{message}");
    rotate(&tenant, "1");
    thread::sleep(Duration::from_secs(1));
    assert!(house.amazon().emulator().notices(&tenant.application.client_id).is_empty());
    let spec = json!({ "spec": { "secretRotation": { "queueUrl": queue(&tenant) } } });
    house.patch::<AmazonApplication>(&tenant.name, APPLICATION, &spec);
    settles(&tenant, 2);
}

#[test]
fn amazons_word_that_the_secret_ends_rotates_it_while_contained_too_and_what_died_is_destroyed() {
    let house = house();
    let tenant = house.tenant_apart("ending-secret", true);
    let (client, emulator) = (tenant.application.client_id.clone(), house.amazon().emulator());
    becomes(&tenant, "Current");
    let rotation = Rotation { old_seconds: 20, ..Rotation::default() };
    let change = Change { rotations: [(client.clone(), rotation)].into(), ..Change::default() };
    emulator.switches().apply(change).unwrap();
    house.disable::<AmazonApplication>(&tenant.name, APPLICATION, "ending-secret-1");
    let ends = Timestamp::now() + SignedDuration::from_hours(90 * 24);
    house.send_to_queue(queue(&tenant), &emulator.expiry_notice(&client, ends));
    within(HIDDEN, "the secret is rotated", || (generation(&tenant) == 2).then_some(()));
    assert!(stored(&tenant).spec.previous.is_some(), "while it lives the old one is kept");
    house.restore::<AmazonApplication>(&tenant.name, APPLICATION);
    settles(&tenant, 2);
    within(HIDDEN, "the old secret is destroyed", || stored(&tenant).spec.previous.is_none().then_some(()));
    tenant.wait_until_ready(&tenant.connection);
    let token = tenant.runtime_token("afterwards");
    house.gateway(0).call(&token).orders(US).is_served();
}

#[test]
fn a_rotation_that_is_killed_at_any_step_is_completed() {
    let house = alone();
    let tenant = house.tenant_apart("slain", true);
    let (client, emulator) = (tenant.application.client_id.clone(), house.amazon().emulator());
    becomes(&tenant, "Current");
    let hold = |held| {
        let rotations = [(client.clone(), Rotation { held, ..Rotation::default() })].into();
        emulator.switches().apply(Change { rotations, ..Change::default() }).unwrap();
    };
    let restart = || {
        house.kill(OPERATOR);
        house.restart(OPERATOR);
    };

    // Between Amazon's yes and its notice.
    hold(true);
    rotate(&tenant, "1");
    eventually("Amazon was asked", || (status(&tenant).phase == Some(SecretRotationPhase::Requested)).then_some(()));
    restart();
    assert_eq!(emulator.notices(&client).len(), 1);
    house.send_to_queue(queue(&tenant), &emulator.notices(&client)[0]);
    settles(&tenant, 2);
    hold(false);

    // While a notice is looked at: received, being proven, stored, not deleted yet.
    let slow = |delay_ms| Change { lwa: Some(Fault::Slow { delay_ms }), ..Change::default() };
    emulator.switches().apply(slow(300)).unwrap();
    for (round, wait) in (3..).zip([0, 150, 320, 400, 500]) {
        house.block_on(emulator.rotate(&client)).unwrap();
        thread::sleep(Duration::from_millis(wait));
        restart();
        settles(&tenant, round);
        left(&house, &tenant, 0);
    }
    emulator.switches().apply(Change { lwa: Some(Fault::None), ..Change::default() }).unwrap();

    // While Amazon is asked, and does not hear.
    let hang = |selling_partner| Change { selling_partner: Some(selling_partner), ..Change::default() };
    emulator.switches().apply(hang(Fault::Hang)).unwrap();
    let made = emulator.notices(&client).len();
    rotate(&tenant, "2");
    eventually("Amazon is being asked", || {
        (status(&tenant).phase == Some(SecretRotationPhase::Requesting)).then_some(())
    });
    let asked = Instant::now();
    thread::sleep(Duration::from_millis(500));
    restart();
    emulator.switches().apply(hang(Fault::None)).unwrap();
    within(Duration::from_secs(200), "Amazon is asked once more", || {
        (emulator.notices(&client).len() > made).then_some(())
    });
    assert!(asked.elapsed() > Duration::from_secs(60), "not before a notice would have come");
    settles(&tenant, 8);
    assert_eq!(emulator.notices(&client).len(), made + 1, "one rotation for one value");
}
