//! The condition `Refreshed`: what the first call that meets Amazon's refusal tells everyone.

use std::time::Duration;

use amazon_emulator::{Change, Fault};
use crds::{AmazonConnection, condition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use openteam_end_to_end::{Gateway, House, Tenant, US, alone, eventually, house, revoked, within};

/// What is promised as «within seconds» of the first caller that meets it.
const WITHIN_SECONDS: Duration = Duration::from_secs(10);

fn read(house: &House, tenant: &Tenant<'_>) -> AmazonConnection {
    house.read(&tenant.name, &tenant.connection)
}

fn refreshed(house: &House, tenant: &Tenant<'_>) -> Option<Condition> {
    condition::find(&read(house, tenant).status?.conditions, condition::REFRESHED).cloned()
}

/// Waits until the gateway would serve, without a call that needs Amazon's token.
fn knows(gateway: &Gateway<'_>, token: &str) {
    eventually("the gateway knows the connection", || {
        let listed = gateway.call(token).get("/openteam/v1/connections").json();
        (listed["connections"][0]["ready"] == true).then_some(())
    });
}

/// What wrote to the connection's status, and when, as the apiserver keeps it.
fn written_by_gateways(house: &House, tenant: &Tenant<'_>) -> Vec<String> {
    let fields = read(house, tenant).metadata.managed_fields.unwrap_or_default();
    let gateways = fields.iter().filter(|one| one.manager.as_deref() == Some("openteam-gateway"));
    gateways.map(|one| serde_json::to_string(&one.fields_v1).unwrap()).collect()
}

#[test]
fn a_revoked_grant_is_told_by_the_first_call_that_meets_it() {
    let house = house();
    let tenant = house.tenant("verdict");
    let token = tenant.agent_token();
    for gateway in house.gateways() {
        knows(&gateway, &token);
        gateway.call(&token).orders(US).is_served();
    }
    let told = eventually("the first refresh is told", || refreshed(&house, &tenant));
    assert_eq!((told.status.as_str(), told.reason.as_str()), ("True", "Refreshed"));
    let status = read(&house, &tenant).status.unwrap();
    assert_eq!(status.refreshed_with, status.proven);

    house.amazon().switches().apply(revoked(&tenant.seller)).unwrap();
    house.gateway(0).call(&token).orders(US).is_refused(502, "AuthorizationRevoked");
    let refused = || refreshed(&house, &tenant).filter(|told| told.status == "False");
    let (told, _) = within(WITHIN_SECONDS, "the refusal is told", refused);
    assert_eq!(told.reason, "AuthorizationRevoked");
    assert!(told.message.contains("authorize the application again"), "{}", told.message);
    // And with it what everyone looks at first.
    within(WITHIN_SECONDS, "kubectl get shows it", || {
        let line = house.kubectl().run(&["get", "amzc", &tenant.connection, "-n", "verdict", "--no-headers"]).unwrap();
        (line.contains("False") && line.contains("AuthorizationRevoked")).then_some(())
    });
    // Whoever comes later, to whichever replica, is told the same and writes nothing.
    for gateway in house.gateways() {
        for answer in gateway.call(&token).get_at_once(10, "/orders/v0/orders?MarketplaceIds=ATVPDKIKX0DER") {
            answer.is_refused(502, "AuthorizationRevoked");
        }
    }
    assert_eq!(refreshed(&house, &tenant), Some(told));
    // The gateway owns that condition and what it is about, and nothing else.
    let [owned] = written_by_gateways(&house, &tenant).try_into().unwrap();
    assert!(owned.contains("Refreshed") && owned.contains("refreshedWith"), "{owned}");
    for other in ["Ready", "Authorized", "proven", "participations", "endpoint"] {
        assert!(!owned.contains(&format!("\"{other}\"")) && !owned.contains(&format!("f:{other}\"")), "{owned}");
    }
}

#[test]
fn an_amazon_that_does_not_answer_is_no_verdict_and_callers_are_told_when_to_come_again() {
    let house = alone();
    let tenant = house.tenant("trouble");
    let token = tenant.agent_token();
    let gateway = house.gateway(0);
    knows(&gateway, &token);
    let fault = |lwa| Change { lwa: Some(lwa), ..Change::default() };
    house.amazon().switches().apply(fault(Fault::Status(503))).unwrap();
    // A fault is answered with before Amazon looks whose call it is; nobody else asks meanwhile.
    let asked = || house.amazon().calls().iter().filter(|call| call.operation == "lwa").count();
    let before = asked();
    // As fast as they come: Amazon is asked a few times, with longer and longer pauses, not at each call.
    let mut longest = 0;
    for _ in 0..100 {
        let answer = gateway.call(&token).orders(US);
        answer.is_refused(502, "AmazonUnreachable");
        let told: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
        longest = longest.max(told);
        assert!((1..=20).contains(&told), "{told}");
    }
    let asked = asked() - before;
    assert!((1..=10).contains(&asked), "{asked} of 100 calls asked Amazon");
    assert_eq!(refreshed(&house, &tenant), None);

    house.amazon().switches().apply(fault(Fault::None)).unwrap();
    eventually("calls are served again by themselves", || {
        (gateway.call(&token).orders(US).status == 200).then_some(())
    });
    let told = eventually("that is told", || refreshed(&house, &tenant));
    assert_eq!(told.status, "True");
}

#[test]
fn an_amazon_that_hangs_keeps_nobody_for_ever() {
    let house = alone();
    let tenant = house.tenant("hangs");
    let token = tenant.agent_token();
    let gateway = house.gateway(1);
    knows(&gateway, &token);
    house.amazon().switches().apply(Change { lwa: Some(Fault::Hang), ..Change::default() }).unwrap();
    let path = "/orders/v0/orders?MarketplaceIds=ATVPDKIKX0DER&CreatedAfter=2020-01-01T00:00:00Z";
    for answer in gateway.call(&token).get_at_once(20, path) {
        answer.is_refused(502, "AmazonUnreachable");
        assert!(answer.headers.contains_key("retry-after"));
    }
    house.amazon().switches().reset();
    eventually("calls are served again by themselves", || {
        (gateway.call(&token).orders(US).status == 200).then_some(())
    });
}

#[test]
fn a_rejected_client_secret_is_told_as_such() {
    let house = alone();
    let tenant = house.tenant("secret");
    let token = tenant.agent_token();
    let gateway = house.gateway(1);
    knows(&gateway, &token);
    let client = house.amazon().application().client_id.clone();
    let other = serde_json::from_value(serde_json::json!("another-secret-than-was-sealed")).unwrap();
    let change = Change { client_secrets: [(client, Some(other))].into(), ..Change::default() };
    house.amazon().switches().apply(change).unwrap();
    gateway.call(&token).orders(US).is_refused(502, "ApplicationSecretRejected");
    let told = eventually("the refusal is told", || refreshed(&house, &tenant));
    assert_eq!((told.status.as_str(), told.reason.as_str()), ("False", "ApplicationSecretRejected"));
}
