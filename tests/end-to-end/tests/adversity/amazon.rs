//! Amazon down, slow, talking nonsense, or sending its callers elsewhere.

use std::thread;

use amazon_emulator::{Change, Fault};
use openteam_end_to_end::{Answer, House, US, alone, eventually};

/// An access token lives an hour.
const EXPIRED: u32 = 3601;

fn switch(house: &House, change: Change) {
    house.amazon().switches().apply(change).unwrap();
}

/// Nothing of Amazon's answer is in what the caller is told, and it says what is wrong and whether to try again.
fn is_told(answer: &Answer, code: &str, message: &str) {
    answer.is_refused(502, code);
    assert_eq!(answer.message(), message);
    for foreign in ["elsewhere.invalid", "<html>", "Atza", "Atzr", "localhost"] {
        assert!(!answer.text.contains(foreign), "{foreign}: {}", answer.text);
    }
    assert!(!answer.headers.contains_key("location") && !answer.headers.contains_key("set-cookie"));
}

#[test]
fn a_selling_partner_api_that_fails_is_told_to_the_caller_and_no_redirect_is_followed() {
    let house = alone();
    let tenant = house.tenant("sp-api");
    let token = tenant.agent_token();
    let gateway = house.gateway(0);
    let fault = |fault| switch(&house, Change { selling_partner: Some(fault), ..Change::default() });
    gateway.call(&token).orders(US).is_served();

    // Amazon's own errors are Amazon's to word; its clients know them.
    for (status, code) in [(500, "InternalFailure"), (503, "ServiceUnavailable"), (429, "QuotaExceeded")] {
        fault(Fault::Status(status));
        gateway.call(&token).orders(US).is_refused(status, code);
    }
    fault(Fault::Redirect);
    is_told(&gateway.call(&token).orders(US), "AmazonRedirect", "Amazon answered with a redirect");
    // What Amazon says with 200 goes through as it is, and ends where it ends.
    fault(Fault::Nonsense);
    assert_eq!(gateway.call(&token).orders(US).status, 200);
    fault(Fault::Slow { delay_ms: 1500 });
    gateway.call(&token).orders(US).is_served();
    fault(Fault::None);
    house.amazon().tear(true);
    let answer = gateway.call(&token).orders(US);
    is_told(&answer, "AmazonUnreachable", "the Selling Partner API could not be reached; try again");
    assert_eq!(answer.headers["retry-after"], "5");
    house.amazon().tear(false);
    gateway.call(&token).orders(US).is_served();
}

#[test]
fn a_login_with_amazon_that_fails_is_told_to_the_caller_and_asked_again_later() {
    let house = alone();
    let tenant = house.tenant("lwa");
    let token = tenant.agent_token();
    let gateway = house.gateway(0);
    gateway.call(&token).orders(US).is_served();
    let trouble = "Login with Amazon answered with an error of its own; try again";
    let nonsense = "what Login with Amazon answered cannot be used; try again";
    let down = "Login with Amazon could not be reached; try again";
    for (fault, code, message) in [
        (Some(Fault::Status(500)), "AmazonUnreachable", trouble),
        (Some(Fault::Status(503)), "AmazonUnreachable", trouble),
        (Some(Fault::Nonsense), "AmazonNonsense", nonsense),
        (Some(Fault::Redirect), "AmazonNonsense", nonsense),
        (None, "AmazonUnreachable", down),
    ] {
        house.amazon().tear_login(fault.is_none());
        // The token that is kept is refused by Amazon from now on: a new one is needed, and there is none.
        switch(&house, Change { lwa: fault, advance_seconds: EXPIRED, ..Change::default() });
        let answer = gateway.call(&token).orders(US);
        is_told(&answer, code, message);
        let pause: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=16).contains(&pause), "{pause}");
        // Whoever comes within the pause is told the same.
        is_told(&gateway.call(&token).orders(US), code, message);
        house.amazon().tear_login(false);
        switch(&house, Change { lwa: Some(Fault::None), ..Change::default() });
        eventually("it is served when Login with Amazon is back", || {
            (gateway.call(&token).orders(US).status == 200).then_some(())
        });
    }
}

#[test]
fn a_login_with_amazon_that_is_slow_is_waited_for_once_by_all() {
    let house = alone();
    let tenant = house.tenant("slow-lwa");
    let token = tenant.agent_token();
    let gateway = house.gateway(0);
    gateway.call(&token).orders(US).is_served();
    let before = house.amazon().refreshes_of(&tenant.seller);
    let slow = Some(Fault::Slow { delay_ms: 3000 });
    switch(&house, Change { lwa: slow, advance_seconds: EXPIRED, ..Change::default() });
    let path = format!("/orders/v0/orders?MarketplaceIds={US}&CreatedAfter=2020-01-01T00:00:00Z");
    gateway.call(&token).get_at_once(20, &path).iter().for_each(Answer::is_served);
    assert_eq!(house.amazon().refreshes_of(&tenant.seller), before + 1);
}

#[test]
fn an_amazon_that_takes_calls_and_never_answers_is_given_up() {
    let house = alone();
    let (tenant, other) = (house.tenant("hanging"), house.tenant("hung"));
    let gateways = house.gateways();
    let (token, others) = (tenant.agent_token(), other.agent_token());
    gateways[0].call(&token).orders(US).is_served();
    switch(&house, Change { selling_partner: Some(Fault::Hang), lwa: Some(Fault::Hang), ..Change::default() });
    // One has its token and waits for orders; the other waits for a token. Both at once, each for its own limit.
    thread::scope(|scope| {
        let waiting = scope.spawn(|| gateways[0].call(&token).orders(US));
        let without = scope.spawn(|| gateways[1].call(&others).orders(US));
        let timeout = "the Selling Partner API did not answer in time; try again";
        is_told(&waiting.join().unwrap(), "AmazonTimeout", timeout);
        let timeout = "Login with Amazon did not answer in time; try again";
        is_told(&without.join().unwrap(), "AmazonUnreachable", timeout);
    });
    switch(&house, Change { selling_partner: Some(Fault::None), lwa: Some(Fault::None), ..Change::default() });
    for (gateway, token) in [(&gateways[0], &token), (&gateways[1], &others)] {
        eventually("it is served again", || (gateway.call(token).orders(US).status == 200).then_some(()));
    }
}
