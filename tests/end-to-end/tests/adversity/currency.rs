//! What a gateway knows is current, or it serves nobody (promise 6): etcd stopped, one stream half-dead, all cut off,
//! and both restarted. `promises/containment.rs` has the apiserver stopped.

use std::time::{Duration, Instant};

use crds::{AmazonConnection, Team};
use openteam_end_to_end::{Cut, Gateway, House, Tenant, US, alone, eventually, within};

/// The setting `stalenessLimit` of the house, and a busy machine's breath.
const LIMIT: Duration = Duration::from_secs(10 + 5);
/// How long it is watched that a gateway goes on refusing.
const WATCHED: Duration = Duration::from_secs(2);

/// Calls until the gateway refuses for what it cannot know; from then on nothing may be granted.
fn goes_blind(gateway: &Gateway<'_>, token: &str) {
    let (answer, took) = within(LIMIT, "a blind gateway refuses", || {
        Some(gateway.call(token).orders(US)).filter(|answer| answer.status != 200)
    });
    eprintln!("refused {took:?} after it was cut off");
    answer.is_refused(503, "ViewNotCurrent");
    assert_eq!(answer.headers["retry-after"], "1");
    let refused = Instant::now();
    while refused.elapsed() < WATCHED {
        gateway.call(token).orders(US).is_refused(503, "ViewNotCurrent");
    }
}

/// Calls until the gateway sees what it could not see; meanwhile it grants nothing.
fn comes_to_see(gateway: &Gateway<'_>, token: &str, code: &str) {
    eventually("it sees again", || {
        let answer = gateway.call(token).orders(US);
        assert_ne!(answer.status, 200, "granted although it was contained long ago");
        (answer.code() == code).then_some(())
    });
}

fn serves(gateway: &Gateway<'_>, token: &str) {
    eventually("it serves by itself", || (gateway.call(token).orders(US).status == 200).then_some(()));
}

/// Cuts the first gateway off as told, contains, and looks at what it grants until it sees again.
fn cut_off(
    house: &House,
    tenant: &Tenant<'_>,
    cut: Cut,
    contain: fn(&House, &Tenant<'_>),
    free: fn(&House, &Tenant<'_>),
) {
    // It needs no question to the apiserver: only the age of the view can refuse it.
    let token = tenant.runtime_token("nightly");
    let [cut_off, other] = [house.gateway(0), house.gateway(1)];
    house.cut(cut);
    contain(house, tenant);
    eventually("the other replica refuses", || (other.call(&token).orders(US).code() == "Contained").then_some(()));
    goes_blind(&cut_off, &token);
    other.call(&token).orders(US).is_refused(403, "Contained");
    house.cut(Cut::Whole);
    comes_to_see(&cut_off, &token, "Contained");
    free(house, tenant);
    serves(&cut_off, &token);
    serves(&other, &token);
    house.delete::<crds::RuntimeToken>(&tenant.name, "nightly");
}

#[test]
fn one_half_dead_stream_makes_a_gateway_refuse_and_it_recovers() {
    let house = alone();
    let tenant = house.tenant("half-dead");
    // The kind's lists are answered and all other streams live: only this one says nothing any more.
    cut_off(
        &house,
        &tenant,
        Cut::Watches("amazonconnections"),
        |house, tenant| house.disable::<AmazonConnection>(&tenant.name, &tenant.connection, "inc-1"),
        |house, tenant| house.restore::<AmazonConnection>(&tenant.name, &tenant.connection),
    );
}

#[test]
fn a_gateway_that_is_cut_off_refuses_and_recovers() {
    let house = alone();
    let tenant = house.tenant("partition");
    cut_off(
        &house,
        &tenant,
        Cut::All,
        |house, tenant| house.disable::<Team>(&tenant.name, &tenant.name, "inc-2"),
        |house, tenant| house.restore::<Team>(&tenant.name, &tenant.name),
    );
}

#[test]
fn with_etcd_stopped_every_gateway_refuses_and_recovers() {
    let house = alone();
    let tenant = house.tenant("etcd-stopped");
    let token = tenant.runtime_token("nightly");
    let gateways = house.gateways();
    // The apiserver still answers from its caches, and its streams stay open.
    house.pause_etcd();
    for gateway in &gateways {
        goes_blind(gateway, &token);
    }
    house.resume_etcd();
    for gateway in &gateways {
        serves(gateway, &token);
    }
    house.disable::<AmazonConnection>(&tenant.name, &tenant.connection, "inc-3");
    for gateway in &gateways {
        eventually("a containment is seen", || (gateway.call(&token).orders(US).code() == "Contained").then_some(()));
    }
}

#[test]
fn a_restart_of_etcd_or_apiserver_is_survived_and_what_follows_is_seen() {
    let house = alone();
    let tenant = house.tenant("restarted");
    let (runtime, agent) = (tenant.runtime_token("nightly"), tenant.agent_token());
    let gateways = house.gateways();
    for restart in [House::restart_etcd, House::restart_apiserver] {
        restart(&house);
        // An operator that could not renew its lease ends, and the kubelet starts it again.
        house.settles();
        for gateway in &gateways {
            serves(gateway, &runtime);
            serves(gateway, &agent);
        }
        house.disable::<AmazonConnection>(&tenant.name, &tenant.connection, "inc-4");
        for gateway in &gateways {
            eventually("a containment is seen", || {
                (gateway.call(&runtime).orders(US).code() == "Contained").then_some(())
            });
        }
        // The operator is at work too.
        eventually("the status shows it", || {
            house.start_what_ended();
            let connection: AmazonConnection = house.read(&tenant.name, &tenant.connection);
            (connection.status?.incidents == ["inc-4"]).then_some(())
        });
        house.restore::<AmazonConnection>(&tenant.name, &tenant.connection);
        tenant.wait_until_ready(&tenant.connection);
    }
}
