//! Each kind of finding: what gives rise to it, and what is close to that and does not.

use std::{net::IpAddr, time::Duration};

use audit::{
    Activity, Actor, Call, Change, Correlation, DetectionKind as Kind, DigestKey, Entity, EntityChange, Lifecycle,
    Name, Network, ObjectName, Operation, Origin, Peer, Person, Phase, Reason, RefusedCallers, Requester, Role, Run,
    SignIn, Source, Step, Strangers, Target, wire::writers::PATIENCE,
};
use jiff::Timestamp;
use serde_json::Value;
use tempfile::TempDir;

use super::{
    containment::{GRACE, RESTORING},
    finding::{MOST_OF_A_KIND, QUIET},
    novelty::HISTORY,
    refusals::{BURST, BURST_SPAN, LOCK_SPAN, REFRESH_SPAN, REFRESHES, SIGN_IN_SPAN, SIGN_INS},
    volume::{LEAST, TIMES},
    watch::Eye,
    *,
};
use crate::{Journal, backwards::Budget};

const HOUR: i64 = 60 * MINUTE;
const STALENESS: Duration = Duration::from_secs(10);

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn object(text: &str) -> ObjectName {
    ObjectName::parse("acme", text).unwrap()
}

fn start() -> i64 {
    Timestamp::now().as_millisecond()
}

/// A detector, and a gateway whose events it is shown.
struct House {
    detector: Detector,
    run: Run,
    found: Vec<Finding>,
}

fn house() -> House {
    let origin = Origin { role: Role::Gateway, pod: name("gateway-0"), version: "0" };
    House { detector: Detector::new(STALENESS, start()), run: Run::new(origin), found: Vec::new() }
}

fn payload(run: &Run, activity: &Activity, at: i64) -> Vec<u8> {
    let mut event: Value = serde_json::from_str(run.event(activity).as_line()).unwrap();
    event["time"] = at.into();
    let writer = Peer { role: run.origin().role, pod: run.origin().pod.clone() };
    serde_json::json!({ "writer": writer, "time": at, "sequence": 1, "event": event }).to_string().into_bytes()
}

impl House {
    fn see(&mut self, at: i64, activity: impl Into<Activity>) -> &mut Self {
        let payload = payload(&self.run, &activity.into(), at);
        self.found.extend(self.detector.see(&Seen::of(&payload).unwrap()));
        self
    }

    fn learn(&mut self, at: i64, activity: impl Into<Activity>) -> &mut Self {
        let payload = payload(&self.run, &activity.into(), at);
        self.detector.learn(&Seen::of(&payload).unwrap());
        self
    }

    /// What was found since it was last asked.
    fn found(&mut self) -> Vec<Kind> {
        self.found.drain(..).map(|finding| finding.kind).collect()
    }
}

fn agent(account: &str) -> Actor {
    Actor::ServiceAccount { account: object(account), uid: None, pod: None, credential: None }
}

fn token(of: &str) -> Actor {
    Actor::RuntimeToken { token: object(of), issuer: DigestKey::new([1; 32]).email("ann@example.com") }
}

fn target() -> Option<Target> {
    Some(Target { team: object("sales"), team_uid: None, connection: Some(object("amazon")) })
}

fn call(actor: Actor, phase: Phase) -> Call {
    Call {
        correlation: Correlation::random(),
        actor,
        source: Source::Address(IpAddr::from([10, 0, 1, 7])),
        target: target(),
        operation: Operation::TOKEN,
        marketplaces: Vec::new(),
        resources: Vec::new(),
        expires_at: None,
        phase,
    }
}

fn granted(actor: Actor) -> Call {
    call(actor, Phase::Intent)
}

fn granted_from(actor: Actor, address: [u8; 4]) -> Call {
    Call { source: Source::Address(IpAddr::from(address)), ..granted(actor) }
}

fn refused(status: u16) -> Call {
    call(agent("agent"), Phase::Refused { reason: Reason::new("NotGranted"), status })
}

fn refresh(phase: Phase) -> Call {
    Call { operation: Operation::LWA_REFRESH, ..call(Actor::Itself, phase) }
}

fn changed(kind: audit::Kind, named: &str, change: Change) -> EntityChange {
    let entity = Entity { kind, namespace: Some(name("acme")), name: name(named), uid: None };
    EntityChange { correlation: None, target: target(), entity, change }
}

