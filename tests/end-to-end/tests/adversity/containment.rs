//! Containing while something else is down, dies, stands still or is cut off. Callers do not stop meanwhile; every call that
//! was granted is kept with its beginning, and none began after the bound of its replica.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use crds::AmazonConnection;
use openteam_end_to_end::{Cut, House, REVIEWED, US, WEBHOOK, alone, eventually};

/// A replica that sees the apiserver is promised to refuse within it.
const SEES: Duration = Duration::from_secs(1);
/// One that does not: the setting `stalenessLimit` of the house, and the same.
const BLIND: Duration = Duration::from_secs(10 + 1);
/// How much longer than every bound it is watched.
const WATCHED_ON: Duration = Duration::from_secs(2);
const CALLERS: usize = 2;

/// What goes wrong, and what is promised of the two replicas then.
struct Fault {
    name: &'static str,
    bounds: [Duration; 2],
    before: fn(&House),
    after: fn(&House),
    /// How long at least it lasts, counted from the annotation.
    lasts: Duration,
    heal: fn(&House),
}

impl Fault {
    const NONE: Self =
        Self { name: "nothing", bounds: [SEES; 2], before: |_| (), after: |_| (), lasts: Duration::ZERO, heal: |_| () };
}

fn contains_in_spite_of(fault: &Fault) {
    let house = alone();
    let tenant = house.tenant(fault.name);
    // It needs no question to the apiserver: only the view can refuse it.
    let token = tenant.runtime_token("nightly");
    let gateways = house.gateways();
    let path = format!("/orders/v0/orders?MarketplaceIds={US}&CreatedAfter=2020-01-01T00:00:00Z");
    let granted: [Mutex<Vec<Instant>>; 2] = Default::default();
    let over = AtomicBool::new(false);
    let annotated = thread::scope(|scope| {
        for (gateway, granted) in gateways.iter().zip(&granted) {
            for _ in 0..CALLERS {
                scope.spawn(|| {
                    while !over.load(SeqCst) {
                        let begun = Instant::now();
                        if gateway.call(&token).try_get(&path).is_some_and(|answer| answer.status == 200) {
                            granted.lock().unwrap().push(begun);
                        }
                        thread::sleep(Duration::from_millis(2));
                    }
                });
            }
        }
        let contained = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for granted in &granted {
                eventually("every replica serves", || (granted.lock().unwrap().len() > 10).then_some(()));
            }
            (fault.before)(&house);
            house.disable::<AmazonConnection>(&tenant.name, &tenant.connection, "inc-1");
            let annotated = Instant::now();
            (fault.after)(&house);
            let longest = fault.bounds.into_iter().max().unwrap_or_default();
            let until = annotated + fault.lasts.max(longest + WATCHED_ON);
            thread::sleep(until.saturating_duration_since(Instant::now()));
            (fault.heal)(&house);
            house.settles();
            for gateway in &gateways {
                eventually("it is contained, and that is seen", || {
                    gateway.call(&token).try_get(&path).filter(|answer| answer.code() == "Contained").map(drop)
                });
            }
            thread::sleep(WATCHED_ON);
            annotated
        }));
        over.store(true, SeqCst);
        contained.unwrap()
    });
    for (number, (granted, bound)) in granted.iter().zip(fault.bounds).enumerate() {
        let last = granted.lock().unwrap().iter().max().copied().unwrap();
        let late = last.saturating_duration_since(annotated);
        eprintln!("{}: the last grant of replica {number} began {late:?} after the annotation", fault.name);
        assert!(late <= bound, "{}: replica {number} granted {late:?} after the annotation", fault.name);
    }
    house.restore::<AmazonConnection>(&tenant.name, &tenant.connection);
    for gateway in &gateways {
        eventually("it serves by itself", || (gateway.call(&token).orders(US).status == 200).then_some(()));
    }
}

#[test]
fn operator_and_recorder_need_not_be_up() {
    const OPERATOR: &str = "openteam-operator-0";
    const RECORDER: &str = "openteam-recorder-0";
    for fault in [
        Fault { name: "no-operator", before: |house| house.stop(OPERATOR), ..Fault::NONE },
        Fault { name: "no-recorder", before: |house| house.stop(RECORDER), ..Fault::NONE },
        Fault {
            name: "neither",
            before: |house| {
                house.stop(OPERATOR);
                house.stop(RECORDER);
            },
            ..Fault::NONE
        },
    ] {
        contains_in_spite_of(&fault);
    }
}

/// How often the apiserver has asked the webhook about a containment.
fn asked(house: &House) -> u64 {
    let metrics = house.metrics(WEBHOOK);
    let records = metrics.lines().filter(|line| line.starts_with("openteam_webhook_reviews_total{entry=\"record\""));
    records.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

#[test]
fn with_nothing_up_but_gateways_containing_takes_effect() {
    // Its namespace is one that the webhook is asked about, as everywhere but in these tests.
    const NAME: &str = "only-gateways";
    contains_in_spite_of(&Fault {
        name: NAME,
        before: |house| {
            house.kubectl().run(&["label", "namespace", NAME, &format!("{REVIEWED}=true")]).unwrap();
            let before = asked(house);
            eventually("the webhook is asked", || {
                let disable = ["annotate", "agentgrant/agent", "-n", NAME, "openteam.dev/disable=inc-0"];
                house.kubectl().run(&[&disable[..], &["--dry-run=server"]].concat()).unwrap();
                (asked(house) > before).then_some(())
            });
            for pod in house.pods().iter().filter(|pod| !pod.starts_with("openteam-gateway-")) {
                house.stop(pod);
            }
        },
        heal: |house| {
            // Or restoring it would wait for the webhook.
            house.kubectl().run(&["label", "namespace", NAME, &format!("{REVIEWED}-")]).unwrap();
        },
        ..Fault::NONE
    });
}

#[test]
fn a_restart_of_etcd_or_apiserver_lets_nothing_through() {
    // Whether the event left before is luck: the bound is that of a replica that does not see.
    for fault in [
        Fault { name: "etcd-restarted", after: House::restart_etcd, bounds: [BLIND; 2], ..Fault::NONE },
        Fault { name: "apiserver-restarted", after: House::restart_apiserver, bounds: [BLIND; 2], ..Fault::NONE },
    ] {
        contains_in_spite_of(&fault);
    }
}

#[test]
fn a_gateway_that_dies_serves_nothing_that_it_has_not_looked_at() {
    contains_in_spite_of(&Fault {
        name: "gateway-killed",
        after: |house| {
            house.kill("openteam-gateway-0");
            house.restart("openteam-gateway-0");
        },
        ..Fault::NONE
    });
}

#[test]
fn a_gateway_that_stood_still_wakes_up_and_grants_nothing() {
    contains_in_spite_of(&Fault {
        name: "gateway-frozen",
        bounds: [Duration::ZERO, SEES],
        before: |house| house.freeze("openteam-gateway-0"),
        lasts: Duration::from_secs(30),
        heal: |house| house.thaw("openteam-gateway-0"),
        ..Fault::NONE
    });
}

#[test]
fn a_gateway_that_is_cut_off_stops_by_itself() {
    contains_in_spite_of(&Fault {
        name: "gateway-cut-off",
        bounds: [BLIND, SEES],
        before: |house| house.cut(Cut::All),
        heal: |house| house.cut(Cut::Whole),
        ..Fault::NONE
    });
}
