//! Rotation and renewal: what dies, what the seller must do, and how one sees that what leaked is dead.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use crds::{
    AmazonConnection, AmazonConnectionStatus, CredentialField, CredentialOwner, CredentialOwnerKind, Incident,
    IncidentPhase, RuntimeToken, SealedCredential, SealedCredentialState, StoredCredential, Team,
    annotation::{RENEW, ROTATE, TEST},
    condition::{AUTHORIZED, CLOSED, CONSENT_REQUESTED, OLD_TOKEN_STILL_ACCEPTED, READY, find},
    stored_credential_name,
};
use kube::Api;
use openteam_end_to_end::{House, NAMESPACE, Tenant, US, alone, ended, eventually, house};
use serde_json::json;

const OPERATOR: &str = "openteam-operator-0";

fn status(tenant: &Tenant<'_>) -> AmazonConnectionStatus {
    let read: AmazonConnection = tenant.house().read(&tenant.name, &tenant.connection);
    read.status.unwrap_or_default()
}

fn condition(tenant: &Tenant<'_>, type_: &str) -> Option<(String, String)> {
    let found = status(tenant);
    find(&found.conditions, type_).map(|it| (it.status.clone(), it.reason.clone()))
}

fn becomes(tenant: &Tenant<'_>, type_: &str, status: &str, reason: &str) {
    let wanted = Some((status.to_owned(), reason.to_owned()));
    eventually(&format!("{type_} is {status}, {reason}"), || (condition(tenant, type_) == wanted).then_some(()));
}

/// Annotates the tenant's connection.
fn annotate(tenant: &Tenant<'_>, key: &str, value: &str) {
    let patch = json!({ "metadata": { "annotations": { key: value } } });
    tenant.house().patch::<AmazonConnection>(&tenant.name, &tenant.connection, &patch);
}

fn stored(tenant: &Tenant<'_>) -> StoredCredential {
    let owner = CredentialOwner { kind: CredentialOwnerKind::AmazonConnection, name: tenant.connection.clone() };
    tenant.house().read(&tenant.name, &stored_credential_name(&owner, CredentialField::RefreshToken))
}

/// Waits until every gateway refuses with this code.
fn refuse(house: &House, token: &str, code: &str) {
    for gateway in house.gateways() {
        eventually(&format!("it is refused: {code}"), || (gateway.call(token).orders(US).code() == code).then_some(()));
    }
}

/// Waits until every gateway serves.
fn serve(house: &House, token: &str) {
    for gateway in house.gateways() {
        eventually("it is served", || (gateway.call(token).orders(US).status == 200).then_some(()));
    }
}

fn incident(house: &House, name: &str) -> Option<Incident> {
    let api: Api<Incident> = Api::namespaced(house.client().clone(), NAMESPACE);
    house.block_on(api.get_opt(name)).unwrap()
}

