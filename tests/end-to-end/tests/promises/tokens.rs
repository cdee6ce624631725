//! Promise 4: an access token is fetched once, however many ask, and stays inside.

use amazon_emulator::{Change, Fault};
use openteam_end_to_end::{Answer, House, Tenant, US, alone, eventually, house, revoked};

const PATH: &str = "/orders/v0/orders?MarketplaceIds=ATVPDKIKX0DER&CreatedAfter=2020-01-01T00:00:00Z";

/// Nothing of Amazon's credentials is in an answer, body or headers.
fn is_clean(house: &House, answer: &Answer) {
    let headers: String = answer.headers.iter().map(|(name, value)| format!("{name}: {value:?}\n")).collect();
    for text in [&answer.text, &headers] {
        assert!(!text.contains("Atza|") && !text.contains("Atzr|"), "{text}");
        assert!(house.amazon().access_tokens_seen().iter().all(|token| !text.contains(&token[5..40])), "{text}");
    }
}

fn refreshes(house: &House, tenant: &Tenant<'_>) -> usize {
    house.amazon().refreshes_of(&tenant.seller)
}

#[test]
fn promise_4_fifty_calls_at_once_refresh_once_per_gateway() {
    let house = alone();
    let tenant = house.tenant("flight");
    let token = tenant.agent_token();
    // Slow enough that all fifty are there before the first of them is answered.
    let slow = Fault::Slow { delay_ms: 1000 };
    house.amazon().switches().apply(Change { lwa: Some(slow), ..Change::default() }).unwrap();
    // The operator asked once, to prove the connection.
    let before = refreshes(&house, &tenant);
    assert_eq!(before, 1);
    for (number, gateway) in house.gateways().iter().enumerate() {
        let call = gateway.call(&token);
        eventually("the gateway knows the connection, which uses no token", || {
            let listed = call.get("/openteam/v1/connections").json();
            (listed["connections"][0]["ready"] == true).then_some(())
        });
        assert_eq!(refreshes(&house, &tenant), before + number);
        call.get_at_once(50, PATH).iter().for_each(Answer::is_served);
        assert_eq!(refreshes(&house, &tenant), before + number + 1);
        call.get_at_once(50, PATH).iter().for_each(Answer::is_served);
        assert_eq!(refreshes(&house, &tenant), before + number + 1);
    }
}

#[test]
fn promise_4_a_caller_that_leaves_ends_nobodys_refresh() {
    let house = alone();
    let tenant = house.tenant("leaving");
    let token = tenant.agent_token();
    let gateway = house.gateway(0);
    eventually("the gateway knows the connection, which uses no token", || {
        let listed = gateway.call(&token).get("/openteam/v1/connections").json();
        (listed["connections"][0]["ready"] == true).then_some(())
    });
    let slow = Fault::Slow { delay_ms: 2000 };
    house.amazon().switches().apply(Change { lwa: Some(slow), ..Change::default() }).unwrap();
    let before = refreshes(&house, &tenant);
    let mut first = gateway.open();
    let head = format!("Host: {}\r\nx-amz-access-token: {token}\r\n", gateway.host());
    assert!(first.say(format!("GET {PATH} HTTP/1.1\r\n{head}\r\n").as_bytes()));
    eventually("Amazon is asked", || (refreshes(&house, &tenant) == before + 1).then_some(()));
    drop(first);
    gateway.call(&token).get_at_once(50, PATH).iter().for_each(Answer::is_served);
    assert_eq!(refreshes(&house, &tenant), before + 1);
}

#[test]
fn promise_4_a_revoked_grant_is_asked_about_once_and_told() {
    let house = house();
    let tenant = house.tenant("revoked");
    let token = tenant.runtime_token("many");
    let gateway = house.gateway(0);
    let before = refreshes(&house, &tenant);
    house.amazon().switches().apply(revoked(&tenant.seller)).unwrap();
    for answer in gateway.call(&token).get_at_once(50, PATH) {
        answer.is_refused(502, "AuthorizationRevoked");
        is_clean(&house, &answer);
    }
    assert_eq!(refreshes(&house, &tenant), before + 1);
}

#[test]
fn promise_4_neither_the_operators_nor_anyones_restart_uses_a_refresh_token_at_rest() {
    let house = alone();
    let tenant = house.tenant("restart");
    let token = tenant.runtime_token("many");
    let before = refreshes(&house, &tenant);
    house.stop("openteam-operator-0");
    house.restart("openteam-operator-0");
    // It leads again, and has looked at everything: a change is answered.
    let incident = "inc-restart";
    house.disable::<crds::AmazonConnection>("restart", &tenant.connection, incident);
    eventually("the operator is at work", || {
        let read: crds::AmazonConnection = house.read("restart", &tenant.connection);
        (read.status?.incidents == [incident]).then_some(())
    });
    house.restore::<crds::AmazonConnection>("restart", &tenant.connection);
    tenant.wait_until_ready(&tenant.connection);
    eventually("calls are served", || (house.gateway(0).call(&token).orders(US).status == 200).then_some(()));
    assert_eq!(refreshes(&house, &tenant), before);
}

#[test]
fn promise_4_no_answer_holds_a_token_of_amazons() {
    let house = house();
    let tenant = house.tenant("answers");
    let token = tenant.agent_token();
    let gateway = house.gateway(1);
    let call = gateway.call(&token);
    let exchanged = gateway.exchange(&format!("answers/answers-na~{token}"));
    let answers = [
        call.orders(US),
        call.get("/openteam/v1/connections"),
        call.get("/orders/v0/orders?MarketplaceIds=ATVPDKIKX0DER"),
        call.get("/catalog/2022-04-01/items/B0US000000?marketplaceIds=ATVPDKIKX0DER"),
        call.get("/no/such/operation"),
        exchanged,
    ];
    assert_eq!(answers[2].status, 400, "Amazon refuses it: {}", answers[2].text);
    for answer in &answers {
        is_clean(&house, answer);
    }
}
