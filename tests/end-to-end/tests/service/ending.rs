//! The end of a gateway: what is under way ends well, and nothing new begins.

use std::{net::TcpStream, thread};

use amazon_emulator::{Change, Fault};
use openteam_end_to_end::{US, alone, eventually};

const POD: &str = "openteam-gateway-1";

#[test]
fn sigterm_ends_no_call_under_way_and_takes_no_new_one() {
    let house = alone();
    let tenant = house.tenant("drain");
    let token = tenant.runtime_token("drain");
    let gateway = house.gateway(1);
    let slow = Fault::Slow { delay_ms: 8000 };
    house.amazon().switches().apply(Change { selling_partner: Some(slow), ..Change::default() }).unwrap();
    let path = format!("/orders/v0/orders?MarketplaceIds={US}&CreatedAfter=2020-01-01T00:00:00Z&mark=drain");
    thread::scope(|scope| {
        let call = scope.spawn(|| gateway.call(&token).get(&path));
        eventually("the call is at Amazon", || (!house.amazon().heard("mark=drain").is_empty()).then_some(()));
        house.terminate(POD);
        eventually("it says that it is not Ready, and why", || house.readiness(POD)?.contains("503").then_some(()));
        assert!(house.readiness(POD).is_some_and(|said| said.contains("shutting down")));
        eventually("no new connection is taken", || TcpStream::connect(("127.0.0.1", gateway.port)).err());
        assert!(!call.is_finished(), "the call is still at Amazon");
        call.join().unwrap().is_served();
    });
    // Within what the manifests allow it; panics if it does not end by itself.
    house.stop(POD);
}