/// The tenant's inputs.
fn inputs(tenant: &Tenant<'_>) -> Vec<SealedCredential> {
    let api: Api<SealedCredential> = Api::namespaced(tenant.house().client().clone(), &tenant.name);
    let all = tenant.house().block_on(api.list(&Default::default())).unwrap().items;
    all.into_iter().filter(|one| one.spec.r#for.kind == CredentialOwnerKind::AmazonConnection).collect()
}

#[test]
fn promise_6_a_rotated_connection_is_dead_until_its_seller_has_consented_and_closed_once_amazon_refuses_the_old_token()
{
    let house = house();
    let tenant = house.tenant("rotating");
    let (old, agent) = (tenant.runtime_token("old"), tenant.agent_token());
    serve(&house, &agent);
    let [before] = inputs(&tenant).try_into().unwrap();
    let generation = stored(&tenant).spec.generation;

    // Contained first, as in an incident.
    house.disable::<AmazonConnection>(&tenant.name, &tenant.connection, "rotating-1");
    refuse(&house, &agent, "Contained");
    annotate(&tenant, ROTATE, "first");
    becomes(&tenant, OLD_TOKEN_STILL_ACCEPTED, "True", "AcceptedByAmazon");
    becomes(&tenant, CONSENT_REQUESTED, "True", "Rotated");
    becomes(&tenant, READY, "False", "Contained");
    let retired = stored(&tenant).spec;
    assert_eq!((retired.retired, retired.generation, retired.previous), (true, generation + 1, None));
    assert_eq!(status(&tenant).rotation.unwrap().value.as_deref(), Some("first"));

    house.restore::<AmazonConnection>(&tenant.name, &tenant.connection);
    refuse(&house, &agent, "ConnectionNotReady");
    refuse(&house, &old, "Rotated");
    becomes(&tenant, READY, "False", "ConsentRequired");
    let told = status(&tenant);
    let message = &find(&told.conditions, READY).unwrap().message;
    for part in ["/apps/authorize/consent?application_id=amzn1.", "openteam seal --for amazonconnection/rotating/"] {
        assert!(message.contains(part), "{message}");
    }
    eventually("kubectl get shows the dead token", || {
        let line = house.kubectl().run(&["get", "runtimetoken", "old", "-n", "rotating", "--no-headers"]).unwrap();
        line.contains("Rotated").then_some(())
    });

    // What was sealed before is worth nothing, under whatever name; nor is the same annotation again.
    let mut replayed = SealedCredential::new("replayed", before.spec);
    replayed.metadata.namespace = Some(tenant.name.clone());
    house.apply(&replayed);
    eventually("the old input does nothing", || {
        let all = inputs(&tenant);
        let superseded = |it: &SealedCredential| {
            it.status.as_ref().is_some_and(|it| it.state == Some(SealedCredentialState::Superseded))
        };
        (all.len() == 2 && all.iter().all(superseded)).then_some(())
    });
    let again = json!({
        "apiVersion": "openteam.dev/v1alpha1", "kind": "AmazonConnection",
        "metadata": { "name": tenant.connection, "annotations": { ROTATE: "first", "example.com/commit": "2" } },
    });
    let words = ["apply", "--server-side", "--force-conflicts", "-n", &tenant.name, "-f", "-"];
    house.kubectl().run_with(&words, &again.to_string()).unwrap();

    // The seller consents; that alone ends no old token.
    let consented = tenant.consent();
    tenant.seal(&consented);
    tenant.wait_until_ready(&tenant.connection);
    serve(&house, &agent);
    refuse(&house, &old, "Rotated");
    let _new = tenant.runtime_token("new");
    becomes(&tenant, CONSENT_REQUESTED, "False", "Consented");
    assert_eq!(condition(&tenant, OLD_TOKEN_STILL_ACCEPTED), Some(("True".into(), "AcceptedByAmazon".into())));
    let kept = stored(&tenant).spec;
    assert_eq!((kept.retired, kept.generation), (false, generation + 2), "rotated once, in spite of all");
    let previous = kept.previous.unwrap();
    assert_eq!((previous.generation, previous.until), (generation + 1, None));

    let closed = json!({ "rootCause": "A token in a log.", "remedy": "The log redacts." });
    house.patch::<Incident>(NAMESPACE, "rotating-1", &json!({ "spec": { "closed": closed } }));
    eventually("it is not closed while Amazon accepts the old token", || {
        let status = incident(&house, "rotating-1")?.status?;
        let closed = find(&status.conditions, CLOSED).filter(|it| it.reason == "OldTokensNotRefused")?;
        assert_eq!(status.phase, Some(IncidentPhase::Open));
        closed.message.contains(&tenant.connection).then_some(())
    });
    house.amazon().switches().apply(ended(&tenant.seller.refresh_token)).unwrap();
    annotate(&tenant, TEST, "after the seller has ended it");
    becomes(&tenant, OLD_TOKEN_STILL_ACCEPTED, "False", "RefusedByAmazon");
    eventually("it is closed", || {
        (incident(&house, "rotating-1")?.status?.phase == Some(IncidentPhase::Closed)).then_some(())
    });
    eventually("the old token is destroyed", || stored(&tenant).spec.previous.is_none().then_some(()));
    serve(&house, &agent);
}

#[test]
fn a_credential_is_taken_in_a_contained_connection_only_after_its_rotation() {
    let house = house();
    let tenant = house.tenant("rotated-inside");
    house.disable::<Team>(&tenant.name, &tenant.name, "inside-1");
    let first = tenant.consent();
    tenant.seal(&first);
    let state = || inputs(&tenant).into_iter().next().and_then(|it| it.status).and_then(|it| it.reason);
    eventually("it waits", || (state().as_deref() == Some("Contained")).then_some(()));
    let kubectl = house.kubectl();
    kubectl.run(&["annotate", "team", &tenant.name, "-n", &tenant.name, "openteam.dev/rotate=1"]).unwrap();
    eventually("what waited is as old as the rotation", || (state().as_deref() == Some("Superseded")).then_some(()));
    let second = tenant.consent();
    tenant.seal(&second);
    eventually("the new one is taken", || (state().as_deref() == Some("Accepted")).then_some(()));
    let asked = |token: &str| house.amazon().switches().uses(token) > 0;
    assert!(!asked(second.expose()), "and Amazon is not asked with it while it is contained");
    house.restore::<Team>(&tenant.name, &tenant.name);
    tenant.wait_until_ready(&tenant.connection);
    assert!(asked(second.expose()) && !asked(first.expose()));
}

#[test]
fn rotating_a_team_takes_all_its_connections_and_its_tokens() {
    let house = house();
    let tenant = house.tenant("team-rotating");
    let _number = tenant.add_connection_of_another_seller("second");
    tenant.wait_until_ready("second");
    let token = tenant.runtime_token("nightly");
    let kubectl = house.kubectl();
    kubectl.run(&["annotate", "team", &tenant.name, "-n", &tenant.name, "openteam.dev/rotate=1"]).unwrap();
    refuse(&house, &token, "Rotated");
    for connection in [tenant.connection.as_str(), "second"] {
        eventually("it waits for its seller", || {
            let read: AmazonConnection = house.read(&tenant.name, connection);
            let status = read.status?;
            let ready = find(&status.conditions, READY)?;
            (ready.reason == "ConsentRequired").then_some(())?;
            assert_eq!(status.rotation.unwrap().team_value.as_deref(), Some("1"));
            Some(())
        });
    }
    let read: Team = house.read(&tenant.name, &tenant.name);
    assert_eq!(read.status.unwrap().rotation.unwrap().value.as_deref(), Some("1"));
    // A connection that came afterwards has nothing to do with it.
    let _number = tenant.add_connection_of_another_seller("third");
    tenant.wait_until_ready("third");
}

#[test]
fn a_rotation_stops_what_is_under_it_with_the_operator_away() {
    let house = alone();
    let tenant = house.tenant("rotating-alone");
    let (token, agent) = (tenant.runtime_token("nightly"), tenant.agent_token());
    serve(&house, &agent);
    house.stop(OPERATOR);
    annotate(&tenant, ROTATE, "1");
    refuse(&house, &agent, "ConnectionNotReady");
    refuse(&house, &token, "Rotated");
    house.restart(OPERATOR);
    becomes(&tenant, READY, "False", "ConsentRequired");
}

#[test]
fn a_renewal_fails_no_call_and_a_wrong_token_takes_nothing_away() {
    let house = house();
    let tenant = house.tenant("renewing");
    let agent = tenant.agent_token();
    serve(&house, &agent);
    let (calls, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for gateway in house.gateways() {
            let (agent, calls, over) = (&agent, &calls, &over);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    gateway.call(agent).orders(US).is_served();
                    calls.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(10));
                }
            });
        }
        let work = || {
            annotate(&tenant, RENEW, "yearly");
            becomes(&tenant, CONSENT_REQUESTED, "True", "RenewalAsked");
            becomes(&tenant, READY, "True", "Ready");
            let line = house.kubectl().run(&["get", "amzc", "-n", "renewing", "-o", "wide"]).unwrap();
            assert!(line.contains("CONSENT REQUESTED"), "{line}");

            // A slip of the hand first: what was sealed is no token of this seller's.
            let generation = stored(&tenant).spec.generation;
            let target = format!("amazonconnection/{}/{}", tenant.name, tenant.connection);
            house.seal(&target, "refresh-token", &wrong());
            becomes(&tenant, AUTHORIZED, "True", "NewCredentialRefused");
            assert_eq!(status(&tenant).proven.unwrap().refresh_token, generation);
            assert!(status(&tenant).renewal.unwrap().done_at.is_none());

            let consented = tenant.consent();
            tenant.seal(&consented);
            eventually("the new token is in use", || {
                let proven = status(&tenant).proven.unwrap();
                (proven.refresh_token == generation + 2).then_some(())
            });
            becomes(&tenant, CONSENT_REQUESTED, "False", "Consented");
            assert!(status(&tenant).renewal.unwrap().done_at.is_some());
            // Every gateway has changed over once Amazon may forget the old one.
            eventually("both gateways use it", || {
                let made_with = house.amazon().switches().uses(consented.expose());
                (made_with > house.gateways().len()).then_some(())
            });
            house.amazon().switches().apply(ended(&tenant.seller.refresh_token)).unwrap();
            let now = calls.load(Ordering::Relaxed);
            eventually("calls go on", || (calls.load(Ordering::Relaxed) > now + 20).then_some(()));
        };
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        over.store(true, Ordering::Relaxed);
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    assert!(calls.into_inner() > 50);
}