#[test]
fn a_caller_refused_again_and_again_is_found_once() {
    let (mut house, now) = (house(), start());
    for number in 0..BURST as i64 - 1 {
        house.see(now + number, refused(403));
    }
    assert_eq!(house.found(), []);
    house.see(now + 100, refused(403)).see(now + 101, refused(403));
    assert_eq!((house.found[0].count, house.found[0].first, house.found[0].last), (BURST, now, now + 100));
    let detection = house.found[0].clone().detection(uuid::Uuid::now_v7());
    assert_eq!(detection.suspect, Some(audit::Suspect::Caller(agent("agent"))));
    assert_eq!(house.found(), [Kind::BurstOfRefusals]);
    // It goes on, and is told again after a while.
    for number in 0..BURST as i64 {
        house.see(now + QUIET + 200 + number, refused(403));
    }
    assert_eq!(house.found(), [Kind::BurstOfRefusals]);
}

#[test]
fn refusals_over_a_longer_time_or_that_are_not_the_callers_fault_are_no_burst() {
    let (mut house, now) = (house(), start());
    for number in 0..3 * BURST as i64 {
        house.see(now + number * BURST_SPAN / (BURST as i64 / 2), refused(403));
        house.see(now + number, refused(429)).see(now + number, refused(503));
    }
    assert_eq!(house.found(), []);
}

#[test]
fn a_network_of_unknown_callers_bursts_by_the_count_of_its_events() {
    let strangers = |network: u8, count| RefusedCallers {
        source: Network::V4([203, 0, network]),
        reason: Reason::new("UnknownToken"),
        count,
        first: Timestamp::now(),
        last: Timestamp::now(),
    };
    let (mut house, now) = (house(), start());
    house.see(now, strangers(1, BURST - 1)).see(now, strangers(2, BURST - 1));
    assert_eq!(house.found(), []);
    house.see(now, strangers(1, 1));
    assert_eq!(
        house.found[0].clone().detection(uuid::Uuid::now_v7()).source,
        Some(Source::Network(Network::V4([203, 0, 1])))
    );
    assert_eq!(house.found(), [Kind::BurstOfRefusals]);
}

#[test]
fn of_one_kind_no_more_is_told_than_somebody_can_read() {
    let (mut house, now) = (house(), start());
    for network in 0..300_u16 {
        let [a, b] = network.to_be_bytes();
        house.see(
            now,
            RefusedCallers {
                source: Network::V4([203, a, b]),
                reason: Reason::new("UnknownToken"),
                count: BURST,
                first: Timestamp::now(),
                last: Timestamp::now(),
            },
        );
    }
    assert_eq!(house.found().len() as u64, MOST_OF_A_KIND);
}

#[test]
fn somebody_new_at_an_old_connection_is_found() {
    let (mut house, now) = (house(), start());
    house.see(now, granted(agent("old")));
    house.see(now + HISTORY, granted(agent("old")));
    assert_eq!(house.found(), []);
    house.see(now + HISTORY, granted(agent("new"))).see(now + HISTORY + 1, granted(agent("new")));
    assert_eq!(house.found(), [Kind::NewSubject]);
    house.see(now + HISTORY + 2, granted(token("ci")));
    assert_eq!(house.found(), [Kind::NewSubject]);
}

#[test]
fn at_a_new_connection_and_with_what_was_refused_nobody_is_new() {
    let (mut house, now) = (house(), start());
    house.see(now, granted(agent("old"))).see(now + HISTORY - 1, granted(agent("new")));
    house.see(now + HISTORY, refused(403));
    assert_eq!(house.found(), []);
}

#[test]
fn what_was_before_the_start_is_not_new() {
    let (mut house, now) = (house(), start());
    house.learn(now - 1, granted(agent("old"))).learn(now - HISTORY, granted(agent("other")));
    house.see(now, granted(agent("old"))).see(now, granted(agent("other")));
    assert_eq!(house.found(), []);
    house.see(now, granted(agent("new")));
    assert_eq!(house.found(), [Kind::NewSubject]);
}

#[test]
fn a_known_caller_from_elsewhere_is_found() {
    let (mut house, now) = (house(), start());
    house.see(now, granted(agent("agent"))).see(now + HISTORY, granted_from(agent("agent"), [203, 0, 113, 9]));
    assert_eq!(house.found(), [Kind::NewNetwork]);
}

