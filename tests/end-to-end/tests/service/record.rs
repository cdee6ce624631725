//! What cannot be recorded does not happen; what happened is in the journal.

use std::time::{Duration, Instant};

use openteam_end_to_end::{US, alone, eventually, house, within};
use serde_json::Value;

const RECORDER: &str = "openteam-recorder-0";
/// A gateway waits two seconds for an acknowledgement.
const PROMISED: Duration = Duration::from_secs(3);

fn refuses_without_a_record(name: &str, end: fn(&openteam_end_to_end::House)) {
    let house = alone();
    let tenant = house.tenant(name);
    let token = tenant.runtime_token("nightly");
    end(&house);
    let path = |mark: usize| {
        format!("/orders/v0/orders?MarketplaceIds={US}&CreatedAfter=2020-01-01T00:00:00Z&mark={name}-{mark}-")
    };
    for (number, gateway) in house.gateways().iter().enumerate() {
        let asked = Instant::now();
        let answer = gateway.call(&token).get(&path(number));
        assert!(asked.elapsed() < PROMISED, "{:?}", asked.elapsed());
        answer.is_refused(503, "NotRecorded");
        assert_eq!(answer.headers["retry-after"], "1");
        assert_eq!(gateway.exchange(&format!("{name}/{name}-na~{token}")).status, 503);
        // A refusal never waits for the record.
        let asked = Instant::now();
        gateway.call(&token).get("/no/such/operation").is_refused(403, "OperationUnknown");
        assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    }
    assert_eq!(house.amazon().heard(&format!("mark={name}-")), []);

    house.thaw(RECORDER);
    house.restart(RECORDER);
    for (number, gateway) in house.gateways().iter().enumerate() {
        eventually("it is served again by itself", || {
            (gateway.call(&token).get(&path(number)).status == 200).then_some(())
        });
    }
    // The refusals of that time were kept and are recorded now.
    eventually("the refusal is in the journal", || {
        let told = |record: &Value| {
            record["event"]["unmapped"]["connection"]["name"] == format!("{name}-na")
                && record.to_string().contains("OperationUnknown")
        };
        house.journal().iter().any(told).then_some(())
    });
}

#[test]
fn a_dead_recorder_stops_every_call_before_amazon_and_nothing_else() {
    refuses_without_a_record("unrecorded", |house| house.stop(RECORDER));
}

#[test]
fn a_recorder_that_hangs_stops_every_call_before_amazon_too() {
    refuses_without_a_record("hanging", |house| house.freeze(RECORDER));
}

#[test]
fn the_journal_tells_who_did_what_with_which_connection() {
    let house = house();
    let tenant = house.tenant("journal");
    let token = tenant.agent_token();
    let call = house.gateway(0);
    let call = call.call(&token);
    call.orders(US).is_served();
    call.orders("A2Q3Y263D00KWC").is_refused(403, "MarketplaceNotInScope");
    let ours = |record: &Value| record["event"]["unmapped"]["connection"]["name"] == "journal-na";
    let (events, _) = within(Duration::from_secs(20), "call, outcome and refusal are recorded", || {
        let events: Vec<Value> =
            house.journal().into_iter().filter(ours).map(|record| record["event"].clone()).collect();
        let orders = |event: &&Value| event["api"]["operation"] == "orders/v0/getOrders";
        (events.iter().filter(orders).count() >= 3).then_some(events)
    });
    let of = |operation: &str| -> Vec<&Value> {
        events.iter().filter(|event| event["api"]["operation"] == operation).collect()
    };
    let calls = of("orders/v0/getOrders");
    for event in &calls {
        assert_eq!(event["class_uid"], 6003, "{event}");
        assert_eq!(event["actor"]["user"]["name"], "system:serviceaccount:journal:agent");
        assert_eq!(event["src_endpoint"]["ip"], "127.0.0.1");
    }
    // Intent and outcome belong together, and the marketplace is named; the refusal says why.
    let correlation = |event: &Value| event["metadata"]["correlation_uid"].clone();
    assert_eq!(correlation(calls[0]), correlation(calls[1]));
    assert_eq!(calls[1]["http_response"]["code"], 200);
    assert!(calls[0]["resources"].to_string().contains(US), "{}", calls[0]);
    assert!(calls[2].to_string().contains("MarketplaceNotInScope"), "{}", calls[2]);
    // The gateway's own use of the refresh token, and the operator's, each before it happened.
    assert!(of("lwa/o2/refreshToken").len() >= 4, "{events:#?}");
    // Time of the query, a value of the caller's, is in no event.
    assert!(!serde_json::to_string(&events).unwrap().contains("2020-01-01"));
}