/// Text that looks like a refresh token and is none.
fn wrong() -> String {
    format!("{}{}{}", "Atzr", '|', "w".repeat(348))
}

#[test]
fn killed_at_any_moment_a_rotation_completes_and_happens_once() {
    let house = alone();
    let tenant = house.tenant("rotating-killed");
    let mut generation = stored(&tenant).spec.generation;
    for (round, wait) in [0, 3, 6, 10, 15, 20, 30, 45, 70, 110].into_iter().enumerate() {
        let value = format!("round {round}");
        annotate(&tenant, ROTATE, &value);
        thread::sleep(Duration::from_millis(wait));
        house.kill(OPERATOR);
        house.restart(OPERATOR);
        eventually("it was rotated", || {
            let status = status(&tenant);
            (status.rotation?.value.as_deref() == Some(&value)).then_some(())
        });
        becomes(&tenant, READY, "False", "ConsentRequired");
        becomes(&tenant, OLD_TOKEN_STILL_ACCEPTED, "True", "AcceptedByAmazon");
        generation += 1;
        let kept = stored(&tenant).spec;
        assert_eq!((kept.generation, kept.retired), (generation, true), "after {wait} ms");
    }
    // Killed between the consent and its proof, and while the old token is destroyed.
    let consented = tenant.consent();
    tenant.seal(&consented);
    house.kill(OPERATOR);
    house.restart(OPERATOR);
    tenant.wait_until_ready(&tenant.connection);
    house.amazon().switches().apply(ended(&tenant.seller.refresh_token)).unwrap();
    for (round, wait) in [0, 20, 60].into_iter().enumerate() {
        annotate(&tenant, TEST, &round.to_string());
        thread::sleep(Duration::from_millis(wait));
        house.kill(OPERATOR);
        house.restart(OPERATOR);
    }
    becomes(&tenant, OLD_TOKEN_STILL_ACCEPTED, "False", "RefusedByAmazon");
    eventually("the old token is destroyed", || stored(&tenant).spec.previous.is_none().then_some(()));
    assert_eq!(condition(&tenant, READY), Some(("True".into(), "Ready".into())));

    for (round, wait) in [0, 8, 25, 80].into_iter().enumerate() {
        annotate(&tenant, RENEW, &round.to_string());
        thread::sleep(Duration::from_millis(wait));
        house.kill(OPERATOR);
        house.restart(OPERATOR);
        becomes(&tenant, CONSENT_REQUESTED, "True", "RenewalAsked");
        let consented = tenant.consent();
        tenant.seal(&consented);
        thread::sleep(Duration::from_millis(wait));
        house.kill(OPERATOR);
        house.restart(OPERATOR);
        becomes(&tenant, CONSENT_REQUESTED, "False", "Consented");
        assert_eq!(status(&tenant).renewal.unwrap().value, round.to_string());
    }
}