#[test]
fn another_node_of_the_same_cluster_is_not_elsewhere() {
    let (mut house, now) = (house(), start());
    house.see(now, granted(agent("agent"))).see(now + HISTORY, granted_from(agent("agent"), [10, 0, 77, 1]));
    assert_eq!(house.found(), []);
}

#[test]
fn a_call_granted_after_containment_is_found_whatever_of_it_was_contained() {
    let grace = (STALENESS + GRACE).as_millis() as i64;
    for (kind, named) in
        [(audit::Kind::Team, "sales"), (audit::Kind::AmazonConnection, "amazon"), (audit::Kind::RuntimeToken, "ci")]
    {
        let (mut house, now) = (house(), start());
        house.see(now, changed(kind, named, Change::ContainedBy(Requester::of("admin"), Vec::new())));
        house.see(now + 3_000, changed(kind, named, Change::Contained(Vec::new())));
        house.see(now + 3_000 + grace, granted(token("ci")));
        assert_eq!(house.found(), [], "a gateway may not have seen it");
        house.see(now + 3_001 + grace, granted(token("ci")));
        assert_eq!(house.found(), [Kind::TokenUsedAfterContainment], "{kind:?}");
        house.see(now + QUIET * 2, changed(kind, named, Change::Restored));
        house.see(now + QUIET * 2 + 1, granted(token("ci")));
        assert_eq!(house.found(), []);
    }
}

#[test]
fn what_is_refused_of_others_or_about_to_be_restored_was_not_used_after_containment() {
    let (mut house, now) = (house(), start());
    let contained = changed(audit::Kind::AmazonConnection, "amazon", Change::Contained(Vec::new()));
    house.see(now, contained).see(now + HOUR, refused(403));
    let other = Target { connection: Some(object("other")), ..target().unwrap() };
    house.see(now + HOUR, Call { target: Some(other), ..granted(agent("agent")) });
    house.see(now + HOUR, refresh(Phase::Intent));
    let restoring = Change::RestoringBy(Requester::of("admin"), Vec::new());
    house.see(now + HOUR, changed(audit::Kind::AmazonConnection, "amazon", restoring));
    house.see(now + HOUR + RESTORING - 1, granted(agent("agent")));
    assert_eq!(house.found(), []);
    house.see(now + HOUR + RESTORING, granted(agent("agent")));
    assert_eq!(house.found(), [Kind::TokenUsedAfterContainment], "it was not restored after all");
}

#[test]
fn a_containment_from_before_the_start_is_known() {
    let (mut house, now) = (house(), start());
    // Newest first.
    house.learn(now - 60_000, changed(audit::Kind::AmazonConnection, "amazon", Change::Contained(Vec::new())));
    house.learn(now - 90_000, changed(audit::Kind::AmazonConnection, "amazon", Change::Restored));
    house.see(now, granted(agent("agent")));
    assert_eq!(house.found(), [Kind::TokenUsedAfterContainment]);
}

#[test]
fn a_connection_that_amazon_keeps_refusing_is_found() {
    let failed = || refresh(Phase::Failed { reason: Reason::new("AuthorizationRevoked") });
    let (mut house, now) = (house(), start());
    for number in 0..REFRESHES as i64 {
        assert_eq!(house.found(), []);
        house.see(now + number * MINUTE, failed());
    }
    assert_eq!(house.found[0].clone().detection(uuid::Uuid::now_v7()).target, target());
    assert_eq!(house.found(), [Kind::RefreshFailures]);
}

#[test]
fn refreshes_that_succeed_in_between_or_get_no_answer_do_not_fail_again_and_again() {
    let (mut house, now) = (house(), start());
    for number in 0..4 * REFRESHES as i64 {
        let at = now + number * MINUTE;
        house.see(at, refresh(Phase::Failed { reason: Reason::new("AmazonUnreachable") }));
        house.see(at, refresh(Phase::Failed { reason: Reason::new("AuthorizationRevoked") }));
        if number % (REFRESHES as i64 - 1) == 0 {
            house.see(at, refresh(Phase::Outcome { status: 200, latency: Duration::ZERO }));
        }
    }
    let slowly = REFRESH_SPAN / (REFRESHES as i64 - 1) + 1;
    for number in 0..4 * REFRESHES as i64 {
        let at = now + 2 * DAY + number * slowly;
        house.see(at, refresh(Phase::Failed { reason: Reason::new("AuthorizationRevoked") }));
    }
    assert_eq!(house.found(), []);
}

