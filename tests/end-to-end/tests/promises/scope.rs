//! Promise 2: what a caller may do ends at its scope, and is decided anew at every call.

use std::time::Duration;

use crds::{AgentGrant, AmazonConnection, Role, RuntimeToken, Scope, Team};
use openteam_end_to_end::{Answer, CA, MX, US, eventually, house, within};
use serde_json::json;

/// An edit is known to every gateway after this.
const SOON: Duration = Duration::from_secs(5);

/// The marketplaces of the orders in an answer.
fn marketplaces(answer: &Answer) -> Vec<String> {
    answer.is_served();
    let orders = answer.json()["payload"]["Orders"].as_array().cloned().unwrap_or_default();
    let mut found: Vec<String> =
        orders.iter().map(|order| order["MarketplaceId"].as_str().unwrap().to_owned()).collect();
    found.dedup();
    found
}

#[test]
fn promise_2_a_service_account_reaches_its_connection_and_marketplaces_and_nothing_else() {
    let house = house();
    let tenant = house.tenant("scoped-agent");
    let token = tenant.agent_token();
    for gateway in house.gateways() {
        let call = gateway.call(&token);
        assert_eq!(marketplaces(&call.orders(US)), [US]);
        assert_eq!(marketplaces(&call.clone().on(&tenant.connection).orders(CA)), [CA]);
        let refused = call.orders(MX);
        refused.is_refused(403, "MarketplaceNotInScope");
        assert!(refused.message().contains(MX) && refused.message().contains(US), "{}", refused.text);
        call.orders(&format!("{US},{MX}")).is_refused(403, "MarketplaceNotInScope");
        call.clone().on("scoped-agent-eu").orders(US).is_refused(404, "ConnectionNotFound");
        call.get("/orders/v0/orders/902-1/address").is_refused(403, "OperationNotAllowed");
        call.get("/finances/v0/financialEvents").is_refused(403, "OperationNotAllowed");
    }
}

#[test]
fn promise_2_a_runtime_token_reaches_its_marketplaces_and_nothing_else() {
    let house = house();
    let tenant = house.tenant("scoped-token");
    let (object, token) = tenant.runtime_token_of("canada", &tenant.member(Role::Owner), &[CA], "30m");
    house.apply(&object);
    for gateway in house.gateways() {
        let call = gateway.call(&token);
        let (served, _) = within(SOON, "the token is known", || Some(call.orders(CA)).filter(|a| a.status == 200));
        assert_eq!(marketplaces(&served), [CA]);
        call.orders(US).is_refused(403, "MarketplaceNotInScope");
        call.clone().on("first/first-na").orders(CA).is_refused(404, "ConnectionNotFound");
        assert_eq!(gateway.anonymous().header("authorization", &format!("Bearer {token}")).orders(CA).status, 200);
    }
}

#[test]
fn promise_2_operations_end_where_grant_or_connection_end_them() {
    let house = house();
    let tenant = house.tenant("operations");
    let token = tenant.agent_token();
    let gateway = house.gateway(0);
    let items = format!("/catalog/2022-04-01/items?marketplaceIds={US}&keywords=mug");
    gateway.call(&token).get(&items).is_served();

    tenant.grant("agent", &tenant.scope_allowing(&["catalog-items/2022-04-01/searchCatalogItems"]));
    within(SOON, "orders are refused", || (gateway.call(&token).orders(US).status == 403).then_some(()));
    let refused = gateway.call(&token).orders(US);
    refused.is_refused(403, "OperationNotAllowed");
    assert!(refused.message().contains("AgentGrant operations/agent"), "{}", refused.text);
    gateway.call(&token).get(&items).is_served();

    let rules = json!({ "spec": { "operations": { "allow": ["read"], "deny": ["searchCatalogItems"] } } });
    house.patch::<AmazonConnection>("operations", &tenant.connection, &rules);
    within(SOON, "the catalog is refused", || (gateway.call(&token).get(&items).status == 403).then_some(()));
    let refused = gateway.call(&token).get(&items);
    refused.is_refused(403, "OperationNotAllowed");
    assert!(refused.message().contains("AmazonConnection operations/operations-na"), "{}", refused.text);
}