#[test]
fn an_old_token_that_amazon_refuses_is_destroyed_before_any_consent() {
    let house = house();
    let tenant = house.tenant("rotated-refused");
    house.amazon().switches().apply(ended(&tenant.seller.refresh_token)).unwrap();
    annotate(&tenant, ROTATE, "1");
    becomes(&tenant, OLD_TOKEN_STILL_ACCEPTED, "False", "RefusedByAmazon");
    let destroyed = eventually("it is destroyed", || Some(stored(&tenant).spec).filter(|spec| spec.destroyed));
    assert!(destroyed.retired);
    let consented = tenant.consent();
    tenant.seal(&consented);
    tenant.wait_until_ready(&tenant.connection);
    assert_eq!(stored(&tenant).spec.previous, None);
    becomes(&tenant, OLD_TOKEN_STILL_ACCEPTED, "False", "RefusedByAmazon");
}

#[test]
fn the_command_says_how_far_it_reaches_and_status_what_is_left_to_do() {
    let house = house();
    let tenant = house.tenant("rotate-command");
    let token = tenant.runtime_token("nightly");
    let target = format!("amzc/{}/{}", tenant.name, tenant.connection);
    let asked = house.openteam(&["rotate", &target], "");
    let told = String::from_utf8_lossy(&asked.stderr).into_owned();
    assert!(!asked.status.success() && told.contains("--yes"), "{told}");
    assert!(told.contains("1 connection stops") && told.contains("1 runtime token ends"), "{told}");
    assert_eq!(house.gateway(0).call(&token).orders(US).status, 200, "nothing was done");
    let renewed = house.openteam(&["renew", &target, "--yes", "--value", "1"], "");
    assert!(renewed.status.success(), "{}", String::from_utf8_lossy(&renewed.stderr));
    becomes(&tenant, CONSENT_REQUESTED, "True", "RenewalAsked");
    let done = house.openteam(&["rotate", &target, "--yes", "--value", "1", "-o", "json"], "");
    let rows: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(rows[0]["changed"], true, "{rows}");
    let again = house.openteam(&["rotate", &target, "--yes", "--value", "1", "-o", "json"], "");
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&again.stdout).unwrap()[0]["changed"], false);
    refuse(&house, &token, "Rotated");
    becomes(&tenant, OLD_TOKEN_STILL_ACCEPTED, "True", "AcceptedByAmazon");
    let status = house.openteam(&["status", "-o", "json"], "");
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    let object = format!("{}/{}", tenant.name, tenant.connection);
    let of = |list: &str| {
        let all = status[list].as_array().unwrap();
        all.iter()
            .find(|one| one["connection"] == object.as_str())
            .unwrap_or_else(|| panic!("{list}: {status}"))
            .clone()
    };
    assert_eq!((&of("consents")["reason"], &of("oldTokens")["accepted"]), (&json!("Rotated"), &json!(true)));
    let wrong = house.openteam(&["renew", &format!("team/{0}/{0}", tenant.name), "--yes"], "");
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("AmazonConnection only"));
    let _dead: RuntimeToken = house.read(&tenant.name, "nightly");
}