/// A connection whose busiest hour in the week before `now`, which begins an hour, had so many calls.
fn busy(calls: u64, now: i64) -> House {
    let mut house = house();
    house.see(now - HISTORY, granted(agent("agent")));
    for number in 0..calls {
        house.see(now - DAY + number as i64, granted(agent("agent")));
    }
    house.found();
    house
}

#[test]
fn far_more_calls_than_in_the_week_before_are_found() {
    let now = start() / HOUR * HOUR;
    let mut house = busy(LEAST / TIMES, now);
    for number in 0..LEAST as i64 {
        house.see(now + number, granted(agent("agent")));
    }
    assert_eq!(house.found(), []);
    house.see(now + 2 * LEAST as i64, granted(agent("agent")));
    assert_eq!((house.found[0].count, house.found[0].first), (LEAST + 1, now));
    assert_eq!(house.found(), [Kind::UnusualVolume]);
}

#[test]
fn some_more_calls_or_few_or_those_of_a_new_connection_are_not_unusual() {
    let now = start() / HOUR * HOUR;
    for (before, calls) in [(LEAST / TIMES + 1, LEAST), (1, LEAST - 1)] {
        let mut house = busy(before, now);
        for number in 0..calls as i64 {
            house.see(now + number, granted(agent("agent")));
        }
        assert_eq!(house.found(), [], "{before} {calls}");
    }
    let mut new = house();
    for number in 0..3 * LEAST as i64 {
        new.see(now + number, granted(agent("agent")));
    }
    assert_eq!(new.found(), []);
}

#[test]
fn a_number_that_does_not_come_is_a_gap() {
    let (mut house, now) = (house(), start());
    house.detector.learnt_all();
    house.see(now, Lifecycle::Started);
    let _lost = house.run.event(&Lifecycle::Started.into());
    let late = payload(&house.run, &Lifecycle::Started.into(), now + 7);
    house.see(now + 5, Lifecycle::Stopped);
    assert!(house.detector.tick(now + 4 + PATIENCE, true).is_empty());
    let found = house.detector.tick(now + 5 + PATIENCE, true);
    assert_eq!((found[0].kind, found[0].count), (Kind::WriterGap, 2));
    assert_eq!(found[0].evidence.writer, Some(Peer { role: Role::Gateway, pod: name("gateway-0") }));
    house.detector.see(&Seen::of(&late).unwrap());
    assert!(house.detector.tick(now + 9 * PATIENCE, true).is_empty(), "it is told once");
}

#[test]
fn numbers_in_another_order_or_with_other_recorders_are_no_gap() {
    let (mut house, now) = (house(), start());
    let mut payloads: Vec<_> = (0..50).map(|_| payload(&house.run, &Lifecycle::Started.into(), now)).collect();
    payloads.reverse();
    payloads.swap(3, 40);
    for payload in &payloads {
        house.detector.see(&Seen::of(payload).unwrap());
    }
    assert!(house.detector.tick(now + 2 * PATIENCE, true).is_empty());
    let _elsewhere = house.run.event(&Lifecycle::Started.into());
    house.see(now, Lifecycle::Stopped);
    assert!(house.detector.tick(now + 2 * PATIENCE, false).is_empty());
}

#[test]
fn of_a_run_that_began_before_what_is_known_only_later_numbers_can_be_missed() {
    let (mut house, now) = (house(), start());
    let begin: Vec<_> = (0..3).map(|_| house.run.event(&Lifecycle::Started.into())).collect();
    drop(begin);
    house.detector = Detector::new(STALENESS, now + 60_000);
    house.see(now + 60_000, Lifecycle::Stopped);
    assert!(house.detector.tick(now + 60_000 + PATIENCE, true).is_empty());
    let _lost = house.run.event(&Lifecycle::Started.into());
    house.see(now + 60_001, Lifecycle::Stopped);
    assert_eq!(house.detector.tick(now + 60_001 + PATIENCE, true)[0].count, 1);
}

#[test]
fn a_writer_that_makes_nothing_but_gaps_fills_no_memory() {
    let (mut house, now) = (house(), start());
    for _ in 0..500 {
        let _lost = house.run.event(&Lifecycle::Started.into());
        house.see(now, Lifecycle::Stopped);
        house.found.extend(house.detector.tick(now, true));
    }
    assert!(house.detector.gaps.stretches() <= 66, "{}", house.detector.gaps.stretches());
    assert_eq!(house.found(), [Kind::WriterGap]);
}

