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
fn is_told(answer: &Answer, status: u16, codes: &[&str]) {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert!(codes.contains(&answer.code().as_str()), "{}", answer.text);
    assert!(!answer.message().is_empty());
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
    is_told(&gateway.call(&token).orders(US), 502, &["AmazonRedirect"]);
    // What Amazon says with 200 goes through as it is, and ends where it ends.
    fault(Fault::Nonsense);
    assert_eq!(gateway.call(&token).orders(US).status, 200);
    fault(Fault::Slow { delay_ms: 1500 });
    gateway.call(&token).orders(US).is_served();
    fault(Fault::None);
    house.amazon().tear(true);
    let answer = gateway.call(&token).orders(US);
    is_told(&answer, 502, &["AmazonUnreachable"]);
    assert!(answer.headers.contains_key("retry-after"));
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
    for fault in [Fault::Status(500), Fault::Status(503), Fault::Nonsense, Fault::Redirect] {
        // The token that is kept is refused by Amazon from now on: a new one is needed, and there is none.
        switch(&house, Change { lwa: Some(fault), advance_seconds: EXPIRED, ..Change::default() });
        let answer = eventually("Amazon's token has expired", || {
            Some(gateway.call(&token).orders(US)).filter(|answer| answer.status != 200)
        });
        let status = answer.status;
        assert!(matches!(status, 502 | 503), "{fault:?}: {}", answer.text);
        is_told(&answer, status, &["AmazonUnreachable", "AmazonUnreadable", "AmazonRefused", "AmazonNonsense"]);
        switch(&house, Change { lwa: Some(Fault::None), ..Change::default() });
        eventually("it is served when Login with Amazon is back", || {
            (gateway.call(&token).orders(US).status == 200).then_some(())
        });
    }
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
        is_told(&waiting.join().unwrap(), 502, &["AmazonTimeout"]);
        let answer = without.join().unwrap();
        assert!(matches!(answer.status, 502..=504), "{}", answer.text);
        is_told(&answer, answer.status, &["AmazonUnreachable", "AmazonTimeout"]);
    });
    switch(&house, Change { selling_partner: Some(Fault::None), lwa: Some(Fault::None), ..Change::default() });
    for (gateway, token) in [(&gateways[0], &token), (&gateways[1], &others)] {
        eventually("it is served again", || (gateway.call(token).orders(US).status == 200).then_some(()));
    }
}