/// The consent mails to an address, oldest first.
fn mailed(house: &House, address: &str) -> Vec<(String, String, String)> {
    let mails = house.mails_to(address).into_iter();
    mails.map(|mail| (mail.message_id, mail.subject, mail.text)).collect()
}

fn with_contact(tenant: &Tenant<'_>, address: &str) {
    tenant.house().patch::<Team>(&tenant.name, &tenant.name, &json!({ "spec": { "contacts": [address] } }));
}

#[test]
fn the_contacts_of_a_team_are_mailed_the_link_once_for_each_time_they_are_asked() {
    let house = house();
    let tenant = house.tenant("mailed");
    with_contact(&tenant, "ops@mailed.example");
    annotate(&tenant, RENEW, "1");
    let renewal = eventually("the renewal is mailed", || mailed(&house, "ops@mailed.example").pop());
    assert!(renewal.1.contains("mailed/mailed-na"), "{renewal:?}");
    assert!(renewal.2.contains("Everything goes on"), "{renewal:?}");
    annotate(&tenant, ROTATE, "1");
    let rotation = eventually("the rotation is mailed", || {
        mailed(&house, "ops@mailed.example").into_iter().find(|mail| mail.0 != renewal.0)
    });
    for part in ["/apps/authorize/consent?application_id=", "disable the application", "openteam seal --for"] {
        assert!(rotation.2.contains(part), "{rotation:?}");
    }
    eventually("that is told", || (status(&tenant).consent_mail?.state == crds::MailState::Sent).then_some(()));
    tenant.seal(&tenant.consent());
    tenant.wait_until_ready(&tenant.connection);
    assert_eq!(mailed(&house, "ops@mailed.example").len(), 2, "and nobody is told twice");
}

