//! Promise 6: one annotation contains, with or without the operator; a gateway that cannot know refuses everything.

use std::time::{Duration, Instant};

use amazon_emulator::{Change, Fault};
use crds::{AgentGrant, AmazonApplication, AmazonConnection, RuntimeToken, Team};
use openteam_end_to_end::{House, Kept, Tenant, US, alone, eventually, house, within};

/// What a gateway that sees the apiserver is promised to need at most.
const PROMISED: Duration = Duration::from_secs(1);
/// The setting `stalenessLimit` of the house.
const STALENESS_LIMIT: Duration = Duration::from_secs(10);

/// Contains and restores an object; in between every gateway refuses.
fn contains<K: Kept>(house: &House, tenant: &Tenant<'_>, name: &str, token: &str) {
    let kind = K::kind(&Default::default()).into_owned();
    let gateways = house.gateways();
    for gateway in &gateways {
        eventually("the call is served before", || (gateway.call(token).orders(US).status == 200).then_some(()));
    }
    house.disable::<K>(&tenant.name, name, "inc-7");
    for gateway in &gateways {
        let (refused, took) = within(PROMISED, &format!("{kind} is contained"), || {
            Some(gateway.call(token).orders(US)).filter(|answer| answer.status != 200)
        });
        eprintln!("{kind}: refused after {took:?}");
        refused.is_refused(403, "Contained");
        assert!(refused.message().contains(&format!("{kind} {}/{name} is contained by inc-7", tenant.name)));
        let exchanged = gateway.exchange(&format!("{}/{}~{token}", tenant.name, tenant.connection));
        assert_eq!(exchanged.json()["error"], "invalid_grant", "{}", exchanged.text);
    }
    house.restore::<K>(&tenant.name, name);
    for gateway in &gateways {
        eventually("the call is served again", || (gateway.call(token).orders(US).status == 200).then_some(()));
    }
}

fn each_annotation_contains(house: &House, tenant: &Tenant<'_>) {
    let (agent, runtime) = (tenant.agent_token(), tenant.runtime_token("nightly"));
    contains::<AmazonConnection>(house, tenant, &tenant.connection, &agent);
    contains::<Team>(house, tenant, &tenant.name, &runtime);
    contains::<AmazonApplication>(house, tenant, "amazon", &agent);
    contains::<AgentGrant>(house, tenant, "agent", &agent);
    contains::<RuntimeToken>(house, tenant, "nightly", &runtime);
}

#[test]
fn promise_6_an_annotation_on_any_of_five_kinds_refuses_the_next_call() {
    let house = house();
    let tenant = house.tenant("contained");
    each_annotation_contains(&house, &tenant);
}

#[test]
fn promise_6_an_annotation_contains_with_the_operator_down() {
    let house = alone();
    let tenant = house.tenant("headless");
    house.stop("openteam-operator-0");
    each_annotation_contains(&house, &tenant);
}

#[test]
fn promise_6_presence_contains_whatever_the_annotation_says() {
    let house = house();
    let tenant = house.tenant("presence");
    let token = tenant.agent_token();
    let gateway = house.gateway(0);
    gateway.call(&token).orders(US).is_served();
    for value in ["", "false"] {
        house.disable::<AmazonConnection>("presence", &tenant.connection, value);
        within(PROMISED, "it is contained", || (gateway.call(&token).orders(US).code() == "Contained").then_some(()));
        house.restore::<AmazonConnection>("presence", &tenant.connection);
        eventually("it is free", || (gateway.call(&token).orders(US).status == 200).then_some(()));
    }
}

#[test]
fn promise_6_the_operator_shows_what_is_contained_and_the_journal_keeps_it() {
    let house = house();
    let tenant = house.tenant("shown");
    let shown = |contained: &'static str| {
        eventually("the status shows it", || {
            let connection: AmazonConnection = house.read("shown", &tenant.connection);
            let status = connection.status?;
            let condition = crds::condition::find(&status.conditions, crds::condition::CONTAINED)?;
            (condition.status == contained).then(|| status.incidents.clone())
        })
    };
    house.disable::<Team>("shown", "shown", "inc-8,inc-9");
    assert_eq!(shown("True"), ["inc-8", "inc-9"]);
    house.gateway(0).call(&tenant.agent_token()).orders(US).is_refused(403, "Contained");
    house.restore::<Team>("shown", "shown");
    assert_eq!(shown("False"), Vec::<String>::new());
    eventually("the journal tells of both", || {
        let of_team = |event: &serde_json::Value| event["unmapped"]["team"]["name"] == "shown";
        let text: Vec<String> = house
            .journal()
            .iter()
            .map(|record| &record["event"])
            .filter(|event| of_team(event))
            .map(ToString::to_string)
            .collect();
        let told = |word: &str| text.iter().any(|event| event.contains(word));
        (told("inc-8") && told("restored") && told("Contained")).then_some(())
    });
}

#[test]
fn promise_6_an_open_answer_is_cut_off() {
    let house = alone();
    let tenant = house.tenant("stream");
    let token = tenant.agent_token();
    let gateway = house.gateway(0);
    gateway.call(&token).orders(US).is_served();
    let trickle = Fault::Trickle { bytes: 20, every_ms: 100 };
    house.amazon().switches().apply(Change { selling_partner: Some(trickle), ..Change::default() }).unwrap();
    let path = format!("/orders/v0/orders?MarketplaceIds={US}&CreatedAfter=2020-01-01T00:00:00Z");
    let call = gateway.call(&token);
    let mut answer = call.stream(&path);
    assert_eq!(answer.status, 200);
    assert!(answer.piece().is_ok_and(|piece| piece.is_some()), "the answer has begun");
    house.disable::<AmazonConnection>("stream", &tenant.connection, "inc-10");
    let contained = Instant::now();
    // Cut off, not ended: an answer that is not whole must not look so.
    while let Ok(piece) = answer.piece() {
        assert!(piece.is_some(), "the answer ended as if it were whole");
        assert!(contained.elapsed() < 2 * PROMISED, "the answer goes on");
    }
    eventually("Amazon is no longer listened to", || (house.amazon().open_streams() == 0).then_some(()));
}

#[test]
fn promise_6_a_gateway_that_cannot_see_the_apiserver_refuses_everything() {
    let house = alone();
    let tenant = house.tenant("blind");
    // A RuntimeToken needs no question to the apiserver: only the age of the view can refuse it.
    let token = tenant.runtime_token("nightly");
    let gateways = house.gateways();
    house.pause_apiserver();
    let paused = Instant::now();
    for gateway in &gateways {
        let limit = (STALENESS_LIMIT + PROMISED).saturating_sub(paused.elapsed());
        let (answer, _) = within(limit, "a blind gateway refuses", || {
            Some(gateway.call(&token).orders(US)).filter(|answer| answer.status != 200)
        });
        eprintln!("refused {:?} after the apiserver fell silent", paused.elapsed());
        answer.is_refused(503, "ViewNotCurrent");
        gateway.call(&token).get("/openteam/v1/connections").is_refused(503, "ViewNotCurrent");
        assert_eq!(gateway.exchange(&format!("blind/blind-na~{token}")).status, 503);
    }
    house.resume_apiserver();
    for gateway in &gateways {
        eventually("it serves again by itself", || (gateway.call(&token).orders(US).status == 200).then_some(()));
    }
}