fn sign_in(address: &str, step: Step) -> SignIn {
    let source = Source::Address(IpAddr::from([203, 0, 113, 9]));
    SignIn { person: Person { address: DigestKey::new([1; 32]).email(address), source }, step }
}

#[test]
fn a_network_that_tries_codes_is_found() {
    let (mut house, now) = (house(), start());
    for number in 0..SIGN_INS / 2 - 1 {
        let address = format!("{number}@example.com");
        house.see(now, sign_in(&address, Step::LogonFailed(Reason::new("WrongCode"))));
        house.see(now, sign_in(&address, Step::CodeRefused(Reason::new("TooMany"))));
    }
    assert_eq!(house.found(), []);
    house.see(
        now,
        Strangers(RefusedCallers {
            source: Network::V4([203, 0, 113]),
            reason: Reason::new("NoMember"),
            count: 2,
            first: Timestamp::now(),
            last: Timestamp::now(),
        }),
    );
    assert_eq!(house.found(), [Kind::SignInAttack]);
}

#[test]
fn an_address_locked_again_is_found() {
    let (mut house, now) = (house(), start());
    let locked = || sign_in("ann@example.com", Step::Locked(Timestamp::now()));
    house.see(now, locked()).see(now + HOUR, locked());
    assert!(matches!(
        house.found[0].clone().detection(uuid::Uuid::now_v7()).suspect,
        Some(audit::Suspect::Requester(Requester::Person(_)))
    ));
    assert_eq!(house.found(), [Kind::SignInAttack]);
}

#[test]
fn people_who_mistype_are_no_attack() {
    let (mut house, now) = (house(), start());
    for number in 0..4 * SIGN_INS as i64 {
        let at = now + number * SIGN_IN_SPAN / (SIGN_INS as i64 / 2);
        house.see(at, sign_in("ann@example.com", Step::LogonFailed(Reason::new("WrongCode"))));
        house.see(at, sign_in("ann@example.com", Step::CodeAsked));
    }
    for (address, day) in [("ann@example.com", 0), ("bob@example.com", 0), ("ann@example.com", 1)] {
        house.see(now + 9 * DAY + day * LOCK_SPAN, sign_in(address, Step::Locked(Timestamp::now())));
    }
    assert_eq!(house.found(), []);
}

#[test]
fn what_is_no_event_of_ours_is_passed_over() {
    for other in ["", "{}", "[]", r#"{"writer":{"role":"gateway","pod":"g"},"time":1,"sequence":1,"event":{}}"#] {
        assert!(Seen::of(other.as_bytes()).is_none(), "{other}");
    }
    let odd = r#"{"writer":{"role":"gateway","pod":"g"},"time":1,"sequence":1,
        "event":{"class_uid":6003,"time":1,"message":"call refused \"x\"","action_id":2,"metadata":{}}}"#;
    let mut house = house();
    assert!(house.detector.see(&Seen::of(odd.as_bytes()).unwrap()).is_empty());
}

#[tokio::test]
async fn what_is_stored_is_looked_at_once_after_the_start_and_learnt_from_before_it() {
    let dir = TempDir::new().unwrap();
    let origin = Origin { role: Role::Recorder, pod: name("recorder-0"), version: "0" };
    let journal = Journal::open(dir.path(), origin).unwrap();
    let gateway = Run::new(Origin { role: Role::Gateway, pod: name("gateway-0"), version: "0" });
    let writer = Peer { role: Role::Gateway, pod: name("gateway-0") };
    let store = async |activity: Activity| {
        journal.append(writer.clone(), vec![gateway.event(&activity).into_checked()]).await.unwrap();
    };
    store(changed(audit::Kind::AmazonConnection, "amazon", Change::Contained(Vec::new())).into()).await;
    let next = *journal.durable().borrow();
    let now = start();
    let mut eye = Eye::open(dir.path(), next, now);
    let budget = Budget { bytes: 1 << 20, time: Duration::from_secs(9) };
    eye.learn(next, budget, &|| false).unwrap();
    for _ in 0..BURST {
        store(refused(403).into()).await;
    }
    let durable = *journal.durable().borrow();
    let kinds = |found: Vec<Finding>| found.iter().map(|it| it.kind).collect::<Vec<_>>();
    assert_eq!(kinds(eye.look(durable, now, true)), [Kind::BurstOfRefusals]);
    assert_eq!(kinds(eye.look(durable, now, true)), []);
}