#[test]
fn the_contacts_of_a_team_are_mailed_when_a_seller_took_the_authorization_back() {
    let house = house();
    let tenant = house.tenant("mailed-revoked");
    with_contact(&tenant, "ops@mailed-revoked.example");
    house.amazon().switches().apply(openteam_end_to_end::revoked(&tenant.seller)).unwrap();
    annotate(&tenant, TEST, "1");
    let mail = eventually("it is mailed", || mailed(&house, "ops@mailed-revoked.example").pop());
    assert!(
        mail.1.contains("Amazon refuses") && mail.2.contains("/apps/authorize/consent?application_id="),
        "{mail:?}"
    );
    eventually("that is told", || (status(&tenant).consent_mail?.state == crds::MailState::Sent).then_some(()));
    // Amazon says it once more: passes that came after the mail was sent told nobody again.
    annotate(&tenant, TEST, "2");
    eventually("it was asked again", || (status(&tenant).tested.as_deref() == Some("2")).then_some(()));
    assert_eq!(mailed(&house, "ops@mailed-revoked.example").len(), 1);
}

#[test]
fn a_mail_that_was_not_sent_is_sent_when_the_server_is_back_whoever_leads_then() {
    let house = alone();
    let tenant = house.tenant("mailed-late");
    with_contact(&tenant, "ops@mailed-late.example");
    house.set_mailbox(&json!({ "data": 451 }));
    annotate(&tenant, ROTATE, "1");
    let pending = eventually("it was tried", || status(&tenant).consent_mail.filter(|mail| mail.attempts > 0));
    assert_eq!(pending.state, crds::MailState::Pending);
    assert_eq!(pending.last_reason.as_deref(), Some("SmtpRefusedForNow"));
    house.kill(OPERATOR);
    house.set_mailbox(&json!({}));
    house.restart(OPERATOR);
    eventually("it is sent", || (mailed(&house, "ops@mailed-late.example").len() == 1).then_some(()));
    eventually("that is told", || (status(&tenant).consent_mail?.state == crds::MailState::Sent).then_some(()));
}