#[test]
fn promise_2_every_call_is_decided_anew() {
    let house = house();
    let tenant = house.tenant("anew");
    let token = tenant.agent_token();
    let narrow = Scope { marketplace_ids: vec![CA.to_owned()], ..tenant.scope() };
    for gateway in house.gateways() {
        let bound = gateway.exchange(&format!("anew/{}~{token}", tenant.connection)).json()["access_token"].clone();
        let bound = bound.as_str().unwrap();
        let callers = [gateway.call(&token), gateway.call(bound)];
        for call in &callers {
            call.orders(US).is_served();
        }
        tenant.grant("agent", &narrow);
        for call in &callers {
            within(SOON, "US is refused", || (call.orders(US).code() == "MarketplaceNotInScope").then_some(()));
            call.orders(CA).is_served();
        }
        house.delete::<AgentGrant>("anew", "agent");
        for call in &callers {
            within(SOON, "nothing is left", || (call.orders(CA).code() == "ConnectionNotFound").then_some(()));
        }
        tenant.grant("agent", &tenant.scope());
        for call in &callers {
            within(SOON, "all is back", || (call.orders(US).status == 200).then_some(()));
        }
    }
}

#[test]
fn promise_2_a_runtime_token_ends_with_its_object_its_time_and_its_issuers_membership() {
    let house = house();
    let tenant = house.tenant("endings");
    let (owner, member, viewer) =
        (tenant.member(Role::Owner), tenant.member(Role::Member), tenant.member(Role::Viewer));
    let gateway = house.gateway(1);
    let ends_with = |token: &str, code: &str, message: &str| {
        within(SOON, code, || (gateway.call(token).orders(US).code() == code).then_some(()));
        let answer = gateway.call(token).orders(US);
        answer.is_refused(403, code);
        assert_eq!(answer.message(), message);
    };
    let left = |name: &str| {
        format!("RuntimeToken endings/{name}: the person who issued it is no longer an Owner or Member of the Team")
    };

    let deleted = tenant.runtime_token("deleted");
    house.delete::<RuntimeToken>("endings", "deleted");
    ends_with(&deleted, "Unauthorized", "Access to requested resource is denied.");

    let (mut late, text) = tenant.runtime_token_of("late", &owner, &[US], "1h");
    late.spec.expires_at.0 = "2026-01-01T00:00:00Z".parse().unwrap();
    house.apply(&late);
    ends_with(&text, "Expired", "RuntimeToken endings/late: it has expired; issue another one");

    let (long, text) = tenant.runtime_token_of("long", &owner, &[US], "25h");
    house.apply(&long);
    let long = "RuntimeToken endings/long: it was given a longer life than the Team's runtimeTokens.maxTtl allows";
    ends_with(&text, "LivesTooLong", long);

    for stranger in [viewer.as_str(), "nobody@example.com"] {
        let name = stranger.split('@').next().unwrap();
        let (object, text) = tenant.runtime_token_of(name, stranger, &[US], "1h");
        house.apply(&object);
        ends_with(&text, "IssuerNotMember", &left(name));
    }

    let leaver = tenant.runtime_token("leaver");
    let team: Team = house.read("endings", "endings");
    let stay: Vec<_> = team.spec.members.into_iter().filter(|one| one.email != member).collect();
    house.patch::<Team>("endings", "endings", &json!({ "spec": { "members": stay } }));
    ends_with(&leaver, "IssuerNotMember", &left("leaver"));
}

#[test]
fn promise_2_an_exchanged_token_opens_its_connection_at_every_replica_and_no_other() {
    let house = house();
    let tenant = house.tenant("exchange");
    tenant.add_connection("exchange-two");
    tenant.wait_until_ready("exchange-two");
    let both = vec![tenant.connection.clone(), "exchange-two".to_owned()];
    tenant.grant("agent", &Scope { connections: both, ..tenant.scope() });
    let token = tenant.agent_token();
    let [one, two] = [house.gateway(0), house.gateway(1)];
    for gateway in [&one, &two] {
        let several = eventually("both are in scope", || {
            Some(gateway.call(&token).orders(US)).filter(|answer| answer.status != 200)
        });
        several.is_refused(400, "ConnectionAmbiguous");
        assert!(several.message().contains("exchange/exchange-na, exchange/exchange-two"), "{}", several.text);
    }

    let answer = one.exchange(&format!("exchange/exchange-two~{token}"));
    assert_eq!(answer.status, 200, "{}", answer.text);
    let body = answer.json();
    assert!((1..=3600).contains(&body["expires_in"].as_i64().unwrap()), "{body}");
    assert_eq!(body["token_type"], "bearer");
    let bound = body["access_token"].as_str().unwrap();
    for gateway in [&one, &two] {
        gateway.call(bound).orders(US).is_served();
        gateway.call(bound).on("exchange-two").orders(US).is_served();
        gateway.call(bound).on("exchange-na").orders(US).is_refused(400, "BadRequest");
        let listed = gateway.call(bound).get("/openteam/v1/connections").json();
        assert_eq!(listed["connections"].as_array().unwrap().len(), 1, "{listed}");
        assert_eq!(listed["connections"][0]["name"], "exchange/exchange-two");
        assert_eq!(listed["connections"][0]["marketplaceIds"], json!([CA, US]));
    }
}
